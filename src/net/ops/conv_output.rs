//! What happens to a 4x4 patch of a convolution's output before it is written.

use super::{
    blocked::FeatureShape,
    isa::Isa,
    lanes::{LANES, Lanes},
    map,
    parallel::Shared,
    product::floats,
    winograd::{OUT, Patch},
};

/// Where a forward convolution writes ReLU(conv(x) + bias): any of three forms.
#[derive(Default)]
pub struct Activations<'a> {
    /// All values, blocked.
    pub values: Option<&'a mut [f32]>,
    /// Bit `c` of `[block][y][x]` is set where the value of channel `c` of the block is above 0.
    pub signs: Option<&'a mut [u16]>,
    /// Means of 2x2 pixels, blocked; an odd last row or column is dropped.
    pub pooled: Option<&'a mut [f32]>,
}

/// Where a backward convolution writes the gradient.
pub struct Gradient<'a> {
    pub values: &'a mut [f32],
    /// Signs of the ReLU that made the layer's values: where a bit is 0 the gradient is 0.
    pub signs: Option<&'a [u16]>,
    /// The size (height, width) before the 2x2 average pool whose output the gradient belongs to; `values` and `signs`
    /// have that size. Each pixel gets a quarter of its mean's gradient, a dropped row or column 0.
    pub before_pool: Option<(usize, usize)>,
}

/// Takes patches of the convolution's output.
pub(super) trait Finish: Sync {
    /// # Safety
    /// The CPU has the instruction set; the patch begins inside the map, and nobody else writes it.
    unsafe fn patch<L: Lanes>(&self, block: usize, top: usize, left: usize, patch: &Patch);
}

impl<'a> Activations<'a> {
    /// # Panics
    /// If a buffer does not fit the shape of the convolution's output.
    pub(super) fn check(&self, isa: Isa, shape: FeatureShape) {
        let check = |name, found: Option<usize>, expected| {
            assert!(found.is_none_or(|found| found == expected), "{name} of {shape:?}: {found:?} for {expected}");
        };
        check("values", self.values.as_ref().map(|v| v.len()), map::len(isa, shape));
        check("signs", self.signs.as_ref().map(|v| v.len()), shape.pixels());
        check("pooled", self.pooled.as_ref().map(|v| v.len()), map::len(isa, shape.halved()));
    }

    /// # Panics
    /// If a buffer does not fit the shape of the convolution's output.
    pub(super) fn finish(self, isa: Isa, shape: FeatureShape, bias: &'a [f32]) -> Activate<'a> {
        self.check(isa, shape);
        Activate {
            shape,
            bias,
            values: self.values.map(Shared::new),
            signs: self.signs.map(Shared::new),
            pooled: self.pooled.map(Shared::new),
        }
    }
}

pub(super) struct Activate<'a> {
    shape: FeatureShape,
    bias: &'a [f32],
    values: Option<Shared<'a, f32>>,
    signs: Option<Shared<'a, u16>>,
    pooled: Option<Shared<'a, f32>>,
}

impl Finish for Activate<'_> {
    #[inline(always)]
    unsafe fn patch<L: Lanes>(&self, block: usize, top: usize, left: usize, patch: &Patch) {
        let FeatureShape { height, width, .. } = self.shape;
        // SAFETY: every index is checked against the map's sides.
        unsafe {
            let bias = L::load(self.bias.as_ptr().add(block * LANES));
            // Two rows at a time, which pool to one.
            for y in (0..OUT).step_by(2) {
                for x in (0..OUT).step_by(2) {
                    let mut sum = L::zero();
                    for (dy, dx) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                        let value = (patch.get::<L>(y + dy, x + dx) + bias).max(L::zero());
                        sum = sum + value;
                        if top + y + dy < height && left + x + dx < width {
                            let pixel = self.shape.pixel(block, top + y + dy, left + x + dx);
                            if let Some(values) = &self.values {
                                map::store(value, values.at(pixel * floats::<L>()));
                            }
                            if let Some(signs) = &self.signs {
                                *signs.at(pixel) = value.positive();
                            }
                        }
                    }
                    let Some(pooled) = &self.pooled else { continue };
                    let half = self.shape.halved();
                    let (y, x) = ((top + y) / 2, (left + x) / 2);
                    if y < half.height && x < half.width {
                        map::store(sum * L::splat(0.25), pooled.at(half.pixel(block, y, x) * floats::<L>()));
                    }
                }
            }
        }
    }
}

impl<'a> Gradient<'a> {
    /// `shape` is that of the convolution's output.
    ///
    /// # Panics
    /// If a buffer does not fit.
    pub(super) fn finish(self, isa: Isa, shape: FeatureShape) -> Backpropagate<'a> {
        let (height, width) = self.before_pool.unwrap_or((shape.height, shape.width));
        let target = FeatureShape { height, width, ..shape };
        if self.before_pool.is_some() {
            assert_eq!(target.halved(), shape, "the pooled size of {target:?}");
        }
        assert_eq!(self.values.len(), map::len(isa, target), "gradient of {target:?}");
        assert!(self.signs.is_none_or(|signs| signs.len() == target.pixels()), "signs of {target:?}");
        Backpropagate {
            shape,
            target,
            pooled: self.before_pool.is_some(),
            values: Shared::new(self.values),
            signs: self.signs,
        }
    }
}

pub(super) struct Backpropagate<'a> {
    /// Of the convolution's output.
    shape: FeatureShape,
    /// Of the map written.
    target: FeatureShape,
    pooled: bool,
    values: Shared<'a, f32>,
    signs: Option<&'a [u16]>,
}

impl Backpropagate<'_> {
    #[inline(always)]
    unsafe fn write<L: Lanes>(&self, block: usize, y: usize, x: usize, value: L) {
        let pixel = self.target.pixel(block, y, x);
        // SAFETY: the caller gives a pixel inside the map, which is its own.
        unsafe {
            let value = match self.signs {
                Some(signs) => value.keep(*signs.get_unchecked(pixel)),
                None => value,
            };
            map::store(value, self.values.at(pixel * floats::<L>()));
        }
    }
}

impl Finish for Backpropagate<'_> {
    #[inline(always)]
    unsafe fn patch<L: Lanes>(&self, block: usize, top: usize, left: usize, patch: &Patch) {
        let FeatureShape { height, width, .. } = self.shape;
        // SAFETY: every pixel is checked against the map's sides.
        unsafe {
            for row in 0..OUT {
                for column in 0..OUT {
                    let (y, x, value) = (top + row, left + column, patch.get::<L>(row, column));
                    if y >= height || x >= width {
                        continue;
                    }
                    if !self.pooled {
                        self.write(block, y, x, value);
                        continue;
                    }
                    let quarter = value * L::splat(0.25);
                    self.write(block, 2 * y, 2 * x, quarter);
                    self.write(block, 2 * y, 2 * x + 1, quarter);
                    self.write(block, 2 * y + 1, 2 * x, quarter);
                    self.write(block, 2 * y + 1, 2 * x + 1, quarter);
                    self.clear_dropped::<L>(block, y, x);
                }
            }
        }
    }
}

impl Backpropagate<'_> {
    /// The pooled pixel nearest to a dropped row or column writes its zeros.
    #[inline(always)]
    unsafe fn clear_dropped<L: Lanes>(&self, block: usize, y: usize, x: usize) {
        let FeatureShape { height, width, .. } = self.target;
        let (last_row, last_column) = (2 * y + 3 == height, 2 * x + 3 == width);
        if !last_row && !last_column {
            return;
        }
        // SAFETY: a dropped row (column) exists where the target has one more row (column) than 2x2 pixels cover.
        unsafe {
            for step in 0..2 {
                if last_row {
                    self.write(block, 2 * y + 2, 2 * x + step, L::zero());
                }
                if last_column {
                    self.write(block, 2 * y + step, 2 * x + 2, L::zero());
                }
            }
            if last_row && last_column {
                self.write(block, 2 * y + 2, 2 * x + 2, L::zero());
            }
        }
    }
}
