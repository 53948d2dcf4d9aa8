//! The painted difference on its way from one frame to the next.

use crate::{
    dispatch::wide,
    frame::Size,
    motion::{FlowField, Plane, SplineWarp, box_mean::box_mean_where},
    tensor,
    threads::{Parallel, strips},
};

/// What differs from its mean over a square of side `2 FINE + 1` pixels is fine detail.
pub(crate) const FINE: usize = 4;

/// The painted difference, and what of the frame's detail comes with it. All buffers are allocated when it is made.
pub(super) struct Paint {
    size: Size,
    /// d of the frame before: RGB, (3, h, w).
    pub difference: Vec<f32>,
    /// The same along the motion.
    pub carried: Vec<f32>,
    /// Luma of the frame before, as it was and along the motion; then what the latter leaves of the frame's.
    before: Plane,
    residual: Vec<f32>,
    splines: SplineWarp,
    /// Scratch: (h, w).
    coarse: Vec<f32>,
}

impl Paint {
    /// For pictures of this size.
    pub fn new(size: Size) -> Self {
        let (plane, planes) = (|| vec![0.0; size.area()], || vec![0.0; 3 * size.area()]);
        Paint {
            size,
            difference: planes(),
            carried: planes(),
            before: Plane::new(size),
            residual: plane(),
            splines: SplineWarp::new(size),
            coarse: plane(),
        }
    }

    /// Takes the painted difference off the frame before.
    pub fn lift(&mut self, threads: &dyn Parallel, picture: &[f32], before: &[f32]) {
        let stride = self.size.width;
        strips(threads, [&mut self.difference], stride, |range, [difference]| {
            subtract(&picture[range.clone()], &before[range], difference);
        });
        self.before.set_luma_on(threads, before);
    }

    /// Moves it.
    pub fn follow(&mut self, threads: &dyn Parallel, flow: &FlowField) {
        let to = &mut [&mut self.carried[..], &mut self.residual];
        self.splines.warp_all(threads, &[&self.difference, self.before.data()], flow, to);
    }

    /// Moves a picture, in place.
    pub fn warp(&mut self, threads: &dyn Parallel, picture: &mut [f32], flow: &FlowField) {
        self.carried.copy_from_slice(picture);
        self.splines.warp(threads, &self.carried, flow, picture);
    }

    /// Takes from what was carried its own fine detail, as far as `softness`, (h, w), says.
    pub fn soften(&mut self, threads: &dyn Parallel, softness: &[f32]) {
        let Paint { size, coarse, .. } = self;
        for carried in self.carried.chunks_exact_mut(size.area()) {
            box_mean_where(threads, softness, carried, coarse, *size, FINE);
            strips(threads, [carried], size.width, |range, [carried]| {
                blur(carried, &coarse[range.clone()], &softness[range]);
            });
        }
    }

    /// Takes from what was carried the fine detail that the frame, of this `luma`, has and the motion does not explain, as far as the
    /// paint covers it. In luma alone: in colour there is little.
    pub fn cover_detail(&mut self, threads: &dyn Parallel, luma: &[f32], cover: &[f32]) {
        let Paint { size, coarse, residual, .. } = self;
        strips(threads, [residual], size.width, |range, [residual]| take_from(&luma[range], residual));
        box_mean_where(threads, cover, residual, coarse, *size, FINE);
        strips(threads, tensor::channels(&mut self.carried), size.width, |range, carried| {
            let (residual, coarse) = (&residual[range.clone()], &coarse[range.clone()]);
            carried.into_iter().for_each(|carried| self::cover(carried, residual, coarse, &cover[range.clone()]));
        });
    }

    /// The frame with what was carried on it.
    pub fn put(&self, threads: &dyn Parallel, frame: &[f32], picture: &mut [f32]) {
        strips(threads, [picture], self.size.width, |range, [picture]| {
            add_within(&frame[range.clone()], &self.carried[range], picture);
        });
    }
}

wide! {
    /// Towards the coarse plane, each pixel by its softness.
    fn blur(plane: &mut [f32], coarse: &[f32], softness: &[f32]) {
        for ((d, coarse), softness) in plane.iter_mut().zip(coarse).zip(softness) {
            *d += softness * (coarse - *d);
        }
    }
}

wide! {
    /// `whole - part`, in place of the part.
    fn take_from(whole: &[f32], part: &mut [f32]) {
        part.iter_mut().zip(whole).for_each(|(part, whole)| *part = whole - *part);
    }
}

wide! {
    /// Takes what is fine of a plane from another, as far as it is covered.
    fn cover(carried: &mut [f32], plane: &[f32], coarse: &[f32], cover: &[f32]) {
        for ((d, (value, coarse)), cover) in carried.iter_mut().zip(plane.iter().zip(coarse)).zip(cover) {
            *d -= cover * (value - coarse);
        }
    }
}

wide! {
    fn subtract(a: &[f32], b: &[f32], out: &mut [f32]) {
        for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
            *out = a - b;
        }
    }
}

wide! {
    /// The sum, held within `[0, 1]`.
    fn add_within(a: &[f32], b: &[f32], out: &mut [f32]) {
        for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
            *out = (a + b).clamp(0.0, 1.0);
        }
    }
}
