//! What the reliability of motion is measured against: the sensor's noise and the motion of the camera.

use super::Reliability;
use crate::{
    dispatch::wide,
    frame::Size,
    motion::{FlowField, gradient::slope},
};

/// Side of the blocks that the noise is measured in.
const BLOCK: usize = 8;
/// Gradient of luma, in standard deviations of the noise, from which on a pixel has something to follow.
const CONTRAST: f32 = 5.0;
/// Pixels to follow, as a share of those looked at, without which the camera is taken to rest.
const FEATURES: f32 = 0.01;
/// Of the pixels every so many in each direction are looked at.
const SPARSE: usize = 3;

/// Most blocks in a picture.
pub(super) fn blocks(size: Size) -> usize {
    size.width.div_ceil(BLOCK) * size.height.div_ceil(BLOCK)
}

/// Most pixels that the camera's motion is measured at.
pub(super) fn samples(size: Size) -> usize {
    size.width.div_ceil(SPARSE) * size.height.div_ceil(SPARSE)
}

impl Reliability {
    /// How far the picture as a whole moved, pixels: the median over what can be followed, so that a thing that moves before a
    /// camera at rest does not count.
    pub(super) fn estimate_camera(&mut self, current: &[f32], flow: &FlowField) -> f32 {
        let Size { width, height } = self.size;
        let least = (CONTRAST * self.noise).powi(2);
        self.lengths.clear();
        let mut seen = 0;
        for y in (0..height).step_by(SPARSE) {
            for x in (0..width).step_by(SPARSE) {
                let at = y * width + x;
                seen += 1;
                if slope(current, at, x, y, self.size) > least {
                    self.lengths.push(flow.u[at] * flow.u[at] + flow.v[at] * flow.v[at]);
                }
            }
        }
        if (self.lengths.len() as f32) < FEATURES * seen as f32 || self.lengths.is_empty() {
            return 0.0;
        }
        let middle = self.lengths.len() / 2;
        self.lengths.select_nth_unstable_by(middle, f32::total_cmp).1.sqrt()
    }

    /// From the blocks of the picture that changed least: those show noise alone in all but the wildest frames.
    pub(super) fn estimate_noise(&mut self) -> f32 {
        self.blocks.clear();
        for rows in self.change.chunks_exact(BLOCK * self.size.width) {
            average(rows, self.size.width, &mut self.blocks);
        }
        if self.blocks.is_empty() {
            return self.noise;
        }
        let low = self.blocks.len() / 5;
        let (_, &mut mean, _) = self.blocks.select_nth_unstable_by(low, f32::total_cmp);
        // Mean absolute difference of two normal variables: 2 sigma / sqrt(pi).
        mean * 0.886
    }
}

wide! {
    /// The means of whole blocks in as many rows as they have.
    fn average(rows: &[f32], width: usize, means: &mut Vec<f32>) {
        for left in (0..width / BLOCK * BLOCK).step_by(BLOCK) {
            let mut sums = [0.0f32; BLOCK];
            for row in rows.chunks_exact(width) {
                let row = &row[left..left + BLOCK];
                for k in 0..BLOCK {
                    sums[k] += row[k];
                }
            }
            means.push(sums.iter().sum::<f32>() / (BLOCK * BLOCK) as f32);
        }
    }
}
