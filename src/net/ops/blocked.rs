//! The layout of activations: blocks of 16 channels, `[channels / 16][height][width][16]` (oneDNN's nChw16c).
//!
//! A pixel's 16 channels are one cache line and one AVX-512 register, and no convolution, Gram matrix or mask needs
//! its data in any other order, so nothing is ever reordered between the first convolution and the last.

use super::lanes::LANES;

pub use crate::aligned::Aligned;

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
}
