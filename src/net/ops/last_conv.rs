//! The last convolution of the backward pass: gradient of the first features (blocked) to that of the picture (planes).
//!
//! Direct, with lanes over channels: three colours are too few for anything else. Where the set rounds, a vector has the 16 channels of
//! two pixels, in pairs.

use super::{
    blocked::{Aligned, FeatureShape},
    isa::{Isa, Kernel},
    lanes::{LANES, Lanes, Vector},
    map,
    parallel::{Machine, Shared},
    product::floats,
};

/// Vectors at once: 12 accumulators, of which four come to sums at a time.
const VECTORS: usize = 4;

/// The transposed first convolution.
#[derive(Debug)]
pub struct LastConv {
    isa: Isa,
    inputs: usize,
    /// `[inputs / 16][9][3][16]`, filters turned by 180 degrees.
    weights: Aligned,
    /// The same where the set rounds, each 16 of them twice: once for each pixel of a vector.
    twice: Aligned,
}

impl LastConv {
    /// For kernels of this set. `weight` is that of the first convolution, (channels, 3, 3, 3).
    pub fn new(isa: Isa, weight: &[f32]) -> Self {
        let inputs = weight.len() / 27;
        assert!(inputs.is_multiple_of(LANES), "channels are multiples of {LANES}");
        let mut weights = Aligned::zeros(weight.len());
        for (at, &value) in weight.iter().enumerate() {
            let (channel, colour, term) = (at / 27, at / 9 % 3, at % 9);
            let vector = (channel / LANES * 9 + 8 - term) * 3 + colour;
            weights[vector * LANES + channel % LANES] = value;
        }
        let mut twice = Aligned::zeros(if isa.rounds() { weight.len() } else { 0 });
        // SAFETY: the kernel reads and writes inside its slices.
        unsafe { isa.run(Twice { from: &weights, to: &mut twice }) };
        LastConv { isa, inputs, weights, twice }
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
        assert_eq!((gradient.len(), to.len()), (map::len(machine.isa, shape), 3 * shape.area()));
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
        assert_eq!(isa, self.isa, "the set that the weights are for");
        debug_assert!(gradient.len() >= map::len(isa, shape) && y < shape.height);
        // SAFETY: the caller's promise.
        unsafe { isa.run(Row { conv: self, gradient, shape, y, to, height, row }) }
    }
}

/// Vectors as bfloat16, each twice.
struct Twice<'a> {
    from: &'a [f32],
    to: &'a mut [f32],
}

impl Kernel for Twice<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        for (from, to) in self.from.chunks_exact(LANES).zip(self.to.chunks_exact_mut(LANES)) {
            for half in to.chunks_exact_mut(LANES / 2) {
                // SAFETY: 16 bfloat16 take the place of 8 floats.
                unsafe { L::load(from.as_ptr()).store_rounded(half.as_mut_ptr().cast()) }
            }
        }
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
            let near = &self.neighbours();
            self.pixels::<L, 1, true>(near, 0);
            let mut x = 1;
            if L::ROUNDS {
                while x + 2 * VECTORS < width {
                    self.pairs::<L>(near, x);
                    x += 2 * VECTORS;
                }
            }
            while x + VECTORS < width {
                self.pixels::<L, VECTORS, false>(near, x);
                x += VECTORS;
            }
            while x < width {
                self.pixels::<L, 1, true>(near, x);
                x += 1;
            }
        }
    }
}

/// Neighbours of the second pixel of a row: which pixel of the gradient's first block each is, and which term of the filter. Those of
/// pixel x are as many pixels further as x is than 1.
struct Neighbours {
    all: [(usize, usize); 9],
    count: usize,
}

impl Row<'_> {
    /// What the row sees of its own pixels and of those above and below, where there are any.
    #[inline(always)]
    fn neighbours(&self) -> Neighbours {
        let mut near = Neighbours { all: [(0, 0); 9], count: 0 };
        for dy in 0..3 {
            // Wrapping makes -1 a huge number: outside.
            let y = (self.y + dy).wrapping_sub(1);
            if y < self.shape.height {
                for dx in 0..3 {
                    near.all[near.count] = (self.shape.pixel(0, y, dx), dy * 3 + dx);
                    near.count += 1;
                }
            }
        }
        near
    }

    /// `COUNT` pixels from `x` on; where `EDGE`, neighbours left and right may be missing.
    #[inline(always)]
    unsafe fn pixels<L: Lanes, const COUNT: usize, const EDGE: bool>(&self, near: &Neighbours, x: usize) {
        // SAFETY: the caller's promise; missing neighbours are skipped.
        unsafe {
            let mut sums = [[L::Register::zero(); COUNT]; 3];
            for block in 0..self.shape.blocks() {
                for &(pixel, term) in &near.all[..near.count] {
                    if EDGE && (x + term % 3).wrapping_sub(1) >= self.shape.width {
                        continue;
                    }
                    let from = self.gradient.as_ptr().add((block * self.shape.area() + pixel + x - 1) * floats::<L>());
                    let weights = self.conv.weights.as_ptr().add((block * 9 + term) * 3 * LANES);
                    // All lanes come to one sum, so the parts of a vector share their accumulators.
                    for part in (0..LANES).step_by(L::Register::LEN) {
                        for colour in 0..3 {
                            let weight = L::Register::load(weights.add(colour * LANES + part));
                            for pixel in 0..COUNT {
                                let from = from.add(pixel * floats::<L>());
                                let value = match L::ROUNDS {
                                    true => L::Register::load_rounded(from.cast::<u16>().add(part)),
                                    false => L::Register::load(from.add(part)),
                                };
                                sums[colour][pixel] = value.mul_add(weight, sums[colour][pixel]);
                            }
                        }
                    }
                }
            }
            for colour in 0..3 {
                let (sums, to) = (sums[colour], self.result(colour, x));
                if COUNT == VECTORS {
                    L::Register::store_sums([sums[0], sums[1 % COUNT], sums[2 % COUNT], sums[3 % COUNT]], to);
                } else {
                    for pixel in 0..COUNT {
                        *to.add(pixel) = sums[pixel].sum();
                    }
                }
            }
        }
    }

    /// Two pixels for each vector, from `x` on, which have all neighbours left and right.
    #[inline(always)]
    unsafe fn pairs<L: Lanes>(&self, near: &Neighbours, x: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut sums = [[L::zero(); VECTORS]; 3];
            for block in 0..self.shape.blocks() {
                for &(pixel, term) in &near.all[..near.count] {
                    let from = self.gradient.as_ptr().add((block * self.shape.area() + pixel + x - 1) * floats::<L>());
                    let weights = self.conv.twice.as_ptr().add((block * 9 + term) * 3 * LANES);
                    let mut values = [L::zero(); VECTORS];
                    for vector in 0..VECTORS {
                        values[vector] = L::load(from.add(vector * 2 * floats::<L>()));
                    }
                    for colour in 0..3 {
                        let weight = L::load(weights.add(colour * LANES));
                        for vector in 0..VECTORS {
                            sums[colour][vector] = values[vector].mul_add_pairs(weight, sums[colour][vector]);
                        }
                    }
                }
            }
            for colour in 0..3 {
                L::store_half_sums(sums[colour], self.result(colour, x));
            }
        }
    }

    /// Where the gradient of pixel `x` goes.
    #[inline(always)]
    unsafe fn result(&self, colour: usize, x: usize) -> *mut f32 {
        // SAFETY: the caller gives a pixel inside the row.
        unsafe { self.to.at((colour * self.height + self.row) * self.shape.width + x) }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            blocked::to_blocked,
            map::stored::pack,
            parallel::Scratch,
            reference::{self, Random, relative, sets},
        },
        *,
    };
    use crate::threads::Scoped;

    #[test]
    fn agrees_with_naive_sums() {
        for (channels, height, width) in [(16, 5, 7), (48, 1, 3), (32, 9, 22), (16, 2, 1), (16, 3, 26)] {
            let mut random = Random::new(width);
            let shape = FeatureShape::new(channels, height, width);
            let (weight, gradient) = (random.normal(channels * 27), random.normal(shape.len()));
            let expected = reference::conv_transposed(&gradient, &weight, shape, 3);
            for (isa, tolerance) in sets(1e-6) {
                let conv = LastConv::new(isa, &weight);
                let mut found = vec![f32::NAN; 3 * shape.area()];
                let machine = Machine { isa, threads: &Scoped(2), scratch: &Scratch::new(1) };
                conv.run(machine, &pack(isa, &to_blocked(&gradient, shape)), (height, width), &mut found);
                assert!(relative(&found, &expected) < tolerance, "{isa} {shape:?}");
            }
        }
    }
}
