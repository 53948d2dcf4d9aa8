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

    /// Writes the sums of all lanes of four vectors, one after the other.
    ///
    /// # Safety
    /// Four floats can be written at `to` (any alignment).
    #[inline(always)]
    unsafe fn store_sums(four: [Self; 4], to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<[f32; 4]>().write_unaligned([four[0].sum(), four[1].sum(), four[2].sum(), four[3].sum()]) }
    }

    /// Writes each lane as bfloat16, rounded to the nearest: [`Self::LEN`] of them.
    ///
    /// # Safety
    /// [`Self::LEN`] values can be written at `to` (any alignment).
    #[inline(always)]
    unsafe fn store_rounded(self, to: *mut u16) {
        // SAFETY: the caller's promise.
        unsafe { portable::store_rounded(self, to) }
    }

    /// Reads what [`Vector::store_rounded`] has written.
    ///
    /// # Safety
    /// The CPU has the instruction set; [`Self::LEN`] values can be read at `from` (any alignment).
    #[inline(always)]
    unsafe fn load_rounded(from: *const u16) -> Self {
        // SAFETY: the caller's promise.
        unsafe { portable::load_rounded(from) }
    }

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

    /// Whether maps are stored as bfloat16 ([`super::map`]) and products round their factors to it, two of which then share a lane
    /// ([`Lanes::pair`]): the CPU multiplies twice as many of them at a time. Sums stay `f32`.
    const ROUNDS: bool = false;

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

    /// Lane by lane both as bfloat16 in one lane's bits, this one's in the lower half.
    #[inline(always)]
    fn pair(self, other: Self) -> Self {
        portable::pair(self, other)
    }

    /// [`Lanes::pair`] of two pixels, which lie one after the other as [`Vector::store_rounded`] has written them.
    ///
    /// # Safety
    /// The CPU has the instruction set; 32 values can be read at `from` (any alignment).
    #[inline(always)]
    unsafe fn load_pair(from: *const u16) -> Self {
        // SAFETY: the caller's promise.
        unsafe { portable::load_pair(from) }
    }

    /// Writes the sums of the lower and of the upper eight lanes of four vectors, one after the other.
    ///
    /// # Safety
    /// Eight floats can be written at `to` (any alignment).
    #[inline(always)]
    unsafe fn store_half_sums(four: [Self; 4], to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { portable::store_half_sums(four, to) }
    }

    /// The products of both values of each lane's pairs, added to `addend`.
    #[inline(always)]
    fn mul_add_pairs(self, factor: Self, addend: Self) -> Self {
        portable::mul_add_pairs(self, factor, addend)
    }
}

/// bfloat16, the upper half of an `f32`, for sets that have no instructions for it: slow, and the reference for those that do.
pub(super) mod portable {
    use super::{LANES, Lanes, Vector};

    /// The nearest bfloat16; of two as near the even one. Not for NaN.
    fn round(value: f32) -> u16 {
        let bits = value.to_bits();
        ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16) as u16
    }

    fn lanes<V: Vector>(vector: V) -> [f32; LANES] {
        let mut values = [0.0; LANES];
        // SAFETY: a vector is no longer than the array.
        unsafe { vector.store(values.as_mut_ptr()) };
        values
    }

    /// # Safety
    /// As [`Vector::store_rounded`].
    pub unsafe fn store_rounded<V: Vector>(vector: V, to: *mut u16) {
        for (lane, value) in lanes(vector)[..V::LEN].iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { to.add(lane).write_unaligned(round(*value)) }
        }
    }

    /// # Safety
    /// As [`Vector::load_rounded`].
    pub unsafe fn load_rounded<V: Vector>(from: *const u16) -> V {
        let mut values = [0.0; LANES];
        for (lane, value) in values[..V::LEN].iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *value = f32::from_bits(u32::from(unsafe { from.add(lane).read_unaligned() }) << 16);
        }
        // SAFETY: a vector is no longer than the array.
        unsafe { V::load(values.as_ptr()) }
    }

    /// # Safety
    /// As [`Lanes::load_pair`].
    pub unsafe fn load_pair<L: Lanes>(from: *const u16) -> L {
        // SAFETY: the caller's promise.
        unsafe { L::load_rounded(from).pair(L::load_rounded(from.add(LANES))) }
    }

    /// # Safety
    /// As [`Lanes::store_half_sums`].
    pub unsafe fn store_half_sums<L: Lanes>(four: [L; 4], to: *mut f32) {
        for (k, vector) in four.into_iter().enumerate() {
            let lanes = lanes(vector);
            let (lower, upper) = lanes.split_at(LANES / 2);
            for (half, lanes) in [lower, upper].into_iter().enumerate() {
                // SAFETY: the caller's promise.
                unsafe { to.add(2 * k + half).write_unaligned(lanes.iter().sum()) }
            }
        }
    }

    /// The two bfloat16 in a float's bits, the one in the lower half first.
    pub fn apart(pair: f32) -> [f32; 2] {
        [pair.to_bits() << 16, pair.to_bits() & 0xFFFF_0000].map(f32::from_bits)
    }

    pub fn pair<L: Lanes>(low: L, high: L) -> L {
        let (mut low, high) = (lanes(low), lanes(high));
        for (low, high) in low.iter_mut().zip(high) {
            *low = f32::from_bits(u32::from(round(*low)) | u32::from(round(high)) << 16);
        }
        // SAFETY: the array has 16 floats; a value is proof that the CPU has the set.
        unsafe { L::load(low.as_ptr()) }
    }

    pub fn mul_add_pairs<L: Lanes>(one: L, other: L, addend: L) -> L {
        let mut sums = lanes(addend);
        for (sum, (one, other)) in sums.iter_mut().zip(lanes(one).into_iter().zip(lanes(other))) {
            let ([a, b], [c, d]) = (apart(one), apart(other));
            *sum += a * c + b * d;
        }
        // SAFETY: as above.
        unsafe { L::load(sums.as_ptr()) }
    }
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
