//! What is measured on pixels: brightness, sharpness, and the warping error along the content's motion.

use std::sync::Arc;

use ndarray::Array3;

use crate::{
    error::Result,
    frame::{Frame, Size},
    motion::{DisFlow, DisSettings, Flow, FlowField, Kernel, Plane, Reliability, ReliabilitySettings, SceneCut, warp},
    tensor::{self, Filter, Resampler},
};

/// The least share of a frame, weighed by reliability, on which the warping error is measured.
const LEAST_RELIABLE: f32 = 0.05;
/// Motion beyond this many pixels from one frame to the next counts as moved.
const MOVED: f32 = 0.75;
/// What one frame leaves of the trace of earlier motion.
const MEMORY: f32 = 0.8;

/// A frame at the size of the comparison.
pub struct Picture {
    /// RGB, 0..1, (3, H, W).
    pub rgb: Array3<f32>,
    pub luma: Plane,
}

impl Picture {
    fn new(size: Size) -> Self {
        Picture { rgb: tensor::zeros(size), luma: Plane::new(size) }
    }

    fn planes(&self) -> &[f32] {
        self.rgb.as_slice().expect("tensors here are contiguous")
    }

    /// Mean luma, 0..1.
    pub fn brightness(&self) -> f64 {
        let sum: f64 = self.luma.data().iter().map(|&value| f64::from(value)).sum();
        sum / self.luma.size().area() as f64
    }

    /// Mean absolute Laplacian of the luma, `|4 y(p) - sum of the four neighbours|`, the border left out; 0..4, and 0 for
    /// pictures under three pixels a side.
    pub fn sharpness(&self) -> f64 {
        let Size { width, height } = self.luma.size();
        if width < 3 || height < 3 {
            return 0.0;
        }
        let luma = self.luma.data();
        let mut sum = 0.0;
        for y in 1..height - 1 {
            let row = |y: usize| &luma[y * width..(y + 1) * width];
            let (above, here, below) = (row(y - 1), row(y), row(y + 1));
            let laplacian = |x: usize| 4.0 * here[x] - here[x - 1] - here[x + 1] - above[x] - below[x];
            sum += f64::from((1..width - 1).map(|x| laplacian(x).abs()).sum::<f32>());
        }
        sum / ((width - 2) * (height - 2)) as f64
    }
}

/// A frame of the content video and what was painted of it.
pub struct Moment {
    pub content: Picture,
    pub stylized: Picture,
}

impl Moment {
    pub fn new(size: Size) -> Self {
        Moment { content: Picture::new(size), stylized: Picture::new(size) }
    }
}

/// Brings frames of any size to that of the comparison.
pub struct Shrinker {
    resampler: Resampler,
    size: Size,
    pixels: Vec<u8>,
}

impl Shrinker {
    pub fn new(size: Size) -> Self {
        Shrinker { resampler: Resampler::new(), size, pixels: vec![0; 3 * size.area()] }
    }

    /// Overwrites `picture` with the frame.
    pub fn shrink(&mut self, frame: &Frame, picture: &mut Picture) {
        let from = frame.size();
        let filter = if self.size.area() <= from.area() { Filter::Area } else { Filter::Cubic };
        self.resampler.resample(frame.pixels(), from, &mut self.pixels, self.size, filter);
        tensor::from_rgb8(&self.pixels, &mut picture.rgb);
        let Picture { rgb, luma } = picture;
        luma.set_luma(rgb.as_slice().expect("tensors here are contiguous"));
    }
}

/// The content's motion, and what it says of the stylized video.
pub struct Along {
    flow: DisFlow,
    reliability: Reliability,
    cuts: SceneCut,
    warped: Vec<f32>,
    /// At each pixel, (1, H, W): 1 for motion in this frame, and what is left of earlier ones; near 0 where nothing has
    /// moved for long. None before the second frame.
    trace: Option<Array3<f32>>,
}

/// What [`Along::step`] found between two frames.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steadiness {
    /// Warping errors of the stylized and of the content video; None if too little of the motion can be trusted.
    pub errors: Option<(f64, f64)>,
    /// Another scene begins.
    pub cut: bool,
}

impl Along {
    pub fn new(size: Size) -> Self {
        Along {
            flow: DisFlow::new(size, DisSettings::GOOD),
            reliability: Reliability::new(size, ReliabilitySettings::default()),
            cuts: SceneCut::new(),
            warped: vec![0.0; 3 * size.area()],
            trace: None,
        }
    }

    /// Where the picture moved, lately.
    pub fn trace(&self) -> Option<&Array3<f32>> {
        self.trace.as_ref()
    }

    /// Measures the step from one frame to the next.
    pub fn step(&mut self, before: &Moment, now: &Moment) -> Result<Steadiness> {
        let threads = Arc::clone(self.flow.workers());
        let pair = self.flow.compute(&before.content.luma, &now.content.luma)?;
        self.reliability.compute(&*threads, &before.content.luma, &now.content.luma, pair)?;
        let cut = self.cuts.between(&before.content.luma, &now.content.luma, &self.reliability)?;
        let (flow, mask) = (&pair.backward, self.reliability.mask());
        let errors = (!cut && self.reliability.mean() > LEAST_RELIABLE).then(|| {
            let mut error = |before: &Picture, now: &Picture| {
                warp(before.planes(), flow, Kernel::Bicubic, &mut self.warped);
                weighted_error(&self.warped, now.planes(), mask)
            };
            (error(&before.stylized, &now.stylized), error(&before.content, &now.content))
        });
        leave_trace(&mut self.trace, flow, mask, self.reliability.still());
        Ok(Steadiness { errors, cut })
    }
}

/// Mean squared difference of two RGB pictures (planes), each pixel weighed by the mask.
fn weighted_error(a: &[f32], b: &[f32], mask: &[f32]) -> f64 {
    let (mut sum, mut weights) = (0.0, 0.0);
    for (a, b) in a.chunks_exact(mask.len()).zip(b.chunks_exact(mask.len())) {
        for ((a, b), weight) in a.iter().zip(b).zip(mask) {
            sum += f64::from(weight * (a - b) * (a - b));
            weights += f64::from(*weight);
        }
    }
    sum / weights.max(f64::MIN_POSITIVE)
}

/// Adds this frame's motion to the trace: what moved by more than [`MOVED`] pixels, or cannot be
/// followed though it changed: flat ground is hard to follow and yet at rest.
fn leave_trace(trace: &mut Option<Array3<f32>>, flow: &FlowField, mask: &[f32], still: &[f32]) {
    let Size { width, height } = flow.size;
    let memory = if trace.is_some() { MEMORY } else { 0.0 };
    let trace = trace.get_or_insert_with(|| Array3::zeros((1, height, width)));
    let vectors = flow.u.iter().zip(&flow.v);
    for ((left, (u, v)), (reliable, still)) in trace.iter_mut().zip(vectors).zip(mask.iter().zip(still)) {
        let moved = u * u + v * v > MOVED * MOVED || (*reliable < 0.5 && *still < 0.5);
        *left = memory * *left + f32::from(u8::from(moved));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(size: Size, at: impl Fn(usize, usize) -> f32) -> Picture {
        let mut picture = Picture::new(size);
        picture.rgb.indexed_iter_mut().for_each(|((_, y, x), value)| *value = at(x, y));
        let Picture { rgb, luma } = &mut picture;
        luma.set_luma(rgb.as_slice().unwrap());
        picture
    }

    #[test]
    fn brightness_and_sharpness_have_known_values() {
        let size = Size::new(9, 7);
        let board = picture(size, |x, y| ((x + y) % 2) as f32);
        // Every pixel of a chessboard differs by 1 from each of its four neighbours.
        assert!((board.sharpness() - 4.0).abs() < 1e-5, "{}", board.sharpness());
        let ramp = picture(size, |x, _| x as f32 / 8.0);
        assert!(ramp.sharpness() < 1e-6 && (ramp.brightness() - 0.5).abs() < 1e-6);
        assert_eq!(picture(Size::new(2, 2), |_, _| 0.3).sharpness(), 0.0);
    }

    #[test]
    fn the_error_counts_what_the_mask_trusts() {
        let (a, b) = ([0.0f32; 6], [0.5f32, 1.0, 0.5, 1.0, 0.5, 1.0]);
        assert_eq!(weighted_error(&a, &b, &[1.0, 0.0]), 0.25);
        assert_eq!(weighted_error(&a, &b, &[0.25, 0.25]), 0.625);
        assert_eq!(weighted_error(&a, &b, &[0.0, 0.0]), 0.0);
    }

    #[test]
    fn the_trace_of_motion_fades() {
        let size = Size::new(2, 1);
        let (still, moving) = (FlowField::new(size), FlowField { size, u: vec![2.0, 0.0], v: vec![0.0; 2] });
        let mut trace = None;
        leave_trace(&mut trace, &moving, &[1.0, 1.0], &[0.0, 0.0]);
        leave_trace(&mut trace, &still, &[1.0, 0.4], &[1.0, 1.0]);
        let values: Vec<f32> = trace.iter().flatten().copied().collect();
        assert_eq!(values, [0.8, 0.0]);
    }
}
