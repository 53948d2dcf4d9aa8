//! 3x3 convolution, padding 1 (zeros), stride 1, from blocked to blocked activations.
//!
//! Winograd F(4x4, 3x3) ([`super::winograd`]): patches are transformed, multiplied and transformed back a dozen or more at
//! a time, so that the transformed inputs never leave the second-level cache; the outputs, a block or two of channels at a
//! time, stay in the first. What follows the convolution (bias, ReLU, signs, pooling; or the mask and un-pooling of the backward pass) happens while a 4x4 patch is in registers.

use std::ops::Range;

use super::{
    blocked::{Aligned, FeatureShape},
    cache::second_level,
    conv_output::{Activations, Finish, Gradient},
    isa::{Isa, Kernel},
    lanes::{LANES, Lanes, Registers},
    map,
    parallel::{Machine, Shared},
    product::{PairUp, Rounded, Single, floats, floats_of, product},
    winograd::{IN, OUT, POINTS, Patch, transform_filters, transform_input, transform_output},
};

/// Weights beyond this many floats do not: then it is they that should be read as seldom as can be.
const LARGE_WEIGHTS: usize = 1 << 20;
/// Most patches at once: more gains nothing.
const MOST_PATCHES: usize = 48;
/// Rows that the product rounds up to.
const ROWS: usize = 6;
/// Blocks of outputs that are multiplied at once, at most.
const COLUMNS: usize = 2;

/// A convolution with its weights in the transformed domain.
#[derive(Debug)]
pub struct Conv3x3 {
    isa: Isa,
    inputs: usize,
    outputs: usize,
    /// `[outputs / 16][36][inputs][16]`; pairs of inputs where the set rounds.
    weights: Aligned,
    /// One per output; empty in the backward direction.
    bias: Aligned,
    /// Patches of one piece of work, at most.
    most_patches: usize,
}

impl Conv3x3 {
    /// The forward convolution, for kernels of this set. `weight` is (outputs, inputs, 3, 3), `bias` (outputs); both counts multiples of 16.
    pub fn forward(isa: Isa, weight: &[f32], bias: &[f32], outputs: usize, inputs: usize) -> Self {
        let weights = transform_filters(outputs, inputs, |o, i| filter(weight, o * inputs + i));
        Self::new(isa, inputs, outputs, &weights, bias)
    }

    /// The transposed convolution: from the gradient of the outputs of `weight` (outputs, inputs, 3, 3) to that of its
    /// inputs. The filters are turned by 180 degrees and their channels exchanged.
    pub fn backward(isa: Isa, weight: &[f32], outputs: usize, inputs: usize) -> Self {
        let weights = transform_filters(inputs, outputs, |i, o| {
            let mut turned = filter(weight, o * inputs + i);
            turned.reverse();
            turned
        });
        Self::new(isa, outputs, inputs, &weights, &[])
    }

    fn new(isa: Isa, inputs: usize, outputs: usize, weights: &[f32], bias: &[f32]) -> Self {
        assert!(inputs.is_multiple_of(LANES) && outputs.is_multiple_of(LANES), "channels are multiples of {LANES}");
        let weights = stored(isa, weights);
        // Half of the cache, for inputs and outputs: the weights pass through it too.
        let fit =
            second_level() / 2 / (POINTS * (floats_of(isa) * inputs / LANES + COLUMNS * LANES) * size_of::<f32>());
        let most_patches = match weights.len() {
            LARGE_WEIGHTS.. => MOST_PATCHES,
            _ => (fit / ROWS * ROWS).clamp(2 * ROWS, MOST_PATCHES),
        };
        Conv3x3 { isa, inputs, outputs, weights, bias: bias.into(), most_patches }
    }

    /// Channels in.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Channels out.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// ReLU(conv(x) + bias) and what is asked of it. `x` has the channels of [`Self::inputs`].
    ///
    /// # Panics
    /// If a buffer's length does not fit, or this is a backward convolution.
    pub fn run_forward(&self, machine: Machine<'_>, x: &[f32], (height, width): (usize, usize), to: Activations<'_>) {
        assert_eq!(self.bias.len(), self.outputs, "a forward convolution");
        let finish = to.finish(machine.isa, FeatureShape::new(self.outputs, height, width), &self.bias);
        self.run(machine, x, FeatureShape::new(self.inputs, height, width), &finish);
    }

    /// The gradient of the inputs, un-pooled and masked as asked. `gradient` has the channels of [`Self::inputs`].
    ///
    /// # Panics
    /// If a buffer's length does not fit.
    pub fn run_backward(
        &self,
        machine: Machine<'_>,
        gradient: &[f32],
        (height, width): (usize, usize),
        to: Gradient<'_>,
    ) {
        let finish = to.finish(machine.isa, FeatureShape::new(self.outputs, height, width));
        self.run(machine, gradient, FeatureShape::new(self.inputs, height, width), &finish);
    }

    fn run<F: Finish>(&self, machine: Machine<'_>, x: &[f32], shape: FeatureShape, finish: &F) {
        assert_eq!(machine.isa, self.isa, "the set that the weights are for");
        assert_eq!(x.len(), map::len(machine.isa, shape), "input of {shape:?}");
        let patches = shape.height.div_ceil(OUT) * shape.width.div_ceil(OUT);
        let at_once = self.patches_at_once(patches, machine.threads.threads());
        let buffer = Buffer::new(self, at_once.next_multiple_of(2 * ROWS));
        machine.threads.run(patches.div_ceil(at_once), &|piece| {
            let mut work = machine.scratch.take(buffer.len);
            let patches = piece * at_once..((piece + 1) * at_once).min(patches);
            let piece = Piece { conv: self, x, shape, patches, buffer, work: Shared::new(&mut work), finish };
            // SAFETY: `x` fits `shape`, `work` fits `buffer`, pieces have different patches.
            unsafe { machine.isa.run(piece) }
        });
    }

    /// As many patches as fit the cache, in pieces that threads can share evenly; whole tiles of rows, which cost no more.
    fn patches_at_once(&self, patches: usize, threads: usize) -> usize {
        let pieces = patches.div_ceil(self.most_patches).next_multiple_of(threads).max(1);
        patches.div_ceil(pieces).next_multiple_of(ROWS).max(ROWS)
    }
}

fn filter(weight: &[f32], index: usize) -> [f64; 9] {
    std::array::from_fn(|k| f64::from(weight[index * 9 + k]))
}

/// Transformed weights as a set wants them: where it rounds, inputs in pairs, of which none is of two points.
fn stored(isa: Isa, weights: &[f32]) -> Aligned {
    if !isa.rounds() {
        return weights.into();
    }
    let mut pairs = Aligned::zeros(weights.len() / 2);
    // SAFETY: the kernel reads and writes inside its slices.
    unsafe { isa.run(PairUp { from: weights, to: &mut pairs }) };
    pairs
}

/// Where transformed patches lie in a work buffer: inputs, `[36][blocks][rows][16]`, then [`COLUMNS`] blocks of outputs alike.
#[derive(Clone, Copy)]
struct Buffer {
    rows: usize,
    /// Floats from one point to the next.
    input_step: usize,
    output_step: usize,
    /// Where the outputs begin.
    outputs: usize,
    len: usize,
}

impl Buffer {
    fn new(conv: &Conv3x3, rows: usize) -> Self {
        // One more line a point: distances that are powers of two would put all 36 points into one set of the cache.
        let input_step = conv.inputs / LANES * rows * floats_of(conv.isa) + LANES;
        let output_step = COLUMNS * LANES * rows + LANES;
        let outputs = POINTS * input_step;
        Buffer { rows, input_step, output_step, outputs, len: outputs + POINTS * output_step }
    }
}

/// Some patches, one after the other in rows of patches, through the whole convolution.
struct Piece<'a, F> {
    conv: &'a Conv3x3,
    x: &'a [f32],
    shape: FeatureShape,
    patches: Range<usize>,
    buffer: Buffer,
    work: Shared<'a, f32>,
    finish: &'a F,
}

impl<F: Finish> Kernel for Piece<'_, F> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let blocks = self.conv.outputs / LANES;
        // SAFETY: as said by the caller.
        unsafe {
            for (row, patch) in self.patches.clone().enumerate() {
                self.transform_in::<L>(row, patch);
            }
            // The outputs of one or two blocks are transformed back while they are in the first-level cache.
            let mut block = 0;
            while block < blocks {
                let columns = match (L::REGISTERS, block + 1 < blocks) {
                    (Registers::Wide, true) => self.multiply_wide::<L, 2>(block),
                    (Registers::Wide, false) => self.multiply_wide::<L, 1>(block),
                    (Registers::Narrow, _) => self.multiply_narrow::<L>(block),
                };
                for column in 0..columns {
                    self.transform_out::<L>(block, column);
                }
                block += columns;
            }
        }
    }
}

impl<F: Finish> Piece<'_, F> {
    /// The upper left corner of a patch in the output.
    #[inline(always)]
    fn corner(&self, patch: usize) -> (usize, usize) {
        let across = self.shape.width.div_ceil(OUT);
        (patch / across * OUT, patch % across * OUT)
    }

    /// All channels of one patch to row `row` of the work buffer; pixels outside the map are 0.
    #[inline(always)]
    unsafe fn transform_in<L: Lanes>(&self, row: usize, patch: usize) {
        let (top, left) = self.corner(patch);
        let FeatureShape { height, width, .. } = self.shape;
        let inside = top > 0 && left > 0 && top + OUT < height && left + OUT < width;
        for block in 0..self.shape.blocks() {
            // SAFETY: pixels are inside the map, the row inside the buffer.
            unsafe {
                let to = self.work.at((block * self.buffer.rows + row) * floats::<L>());
                if inside {
                    let corner = self.x.as_ptr().add(self.shape.pixel(block, top - 1, left - 1) * floats::<L>());
                    transform_input::<L>(corner, width, to, self.buffer.input_step);
                    continue;
                }
                let mut pixels = [[0.0f32; LANES]; IN * IN];
                for y in 0..IN {
                    for x in 0..IN {
                        // Wrapping makes -1 a huge number: outside, like what is beyond the last row or column.
                        let (y_in, x_in) = ((top + y).wrapping_sub(1), (left + x).wrapping_sub(1));
                        if y_in < height && x_in < width {
                            let pixel = self.shape.pixel(block, y_in, x_in) * floats::<L>();
                            let to = pixels.as_mut_ptr().cast::<f32>().add((y * IN + x) * floats::<L>());
                            map::store(map::load::<L>(self.x.as_ptr().add(pixel)), to);
                        }
                    }
                }
                transform_input::<L>(pixels.as_ptr().cast(), IN, to, self.buffer.input_step);
            }
        }
    }

    /// `WIDE` blocks of outputs from `block` on, in tiles of 12 rows; returns how many.
    #[inline(always)]
    unsafe fn multiply_wide<L: Lanes, const WIDE: usize>(&self, block: usize) -> usize {
        let rows = self.patches.len();
        for point in 0..POINTS {
            for row in (0..rows).step_by(12) {
                // SAFETY: rows are rounded up inside the buffer, which has room for multiples of 12.
                unsafe {
                    match rows - row > 6 {
                        true => self.tile::<L, 12, WIDE>(point, block, row),
                        false => self.tile::<L, 6, WIDE>(point, block, row),
                    }
                }
            }
        }
        WIDE
    }

    /// One block of outputs, in tiles of 6 rows; returns how many.
    #[inline(always)]
    unsafe fn multiply_narrow<L: Lanes>(&self, block: usize) -> usize {
        for point in 0..POINTS {
            for row in (0..self.patches.len()).step_by(6) {
                // SAFETY: rows are rounded up inside the buffer, which has room for multiples of 12.
                unsafe { self.tile::<L, 6, 1>(point, block, row) }
            }
        }
        1
    }

    /// All input channels of some rows times some output blocks, at one point.
    #[inline(always)]
    unsafe fn tile<L: Lanes, const HIGH: usize, const WIDE: usize>(&self, point: usize, block: usize, row: usize) {
        let Buffer { rows, input_step, output_step, outputs, .. } = self.buffer;
        let (width, blocks) = (floats::<L>(), self.conv.inputs / LANES);
        // SAFETY: rows, blocks and point are inside the buffer and the weights.
        unsafe {
            let left = self.work.at(point * input_step + row * width);
            let mut right = [self.conv.weights.as_ptr(); WIDE];
            for (column, right) in right.iter_mut().enumerate() {
                let vector = ((block + column) * POINTS + point) * blocks * width;
                *right = right.add(vector * LANES);
            }
            let start = [[L::zero(); WIDE]; HIGH];
            let sums = match L::ROUNDS {
                true => product::<L, Rounded, HIGH, WIDE>(left, rows * width, blocks, right, start),
                false => product::<L, Single, HIGH, WIDE>(left, rows * width, blocks, right, start),
            };
            for r in 0..HIGH {
                for column in 0..WIDE {
                    let at = (column * rows + row + r) * LANES;
                    sums[r][column].store(self.work.at(outputs + point * output_step + at));
                }
            }
        }
    }

    /// Column `column` of the outputs in the work buffer back to pixels, and to what finishes the convolution.
    #[inline(always)]
    unsafe fn transform_out<L: Lanes>(&self, block: usize, column: usize) {
        let Buffer { rows, output_step, outputs, .. } = self.buffer;
        let mut result = Patch::ZERO;
        for (row, patch) in self.patches.clone().enumerate() {
            let (top, left) = self.corner(patch);
            // SAFETY: the row is inside the buffer; the patch begins inside the map, and belongs to this piece alone.
            unsafe {
                let from = self.work.at(outputs + (column * rows + row) * LANES);
                transform_output::<L>(from, output_step, &mut result);
                self.finish.patch::<L>(block + column, top, left, &result);
            }
        }
    }
}

#[cfg(test)]
#[path = "conv_tests.rs"]
mod tests;
