//! The choice of instruction set, made at run time.

use std::fmt;

use super::lanes::{Lanes, Plain};
#[cfg(target_arch = "aarch64")]
use super::lanes_neon::Neon;
#[cfg(target_arch = "x86_64")]
use super::lanes_x86::{Avx2, Avx512};

/// An instruction set that this CPU has: [`Isa::best`], or one of [`Isa::available`] to compare them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(Set);

// Private, so that nobody can name a set that the CPU lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "aarch64")]
    Neon,
    Plain,
}

/// A piece of work written over [`Lanes`].
pub trait Kernel {
    type Output;

    /// Implementations, and all they call that touches lanes, are `#[inline(always)]`: only so does the code land in a
    /// function compiled for the instruction set.
    ///
    /// # Safety
    /// The CPU has the instruction set of `L`; what the kernel says of its own fields holds.
    unsafe fn run<L: Lanes>(self) -> Self::Output;
}

impl Isa {
    /// Portable code, on any CPU.
    pub const PLAIN: Isa = Isa(Set::Plain);

    /// The fastest set that this CPU has in single precision.
    pub fn best() -> Isa {
        Self::available()[0]
    }

    /// A set that multiplies bfloat16, about twice as fast as [`Isa::best`], if this CPU has one: products have 8 bits of mantissa, sums 24.
    pub fn rounding() -> Option<Isa> {
        #[cfg(target_arch = "x86_64")]
        {
            let all = is_x86_feature_detected!("avx512bf16") && is_x86_feature_detected!("avx512bw");
            if all && Self::best() == Isa(Set::Avx512) {
                return Some(Isa(Set::Avx512Bf16));
            }
        }
        None
    }

    /// Whether products round their factors to bfloat16, and maps are stored so.
    pub fn rounds(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self.0 == Set::Avx512Bf16;
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// All sets of single precision that this CPU has, the fastest first; the last is [`Isa::PLAIN`].
    pub fn available() -> Vec<Isa> {
        let mut sets = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") {
                sets.push(Isa(Set::Avx512));
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                sets.push(Isa(Set::Avx2));
            }
        }
        #[cfg(target_arch = "aarch64")]
        sets.push(Isa(Set::Neon));
        sets.push(Isa::PLAIN);
        sets
    }

    /// The set of this name (`avx512-bf16`, `avx512`, `avx2`, `neon`, `plain`), if the CPU has it.
    pub fn named(name: &str) -> Option<Isa> {
        Self::available().into_iter().chain(Self::rounding()).find(|isa| isa.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512Bf16 => "avx512-bf16",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_arch = "aarch64")]
            Set::Neon => "neon",
            Set::Plain => "plain",
        }
    }

    /// Runs a kernel compiled for this set.
    ///
    /// # Safety
    /// What the kernel says of its own fields holds.
    #[inline]
    pub(super) unsafe fn run<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: an `Isa` is made only where the CPU has the set; the rest is the caller's promise.
        unsafe {
            match self.0 {
                #[cfg(target_arch = "x86_64")]
                Set::Avx512Bf16 => run_avx512_bf16(kernel),
                #[cfg(target_arch = "x86_64")]
                Set::Avx512 => run_avx512(kernel),
                #[cfg(target_arch = "x86_64")]
                Set::Avx2 => run_avx2(kernel),
                #[cfg(target_arch = "aarch64")]
                Set::Neon => run_neon(kernel),
                Set::Plain => kernel.run::<Plain>(),
            }
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx2,fma")]
unsafe fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller's promise.
    unsafe { kernel.run::<Avx512<false>>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512bf16,avx2,fma")]
unsafe fn run_avx512_bf16<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller's promise.
    unsafe { kernel.run::<Avx512<true>>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller's promise.
    unsafe { kernel.run::<Avx2>() }
}

#[cfg(target_arch = "aarch64")]
#[target_feature(enable = "neon")]
unsafe fn run_neon<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller's promise.
    unsafe { kernel.run::<Neon>() }
}

#[cfg(test)]
mod tests {
    use super::{super::lanes::LANES, *};

    /// Every operation once, results one after the other.
    struct Everything<'a>(&'a [f32; LANES], &'a [f32; LANES]);

    impl Kernel for Everything<'_> {
        type Output = (Vec<f32>, u16, f32);
        #[inline(always)]
        unsafe fn run<L: Lanes>(self) -> Self::Output {
            unsafe {
                let (a, b) = (L::load(self.0.as_ptr()), L::load(self.1.as_ptr()));
                let results = [
                    a + b,
                    a - b,
                    a * b,
                    a.mul_add(b, L::splat(0.5)),
                    a.max(b),
                    a.keep(0b1010_0101_1100_0011),
                    a.keep(b.positive()),
                    a.pair(b).mul_add_pairs(b.pair(L::splat(2.0)), L::splat(0.5)),
                ];
                let mut out = vec![0.0; results.len() * LANES];
                for (k, result) in results.into_iter().enumerate() {
                    result.store(out.as_mut_ptr().add(k * LANES));
                }
                let mut sums = [0.0; 4];
                L::store_sums([a, b, a + b, a - b], sums.as_mut_ptr());
                out.extend(sums);
                let mut rounded = [0; LANES];
                (a * L::splat(1.01)).store_rounded(rounded.as_mut_ptr());
                out.extend(rounded.map(f32::from));
                let mut two = [0; 2 * LANES];
                a.store_rounded(two.as_mut_ptr());
                b.store_rounded(two[LANES..].as_mut_ptr());
                let mut again = [[0.0; LANES]; 2];
                L::load_rounded(two.as_ptr()).store(again[0].as_mut_ptr());
                L::load_pair(two.as_ptr()).mul_add_pairs(a.pair(b), L::zero()).store(again[1].as_mut_ptr());
                out.extend(again.as_flattened());
                let mut halves = [0.0; 8];
                L::store_half_sums([a, b, a + b, a - b], halves.as_mut_ptr());
                out.extend(halves);
                (out, a.positive(), b.sum())
            }
        }
    }

    #[test]
    fn all_sets_agree_on_every_operation() {
        // Small integers and quarters: every operation is exact, so the sets must agree to the bit.
        let a = std::array::from_fn(|k| [0.0, -1.5, 3.0, -0.25, 8.0][k % 5]);
        let mut b: [f32; LANES] = std::array::from_fn(|k| [2.0, -4.0, 0.0, 0.5][k * 7 % 4]);
        b[15] = -0.75;
        // SAFETY: the kernel reads its two arrays and no more.
        let expected = unsafe { Isa::PLAIN.run(Everything(&a, &b)) };
        assert_eq!(expected.0[3 * LANES + 1], -0.25);
        let round = |value: f32| f32::from((value.to_bits() >> 16) as u16);
        assert_eq!(expected.0[8 * LANES + 4..][..3], [0.0, -1.515625, 3.03125].map(round), "to the nearest of 8 bits");
        for isa in Isa::available().into_iter().chain(Isa::rounding()) {
            assert_eq!(unsafe { isa.run(Everything(&a, &b)) }, expected, "{isa}");
            assert_eq!(Isa::named(isa.name()), Some(isa));
        }
        assert_eq!(Isa::named("sse9"), None);
    }
}
