//! Several planes along one flow: the place of each pixel is worked out once, and the values there lie side by side.
//!
//! Processors gather single values slowly (AMD's in particular). Eight planes, pixel by pixel, are fetched a whole register
//! at a time.

use std::ops::Range;

use ::wide::f32x4;

use super::{FlowField, Places, SNAP, TOGETHER, wide};
use crate::{
    frame::Size,
    threads::{Parallel, strips, strips_of},
};

/// Planes side by side.
pub(super) const ABREAST: usize = 8;

/// So many planes, pixel by pixel.
pub(super) type Pixels<const N: usize> = [[f32; N]];

/// Warps planes in place, with a buffer of its own.
pub struct BundleWarp {
    pixels: Vec<[f32; ABREAST]>,
}

impl BundleWarp {
    /// For planes of this size.
    pub fn new(size: Size) -> Self {
        BundleWarp { pixels: vec![[0.0; ABREAST]; size.area()] }
    }

    /// Replaces every plane by what the flow takes there, bilinear: as [`super::warp`] to the bit.
    ///
    /// # Panics
    /// If a plane is not of the size that this was made for, or the flow.
    pub fn warp(&mut self, threads: &dyn Parallel, planes: &mut [&mut [f32]], flow: &FlowField) {
        assert_eq!(self.pixels.len(), flow.size.area(), "the size of the flow");
        let width = flow.size.width;
        for planes in planes.chunks_mut(ABREAST) {
            assert!(planes.iter().all(|plane| plane.len() == self.pixels.len()), "planes of {}", flow.size);
            strips(threads, [&mut self.pixels], width, |range, [pixels]| interleave(planes, range.start, pixels));
            strips_of(threads, planes, width, |range, planes| bilinear(&self.pixels, flow, range, planes));
        }
    }
}

/// Whether all of a stretch of the flow points to the pixels themselves.
#[inline(always)]
pub(super) fn at_rest(u: &[f32], v: &[f32]) -> bool {
    u.iter().zip(v).fold(true, |all, (u, v)| all & (u.abs() < SNAP) & (v.abs() < SNAP))
}

/// Puts planes side by side, from their value `first` on; lanes without a plane keep what they have.
pub(super) fn interleave<P: AsRef<[f32]>, const N: usize>(planes: &[P], first: usize, pixels: &mut Pixels<N>) {
    for start in (0..pixels.len()).step_by(TOGETHER) {
        let count = (pixels.len() - start).min(TOGETHER);
        let to = &mut pixels[start..start + count];
        for (lane, plane) in planes.iter().enumerate() {
            for (pixel, value) in to.iter_mut().zip(&plane.as_ref()[first + start..]) {
                pixel[lane] = *value;
            }
        }
    }
}

/// Puts some pixels from place `at` on back into planes, four pixels of four planes at a time.
#[inline(always)]
pub(super) fn scatter<const N: usize>(pixels: &Pixels<N>, planes: &mut [&mut [f32]], at: usize) {
    let (blocks, rest) = pixels.as_chunks::<4>();
    let left = at + 4 * blocks.len();
    for (planes, lane) in planes.chunks_mut(4).zip((0..N).step_by(4)) {
        for (block, at) in blocks.iter().zip((at..).step_by(4)) {
            let pixels = (four(&block[0], lane), four(&block[1], lane), four(&block[2], lane), four(&block[3], lane));
            let lanes = f32x4::transpose([pixels.0.into(), pixels.1.into(), pixels.2.into(), pixels.3.into()]);
            for (plane, values) in planes.iter_mut().zip(lanes) {
                plane[at..at + 4].copy_from_slice(values.as_array());
            }
        }
        for (lane, plane) in (lane..).zip(planes) {
            for (value, pixel) in plane[left..].iter_mut().zip(rest) {
                *value = pixel[lane];
            }
        }
    }
}

#[inline(always)]
fn four(values: &[f32], at: usize) -> [f32; 4] {
    *values[at..].first_chunk().expect("four values")
}

wide! {
    /// Of the rows that `range` is of a plane, which `planes` are of all.
    fn bilinear(pixels: &Pixels<ABREAST>, flow: &FlowField, range: Range<usize>, planes: &mut [&mut [f32]]) {
        let Size { width, .. } = flow.size;
        let mut places = Places::new();
        let mut row = [[0.0f32; ABREAST]; TOGETHER];
        for y in range.start / width..range.end / width {
            for x in (0..width).step_by(TOGETHER) {
                let at = y * width + x;
                let count = (width - x).min(TOGETHER);
                if at_rest(&flow.u[at..][..count], &flow.v[at..][..count]) {
                    // As it is.
                    continue;
                }
                places.find((x, y), &flow.u[at..][..count], &flow.v[at..][..count], flow.size, SNAP);
                for (k, out) in row[..count].iter_mut().enumerate() {
                    *out = places.bilinear_pixel(pixels, k);
                }
                scatter(&row[..count], planes, at - range.start);
            }
        }
    }
}
