//! [`Lanes`] for NEON: four registers of four lanes.

use std::{
    arch::aarch64::*,
    ops::{Add, Mul, Sub},
};

use super::lanes::{LANES, Lanes, Registers, Vector};

/// One 128-bit register.
#[derive(Clone, Copy)]
pub struct Quad(float32x4_t);

/// Four of them.
#[derive(Clone, Copy)]
pub struct Neon([float32x4_t; 4]);

// SAFETY of all unsafe blocks here: NEON is part of every aarch64 target that Rust has a standard library for; pointers
// are the caller's promise.

/// All four registers, without a closure (closures are functions of their own, compiled without the instruction set).
macro_rules! each {
    ($q:ident => $value:expr) => {{
        macro_rules! one {
            ($index:literal) => {{
                let $q: usize = $index;
                unsafe { $value }
            }};
        }
        Neon([one!(0), one!(1), one!(2), one!(3)])
    }};
}

macro_rules! operator {
    ($name:ident, $method:ident, $quad:ident) => {
        impl $name for Quad {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Quad(unsafe { $quad(self.0, other.0) })
            }
        }
        impl $name for Neon {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                each!(q => $quad(self.0[q], other.0[q]))
            }
        }
    };
}
operator!(Add, add, vaddq_f32);
operator!(Sub, sub, vsubq_f32);
operator!(Mul, mul, vmulq_f32);

impl Neon {
    /// All bits of lane `k` of quarter `q` set where bit `4 q + k` of `bits` is.
    #[inline(always)]
    fn spread(bits: u16, q: usize) -> uint32x4_t {
        const EACH: [u32; 4] = [1, 2, 4, 8];
        unsafe { vtstq_u32(vdupq_n_u32(u32::from(bits) >> (4 * q)), vld1q_u32(EACH.as_ptr())) }
    }
}

impl Vector for Quad {
    const LEN: usize = 4;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Quad(unsafe { vdupq_n_f32(value) })
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Quad(unsafe { vld1q_f32(from) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { vst1q_f32(to, self.0) }
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        Quad(unsafe { vfmaq_f32(addend.0, self.0, factor.0) })
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        unsafe { vaddvq_f32(self.0) }
    }
}

impl Vector for Neon {
    const LEN: usize = LANES;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Neon([unsafe { vdupq_n_f32(value) }; 4])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        each!(q => vld1q_f32(from.add(4 * q)))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        for q in 0..4 {
            unsafe { vst1q_f32(to.add(4 * q), self.0[q]) }
        }
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        each!(q => vfmaq_f32(addend.0[q], self.0[q], factor.0[q]))
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        unsafe { vaddvq_f32(vaddq_f32(vaddq_f32(self.0[0], self.0[2]), vaddq_f32(self.0[1], self.0[3]))) }
    }
}

impl Lanes for Neon {
    const REGISTERS: Registers = Registers::Narrow;
    type Register = Quad;
    type Half = Quad;

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        each!(q => vmaxq_f32(self.0[q], other.0[q]))
    }
    #[inline(always)]
    fn positive(self) -> u16 {
        const EACH: [u32; 4] = [1, 2, 4, 8];
        (0..4).fold(0, |bits, q| {
            let four = unsafe { vaddvq_u32(vandq_u32(vcgtzq_f32(self.0[q]), vld1q_u32(EACH.as_ptr()))) };
            bits | (four as u16) << (4 * q)
        })
    }
    #[inline(always)]
    fn keep(self, bits: u16) -> Self {
        each!(q => vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(self.0[q]), Self::spread(bits, q))))
    }
}
