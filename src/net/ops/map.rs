//! The pixels of a feature map as kernels store them: 16 floats a block of channels, or 16 bfloat16 in the bits of 8 floats where the
//! set rounds ([`Lanes::ROUNDS`]): half of the memory to go through, and what products want as it is.

use super::{
    blocked::FeatureShape,
    isa::Isa,
    lanes::{Lanes, portable::apart},
    product::floats_of,
};

/// Floats that a map takes.
pub fn len(isa: Isa, shape: FeatureShape) -> usize {
    shape.pixels() * floats_of(isa)
}

/// One pixel's 16 channels.
///
/// # Safety
/// The CPU has the instruction set; [`super::product::floats`] can be read at `from`.
#[inline(always)]
pub unsafe fn load<L: Lanes>(from: *const f32) -> L {
    // SAFETY: the caller's promise.
    unsafe {
        match L::ROUNDS {
            true => L::load_rounded(from.cast()),
            false => L::load(from),
        }
    }
}

/// # Safety
/// [`super::product::floats`] can be written at `to`.
#[inline(always)]
pub unsafe fn store<L: Lanes>(pixel: L, to: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe {
        match L::ROUNDS {
            true => pixel.store_rounded(to.cast()),
            false => pixel.store(to),
        }
    }
}

/// All values of a map, block by block.
pub fn values(isa: Isa, map: &[f32]) -> impl Iterator<Item = f32> {
    let rounds = isa.rounds();
    map.iter().flat_map(move |&float| {
        let (values, count) = if rounds { (apart(float), 2) } else { ([float, 0.0], 1) };
        values.into_iter().take(count)
    })
}

/// Blocked values as the set stores them, and back, for tests.
#[cfg(test)]
pub mod stored {
    use super::{
        super::{isa::Kernel, lanes::LANES, product::floats},
        *,
    };

    struct Store<'a>(&'a [f32], &'a mut [f32]);

    impl Kernel for Store<'_> {
        type Output = ();
        #[inline(always)]
        unsafe fn run<L: Lanes>(self) {
            for (from, to) in self.0.chunks_exact(LANES).zip(self.1.chunks_exact_mut(floats::<L>())) {
                // SAFETY: each chunk is a pixel.
                unsafe { store(L::load(from.as_ptr()), to.as_mut_ptr()) }
            }
        }
    }

    pub fn pack(isa: Isa, blocked: &[f32]) -> Vec<f32> {
        let mut map = vec![0.0; blocked.len() / LANES * floats_of(isa)];
        // SAFETY: the kernel goes no further than its slices.
        unsafe { isa.run(Store(blocked, &mut map)) };
        map
    }

    pub fn unpack(isa: Isa, map: &[f32]) -> Vec<f32> {
        values(isa, map).collect()
    }

    #[test]
    fn pixels_come_back() {
        let values: Vec<f32> = (0..3 * LANES).map(|k| (k as f32 - 20.0) / 4.0).collect();
        for isa in Isa::available().into_iter().chain(Isa::rounding()) {
            let map = pack(isa, &values);
            assert_eq!((map.len(), unpack(isa, &map)), (3 * floats_of(isa), values.clone()), "{isa}");
        }
    }
}
