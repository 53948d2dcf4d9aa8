//! Rows of floats that begin where a cache line does.

use std::ops::{Deref, DerefMut};

/// Floats in a cache line; the widest vectors are as wide.
pub const LINE: usize = 16;

/// Floats in whole cache lines, so that no vector straddles two.
#[derive(Clone, Debug, Default)]
pub struct Aligned(Vec<Line>);

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

impl Aligned {
    /// At least `len` zeros, rounded up to whole lines.
    pub fn zeros(len: usize) -> Self {
        Aligned(vec![Line([0.0; LINE]); len.div_ceil(LINE)])
    }

    /// Makes room for `len` floats; what is new is zero.
    pub fn grow(&mut self, len: usize) {
        if self.0.len() < len.div_ceil(LINE) {
            self.0.resize(len.div_ceil(LINE), Line([0.0; LINE]));
        }
    }
}

impl From<&[f32]> for Aligned {
    fn from(values: &[f32]) -> Self {
        let mut aligned = Aligned::zeros(values.len());
        aligned[..values.len()].copy_from_slice(values);
        aligned
    }
}

impl Deref for Aligned {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: a `Line` is 16 floats without padding.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * LINE) }
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: a `Line` is 16 floats without padding.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * LINE) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligned_is_aligned() {
        let mut buffer = Aligned::from(&[1.0, 2.0][..]);
        buffer.grow(100);
        assert_eq!(buffer.as_ptr() as usize % 64, 0);
        assert_eq!((buffer.len(), buffer[0], buffer[1], buffer[2], buffer[99]), (112, 1.0, 2.0, 0.0, 0.0));
    }
}
