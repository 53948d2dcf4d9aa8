//! Several passes over a video, forward and backward in turn (Ruder et al. 2016, section 4.4): what a frame uncovers is
//! painted in a later frame first, and the paint is carried back to it, so that nothing comes in bare or in streaks.
//!
//! In each pass after the first a frame starts from its neighbour's picture, carried along the motion, blended with its own
//! of the pass before ([`Stylizer::repaint`]). The last pass always runs forward, so that it can be written as it is
//! painted; the others run before it, on the working pictures kept in a [`Store`].
//!
//! Departure from Ruder's: their first pass runs forward always, ours where the number of passes is odd.

mod store;

use std::path::Path;

use ndarray::{Array3, ArrayView3};

pub use store::{Kept, Store};

use crate::{
    error::{Error, Result},
    frame::Size,
    motion::Seen,
    source::FrameSource,
    stylizer::{Painted, Stylizer},
    tensor::{self, Filter, Resampler},
};

/// Where a rehearsal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rehearsed {
    /// The pass, from 1; 0 while frames are read.
    pub pass: usize,
    /// Frames done in it, and how many there are (0 while frames are read).
    pub frames: usize,
    pub of: usize,
}

/// A stylizer with what earlier passes have painted.
pub struct Passes {
    stylizer: Stylizer,
    store: Store,
    size: Size,
    /// The frame of the last pass that is next.
    next: usize,
    content: Array3<f32>,
    earlier: Array3<f32>,
    bytes: Vec<u8>,
}

impl Passes {
    /// Pictures of this size will be kept in the folder.
    ///
    /// # Errors
    /// [`Error::Io`] if no file can be made there.
    pub fn new(stylizer: Stylizer, folder: &Path, size: Size) -> Result<Self> {
        Ok(Passes {
            stylizer,
            store: Store::new(folder, size)?,
            size,
            next: 0,
            content: tensor::zeros(size),
            earlier: tensor::zeros(size),
            bytes: vec![0; 3 * size.area()],
        })
    }

    /// Runs all passes but the last over the source's frames, as long as `go_on` says so. Cut short, what was painted stays.
    ///
    /// # Errors
    /// Those of the source, the stylizer and the store; [`Error::SizeMismatch`] if a frame has another size than the first.
    pub fn rehearse(
        &mut self,
        source: &mut dyn FrameSource,
        passes: usize,
        go_on: &mut dyn FnMut(Rehearsed) -> bool,
    ) -> Result<()> {
        if !self.read(source, go_on)? {
            return Ok(());
        }
        for pass in 1..passes {
            let frames = self.store.frames();
            let forward = (passes - pass).is_multiple_of(2);
            self.stylizer.restart();
            for done in 0..frames {
                let frame = if forward { done } else { frames - 1 - done };
                self.store.read(Kept::Content, frame, &mut self.bytes)?;
                tensor::from_rgb8(&self.bytes, &mut self.content);
                let painted = match earlier(&mut self.store, frame, &mut self.bytes, &mut self.earlier)? {
                    Some(earlier) => self.stylizer.repaint(self.content.view(), earlier)?,
                    None => self.stylizer.paint(self.content.view())?,
                };
                painted.to_rgb8(&mut self.bytes);
                self.store.paint(frame, &self.bytes)?;
                if !go_on(Rehearsed { pass, frames: done + 1, of: frames }) {
                    self.stylizer.restart();
                    return Ok(());
                }
            }
        }
        self.stylizer.restart();
        Ok(())
    }

    /// Reads every frame at the working size. False if it was cut short.
    fn read(&mut self, source: &mut dyn FrameSource, go_on: &mut dyn FnMut(Rehearsed) -> bool) -> Result<bool> {
        let full = source.info().size;
        let mut resampler = Resampler::new();
        while let Some(frame) = source.next()? {
            if frame.size() != full {
                return Err(Error::SizeMismatch { expected: full, found: frame.size() });
            }
            resampler.resample(frame.pixels(), full, &mut self.bytes, self.size, Filter::Area);
            self.store.push(&self.bytes)?;
            if !go_on(Rehearsed { pass: 0, frames: self.store.frames(), of: 0 }) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The last pass: paints the next frame, as it was `seen`, from the first one on.
    ///
    /// # Errors
    /// Those of the stylizer and the store.
    pub fn paint(&mut self, seen: &Seen) -> Result<Painted<'_>> {
        let index = self.next;
        self.next += 1;
        let earlier = earlier(&mut self.store, index, &mut self.bytes, &mut self.earlier)?;
        self.stylizer.paint_seen(seen, earlier)
    }

    /// The stylizer, to look at.
    pub fn stylizer(&self) -> &Stylizer {
        &self.stylizer
    }
}

/// What the pass before made of a frame, if there was one. `bytes` is scratch.
fn earlier<'a>(
    store: &mut Store,
    frame: usize,
    bytes: &mut [u8],
    picture: &'a mut Array3<f32>,
) -> Result<Option<ArrayView3<'a, f32>>> {
    if !store.read(Kept::Painted, frame, bytes)? {
        return Ok(None);
    }
    tensor::from_rgb8(bytes, picture);
    Ok(Some(picture.view()))
}
