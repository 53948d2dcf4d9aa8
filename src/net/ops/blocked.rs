//! The layout of activations: blocks of 16 channels, `[channels / 16][height][width][16]` (oneDNN's nChw16c).
//!
//! A pixel's 16 channels are one cache line and one AVX-512 register, and no convolution, Gram matrix or mask needs
//! its data in any other order, so nothing is ever reordered between the first convolution and the last.

use std::ops::{Deref, DerefMut};

use super::lanes::LANES;

/// The shape of a feature map: channels (a multiple of 16 here) by pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureShape {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
}

impl FeatureShape {
    pub const fn new(channels: usize, height: usize, width: usize) -> Self {
        FeatureShape { channels, height, width }
    }

    /// Blocks of 16 channels.
    pub const fn blocks(self) -> usize {
        self.channels / LANES
    }

    /// Pixels of one channel.
    pub const fn area(self) -> usize {
        self.height * self.width
    }

    /// Number of values.
    pub const fn len(self) -> usize {
        self.channels * self.area()
    }

    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The same channels, each side halved, an odd last row or column dropped.
    pub const fn halved(self) -> Self {
        FeatureShape { channels: self.channels, height: self.height / 2, width: self.width / 2 }
    }

    /// Pixels of all blocks.
    pub const fn pixels(self) -> usize {
        self.blocks() * self.area()
    }

    /// Which of them is pixel (`y`, `x`) of block `block`.
    #[inline(always)]
    pub(super) const fn pixel(self, block: usize, y: usize, x: usize) -> usize {
        (block * self.height + y) * self.width + x
    }
}

/// Planar (`[channels][height][width]`) to blocked.
pub fn to_blocked(planar: &[f32], shape: FeatureShape) -> Vec<f32> {
    let mut blocked = vec![0.0; shape.len()];
    let area = shape.area();
    for (channel, plane) in planar.chunks_exact(area.max(1)).enumerate() {
        let block = &mut blocked[channel / LANES * area * LANES..][..area * LANES];
        for (pixel, &value) in block.chunks_exact_mut(LANES).zip(plane) {
            pixel[channel % LANES] = value;
        }
    }
    blocked
}

/// Blocked to planar (`[channels][height][width]`).
pub fn to_planar(blocked: &[f32], shape: FeatureShape) -> Vec<f32> {
    let area = shape.area();
    (0..shape.len())
        .map(|k| {
            let (channel, pixel) = (k / area, k % area);
            blocked[(channel / LANES * area + pixel) * LANES + channel % LANES]
        })
        .collect()
}

/// Floats in whole cache lines, so that no vector straddles two.
#[derive(Clone, Debug, Default)]
pub struct Aligned(Vec<Line>);

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([f32; LANES]);

impl Aligned {
    /// At least `len` zeros, rounded up to whole lines.
    pub fn zeros(len: usize) -> Self {
        Aligned(vec![Line([0.0; LANES]); len.div_ceil(LANES)])
    }

    /// Makes room for `len` floats; what is new is zero.
    pub fn grow(&mut self, len: usize) {
        if self.0.len() < len.div_ceil(LANES) {
            self.0.resize(len.div_ceil(LANES), Line([0.0; LANES]));
        }
    }
}

impl From<&[f32]> for Aligned {
    fn from(values: &[f32]) -> Self {
        let mut aligned = Aligned::zeros(values.len());
        aligned[..values.len()].copy_from_slice(values);
        aligned
    }
}

impl Deref for Aligned {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: a `Line` is 16 floats without padding.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * LANES) }
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: a `Line` is 16 floats without padding.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * LANES) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocked_and_back() {
        let shape = FeatureShape::new(32, 3, 5);
        let planar: Vec<f32> = (0..shape.len()).map(|k| k as f32).collect();
        let blocked = to_blocked(&planar, shape);
        // Channel 17, row 1, column 2.
        assert_eq!(blocked[shape.pixel(1, 1, 2) * LANES + 1], planar[(17 * 3 + 1) * 5 + 2]);
        assert_eq!(to_planar(&blocked, shape), planar);
    }

    #[test]
    fn aligned_is_aligned() {
        let mut buffer = Aligned::from(&[1.0, 2.0][..]);
        buffer.grow(100);
        assert_eq!(buffer.as_ptr() as usize % 64, 0);
        assert_eq!((buffer.len(), buffer[0], buffer[1], buffer[2], buffer[99]), (112, 1.0, 2.0, 0.0, 0.0));
    }
}
