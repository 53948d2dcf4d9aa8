//! One source, several machine codes: hot loops are compiled for plain x86-64 (or any other processor), once more for
//! AVX2 and once for AVX-512, and the widest that the processor has is chosen when they run.
//!
//! The bodies use no fused multiply-add and fix their order of summation, so all give the same bits.
//!
//! What keeps a body out of wide registers, each found in a profile: a cast from float to integer (it has to keep within the
//! integer's range, value by value: [`crate::motion::warp::nearest`]); a closure given to `map` or `from_fn` (a function of its own,
//! compiled without them); a copy of a length that is not known; every second or eighth value of a slice, fetched one by one; slices taken from a
//! struct, which might overlap what is written (arguments of a function do not). What does few values at a time is written over
//! vectors: of four, the crate wide's, or of eight ([`eight`]), which that crate would make of two of four.

pub(crate) mod eight;

/// Defines a function whose body is compiled for each [`Code`], see the module's text. What the body calls must be
/// `#[inline(always)]` to profit. A body whose
/// first argument is `simd: Eight` gets vectors of eight by it; callers leave it out.
macro_rules! wide {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($simd:ident: Eight, $($arg:ident: $ty:ty),* $(,)?) $body:block) => {
        $(#[$meta])*
        $vis fn $name($($arg: $ty),*) {
            use $crate::dispatch::eight;

            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn body<S: eight::Eight>($simd: S, $($arg: $ty),*) $body

            #[cfg(target_arch = "x86_64")]
            {
                use $crate::dispatch::{Code, code};

                #[target_feature(enable = "avx2")]
                #[allow(clippy::too_many_arguments)]
                fn avx2($($arg: $ty),*) {
                    // SAFETY: compiled for AVX2, so it runs only where there is.
                    body(unsafe { eight::Ymm::new() }, $($arg),*)
                }
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
                #[allow(clippy::too_many_arguments)]
                fn avx512($($arg: $ty),*) {
                    // SAFETY: AVX-512 includes AVX2.
                    body(unsafe { eight::Ymm::new() }, $($arg),*)
                }
                match code() {
                    // SAFETY: the processor has just been seen to have these.
                    Code::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: and so here.
                    Code::Avx2 => return unsafe { avx2($($arg),*) },
                    Code::Plain => {}
                }
            }
            body(eight::Portable, $($arg),*)
        }
    };
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $body:block) => {
        $crate::dispatch::wide! { $(#[$meta])* $vis fn $name(_simd: Eight, $($arg: $ty),*) $body }
    };
}
pub(crate) use wide;

/// What bodies are compiled for, the narrowest first.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Code {
    Plain,
    Avx2,
    Avx512,
}

/// The widest that this processor has.
#[cfg(target_arch = "x86_64")]
pub(crate) fn code() -> Code {
    use std::arch::is_x86_feature_detected as has;
    #[cfg(test)]
    let limit = LIMIT.get();
    #[cfg(not(test))]
    let limit = Code::Avx512;
    if limit >= Code::Avx512 && has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") {
        Code::Avx512
    } else if limit >= Code::Avx2 && has!("avx2") {
        Code::Avx2
    } else {
        Code::Plain
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
thread_local! {
    /// This thread takes nothing wider, so that tests can compare.
    static LIMIT: std::cell::Cell<Code> = const { std::cell::Cell::new(Code::Avx512) };
}

/// What `make` gives on this thread with each code that this processor has, the plain one first.
#[cfg(test)]
pub(super) fn in_each_code<T>(mut make: impl FnMut() -> T) -> Vec<T> {
    #[cfg(target_arch = "x86_64")]
    {
        let widest = code();
        let codes = [Code::Plain, Code::Avx2, Code::Avx512].into_iter().filter(|&code| code <= widest);
        let made = codes.map(|code| (LIMIT.set(code), make()).1).collect();
        LIMIT.set(Code::Avx512);
        made
    }
    #[cfg(not(target_arch = "x86_64"))]
    vec![make()]
}
