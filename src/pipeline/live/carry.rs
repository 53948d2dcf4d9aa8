//! Between two painted frames: the paint of the last one, carried along the motion to the frame that is shown.
//!
//! What is carried is the painted difference, picture minus frame; added to the new frame it follows the content at once,
//! and errors of the flow misplace some paint instead of tearing the picture.

use std::{sync::Arc, time::Instant};

use super::paint::Painted;
use crate::{
    dispatch::wide,
    error::Result,
    frame::Size,
    motion::{
        DisFlow, DisSettings, FlowField, Plane, Scale,
        warp::{Places, SNAP, TOGETHER, nearest},
    },
    threads::{Parallel, for_pictures, strips},
};

pub(super) struct Carry {
    /// In what size motion is looked for.
    scale: Scale,
    flow: DisFlow,
    previous: Plane,
    current: Plane,
    /// The way back to the painted frame, at the full size.
    backward: FlowField,
    /// The painted difference, pixel by pixel: red, green, blue and nothing, -255..255.
    difference: Vec<[f32; 4]>,
    /// Of which painted frame `difference` and `previous` are.
    of: Option<Instant>,
    /// Those of the flow.
    threads: Arc<dyn Parallel>,
}

/// Of the threads there are one in so many carries paint; the others are the painter's.
const SHARE: usize = 4;

impl Carry {
    /// For pictures of this size, where there are so many threads in all; 0 is one for each core.
    pub fn new(size: Size, threads: usize) -> Self {
        let scale = Scale::new(size, DisSettings::COARSE.longest);
        let small = scale.small();
        let threads = for_pictures(threads).div_ceil(SHARE);
        let flow = DisFlow::new(small, DisSettings { threads, ..DisSettings::COARSE });
        Carry {
            scale,
            threads: Arc::clone(flow.workers()) as _,
            flow,
            previous: Plane::new(small),
            current: Plane::new(small),
            backward: FlowField::new(size),
            difference: vec![[0.0; 4]; size.area()],
            of: None,
        }
    }

    pub fn size(&self) -> Size {
        self.backward.size
    }

    /// The paint on another frame: `content` is that frame and `out` gets it painted, both RGB8 of this size.
    pub fn carry(&mut self, painted: &Painted, content: &[u8], out: &mut [u8]) -> Result<()> {
        let (threads, width) = (&*self.threads, self.backward.size.width);
        if self.of != Some(painted.at) {
            self.of = Some(painted.at);
            let (picture, before) = (painted.picture.pixels(), painted.content.pixels());
            self.scale.reduce(threads, |plane| luma(threads, before, plane), &mut self.previous);
            strips(threads, [&mut self.difference], width, |range, [difference]| {
                let values = 3 * range.start..3 * range.end;
                lift(&picture[values.clone()], &before[values], difference);
            });
        }
        self.scale.reduce(threads, |plane| luma(threads, content, plane), &mut self.current);
        let found = self.flow.compute_backward(&self.previous, &self.current)?;
        self.scale.enlarge_flow(threads, found, &mut self.backward);
        strips(threads, [out], 3 * width, |range, [out]| {
            put(&self.difference, &self.backward, range.start / 3 / width, &content[range], out);
        });
        Ok(())
    }
}

wide! {
    /// The painted difference of pictures in RGB8.
    fn lift(picture: &[u8], content: &[u8], difference: &mut [[f32; 4]]) {
        let pixels = picture.as_chunks::<3>().0.iter().zip(content.as_chunks::<3>().0);
        for (difference, (picture, content)) in difference.iter_mut().zip(pixels) {
            for c in 0..3 {
                difference[c] = f32::from(picture[c]) - f32::from(content[c]);
            }
        }
    }
}

wide! {
    /// Rows of a picture in RGB8, from row `first` on, with the difference on them that the flow, of the whole picture, takes there.
    fn put(difference: &[[f32; 4]], flow: &FlowField, first: usize, content: &[u8], out: &mut [u8]) {
        let width = flow.size.width;
        let mut places = Places::new();
        // One more for the fourth value of the last pixel.
        let mut paint = [0.0f32; 3 * TOGETHER + 1];
        let rows = out.chunks_exact_mut(3 * width).zip(content.chunks_exact(3 * width));
        for (y, (out, content)) in (first..).zip(rows) {
            let stretches = out.chunks_mut(3 * TOGETHER).zip(content.chunks(3 * TOGETHER));
            for (x, (out, content)) in (0..width).step_by(TOGETHER).zip(stretches) {
                let stretch = y * width + x..y * width + x + out.len() / 3;
                places.find((x, y), &flow.u[stretch.clone()], &flow.v[stretch.clone()], flow.size, SNAP);
                for k in 0..stretch.len() {
                    let value = places.bilinear_pixel(difference, k);
                    paint[3 * k..3 * k + 4].copy_from_slice(&value);
                }
                for ((out, content), paint) in out.iter_mut().zip(content).zip(&paint) {
                    *out = nearest((f32::from(*content) + paint).clamp(0.0, 255.0)).0 as u8;
                }
            }
        }
    }
}

/// Rec. 601 luma of RGB8, 0..1.
fn luma(threads: &dyn Parallel, pixels: &[u8], plane: &mut Plane) {
    let width = plane.size().width;
    strips(threads, [plane.data_mut()], width, |range, [luma]| {
        for (y, rgb) in luma.iter_mut().zip(pixels[3 * range.start..].chunks_exact(3)) {
            let sum = 77 * u32::from(rgb[0]) + 150 * u32::from(rgb[1]) + 29 * u32::from(rgb[2]);
            *y = sum as f32 * (1.0 / 65280.0);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Frame;

    /// Smooth blobs at an offset, RGB8.
    fn scene(size: Size, shift: f32) -> Vec<u8> {
        let value = |i: usize| {
            let (x, y) = ((i % size.width) as f32 - shift, (i / size.width) as f32);
            (128.0 + 60.0 * (x * 0.3).sin() * (y * 0.23).cos() + 50.0 * (x * 0.11 + y * 0.17).sin()) as u8
        };
        (0..size.area()).flat_map(|i| [value(i); 3]).collect()
    }

    #[test]
    fn paint_moves_with_what_it_is_on() {
        let size = Size::new(96, 64);
        let content = scene(size, 0.0);
        // Paint: a gradient that is tied to the scene.
        let paint = |shift: f32, i: usize| 20.0 * ((i / 3 % size.width) as f32 - shift) / 96.0;
        let add = |content: &[u8], shift: f32| -> Vec<u8> {
            content.iter().enumerate().map(|(i, &c)| (f32::from(c) + paint(shift, i)) as u8).collect()
        };
        let picture = add(&content, 0.0);
        let painted = Painted {
            content: Frame::new(size, content, 0),
            picture: Frame::new(size, picture, 0),
            at: Instant::now(),
        };
        let now = scene(size, 4.0);
        let (expected, mut out) = (add(&now, 4.0), vec![0; now.len()]);
        Carry::new(size, 0).carry(&painted, &now, &mut out).expect("sizes agree");
        let inner = |i: &usize| (12..size.width - 12).contains(&(i / 3 % size.width));
        let error = |a: &[u8], b: &[u8]| {
            let differences = (0..a.len()).filter(inner).map(|i| f32::from(a[i].abs_diff(b[i])));
            differences.clone().sum::<f32>() / differences.count() as f32
        };
        assert!(error(&out, &expected) < 1.0, "{}", error(&out, &expected));
    }
}
