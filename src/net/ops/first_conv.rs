//! The first convolution: picture (three planes) to blocked activations.
//!
//! Direct: 27 products a value are too few for Winograd to gain anything. A row of the picture is centred (the mean
//! subtracted, zeros around it) once, and then multiplied as if its 27 neighbour planes were channels.

use super::{
    blocked::{Aligned, FeatureShape},
    conv_output::Activations,
    isa::Kernel,
    lanes::{LANES, Lanes, Registers},
    map,
    parallel::{Machine, Shared},
    product::floats,
};

/// Products of one output value: 3 colours by 3x3.
const TERMS: usize = 27;

/// Convolution 3x3 of `picture - mean`, padding 1 (zeros after centring), then ReLU.
#[derive(Debug)]
pub struct FirstConv {
    outputs: usize,
    mean: [f32; 3],
    /// `[outputs / 16][27][16]`
    weights: Aligned,
    bias: Aligned,
}

impl FirstConv {
    /// `weight` is (outputs, 3, 3, 3), `bias` (outputs), outputs a multiple of 16.
    pub fn new(weight: &[f32], bias: &[f32], mean: [f32; 3]) -> Self {
        let outputs = bias.len();
        assert!(outputs.is_multiple_of(LANES), "channels are multiples of {LANES}");
        assert_eq!(weight.len(), outputs * TERMS);
        let mut weights = Aligned::zeros(weight.len());
        for (at, &value) in weight.iter().enumerate() {
            let (output, term) = (at / TERMS, at % TERMS);
            weights[(output / LANES * TERMS + term) * LANES + output % LANES] = value;
        }
        FirstConv { outputs, mean, weights, bias: bias.into() }
    }

    /// Channels out.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// `picture`: `[3][height][width]`.
    ///
    /// # Panics
    /// If a buffer's length does not fit.
    pub fn run(&self, machine: Machine<'_>, picture: &[f32], (height, width): (usize, usize), mut to: Activations<'_>) {
        assert_eq!(picture.len(), 3 * height * width);
        let shape = FeatureShape::new(self.outputs, height, width);
        to.check(machine.isa, shape);
        let values = to.values.as_deref_mut().map(Shared::new);
        let signs = to.signs.as_deref_mut().map(Shared::new);
        let pooled = to.pooled.as_deref_mut().map(Shared::new);
        let blocks = shape.blocks();
        // A piece is two rows, which pool to one: nine padded rows a picture row, and two rows of values.
        let padded = width + 2;
        let work_len = (2 * TERMS / 3 * padded).next_multiple_of(LANES) + 2 * width * LANES * blocks;
        machine.threads.run(height.div_ceil(2), &|piece| {
            let mut work = machine.scratch.take(work_len);
            let (padded_rows, rows) = work.split_at_mut((2 * TERMS / 3 * padded).next_multiple_of(LANES));
            let rows_here = (height - 2 * piece).min(2);
            for row in 0..rows_here {
                self.pad(picture, (height, width), 2 * piece + row, &mut padded_rows[row * 9 * padded..][..9 * padded]);
            }
            let kernel = Rows {
                conv: self,
                padded: padded_rows,
                width,
                count: rows_here,
                to: &mut rows[..2 * width * LANES * blocks],
            };
            // SAFETY: the buffers have the lengths that `Rows` asks for.
            unsafe { machine.isa.run(kernel) };
            let finish = Write { shape, top: 2 * piece, count: rows_here, rows, values, signs, pooled };
            // SAFETY: rows 2 piece and 2 piece + 1, and the pooled row, belong to this piece alone.
            unsafe { machine.isa.run(finish) };
        });
    }

    /// The nine rows that output row `y` sees (3 colours by 3), centred, each with a zero at both ends.
    fn pad(&self, picture: &[f32], (height, width): (usize, usize), y: usize, to: &mut [f32]) {
        for (index, row) in to.chunks_exact_mut(width + 2).enumerate() {
            let (colour, y_in) = (index / 3, (y + index % 3).wrapping_sub(1));
            row.fill(0.0);
            if y_in < height {
                let from = &picture[(colour * height + y_in) * width..][..width];
                row[1..=width].iter_mut().zip(from).for_each(|(to, from)| *to = from - self.mean[colour]);
            }
        }
    }
}

/// One or two rows of values, `[row][block][x][16]`, from their padded neighbours, `[row][9][width + 2]`.
struct Rows<'a> {
    conv: &'a FirstConv,
    padded: &'a [f32],
    width: usize,
    count: usize,
    to: &'a mut [f32],
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes>(mut self) {
        // SAFETY: pixels are inside the row.
        unsafe {
            for row in 0..self.count {
                for block in 0..self.conv.outputs / LANES {
                    let mut x = 0;
                    if L::REGISTERS == Registers::Wide {
                        while x + 12 <= self.width {
                            self.pixels::<L, 12>(row, block, x);
                            x += 12;
                        }
                    }
                    while x + 6 <= self.width {
                        self.pixels::<L, 6>(row, block, x);
                        x += 6;
                    }
                    while x < self.width {
                        self.pixels::<L, 1>(row, block, x);
                        x += 1;
                    }
                }
            }
        }
    }
}

impl Rows<'_> {
    #[inline(always)]
    unsafe fn pixels<L: Lanes, const COUNT: usize>(&mut self, row: usize, block: usize, x: usize) {
        let padded = self.width + 2;
        // SAFETY: the caller gives pixels inside the row.
        unsafe {
            let mut sums = [L::load(self.conv.bias.as_ptr().add(block * LANES)); COUNT];
            let weights = self.conv.weights.as_ptr().add(block * TERMS * LANES);
            for line in 0..9 {
                for column in 0..3 {
                    let weight = L::load(weights.add((line * 3 + column) * LANES));
                    let from = self.padded.as_ptr().add((row * 9 + line) * padded + x + column);
                    for pixel in 0..COUNT {
                        sums[pixel] = L::splat(*from.add(pixel)).mul_add(weight, sums[pixel]);
                    }
                }
            }
            let at = ((row * (self.conv.outputs / LANES) + block) * self.width + x) * LANES;
            let to = self.to.as_mut_ptr().add(at);
            for pixel in 0..COUNT {
                sums[pixel].max(L::zero()).store(to.add(pixel * LANES));
            }
        }
    }
}

/// Two rows, while they are in the first-level cache, to where they are wanted.
struct Write<'a> {
    shape: FeatureShape,
    top: usize,
    count: usize,
    rows: &'a [f32],
    values: Option<Shared<'a, f32>>,
    signs: Option<Shared<'a, u16>>,
    pooled: Option<Shared<'a, f32>>,
}

impl Kernel for Write<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let FeatureShape { width, .. } = self.shape;
        let (blocks, half) = (self.shape.blocks(), self.shape.halved());
        // SAFETY: rows are inside the map, and this piece's own.
        unsafe {
            for block in 0..blocks {
                let upper = self.rows.as_ptr().add(block * width * LANES);
                let lower = self.rows.as_ptr().add((blocks + block) * width * LANES);
                for row in 0..self.count {
                    let from = if row == 0 { upper } else { lower };
                    for x in 0..width {
                        let value = L::load(from.add(x * LANES));
                        let pixel = self.shape.pixel(block, self.top + row, x);
                        if let Some(values) = &self.values {
                            map::store(value, values.at(pixel * floats::<L>()));
                        }
                        if let Some(signs) = &self.signs {
                            *signs.at(pixel) = value.positive();
                        }
                    }
                }
                let Some(pooled) = self.pooled.as_ref().filter(|_| self.count == 2) else { continue };
                for x in 0..half.width {
                    let pair = |row: *const f32| (row.add(2 * x * LANES), row.add((2 * x + 1) * LANES));
                    let ((a, b), (c, d)) = (pair(upper), pair(lower));
                    let sum = (L::load(a) + L::load(b)) + (L::load(c) + L::load(d));
                    let pixel = half.pixel(block, self.top / 2, x);
                    map::store(sum * L::splat(0.25), pooled.at(pixel * floats::<L>()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            blocked::to_planar,
            map::stored::unpack,
            parallel::Scratch,
            reference::{self, Random, relative, sets},
        },
        *,
    };
    use crate::threads::Scoped;

    #[test]
    fn agrees_with_naive_sums() {
        for (outputs, height, width) in [(16, 5, 7), (32, 1, 3), (48, 8, 29), (16, 2, 1)] {
            let mut random = Random::new(width);
            let (weight, bias) = (random.normal(outputs * TERMS), random.normal(outputs));
            let picture: Vec<f32> = random.normal(3 * height * width).iter().map(|v| 0.5 + 0.2 * v).collect();
            let mean = [0.4, 0.45, 0.5];
            let centred: Vec<f32> = picture.iter().enumerate().map(|(k, v)| v - mean[k / (height * width)]).collect();
            let shape = FeatureShape::new(outputs, height, width);
            let expected = reference::conv_relu(&centred, &weight, &bias, FeatureShape::new(3, height, width), outputs);
            let means = reference::pool(&expected, shape);
            let conv = FirstConv::new(&weight, &bias, mean);
            for (isa, tolerance) in sets(1e-6) {
                let (mut values, mut signs) = (vec![f32::NAN; map::len(isa, shape)], vec![0; shape.pixels()]);
                let mut pooled = vec![f32::NAN; map::len(isa, shape.halved())];
                let to = Activations { values: Some(&mut values), signs: Some(&mut signs), pooled: Some(&mut pooled) };
                let machine = Machine { isa, threads: &Scoped(2), scratch: &Scratch::new(2) };
                conv.run(machine, &picture, (height, width), to);
                let (values, pooled) = (unpack(isa, &values), unpack(isa, &pooled));
                assert!(relative(&to_planar(&values, shape), &expected) < tolerance, "{isa} {shape:?}");
                assert!(relative(&to_planar(&pooled, shape.halved()), &means) < tolerance, "{isa} {shape:?}");
                assert_eq!(signs, reference::signs(&values));
            }
        }
    }
}
