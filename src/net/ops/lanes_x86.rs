//! [`Lanes`] for AVX-512 (one register) and AVX2 with FMA (two registers).

use std::{
    arch::x86_64::*,
    mem,
    ops::{Add, Mul, Sub},
};

use super::lanes::{LANES, Lanes, Registers, Vector, portable};

/// One 512-bit register. `ROUNDS` is [`Lanes::ROUNDS`], for a CPU that has AVX512-BF16 as well.
#[derive(Clone, Copy)]
pub struct Avx512<const ROUNDS: bool>(__m512);

/// One 256-bit register.
#[derive(Clone, Copy)]
pub struct Ymm(__m256);

/// Two of them: lanes 0..8 and 8..16.
#[derive(Clone, Copy)]
pub struct Avx2(__m256, __m256);

/// 0, 16, 1, 17 and so on: what lies one half after the other, in turn.
const IN_TURN: [u16; 32] = {
    let mut from = [0; 32];
    let mut k = 0;
    while k < 32 {
        from[k] = (k / 2 + k % 2 * 16) as u16;
        k += 1;
    }
    from
};

macro_rules! operator {
    ($name:ident, $method:ident, $wide:ident, $half:ident) => {
        impl<const ROUNDS: bool> $name for Avx512<ROUNDS> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                // SAFETY: a value exists only where the CPU has AVX-512.
                Avx512(unsafe { $wide(self.0, other.0) })
            }
        }
        impl $name for Ymm {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                // SAFETY: a value exists only where the CPU has AVX2.
                Ymm(unsafe { $half(self.0, other.0) })
            }
        }
        impl $name for Avx2 {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                // SAFETY: a value exists only where the CPU has AVX2.
                unsafe { Avx2($half(self.0, other.0), $half(self.1, other.1)) }
            }
        }
    };
}
operator!(Add, add, _mm512_add_ps, _mm256_add_ps);
operator!(Sub, sub, _mm512_sub_ps, _mm256_sub_ps);
operator!(Mul, mul, _mm512_mul_ps, _mm256_mul_ps);

// SAFETY of all unsafe blocks below: constructors are called only where the CPU has the set (their contract), and a
// value is proof that a constructor was called. Pointers are the caller's promise.

impl<const ROUNDS: bool> Avx512<ROUNDS> {
    /// The sums of each four lanes of four vectors: `[a, b, c, d]` of the first four, and so on.
    #[inline(always)]
    unsafe fn quarter_sums([a, b, c, d]: [Self; 4]) -> __m512 {
        // Lanes of all four come together in groups of four.
        unsafe {
            let ab = _mm512_add_ps(_mm512_unpacklo_ps(a.0, b.0), _mm512_unpackhi_ps(a.0, b.0));
            let cd = _mm512_add_ps(_mm512_unpacklo_ps(c.0, d.0), _mm512_unpackhi_ps(c.0, d.0));
            let (ab, cd) = (_mm512_castps_pd(ab), _mm512_castps_pd(cd));
            let low = _mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd));
            _mm512_add_ps(low, _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)))
        }
    }

    /// 32 bfloat16, of which the first 16 belong in the lower halves of the lanes and the others in the upper ones.
    #[inline(always)]
    unsafe fn in_turn(one_after_the_other: __m512i) -> Self {
        unsafe {
            let in_turn = mem::transmute::<[u16; 32], __m512i>(IN_TURN);
            Avx512(_mm512_castsi512_ps(_mm512_permutexvar_epi16(in_turn, one_after_the_other)))
        }
    }
}

impl<const ROUNDS: bool> Vector for Avx512<ROUNDS> {
    const LEN: usize = LANES;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Avx512(unsafe { _mm512_set1_ps(value) })
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Avx512(unsafe { _mm512_loadu_ps(from) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { _mm512_storeu_ps(to, self.0) }
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        Avx512(unsafe { _mm512_fmadd_ps(self.0, factor.0, addend.0) })
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        unsafe { _mm512_reduce_add_ps(self.0) }
    }
    #[inline(always)]
    unsafe fn store_sums(four: [Self; 4], to: *mut f32) {
        unsafe {
            let all = Self::quarter_sums(four);
            let upper =
                _mm512_castpd_ps(_mm512_shuffle_f64x2::<0b11_10_11_10>(_mm512_castps_pd(all), _mm512_castps_pd(all)));
            let half = _mm512_castps512_ps256(_mm512_add_ps(all, upper));
            _mm_storeu_ps(to, _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps::<1>(half)));
        }
    }
    #[inline(always)]
    unsafe fn store_rounded(self, to: *mut u16) {
        // SAFETY: a `__m256bh` is 16 bfloat16; vectors that round exist only where the CPU has AVX512-BF16.
        unsafe {
            match ROUNDS {
                true => to.cast::<__m256bh>().write_unaligned(_mm512_cvtneps_pbh(self.0)),
                false => portable::store_rounded(self, to),
            }
        }
    }
    #[inline(always)]
    unsafe fn load_rounded(from: *const u16) -> Self {
        unsafe {
            let bits = _mm512_cvtepu16_epi32(from.cast::<__m256i>().read_unaligned());
            Avx512(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits)))
        }
    }
}

impl<const ROUNDS: bool> Lanes for Avx512<ROUNDS> {
    const REGISTERS: Registers = Registers::Wide;
    const ROUNDS: bool = ROUNDS;
    type Register = Self;
    type Half = Ymm;

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Avx512(unsafe { _mm512_max_ps(self.0, other.0) })
    }
    #[inline(always)]
    fn positive(self) -> u16 {
        unsafe { _mm512_cmp_ps_mask::<_CMP_GT_OQ>(self.0, _mm512_setzero_ps()) }
    }
    #[inline(always)]
    fn keep(self, bits: u16) -> Self {
        Avx512(unsafe { _mm512_maskz_mov_ps(bits, self.0) })
    }
    #[inline(always)]
    fn pair(self, other: Self) -> Self {
        if !ROUNDS {
            return portable::pair(self, other);
        }
        // SAFETY: a `__m512bh` is 32 integers of 16 bits; the CPU has AVX512-BF16 and AVX512-BW.
        unsafe { Self::in_turn(mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(other.0, self.0))) }
    }
    #[inline(always)]
    unsafe fn load_pair(from: *const u16) -> Self {
        match ROUNDS {
            // SAFETY: the CPU has AVX512-BW.
            true => unsafe { Self::in_turn(from.cast::<__m512i>().read_unaligned()) },
            false => unsafe { portable::load_pair(from) },
        }
    }
    #[inline(always)]
    unsafe fn store_half_sums(four: [Self; 4], to: *mut f32) {
        unsafe {
            let all = Self::quarter_sums(four);
            let (lower, upper) = (_mm512_castps512_ps256(all), _mm512_extractf32x8_ps::<1>(all));
            let half = |sums: __m256| _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps::<1>(sums));
            let (lower, upper) = (half(lower), half(upper));
            _mm_storeu_ps(to, _mm_unpacklo_ps(lower, upper));
            _mm_storeu_ps(to.add(4), _mm_unpackhi_ps(lower, upper));
        }
    }
    #[inline(always)]
    fn mul_add_pairs(self, factor: Self, addend: Self) -> Self {
        if !ROUNDS {
            return portable::mul_add_pairs(self, factor, addend);
        }
        // SAFETY: a `__m512bh` is 32 bfloat16; the CPU has AVX512-BF16.
        unsafe {
            let pairs = |value| mem::transmute::<__m512, __m512bh>(value);
            // In this order the compiler takes what is broadcast from memory into the instruction.
            Avx512(_mm512_dpbf16_ps(addend.0, pairs(factor.0), pairs(self.0)))
        }
    }
}

impl Avx2 {
    /// All bits of lane `k` set where bit `k` of `bits` is.
    #[inline(always)]
    unsafe fn spread(bits: u16) -> __m256 {
        unsafe {
            let each = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
            let chosen = _mm256_and_si256(_mm256_set1_epi32(i32::from(bits)), each);
            _mm256_castsi256_ps(_mm256_cmpeq_epi32(chosen, each))
        }
    }
}

impl Vector for Ymm {
    const LEN: usize = 8;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Ymm(unsafe { _mm256_set1_ps(value) })
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Ymm(unsafe { _mm256_loadu_ps(from) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { _mm256_storeu_ps(to, self.0) }
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        Ymm(unsafe { _mm256_fmadd_ps(self.0, factor.0, addend.0) })
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(self.0), _mm256_extractf128_ps::<1>(self.0));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }
    #[inline(always)]
    unsafe fn store_sums([a, b, c, d]: [Self; 4], to: *mut f32) {
        // Lanes of all four come together in groups of four, and the groups in the end.
        unsafe {
            let ab = _mm256_add_ps(_mm256_unpacklo_ps(a.0, b.0), _mm256_unpackhi_ps(a.0, b.0));
            let cd = _mm256_add_ps(_mm256_unpacklo_ps(c.0, d.0), _mm256_unpackhi_ps(c.0, d.0));
            let (ab, cd) = (_mm256_castps_pd(ab), _mm256_castps_pd(cd));
            let low = _mm256_castpd_ps(_mm256_unpacklo_pd(ab, cd));
            let all = _mm256_add_ps(low, _mm256_castpd_ps(_mm256_unpackhi_pd(ab, cd)));
            _mm_storeu_ps(to, _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps::<1>(all)));
        }
    }
}

impl Vector for Avx2 {
    const LEN: usize = LANES;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        let half = unsafe { _mm256_set1_ps(value) };
        Avx2(half, half)
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        unsafe { Avx2(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe {
            _mm256_storeu_ps(to, self.0);
            _mm256_storeu_ps(to.add(8), self.1);
        }
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        unsafe { Avx2(_mm256_fmadd_ps(self.0, factor.0, addend.0), _mm256_fmadd_ps(self.1, factor.1, addend.1)) }
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        Ymm(unsafe { _mm256_add_ps(self.0, self.1) }).sum()
    }
}

impl Lanes for Avx2 {
    const REGISTERS: Registers = Registers::Narrow;
    type Register = Ymm;
    type Half = Ymm;

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        unsafe { Avx2(_mm256_max_ps(self.0, other.0), _mm256_max_ps(self.1, other.1)) }
    }
    #[inline(always)]
    fn positive(self) -> u16 {
        unsafe {
            let zero = _mm256_setzero_ps();
            let low = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(self.0, zero)) as u16;
            let high = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(self.1, zero)) as u16;
            low | high << 8
        }
    }
    #[inline(always)]
    fn keep(self, bits: u16) -> Self {
        unsafe { Avx2(_mm256_and_ps(self.0, Self::spread(bits)), _mm256_and_ps(self.1, Self::spread(bits >> 8))) }
    }
}
