//! The last convolution of the backward pass: gradient of the first features (blocked) to that of the picture (planes).
//!
//! Direct, with lanes over channels: three colours are too few for anything else.

use super::{
    blocked::{Aligned, FeatureShape},
    isa::{Isa, Kernel},
    lanes::{LANES, Lanes, Vector},
    parallel::{Machine, Shared},
};

/// Pixels at once: 12 accumulators, of which four come to sums at a time.
const PIXELS: usize = 4;

/// The transposed first convolution.
#[derive(Debug)]
pub struct LastConv {
    inputs: usize,
    /// `[inputs / 16][9][3][16]`, filters turned by 180 degrees.
    weights: Aligned,
}

impl LastConv {
    /// `weight` is that of the first convolution, (channels, 3, 3, 3).
    pub fn new(weight: &[f32]) -> Self {
        let inputs = weight.len() / 27;
        assert!(inputs.is_multiple_of(LANES), "channels are multiples of {LANES}");
        let mut weights = Aligned::zeros(weight.len());
        for (at, &value) in weight.iter().enumerate() {
            let (channel, colour, term) = (at / 27, at / 9 % 3, at % 9);
            let vector = (channel / LANES * 9 + 8 - term) * 3 + colour;
            weights[vector * LANES + channel % LANES] = value;
        }
        LastConv { inputs, weights }
    }

    /// Channels in.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// `gradient` of the first features, blocked; `to` is `[3][height][width]`.
    ///
    /// # Panics
    /// If a buffer's length does not fit.
    pub fn run(&self, machine: Machine<'_>, gradient: &[f32], (height, width): (usize, usize), to: &mut [f32]) {
        let shape = FeatureShape::new(self.inputs, height, width);
        assert_eq!((gradient.len(), to.len()), (shape.len(), 3 * shape.area()));
        let to = Shared::new(to);
        machine.threads.run(height, &|y| {
            // SAFETY: the buffers fit the shape; row `y` of each plane belongs to this piece alone.
            unsafe { self.row(machine.isa, gradient, shape, y, to, (height, y)) }
        });
    }

    /// Row `y` of a part of the gradient, which has its neighbours or ends where the picture does, to row `row` of each
    /// plane, `height` rows high.
    ///
    /// # Safety
    /// The gradient fits the shape; the row is inside the planes, and nobody else writes it.
    pub(super) unsafe fn row(
        &self,
        isa: Isa,
        gradient: &[f32],
        shape: FeatureShape,
        y: usize,
        to: Shared<'_, f32>,
        (height, row): (usize, usize),
    ) {
        debug_assert!(gradient.len() >= shape.len() && y < shape.height);
        // SAFETY: the caller's promise.
        unsafe { isa.run(Row { conv: self, gradient, shape, y, to, height, row }) }
    }
}

struct Row<'a> {
    conv: &'a LastConv,
    gradient: &'a [f32],
    shape: FeatureShape,
    y: usize,
    to: Shared<'a, f32>,
    /// Of a plane of `to`, and the row that is written.
    height: usize,
    row: usize,
}

impl Kernel for Row<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let width = self.shape.width;
        // SAFETY: pixels are inside the row; those in the middle have all neighbours left and right.
        unsafe {
            self.pixels::<L, 1, true>(0);
            let mut x = 1;
            while x + PIXELS < width {
                self.pixels::<L, PIXELS, false>(x);
                x += PIXELS;
            }
            while x < width {
                self.pixels::<L, 1, true>(x);
                x += 1;
            }
        }
    }
}

impl Row<'_> {
    /// `COUNT` pixels from `x` on; where `EDGE`, neighbours left and right may be missing.
    #[inline(always)]
    unsafe fn pixels<L: Lanes, const COUNT: usize, const EDGE: bool>(&self, x: usize) {
        let FeatureShape { height, width, .. } = self.shape;
        // SAFETY: the caller's promise; missing neighbours are skipped.
        unsafe {
            let mut sums = [[L::Register::zero(); COUNT]; 3];
            for block in 0..self.shape.blocks() {
                for dy in 0..3 {
                    let y = (self.y + dy).wrapping_sub(1);
                    if y >= height {
                        continue;
                    }
                    for dx in 0..3 {
                        if EDGE && (x + dx).wrapping_sub(1) >= width {
                            continue;
                        }
                        let from = self.gradient.as_ptr().add(self.shape.at(block, y, x + dx - 1));
                        let weights = self.conv.weights.as_ptr().add((block * 9 + dy * 3 + dx) * 3 * LANES);
                        // All lanes come to one sum, so the parts of a vector share their accumulators.
                        for part in (0..LANES).step_by(L::Register::LEN) {
                            for colour in 0..3 {
                                let weight = L::Register::load(weights.add(colour * LANES + part));
                                for pixel in 0..COUNT {
                                    let value = L::Register::load(from.add(pixel * LANES + part));
                                    sums[colour][pixel] = value.mul_add(weight, sums[colour][pixel]);
                                }
                            }
                        }
                    }
                }
            }
            for colour in 0..3 {
                let (sums, to) = (sums[colour], self.to.at((colour * self.height + self.row) * width + x));
                if COUNT == PIXELS {
                    L::Register::store_sums([sums[0], sums[1 % COUNT], sums[2 % COUNT], sums[3 % COUNT]], to);
                } else {
                    for pixel in 0..COUNT {
                        *to.add(pixel) = sums[pixel].sum();
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            blocked::to_blocked,
            parallel::Scratch,
            reference::{self, Random, relative},
        },
        *,
    };
    use crate::threads::Scoped;

    #[test]
    fn agrees_with_naive_sums() {
        for (channels, height, width) in [(16, 5, 7), (48, 1, 3), (32, 9, 22), (16, 2, 1)] {
            let mut random = Random::new(width);
            let shape = FeatureShape::new(channels, height, width);
            let (weight, gradient) = (random.normal(channels * 27), random.normal(shape.len()));
            let expected = reference::conv_transposed(&gradient, &weight, shape, 3);
            let conv = LastConv::new(&weight);
            for isa in Isa::available() {
                let mut found = vec![f32::NAN; 3 * shape.area()];
                let machine = Machine { isa, threads: &Scoped(2), scratch: &Scratch::new(1) };
                conv.run(machine, &to_blocked(&gradient, shape), (height, width), &mut found);
                assert!(relative(&found, &expected) < 1e-6, "{isa} {shape:?}");
            }
        }
    }
}
