//! Small matrices in column blocks, `[columns / 16][rows][16]`: Grams, heads and slopes.
//!
//! It is the layout in which a feature map's pixels are rows and in which [`super::product`] wants both its sides, so a
//! product's result can be the next one's left or right side as it is.

use super::{
    blocked::Aligned,
    isa::Kernel,
    lanes::{LANES, Lanes, Registers},
    parallel::{Machine, Shared},
    product::{Single, product},
};
use crate::threads::share;

/// Where element (row, column) of a matrix of so many rows lies.
#[inline(always)]
pub const fn at(rows: usize, row: usize, column: usize) -> usize {
    (column / LANES * rows + row) * LANES + column % LANES
}

/// Values row by row, (rows, columns), to column blocks; both sides are padded with zeros to multiples of 16.
pub fn to_column_blocks(rows: usize, columns: usize, values: &[f32]) -> Vec<f32> {
    let padded = rows.next_multiple_of(LANES);
    let mut blocks = vec![0.0; padded * columns.next_multiple_of(LANES)];
    for (index, &value) in values.iter().enumerate() {
        blocks[at(padded, index / columns, index % columns)] = value;
    }
    blocks
}

/// A matrix that lies elsewhere; both sides are multiples of 16.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    rows: usize,
    columns: usize,
    values: &'a [f32],
}

impl<'a> View<'a> {
    /// # Panics
    /// If the sides are not multiples of 16 or do not fit the values.
    pub fn new(rows: usize, columns: usize, values: &'a [f32]) -> Self {
        assert!(rows.is_multiple_of(LANES) && columns.is_multiple_of(LANES), "sides are multiples of {LANES}");
        assert_eq!(values.len(), rows * columns);
        View { rows, columns, values }
    }

    pub fn rows(self) -> usize {
        self.rows
    }

    pub fn columns(self) -> usize {
        self.columns
    }

    pub fn values(self) -> &'a [f32] {
        self.values
    }

    #[cfg(test)]
    pub(super) fn value(self, row: usize, column: usize) -> f32 {
        self.values[at(self.rows, row, column)]
    }
}

/// A matrix of its own.
#[derive(Clone, Debug)]
pub(super) struct Matrix {
    rows: usize,
    columns: usize,
    values: Aligned,
}

impl Matrix {
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Matrix { rows, columns, values: Aligned::zeros(rows * columns) }
    }

    pub fn view(&self) -> View<'_> {
        View::new(self.rows, self.columns, &self.values)
    }

    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// `self = left * right`.
    pub fn set_product(&mut self, machine: Machine<'_>, left: View<'_>, right: View<'_>) {
        assert_eq!((self.rows, self.columns, left.columns), (left.rows, right.columns, right.rows));
        let (rows, columns) = (self.rows, self.columns);
        let to = Shared::new(&mut self.values);
        let pieces = machine.threads.threads().min(rows / LANES);
        machine.threads.run(pieces, &|piece| {
            let some = share(rows / LANES, piece, pieces);
            let piece = Rows { left, right, to, rows, columns, from: some.start * LANES, until: some.end * LANES };
            // SAFETY: the sides fit; pieces write different rows.
            unsafe { machine.isa.run(piece) }
        });
    }
}

/// Some rows of a product.
struct Rows<'a> {
    left: View<'a>,
    right: View<'a>,
    to: Shared<'a, f32>,
    rows: usize,
    columns: usize,
    from: usize,
    until: usize,
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        // SAFETY: rows come in multiples of 16.
        unsafe {
            match L::REGISTERS {
                Registers::Wide => self.tiles::<L, 16>(),
                Registers::Narrow => self.tiles::<L, 4>(),
            }
        }
    }
}

impl Rows<'_> {
    #[inline(always)]
    unsafe fn tiles<L: Lanes, const HIGH: usize>(&self) {
        for block in 0..self.columns / LANES {
            for row in (self.from..self.until).step_by(HIGH) {
                // SAFETY: the tile is inside all three matrices.
                unsafe {
                    let left = self.left.values.as_ptr().add(row * LANES);
                    let right = self.right.values.as_ptr().add(block * self.right.rows * LANES);
                    let (step, blocks) = (self.left.rows * LANES, self.left.columns / LANES);
                    let sums = product::<L, Single, HIGH, 1>(left, step, blocks, [right], [[L::zero()]; HIGH]);
                    for r in 0..HIGH {
                        sums[r][0].store(self.to.at((block * self.rows + row + r) * LANES));
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
            isa::Isa,
            parallel::Scratch,
            reference::{Random, relative},
        },
        *,
    };
    use crate::threads::Scoped;

    #[test]
    fn product_agrees_with_naive_sums() {
        let (rows, inner, columns) = (48, 20, 32);
        let mut random = Random::new(1);
        let (left, right) = (random.normal(rows * inner), random.normal(inner * columns));
        let expected: Vec<f64> = (0..rows * columns)
            .map(|k| {
                let (row, column) = (k / columns, k % columns);
                let term = |i: usize| f64::from(left[row * inner + i]) * f64::from(right[i * columns + column]);
                (0..inner).map(term).sum()
            })
            .collect();
        let (left, right) = (to_column_blocks(rows, inner, &left), to_column_blocks(inner, columns, &right));
        let (left, right) = (View::new(rows, 32, &left), View::new(32, columns, &right));
        for isa in Isa::available() {
            let mut found = Matrix::zeros(rows, columns);
            let machine = Machine { isa, threads: &Scoped(2), scratch: &Scratch::new(1) };
            found.set_product(machine, left, right);
            let by_row: Vec<f32> = (0..rows * columns).map(|k| found.view().value(k / columns, k % columns)).collect();
            assert!(relative(&by_row, &expected) < 1e-6, "{isa}");
        }
    }
}
