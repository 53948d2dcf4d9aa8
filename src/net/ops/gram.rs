//! The Gram matrix of a blocked feature map, `G = F F^T / (H W)` (Gatys et al. 2016, equation 3).
//!
//! Only blocks on and above the diagonal are computed, and of those on it three quarters. Pixels are taken a cache-full at
//! a time, so that a map is read from memory once however many channels it has. Sums run in `f32` over a few hundred pixels and in `f64` beyond: the
//! cost is a difference of Grams, and must not drown in rounding where the two are close. Where the set rounds, pixels are multiplied in
//! pairs, whose values are put side by side a cache-full at a time too.

use std::ops::Range;

use super::{
    blocked::FeatureShape,
    isa::Kernel,
    lanes::{LANES, Lanes, Registers, Vector},
    map,
    matrix::{Matrix, View, at},
    parallel::{Machine, Shared},
    product::{Rounded, Single, Storage},
};
use crate::threads::share;

/// Pixels whose products are summed in `f32`: three blocks of them fit the first-level cache.
const PIXELS: usize = 192;
/// Values of a 16x16 block of the matrix.
const BLOCK: usize = LANES * LANES;

/// Partial sums, kept from call to call.
#[derive(Debug, Default)]
pub struct GramSums(Vec<f64>);

/// Blocks of 16x16 on and above the diagonal.
const fn upper(blocks: usize) -> usize {
    blocks * (blocks + 1) / 2
}

impl GramSums {
    /// `G - A` for the map `features`: `target` is A. The pixels are summed in as many parts as there are threads.
    pub fn difference(
        &mut self,
        machine: Machine<'_>,
        features: &[f32],
        shape: FeatureShape,
        target: View<'_>,
        to: &mut Matrix,
    ) {
        let expected = (map::len(machine.isa, shape), shape.channels, shape.channels);
        assert_eq!((features.len(), target.rows(), to.view().rows()), expected);
        let (pieces, size) = (machine.threads.threads(), upper(shape.blocks()) * BLOCK);
        self.0.clear();
        self.0.resize(pieces * size, 0.0);
        let sums = Shared::new(&mut self.0);
        let rounds = machine.isa.rounds();
        machine.threads.run(pieces, &|piece| {
            let pixels = share(shape.area(), piece, pieces);
            let mut work = machine.scratch.take(if rounds { PIXELS / 2 * shape.channels } else { 0 });
            let pairs = Shared::new(&mut work);
            // SAFETY: the map fits its shape, the pairs their buffer; each piece has its own sums.
            unsafe { machine.isa.run(Sum { features, shape, pixels, pairs, sums: sums.at(piece * size) }) }
        });
        let blocks = shape.blocks();
        let values = Shared::new(to.values_mut());
        let parts = &self.0;
        let each = 1.0 / shape.area() as f64;
        // One piece a row of blocks; each writes its blocks and their mirror images.
        machine.threads.run(blocks, &|i| {
            for j in i..blocks {
                let block = (upper(blocks) - upper(blocks - i) + j - i) * BLOCK;
                for k in 0..LANES {
                    let row = i * LANES + k;
                    let start = block + k * LANES;
                    let mut sums = [0.0; LANES];
                    for piece in 0..pieces {
                        let part = &parts[piece * size + start..][..LANES];
                        sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
                    }
                    // On the diagonal what lies below it is not computed.
                    let first = if i == j { k } else { 0 };
                    let here = at(shape.channels, row, j * LANES);
                    for lane in first..LANES {
                        let difference = (sums[lane] * each - f64::from(target.values()[here + lane])) as f32;
                        // SAFETY: no other piece has block (i, j) or its mirror image.
                        unsafe {
                            *values.at(here + lane) = difference;
                            *values.at(at(shape.channels, j * LANES + lane, row)) = difference;
                        }
                    }
                }
            }
        });
    }
}

/// Sums `F F^T` over some pixels into `sums`, one block of 16x16 after the other, row by row of the upper triangle.
struct Sum<'a> {
    features: &'a [f32],
    shape: FeatureShape,
    pixels: Range<usize>,
    /// `[block][PIXELS / 2][16]` where the set rounds.
    pairs: Shared<'a, f32>,
    sums: *mut f64,
}

impl Kernel for Sum<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let mut start = self.pixels.start;
        while start < self.pixels.end {
            let count = (self.pixels.end - start).min(PIXELS);
            // SAFETY: pixels are inside the map, pairs inside their buffer.
            unsafe {
                if L::ROUNDS {
                    self.pair_up::<L>(start, count);
                    let from = self.pairs.at(0);
                    self.add::<L, Rounded>(from, PIXELS / 2 * LANES, count.div_ceil(2));
                } else {
                    let from = self.features.as_ptr().add(start * LANES);
                    self.add::<L, Single>(from, self.shape.area() * LANES, count);
                }
            }
            start += count;
        }
    }
}

impl Sum<'_> {
    /// Pixels `start..start + count` of all channels, two by two; the last of an odd number is paired with zeros.
    #[inline(always)]
    unsafe fn pair_up<L: Lanes>(&self, start: usize, count: usize) {
        for block in 0..self.shape.blocks() {
            // SAFETY: the caller's promise.
            unsafe {
                let from = self.features.as_ptr().add((block * self.shape.area() + start) * Rounded::WIDTH);
                let to = self.pairs.at(block * PIXELS / 2 * LANES);
                for pair in 0..count / 2 {
                    L::load_pair(from.add(2 * pair * Rounded::WIDTH).cast()).store(to.add(pair * LANES));
                }
                if count % 2 == 1 {
                    let last = map::load::<L>(from.add((count - 1) * Rounded::WIDTH));
                    last.pair(L::zero()).store(to.add(count / 2 * LANES));
                }
            }
        }
    }

    /// Adds the products of `count` vectors of each block; blocks are `step` floats apart.
    #[inline(always)]
    unsafe fn add<L: Lanes, S: Storage>(&self, from: *const f32, step: usize, count: usize) {
        let blocks = self.shape.blocks();
        let mut to = self.sums;
        for i in 0..blocks {
            let mut j = i;
            while j < blocks {
                // SAFETY: the caller's promise; `to` has a block for each pair.
                unsafe {
                    let (left, right) = (from.add(i * step), from.add(j * step));
                    let columns = match (L::REGISTERS, j + 1 < blocks) {
                        _ if j == i => add_diagonal::<L, S>(left, count, to),
                        (Registers::Wide, true) => add_blocks::<L, S, 8, 2>(left, right, step, count, to),
                        (Registers::Wide, false) => add_blocks::<L, S, 16, 1>(left, right, 0, count, to),
                        (Registers::Narrow, _) => add_block_narrow::<L>(left, right, count, to),
                    };
                    to = to.add(columns * BLOCK);
                    j += columns;
                }
            }
        }
    }
}

/// Adds the products of 16 channels by `COLUMNS` blocks of 16, `step` floats apart, over `count` pixels; `ROWS` channels of
/// the left side at a time. Returns the number of blocks added.
#[inline(always)]
unsafe fn add_blocks<L: Lanes, S: Storage, const ROWS: usize, const COLUMNS: usize>(
    left: *const f32,
    right: *const f32,
    step: usize,
    count: usize,
    to: *mut f64,
) -> usize {
    for first in (0..LANES).step_by(ROWS) {
        // SAFETY: the caller's promise.
        unsafe { add_rows::<L, S, ROWS, COLUMNS>(left, right, step, count, first, to) }
    }
    COLUMNS
}

/// The same for one block, six channels at a time: as many as leave no register empty.
#[inline(always)]
unsafe fn add_block_narrow<L: Lanes>(left: *const f32, right: *const f32, count: usize, to: *mut f64) -> usize {
    // SAFETY: the caller's promise.
    unsafe {
        add_rows::<L, Single, 6, 1>(left, right, 0, count, 0, to);
        add_rows::<L, Single, 6, 1>(left, right, 0, count, 6, to);
        add_rows::<L, Single, 4, 1>(left, right, 0, count, 12, to);
    }
    1
}

/// The same for a block and itself: all of the upper eight rows, the right half of the lower ones where the set has
/// registers for that. Sums that are not computed stay as they are.
#[inline(always)]
unsafe fn add_diagonal<L: Lanes, S: Storage>(block: *const f32, count: usize, to: *mut f64) -> usize {
    // SAFETY: the caller's promise.
    unsafe {
        match L::REGISTERS {
            Registers::Wide => add_rows::<L, S, 8, 1>(block, block, 0, count, 0, to),
            Registers::Narrow => {
                add_rows::<L, S, 4, 1>(block, block, 0, count, 0, to);
                add_rows::<L, S, 4, 1>(block, block, 0, count, 4, to);
            }
        }
        match L::Half::LEN {
            // Halves of pairs are not of this trait.
            _ if S::WIDTH < LANES => add_rows::<L, S, 8, 1>(block, block, 0, count, 8, to),
            8 => add_lower_rows::<L::Half, 1>(block, count, to),
            4 => add_lower_rows::<L::Half, 2>(block, count, to),
            _ => {
                add_rows::<L, S, 4, 1>(block, block, 0, count, 8, to);
                add_rows::<L, S, 4, 1>(block, block, 0, count, 12, to);
            }
        }
    }
    1
}

/// The right half of the lower eight rows of a block on the diagonal, in `PARTS` vectors.
///
/// # Safety
/// The block has `count` pixels, `to` 256 sums.
#[inline(always)]
unsafe fn add_lower_rows<V: Vector, const PARTS: usize>(block: *const f32, count: usize, to: *mut f64) {
    const HALF: usize = LANES / 2;
    // SAFETY: the caller's promise; the parts are half of the lanes.
    unsafe {
        let mut sums = [[V::zero(); PARTS]; HALF];
        for pixel in 0..count {
            let lower = block.add(pixel * LANES + HALF);
            let mut values = [V::zero(); PARTS];
            for part in 0..PARTS {
                values[part] = V::load(lower.add(part * V::LEN));
            }
            for row in 0..HALF {
                let value = V::splat(*lower.add(row));
                for part in 0..PARTS {
                    sums[row][part] = value.mul_add(values[part], sums[row][part]);
                }
            }
        }
        for row in 0..HALF {
            let mut values = [0.0f32; HALF];
            for part in 0..PARTS {
                sums[row][part].store(values.as_mut_ptr().add(part * V::LEN));
            }
            for lane in 0..HALF {
                *to.add((HALF + row) * LANES + HALF + lane) += f64::from(values[lane]);
            }
        }
    }
}

/// The same for the channels `first..first + ROWS` of the left side.
///
/// # Safety
/// Both sides have `count` pixels, `to` 256 sums for each block.
#[inline(always)]
unsafe fn add_rows<L: Lanes, S: Storage, const ROWS: usize, const COLUMNS: usize>(
    left: *const f32,
    right: *const f32,
    step: usize,
    count: usize,
    first: usize,
    to: *mut f64,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sums = [[L::zero(); COLUMNS]; ROWS];
        for pixel in 0..count {
            let mut values = [L::zero(); COLUMNS];
            for column in 0..COLUMNS {
                values[column] = L::load(right.add(column * step + pixel * LANES));
            }
            for row in 0..ROWS {
                let value = L::splat(*left.add(pixel * LANES + first + row));
                for column in 0..COLUMNS {
                    sums[row][column] = S::mul_add(value, values[column], sums[row][column]);
                }
            }
        }
        for row in 0..ROWS {
            for column in 0..COLUMNS {
                let mut values = [0.0f32; LANES];
                sums[row][column].store(values.as_mut_ptr());
                for lane in 0..LANES {
                    *to.add(column * BLOCK + (first + row) * LANES + lane) += f64::from(values[lane]);
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
            map::stored::pack,
            matrix::to_column_blocks,
            parallel::Scratch,
            reference::{Random, relative, sets},
        },
        *,
    };
    use crate::threads::Scoped;

    #[test]
    fn difference_agrees_with_naive_sums() {
        for (channels, height, width) in [(16, 3, 5), (48, 1, 1), (64, 31, 37)] {
            let shape = FeatureShape::new(channels, height, width);
            let mut random = Random::new(width);
            let features = random.normal(shape.len());
            let target = random.normal(channels * channels);
            let symmetric: Vec<f32> =
                (0..channels * channels).map(|k| target[k] + target[k % channels * channels + k / channels]).collect();
            let area = shape.area();
            let expected: Vec<f64> = (0..channels * channels)
                .map(|k| {
                    let (row, column) = (&features[k / channels * area..][..area], &features[k % channels * area..]);
                    let sum: f64 = row.iter().zip(column).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                    sum / area as f64 - f64::from(symmetric[k])
                })
                .collect();
            let target = to_column_blocks(channels, channels, &symmetric);
            let target = View::new(channels, channels, &target);
            let blocked = to_blocked(&features, shape);
            for (isa, tolerance) in sets(1e-6) {
                let mut found = Matrix::zeros(channels, channels);
                let machine = Machine { isa, threads: &Scoped(3), scratch: &Scratch::new(1) };
                GramSums::default().difference(machine, &pack(isa, &blocked), shape, target, &mut found);
                let by_row: Vec<f32> =
                    (0..channels * channels).map(|k| found.view().value(k / channels, k % channels)).collect();
                assert!(relative(&by_row, &expected) < tolerance, "{isa} {shape:?}");
            }
        }
    }
}
