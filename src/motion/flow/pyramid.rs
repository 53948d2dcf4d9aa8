//! The luma pyramid: each level with its gradients, on a canvas with a replicated border so that patches may hang over
//! the edge.

use crate::{dispatch::wide, frame::Size, motion::Plane};

/// Pixels around a level on every side.
pub const PAD: usize = 16;

/// One level; luma in 0..255, the scale on which the thresholds of the literature are given.
#[derive(Clone)]
pub struct Level {
    pub size: Size,
    /// Values in a row of the canvas, `size.width + 2 PAD`.
    pub stride: usize,
    pub image: Vec<f32>,
    /// Central differences of `image`, per pixel.
    pub dx: Vec<f32>,
    pub dy: Vec<f32>,
}

/// Levels, the full size first.
#[derive(Clone)]
pub struct Pyramid {
    pub levels: Vec<Level>,
}

impl Level {
    fn new(size: Size) -> Self {
        let stride = size.width + 2 * PAD;
        let canvas = || vec![0.0; stride * (size.height + 2 * PAD)];
        Level { size, stride, image: canvas(), dx: canvas(), dy: canvas() }
    }

    /// Where on the canvas a pixel lies.
    #[inline(always)]
    pub fn at(&self, x: usize, y: usize) -> usize {
        (y + PAD) * self.stride + x + PAD
    }

    /// Fills the border with its nearest pixels.
    fn replicate(&mut self) {
        let Size { width, height } = self.size;
        for y in 0..height {
            let start = (y + PAD) * self.stride;
            let row = &mut self.image[start..start + self.stride];
            let (first, last) = (row[PAD], row[PAD + width - 1]);
            row[..PAD].fill(first);
            row[PAD + width..].fill(last);
        }
        for y in 0..PAD {
            self.image.copy_within(PAD * self.stride..(PAD + 1) * self.stride, y * self.stride);
            let last = PAD + height - 1;
            self.image.copy_within(last * self.stride..(last + 1) * self.stride, (last + 1 + y) * self.stride);
        }
    }
}

impl Pyramid {
    pub fn new(size: Size, levels: usize) -> Self {
        let halves = std::iter::successors(Some(size), |s| Some(Size::new(s.width.div_ceil(2), s.height.div_ceil(2))));
        Pyramid { levels: halves.take(levels).map(Level::new).collect() }
    }

    /// Fills all levels from a luma plane in `[0, 1]`; gradients from level `finest` on.
    pub fn build(&mut self, plane: &Plane, finest: usize) {
        let base = &mut self.levels[0];
        for (y, row) in plane.data().chunks_exact(base.size.width.max(1)).enumerate() {
            let start = base.at(0, y);
            for (to, from) in base.image[start..].iter_mut().zip(row) {
                *to = from * 255.0;
            }
        }
        base.replicate();
        for index in 1..self.levels.len() {
            let (finer, coarser) = self.levels.split_at_mut(index);
            halve(&finer[index - 1], &mut coarser[0]);
            coarser[0].replicate();
        }
        for level in &mut self.levels[finest..] {
            differentiate(level);
        }
    }
}

wide! {
    /// Means of 2 x 2 pixels; an odd last row or column is taken twice (the border repeats it).
    fn halve(from: &Level, to: &mut Level) {
        for y in 0..to.size.height {
            let width = to.size.width;
            let upper = &from.image[from.at(0, 2 * y)..][..2 * width];
            let lower = &from.image[from.at(0, 2 * y + 1)..][..2 * width];
            let start = to.at(0, y);
            let pairs = upper.chunks_exact(2).zip(lower.chunks_exact(2));
            for (to, (a, b)) in to.image[start..start + width].iter_mut().zip(pairs) {
                *to = 0.25 * ((a[0] + a[1]) + (b[0] + b[1]));
            }
        }
    }
}

wide! {
    fn differentiate(level: &mut Level) {
        let stride = level.stride;
        let rows = level.image.len() / stride;
        for y in 1..rows - 1 {
            let range = y * stride + 1..(y + 1) * stride - 1;
            let count = range.len();
            let left = &level.image[range.start - 1..][..count];
            let right = &level.image[range.start + 1..][..count];
            let above = &level.image[range.start - stride..][..count];
            let below = &level.image[range.start + stride..][..count];
            let dx = &mut level.dx[range.clone()];
            for i in 0..count {
                dx[i] = 0.5 * (right[i] - left[i]);
            }
            let dy = &mut level.dy[range];
            for i in 0..count {
                dy[i] = 0.5 * (below[i] - above[i]);
            }
        }
    }
}
