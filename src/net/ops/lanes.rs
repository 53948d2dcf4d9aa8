//! Sixteen `f32` side by side: what every kernel here is written over.
//!
//! One kernel source serves all instruction sets. It is generic over [`Lanes`]; [`super::Isa::run`] instantiates it
//! inside a function compiled for the chosen set, into which everything marked `#[inline(always)]` is inlined. Loops over
//! lanes are written out, not with closures: a closure is a function of its own, compiled without the set, and where the
//! compiler does not inline it each instruction becomes a call.

use std::ops::{Add, Mul, Sub};

/// Channels of a block, and lanes of a vector.
pub const LANES: usize = 16;

/// How many accumulators a set's registers hold, which is the shape of the inner tile of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registers {
    /// 32 registers of 16 lanes: 12 rows by 2 blocks.
    Wide,
    /// Fewer (16 of 8 lanes, 32 of 4): 6 rows by one block.
    Narrow,
}

/// Some `f32` side by side.
///
/// A value exists only where the CPU has the instructions (the constructors are unsafe), so arithmetic is safe.
pub trait Vector: Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> {
    /// How many.
    const LEN: usize;

    /// # Safety
    /// The CPU has the instruction set.
    unsafe fn splat(value: f32) -> Self;

    /// # Safety
    /// The CPU has the instruction set; [`Self::LEN`] floats can be read at `from` (any alignment).
    unsafe fn load(from: *const f32) -> Self;

    /// # Safety
    /// [`Self::LEN`] floats can be written at `to` (any alignment).
    unsafe fn store(self, to: *mut f32);

    /// `self * factor + addend`, rounded once where the set has such an instruction.
    fn mul_add(self, factor: Self, addend: Self) -> Self;

    /// The sum of all lanes.
    fn sum(self) -> f32;

    /// # Safety
    /// The CPU has the instruction set.
    #[inline(always)]
    unsafe fn zero() -> Self {
        unsafe { Self::splat(0.0) }
    }
}

/// A vector of 16 `f32`.
pub trait Lanes: Vector {
    const REGISTERS: Registers;

    /// One register, 16 lanes or a divisor of it: for what keeps a dozen values at once, which a set without registers of
    /// 16 lanes does better part by part.
    type Register: Vector;

    /// Eight lanes or fewer, where the set has such registers: for what needs half of a vector only.
    type Half: Vector;

    /// The greater of both, lane by lane.
    fn max(self, other: Self) -> Self;

    /// Bit `k` is set where lane `k` is above 0 (NaN is not).
    fn positive(self) -> u16;

    /// Lanes whose bit is set; 0 elsewhere.
    fn keep(self, bits: u16) -> Self;
}

/// Portable lanes: whatever the compiler makes of a plain array. The reference for all others.
#[derive(Clone, Copy, Debug)]
pub struct Plain([f32; LANES]);

macro_rules! plain_operator {
    ($name:ident, $method:ident, $op:tt) => {
        impl $name for Plain {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Plain(std::array::from_fn(|k| self.0[k] $op other.0[k]))
            }
        }
    };
}
plain_operator!(Add, add, +);
plain_operator!(Sub, sub, -);
plain_operator!(Mul, mul, *);

impl Vector for Plain {
    const LEN: usize = LANES;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Plain([value; LANES])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Plain(unsafe { from.cast::<[f32; LANES]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<[f32; LANES]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, addend: Self) -> Self {
        // Two roundings on purpose: `f32::mul_add` is a library call where the CPU has no such instruction.
        Plain(std::array::from_fn(|k| self.0[k] * factor.0[k] + addend.0[k]))
    }
    #[inline(always)]
    fn sum(self) -> f32 {
        let quarter: [f32; 4] = std::array::from_fn(|k| (self.0[k] + self.0[k + 8]) + (self.0[k + 4] + self.0[k + 12]));
        (quarter[0] + quarter[2]) + (quarter[1] + quarter[3])
    }
}

impl Lanes for Plain {
    const REGISTERS: Registers = Registers::Narrow;
    type Register = Self;
    type Half = Self;

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Plain(std::array::from_fn(|k| if self.0[k] > other.0[k] { self.0[k] } else { other.0[k] }))
    }
    #[inline(always)]
    fn positive(self) -> u16 {
        (0..LANES).fold(0, |bits, k| bits | (u16::from(self.0[k] > 0.0) << k))
    }
    #[inline(always)]
    fn keep(self, bits: u16) -> Self {
        Plain(std::array::from_fn(|k| if bits >> k & 1 == 1 { self.0[k] } else { 0.0 }))
    }
}
