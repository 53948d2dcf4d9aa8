//! The gradient at one layer, a row of pixels at a time: what [`super::tap`] has measured, times the activations.

use super::{
    blocked::{Aligned, FeatureShape},
    isa::Kernel,
    lanes::{LANES, Lanes, Registers},
    map,
    matrix::Matrix,
    parallel::Shared,
    product::{Rounded, Single, Storage, floats, product},
    tap::Upstream,
};

/// What the gradient is made of.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    pub activations: &'a [f32],
    pub upstream: Upstream<'a>,
    /// P and the factor of `F - P`.
    pub content: Option<(&'a [f32], f32)>,
    pub has_slope: bool,
    pub shape: FeatureShape,
}

/// Where the gradient goes: all of it, or the rows from `first` on.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub values: Shared<'a, f32>,
    pub shape: FeatureShape,
    pub first: usize,
}

impl<'a> Sources<'a> {
    /// What makes the gradient of row `y`.
    pub fn at(self, slope: (&'a Matrix, &'a Aligned), y: usize, to: Part<'a>) -> Row<'a> {
        let slope = self.has_slope.then(|| Slope { single: slope.0.view().values(), pairs: slope.1 });
        Row { sources: self, slope, y, to }
    }
}

/// `dJ/dF = slope * F` in both forms that a product may want.
#[derive(Clone, Copy)]
struct Slope<'a> {
    single: &'a [f32],
    pairs: &'a [f32],
}

/// The gradient of one row of pixels; returns its squared content distance.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    sources: Sources<'a>,
    slope: Option<Slope<'a>>,
    y: usize,
    to: Part<'a>,
}

impl Kernel for Row<'_> {
    type Output = f64;

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) -> f64 {
        // SAFETY: the row is inside the map.
        unsafe {
            match L::ROUNDS {
                true => self.all::<L, Rounded>(),
                false => self.all::<L, Single>(),
            }
        }
    }
}

impl Row<'_> {
    /// All blocks of all pixels; returns their squared content distance.
    #[inline(always)]
    unsafe fn all<L: Lanes, S: Storage>(&self) -> f64 {
        let blocks = self.sources.shape.blocks();
        let mut distance = 0.0;
        let mut block = 0;
        while block < blocks {
            // SAFETY: blocks and pixels are inside the row.
            unsafe {
                let (squares, columns) = match (L::REGISTERS, block + 1 < blocks) {
                    (Registers::Wide, true) => (self.columns::<L, S, 12, 2>(block), 2),
                    (Registers::Wide, false) => (self.columns::<L, S, 12, 1>(block), 1),
                    (Registers::Narrow, _) => (self.columns::<L, S, 6, 1>(block), 1),
                };
                distance += f64::from(squares.sum());
                block += columns;
            }
        }
        distance
    }

    /// Some blocks of all pixels, `COUNT` pixels at a time; returns their squared content distance.
    #[inline(always)]
    unsafe fn columns<L: Lanes, S: Storage, const COUNT: usize, const COLUMNS: usize>(&self, block: usize) -> L {
        let width = self.sources.shape.width;
        let mut x = 0;
        // SAFETY: pixels are inside the row.
        unsafe {
            let mut squares = L::zero();
            while x + COUNT <= width {
                squares = self.pixels::<L, S, COUNT, COLUMNS>(block, x, squares);
                x += COUNT;
            }
            while x + 3 <= width {
                squares = self.pixels::<L, S, 3, COLUMNS>(block, x, squares);
                x += 3;
            }
            while x < width {
                squares = self.pixels::<L, S, 1, COLUMNS>(block, x, squares);
                x += 1;
            }
            squares
        }
    }

    /// `16 * COLUMNS` channels of `COUNT` pixels; adds their squared content distance to `squares`.
    #[inline(always)]
    unsafe fn pixels<L: Lanes, S: Storage, const COUNT: usize, const COLUMNS: usize>(
        &self,
        block: usize,
        x: usize,
        mut squares: L,
    ) -> L {
        let Sources { shape, activations, content, .. } = self.sources;
        // SAFETY: the caller gives pixels inside the row.
        unsafe {
            let mut sums = [[L::zero(); COLUMNS]; COUNT];
            for column in 0..COLUMNS {
                for pixel in 0..COUNT {
                    sums[pixel][column] = self.upstream(block + column, x + pixel);
                }
            }
            if let Some(slope) = self.slope {
                let left = activations.as_ptr().add(shape.pixel(0, self.y, x) * S::WIDTH);
                let slope = if L::ROUNDS { slope.pairs } else { slope.single };
                let mut right = [slope.as_ptr(); COLUMNS];
                for (column, right) in right.iter_mut().enumerate() {
                    *right = right.add((block + column) * shape.blocks() * S::WIDTH * LANES);
                }
                sums = product::<L, S, COUNT, COLUMNS>(left, shape.area() * S::WIDTH, shape.blocks(), right, sums);
            }
            for column in 0..COLUMNS {
                let at = shape.pixel(block + column, self.y, x) * S::WIDTH;
                let out = self.to.shape.pixel(block + column, self.y - self.to.first, x) * S::WIDTH;
                for pixel in 0..COUNT {
                    let activation = map::load::<L>(activations.as_ptr().add(at + pixel * S::WIDTH));
                    let mut sum = sums[pixel][column];
                    if let Some((target, factor)) = content {
                        let difference = activation - map::load::<L>(target.as_ptr().add(at + pixel * S::WIDTH));
                        sum = difference.mul_add(L::splat(factor), sum);
                        squares = difference.mul_add(difference, squares);
                    }
                    map::store(sum.keep(activation.positive()), self.to.values.at(out + pixel * S::WIDTH));
                }
            }
            squares
        }
    }

    /// The gradient from above at one pixel.
    #[inline(always)]
    unsafe fn upstream<L: Lanes>(&self, block: usize, x: usize) -> L {
        // SAFETY: the caller gives a pixel inside the row; a pooled pixel is checked against the pooled map.
        unsafe {
            match self.sources.upstream {
                Upstream::None => L::zero(),
                Upstream::Full(values) => {
                    map::load(values.as_ptr().add(self.sources.shape.pixel(block, self.y, x) * floats::<L>()))
                }
                Upstream::Pooled(values) => {
                    let half = self.sources.shape.halved();
                    if self.y / 2 >= half.height || x / 2 >= half.width {
                        return L::zero();
                    }
                    let pixel = half.pixel(block, self.y / 2, x / 2);
                    map::load::<L>(values.as_ptr().add(pixel * floats::<L>())) * L::splat(0.25)
                }
            }
        }
    }
}
