//! The inner tile of every matrix product here: rows of pixels (or Winograd tiles) times blocked weights.
//!
//! `left` holds rows of 16 channels, block after block: channel `c` of row `r` is at `c / 16 * step + 16 r + c % 16`.
//! `right` is `[column block][channel][16]`. Accumulators stay in registers over all channels (the register tiling of
//! Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008); each channel costs one load per
//! column block and one broadcast per row. In [`Rounded`] storage two channels share the bits of a float, and all of these are half as many.

use super::{
    isa::{Isa, Kernel},
    lanes::{LANES, Lanes},
};

/// How the factors of a product are stored.
pub trait Storage {
    /// Floats that 16 channels take.
    const WIDTH: usize;

    /// The products of what two vectors hold, added to `sum`.
    fn mul_add<L: Lanes>(left: L, right: L, sum: L) -> L;
}

/// As floats.
pub struct Single;

impl Storage for Single {
    const WIDTH: usize = LANES;

    #[inline(always)]
    fn mul_add<L: Lanes>(left: L, right: L, sum: L) -> L {
        left.mul_add(right, sum)
    }
}

/// As bfloat16, the pair of channels 2k and 2k + 1 in the bits of a float.
pub struct Rounded;

impl Storage for Rounded {
    const WIDTH: usize = LANES / 2;

    #[inline(always)]
    fn mul_add<L: Lanes>(left: L, right: L, sum: L) -> L {
        left.mul_add_pairs(right, sum)
    }
}

/// [`Storage::WIDTH`] where kernels of `L` round what they multiply, or do not.
pub const fn floats<L: Lanes>() -> usize {
    if L::ROUNDS { Rounded::WIDTH } else { Single::WIDTH }
}

/// The same by the set.
pub fn floats_of(isa: Isa) -> usize {
    if isa.rounds() { Rounded::WIDTH } else { Single::WIDTH }
}

/// `ROWS` x `COLUMNS` blocks of 16 results, starting from `start`.
///
/// # Safety
/// `left` has `ROWS` rows of `blocks` blocks of channels, `step` floats apart; each of `right` has `S::WIDTH * blocks` vectors.
#[inline(always)]
pub unsafe fn product<L: Lanes, S: Storage, const ROWS: usize, const COLUMNS: usize>(
    left: *const f32,
    step: usize,
    blocks: usize,
    right: [*const f32; COLUMNS],
    start: [[L; COLUMNS]; ROWS],
) -> [[L; COLUMNS]; ROWS] {
    let mut sums = start;
    for block in 0..blocks {
        for channel in 0..S::WIDTH {
            // SAFETY: inside the rows and vectors that the caller promised.
            unsafe {
                let left = left.add(block * step + channel);
                let mut weights = [L::zero(); COLUMNS];
                for column in 0..COLUMNS {
                    weights[column] = L::load(right[column].add((block * S::WIDTH + channel) * LANES));
                }
                for row in 0..ROWS {
                    let value = L::splat(*left.add(row * S::WIDTH));
                    for column in 0..COLUMNS {
                        sums[row][column] = S::mul_add(value, weights[column], sums[row][column]);
                    }
                }
            }
        }
    }
    sums
}

/// What [`Rounded`] makes of vectors for the right side: `from` is `[channel][16]`, an even number of channels, and `to` half as long.
pub struct PairUp<'a> {
    pub from: &'a [f32],
    pub to: &'a mut [f32],
}

impl Kernel for PairUp<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let pairs = self.from.chunks_exact(2 * LANES).zip(self.to.chunks_exact_mut(LANES));
        for (two, one) in pairs {
            // SAFETY: two vectors are read, and one is written.
            unsafe { L::load(two.as_ptr()).pair(L::load(two.as_ptr().add(LANES))).store(one.as_mut_ptr()) }
        }
    }
}
