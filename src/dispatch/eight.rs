//! Vectors of eight `f32`: what takes eight values at a time is written over [`Eight`] and gets it as its first argument from
//! [`super::wide!`], in registers of eight where the processor has them. All give the same bits, for
//! which the lanes of [`crate::net::ops`] are no use: those fuse multiplications with additions where a processor can.
//!
//! A value of [`Ymm`] is proof that the processor has AVX2: who is given one may use the vectors safely.

use std::ops::{Add, Div, Mul, Sub};

use wide::f32x8;

/// What makes vectors of eight `f32`.
pub(crate) trait Eight: Copy {
    type Vector: Copy
        + Add<Output = Self::Vector>
        + Sub<Output = Self::Vector>
        + Mul<Output = Self::Vector>
        + Div<Output = Self::Vector>;

    fn splat(self, value: f32) -> Self::Vector;
    fn load(self, values: &[f32; 8]) -> Self::Vector;
    fn store(self, vector: Self::Vector, to: &mut [f32; 8]);
    /// The greater of both, lane by lane.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn abs(self, vector: Self::Vector) -> Self::Vector;
    /// The sums of the lanes of four vectors, each `((0 + 4) + (2 + 6)) + ((1 + 5) + (3 + 7))`.
    fn totals(self, four: [Self::Vector; 4]) -> [f32; 4];
}

/// For any processor: two vectors of four, or single values.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

impl Eight for Portable {
    type Vector = f32x8;

    #[inline(always)]
    fn splat(self, value: f32) -> f32x8 {
        f32x8::splat(value)
    }
    #[inline(always)]
    fn load(self, values: &[f32; 8]) -> f32x8 {
        f32x8::from(*values)
    }
    #[inline(always)]
    fn store(self, vector: f32x8, to: &mut [f32; 8]) {
        *to = vector.to_array();
    }
    #[inline(always)]
    fn max(self, a: f32x8, b: f32x8) -> f32x8 {
        a.fast_max(b)
    }
    #[inline(always)]
    fn abs(self, vector: f32x8) -> f32x8 {
        vector.abs()
    }
    #[inline(always)]
    fn totals(self, four: [f32x8; 4]) -> [f32; 4] {
        let mut totals = [0.0; 4];
        for k in 0..4 {
            let lanes = four[k].to_array();
            totals[k] =
                ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
        }
        totals
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use ymm::Ymm;

// SAFETY (of every block here): a `Ymm` and its vectors exist only where the processor has AVX2.
#[cfg(target_arch = "x86_64")]
mod ymm {
    use std::arch::x86_64::*;

    use super::{Add, Div, Eight, Mul, Sub};

    /// For processors with AVX2: one register.
    #[derive(Clone, Copy)]
    pub(crate) struct Ymm(());

    impl Ymm {
        /// # Safety
        /// The processor has AVX2.
        #[inline(always)]
        pub unsafe fn new() -> Self {
            Ymm(())
        }
    }

    #[derive(Clone, Copy)]
    pub(crate) struct Vector(__m256);

    macro_rules! operator {
        ($trait:ident, $name:ident, $instruction:ident) => {
            impl $trait for Vector {
                type Output = Self;
                #[inline(always)]
                fn $name(self, other: Self) -> Self {
                    Vector(unsafe { $instruction(self.0, other.0) })
                }
            }
        };
    }
    operator!(Add, add, _mm256_add_ps);
    operator!(Sub, sub, _mm256_sub_ps);
    operator!(Mul, mul, _mm256_mul_ps);
    operator!(Div, div, _mm256_div_ps);

    impl Eight for Ymm {
        type Vector = Vector;

        #[inline(always)]
        fn splat(self, value: f32) -> Vector {
            Vector(unsafe { _mm256_set1_ps(value) })
        }
        #[inline(always)]
        fn load(self, values: &[f32; 8]) -> Vector {
            Vector(unsafe { _mm256_loadu_ps(values.as_ptr()) })
        }
        #[inline(always)]
        fn store(self, vector: Vector, to: &mut [f32; 8]) {
            unsafe { _mm256_storeu_ps(to.as_mut_ptr(), vector.0) }
        }
        #[inline(always)]
        fn max(self, a: Vector, b: Vector) -> Vector {
            Vector(unsafe { _mm256_max_ps(a.0, b.0) })
        }
        #[inline(always)]
        fn abs(self, vector: Vector) -> Vector {
            Vector(unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), vector.0) })
        }
        #[inline(always)]
        fn totals(self, [a, b, c, d]: [Vector; 4]) -> [f32; 4] {
            unsafe {
                let [a, b, c, d] = [halves(a), halves(b), halves(c), halves(d)];
                let ab = _mm_add_ps(_mm_movelh_ps(a, b), _mm_movehl_ps(b, a));
                let cd = _mm_add_ps(_mm_movelh_ps(c, d), _mm_movehl_ps(d, c));
                let sums = _mm_add_ps(_mm_shuffle_ps::<0b10_00_10_00>(ab, cd), _mm_shuffle_ps::<0b11_01_11_01>(ab, cd));
                let mut totals = [0.0; 4];
                _mm_storeu_ps(totals.as_mut_ptr(), sums);
                totals
            }
        }
    }

    /// The sum of both halves.
    #[inline(always)]
    unsafe fn halves(vector: Vector) -> __m128 {
        unsafe { _mm_add_ps(_mm256_castps256_ps128(vector.0), _mm256_extractf128_ps::<1>(vector.0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::in_each_code;
    use crate::dispatch::wide;

    wide! {
        /// Everything there is, of two vectors.
        fn all(simd: Eight, a: &[f32; 8], b: &[f32; 8], out: &mut [[f32; 8]; 6], totals: &mut [f32; 4]) {
            let (a, b) = (simd.load(a), simd.load(b));
            let vectors = [a + b, a - b, a * b, a / b, simd.max(a, b), simd.abs(a)];
            for (vector, out) in vectors.into_iter().zip(out) {
                simd.store(vector, out);
            }
            *totals = simd.totals([a, b, a * b, simd.splat(3.0)]);
        }
    }

    #[test]
    fn every_code_gives_the_same_bits() {
        let values = |pace: f32| -> [f32; 8] { std::array::from_fn(|k| (pace * (k as f32 + 1.0)).sin()) };
        let (a, b) = (values(1.3), values(2.9));
        let made = in_each_code(|| {
            let (mut out, mut totals) = ([[0.0; 8]; 6], [0.0; 4]);
            all(&a, &b, &mut out, &mut totals);
            (out, totals)
        });
        let (out, totals) = made[0];
        for lane in 0..8 {
            let (a, b) = (a[lane], b[lane]);
            assert_eq!(out.map(|row| row[lane]), [a + b, a - b, a * b, a / b, a.max(b), a.abs()]);
        }
        assert!((totals[0] - a.iter().sum::<f32>()).abs() < 1e-6 && totals[3] == 24.0, "{totals:?}");
        assert!(made.iter().all(|made| *made == (out, totals)));
    }
}
