//! Naive sums in `f64` on planar maps, for tests.

use super::{blocked::FeatureShape, isa::Isa, lanes::LANES};

/// Reproducible numbers, roughly normal (the sum of 12 uniform ones; xorshift64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: usize) -> Self {
        Random((seed as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn uniform(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1u64 << 24) as f32
    }

    pub fn normal(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| (0..12).map(|_| self.uniform()).sum::<f32>() - 6.0).collect()
    }
}

/// All sets that this CPU has, each with the relative error that its results stay under: this one, or what rounding to bfloat16
/// allows.
pub fn sets(tolerance: f64) -> impl Iterator<Item = (Isa, f64)> {
    const ROUNDED: f64 = 3e-2;
    let exact = Isa::available().into_iter().map(move |isa| (isa, tolerance));
    exact.chain(Isa::rounding().map(|isa| (isa, ROUNDED)))
}

/// Relative distance in the L2 norm; that of an empty vector is 0.
pub fn relative(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    let distance = square(&mut found.iter().zip(expected).map(|(&f, e)| f64::from(f) - e));
    let norm = square(&mut expected.iter().copied());
    if distance == 0.0 { 0.0 } else { (distance / norm).sqrt() }
}

/// The 3x3 neighbours of a pixel inside the map: (index in the filter, index in the plane).
fn neighbours(shape: FeatureShape, y: usize, x: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..9).filter_map(move |k| {
        let (y, x) = ((y + k / 3).wrapping_sub(1), (x + k % 3).wrapping_sub(1));
        (y < shape.height && x < shape.width).then(|| (k, y * shape.width + x))
    })
}

/// ReLU(conv(x) + bias); `weight` is (outputs, channels, 3, 3).
pub fn conv_relu(x: &[f32], weight: &[f32], bias: &[f32], shape: FeatureShape, outputs: usize) -> Vec<f64> {
    let (area, inputs) = (shape.area(), shape.channels);
    (0..outputs * area)
        .map(|at| {
            let (o, y, column) = (at / area, at % area / shape.width, at % area % shape.width);
            let mut sum = f64::from(bias[o]);
            for i in 0..inputs {
                for (k, pixel) in neighbours(shape, y, column) {
                    sum += f64::from(weight[(o * inputs + i) * 9 + k]) * f64::from(x[i * area + pixel]);
                }
            }
            sum.max(0.0)
        })
        .collect()
}

/// The gradient of the inputs of a convolution from that of its outputs, by scattering.
pub fn conv_transposed(gradient: &[f32], weight: &[f32], shape: FeatureShape, inputs: usize) -> Vec<f64> {
    let area = shape.area();
    let mut result = vec![0.0; inputs * area];
    for o in 0..shape.channels {
        for pixel in 0..area {
            let value = f64::from(gradient[o * area + pixel]);
            for i in 0..inputs {
                for (k, to) in neighbours(shape, pixel / shape.width, pixel % shape.width) {
                    result[i * area + to] += value * f64::from(weight[(o * inputs + i) * 9 + k]);
                }
            }
        }
    }
    result
}

/// Means of 2x2 pixels.
pub fn pool(x: &[f64], shape: FeatureShape) -> Vec<f64> {
    let half = shape.halved();
    (0..half.len())
        .map(|at| {
            let (c, y, x0) = (at / half.area(), at % half.area() / half.width, at % half.area() % half.width);
            let corner = (c * shape.height + 2 * y) * shape.width + 2 * x0;
            [0, 1, shape.width, shape.width + 1].iter().map(|k| x[corner + k] / 4.0).sum()
        })
        .collect()
}

/// The gradient before a pool from that after it, 0 where `layer` is not above 0.
pub fn unpool_masked(pooled: &[f64], layer: &[f32], before: FeatureShape) -> Vec<f64> {
    let half = before.halved();
    (0..before.len())
        .map(|at| {
            let (c, y, x) =
                (at / before.area(), at % before.area() / before.width / 2, at % before.area() % before.width / 2);
            let covered = y < half.height && x < half.width && layer[at] > 0.0;
            if covered { pooled[(c * half.height + y) * half.width + x] / 4.0 } else { 0.0 }
        })
        .collect()
}

/// Sign bits of a blocked map.
pub fn signs(blocked: &[f32]) -> Vec<u16> {
    blocked
        .chunks_exact(LANES)
        .map(|pixel| pixel.iter().enumerate().fold(0, |bits, (k, v)| bits | (u16::from(*v > 0.0) << k)))
        .collect()
}
