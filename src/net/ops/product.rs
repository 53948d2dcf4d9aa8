//! The inner tile of every matrix product here: rows of pixels (or Winograd tiles) times blocked weights.
//!
//! `left` holds rows of 16 channels, block after block: channel `c` of row `r` is at `c / 16 * step + 16 r + c % 16`.
//! `right` is `[column block][channel][16]`. Accumulators stay in registers over all channels (the register tiling of
//! Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008); each channel costs one load per
//! column block and one broadcast per row.

use super::lanes::{LANES, Lanes};

/// `ROWS` x `COLUMNS` blocks of 16 results, starting from `start`.
///
/// # Safety
/// `left` has `ROWS` rows of `blocks` blocks of channels, `step` floats apart; each of `right` has `16 * blocks` vectors.
#[inline(always)]
pub unsafe fn product<L: Lanes, const ROWS: usize, const COLUMNS: usize>(
    left: *const f32,
    step: usize,
    blocks: usize,
    right: [*const f32; COLUMNS],
    start: [[L; COLUMNS]; ROWS],
) -> [[L; COLUMNS]; ROWS] {
    let mut sums = start;
    for block in 0..blocks {
        for channel in 0..LANES {
            // SAFETY: inside the rows and vectors that the caller promised.
            unsafe {
                let left = left.add(block * step + channel);
                let mut weights = [L::zero(); COLUMNS];
                for column in 0..COLUMNS {
                    weights[column] = L::load(right[column].add((block * LANES + channel) * LANES));
                }
                for row in 0..ROWS {
                    let value = L::splat(*left.add(row * LANES));
                    for column in 0..COLUMNS {
                        sums[row][column] = value.mul_add(weights[column], sums[row][column]);
                    }
                }
            }
        }
    }
    sums
}
