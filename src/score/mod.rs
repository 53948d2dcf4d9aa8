//! How good a stylized video is, measured against its content video: for comparing settings.
//!
//! y is a stylized frame, c its content frame, both at the size of the comparison, RGB 0..1; w the content's own motion,
//! from [`crate::motion`], m its reliability in `[0, 1]`. F are feature maps of a network, d their distance at a position,
//! `|F(a) - F(b)|^2 / ((|F(a)|^2 + |F(b)|^2) / 2)`: 0 if alike, 2 if unrelated.
//!
//! | measure  | formula, and what it is summed up to                                                          | range    |
//! |----------|-----------------------------------------------------------------------------------------------|----------|
//! | `e_warp` | `sum m (y_t - w(y_{t-1}))^2 / sum m`, bicubic; mean over the frames. `e_warp_in`: the same of c | 0..1     |
//! | `lag`    | where `d(c_t, c_{t-6}) > 0.5`: median `d(y_t, c_t)` / median `d(y_t, c_{t-6})`; mean            | over 0   |
//! | `paint`  | median `d(y_t, c_t)` where it moved lately / where it is still; mean                            | over 0   |
//! | `sharp`  | mean absolute Laplacian of the luma, last third / first frame. `sharp_in`: the same of c         | 0 and up |
//! | `drift`  | mean luma of y less that of c, less the same of the first frame, in 1/255; largest              | 0..510   |
//! | `content`| `|F(y) - F(c)|^2 / |F(c)|^2` at the network's content layer; mean                               | 0 and up |
//! | `style`  | `|G(y) - A|^2 / |G(c) - A|^2`, Grams G, the painting's A, mean over the taps; mean               | 0 and up |
//!
//! `e_warp` is the warping error of Lai et al. 2018, "Learning Blind Video Temporal Consistency" (section 4.2), with soft
//! weights in place of a mask. It is blind to what is frozen or blurred, which `lag` and `sharp` see, and to what is not
//! painted at all, which `paint` sees: read them together. In lag and paint 0.01 is added to either distance. The first
//! frame of a scene has no `e_warp`.
//!
//! Pixels are measured in every frame, features in every [`EVERY`]th. Videos are read side by side and never held: memory
//! does not grow with their length, but for a few numbers a frame.

pub mod appearance;
pub mod measures;
pub mod plot;
pub mod report;

use std::{path::Path, sync::Arc};

use self::{
    appearance::Eye,
    measures::{Along, Moment, Shrinker},
    report::{Score, Series},
};
use crate::{
    error::{Error, Result},
    frame::{Frame, Size},
    net::{session::Runtime, vgg::Vgg},
    source::{self, FrameSource, SourceOptions},
};

/// Features are compared in one frame out of this many.
pub const EVERY: usize = 3;
/// Ratios of width to height that differ by less belong to the same picture, brought to whole pixels.
const SAME_SHAPE: f64 = 0.04;

/// Whose eyes are used.
pub struct Judge {
    pub runtime: Runtime,
    pub vgg: Arc<Vgg>,
    /// The picture whose style the video should have.
    pub style: Option<Frame>,
}

/// What is compared.
#[derive(Clone, Debug)]
pub struct ScoreOptions {
    /// At most this many frames, from the beginning; None for all.
    pub frames: Option<usize>,
    /// The width at which both videos are compared; a narrower content video is compared at its own.
    pub width: usize,
}

impl Default for ScoreOptions {
    fn default() -> Self {
        ScoreOptions { frames: None, width: 320 }
    }
}

impl ScoreOptions {
    /// # Errors
    /// [`Error::Setting`] with the name, the range and what was found.
    pub fn validate(&self) -> Result<()> {
        let setting = |name, expected, found: usize| Err(Error::Setting { name, expected, found: found.to_string() });
        if !(32..=4096).contains(&self.width) {
            return setting("width", "between 32 and 4096", self.width);
        }
        match self.frames {
            Some(0) => setting("frames", "1 or more", 0),
            _ => Ok(()),
        }
    }
}

/// Compares two videos, frame by frame in order. `watch` is told of every frame: how many were compared.
///
/// # Errors
/// Those of [`ScoreOptions::validate`] and of [`source::open`]; [`Error::Input`] if a video has no frame or the two differ in
/// shape; [`Error::Setting`] if the pictures are too small for the network.
pub fn compare(
    content: &Path,
    stylized: &Path,
    judge: &Judge,
    options: &ScoreOptions,
    mut watch: impl FnMut(usize),
) -> Result<Score> {
    options.validate()?;
    let mut videos =
        [source::open(content, &SourceOptions::default())?, source::open(stylized, &SourceOptions::default())?];
    let [of_content, of_stylized] = [videos[0].info().size, videos[1].info().size];
    same_shape(of_content, of_stylized, stylized)?;
    let mut scorer = Scorer::new(judge, compared_size(of_content, options.width))?;
    let limit = options.frames.unwrap_or(usize::MAX);
    let mut notes = Vec::new();
    while scorer.frames() < limit {
        let [first, second] = &mut videos;
        match (first.next()?, second.next()?) {
            (Some(content), Some(stylized)) => scorer.add(&content, &stylized)?,
            (None, None) => break,
            (left, _) => {
                let longer = if left.is_some() { content } else { stylized };
                let frames = scorer.frames();
                let first = match frames {
                    1 => "frame was".to_owned(),
                    _ => format!("{frames} frames were"),
                };
                notes.push(format!("{} is longer; only the first {first} compared", longer.display()));
                break;
            }
        }
        watch(scorer.frames());
    }
    if scorer.frames() == 0 {
        // An empty stylized video leaves a note that the content video is longer.
        let path = if notes.is_empty() { content } else { stylized };
        return Err(Error::Input { path: path.to_owned(), reason: "it has no frame".to_owned() });
    }
    notes.extend(damages(&videos, [content, stylized]));
    Ok(scorer.finish(notes))
}

/// What could not be read of either.
fn damages<'a>(videos: &'a [Box<dyn FrameSource>; 2], paths: [&'a Path; 2]) -> impl Iterator<Item = String> + use<'a> {
    let damages = videos.iter().zip(paths).filter_map(|(video, path)| video.damage().map(|damage| (path, damage)));
    damages.map(|(path, damage)| format!("{}: {damage}; the frames may not belong together", path.display()))
}

fn same_shape(content: Size, stylized: Size, path: &Path) -> Result<()> {
    let shape = |size: Size| size.width as f64 / size.height.max(1) as f64;
    let ratio = shape(stylized) / shape(content);
    if (ratio.ln()).abs() < SAME_SHAPE {
        return Ok(());
    }
    let reason = format!("it is {stylized}, of another shape than the content video ({content}); is it of that video?");
    Err(Error::Input { path: path.to_owned(), reason })
}

/// The content's shape at this width, never enlarged.
fn compared_size(content: Size, width: usize) -> Size {
    let width = width.min(content.width);
    Size::new(width, ((content.height * width + content.width / 2) / content.width.max(1)).max(1))
}

/// Measures a pair of videos that are handed over frame by frame.
pub struct Scorer {
    model: String,
    size: Size,
    shrinker: Shrinker,
    along: Along,
    eye: Eye,
    before: Moment,
    now: Moment,
    frames: usize,
    first: Option<First>,
    cuts: Vec<usize>,
    series: Series,
}

/// The first frame's values, which later ones are measured by.
#[derive(Clone, Copy)]
struct First {
    /// Sharpness of the stylized and of the content frame.
    sharpness: [f64; 2],
    /// Brightness of the stylized frame less that of the content.
    offset: f64,
}

impl Scorer {
    /// Compares at `size`.
    ///
    /// # Errors
    /// [`Error::Setting`] if that is too small for the network, [`Error::Runtime`] if ONNX Runtime fails.
    pub fn new(judge: &Judge, size: Size) -> Result<Self> {
        Ok(Scorer {
            model: judge.vgg.name.clone(),
            size,
            shrinker: Shrinker::new(size),
            eye: Eye::new(&judge.runtime, Arc::clone(&judge.vgg), size, judge.style.as_ref())?,
            along: Along::new(size),
            before: Moment::new(size),
            now: Moment::new(size),
            frames: 0,
            first: None,
            cuts: Vec::new(),
            series: Series::default(),
        })
    }

    /// Frames compared so far.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Measures the next frame and what was painted of it, each of any size.
    pub fn add(&mut self, content: &Frame, stylized: &Frame) -> Result<()> {
        let (at, series) = (self.frames, &mut self.series);
        std::mem::swap(&mut self.before, &mut self.now);
        self.shrinker.shrink(content, &mut self.now.content);
        self.shrinker.shrink(stylized, &mut self.now.stylized);
        if at > 0 {
            let step = self.along.step(&self.before, &self.now)?;
            series.e_warp.push(at, step.errors.map(|(stylized, _)| stylized));
            series.e_warp_in.push(at, step.errors.map(|(_, content)| content));
            self.cuts.extend(step.cut.then_some(at));
        }
        let Moment { content, stylized } = &self.now;
        let sharpness = [stylized.sharpness(), content.sharpness()];
        let offset = stylized.brightness() - content.brightness();
        let first = *self.first.get_or_insert(First { sharpness, offset });
        // Against a flat first frame there is no ratio: it is not finite, and not kept.
        series.sharp.push(at, sharpness[0] / first.sharpness[0]);
        series.sharp_in.push(at, sharpness[1] / first.sharpness[1]);
        series.drift.push(at, 255.0 * (offset - first.offset));
        if at.is_multiple_of(EVERY) {
            let seen = self.eye.look(&self.now, self.along.trace())?;
            series.style.push(at, seen.style);
            series.content.push(at, seen.content);
            series.lag.push(at, seen.lag);
            series.paint.push(at, seen.paint);
        }
        self.frames += 1;
        Ok(())
    }

    /// The result, with what else the reader should know.
    pub fn finish(self, notes: Vec<String>) -> Score {
        Score {
            frames: self.frames,
            width: self.size.width,
            height: self.size.height,
            model: self.model,
            summary: self.series.summary(),
            cuts: self.cuts,
            notes,
            series: self.series,
        }
    }
}

#[cfg(test)]
mod tests;
