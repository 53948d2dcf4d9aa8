//! What each pixel's paint has been through: its age, what it was made for, and what follows for the next steps.

use super::{Detail, Pace, stale::LOOKS, trust};
use crate::{
    dispatch::wide,
    frame::Size,
    motion::{BundleWarp, Plane, Seen},
    threads::{Parallel, strips},
};

/// Share of its age that paint keeps where the motion is not reliable: it comes from a place that looks alike.
const KEPT_AGE: f32 = 0.3;

/// The paint's past. All planes are (h, w), and all buffers allocated when it is made.
pub(super) struct Past {
    pub size: Size,
    pub pace: Pace,
    pub detail: Detail,
    /// Steps that each pixel's paint has seen.
    pub age: Vec<f32>,
    /// How fresh the paint is, 1 to 0.
    pub freshness: Vec<f32>,
    /// The share of the paint that the content cost allows for, in `[0, 1]`.
    pub allowed: Vec<f32>,
    /// How much of the frame's unexplained fine detail the paint covers, in `[0, 1]`.
    pub cover: Vec<f32>,
    /// How far the paint is smoothed when it is carried, in `[0, 1]`.
    pub softness: Vec<f32>,
    /// How much of the optimizer's momentum goes along, in `[0, 1]`.
    pub momentum: Vec<f32>,
    /// What the frame looks like near each pixel, and what it looked like where that pixel's paint was made: `LOOKS` planes each.
    pub looks: Vec<f32>,
    pub made_for: Vec<f32>,
    /// Whether the latter is to begin anew.
    pub forgotten: bool,
    /// How far each pixel's paint has outlived what it was made for, in `[0, 1]`.
    pub stale: Vec<f32>,
    /// Luma of the frame.
    pub luma: Plane,
    /// Moves what belongs to pixels, the optimizer's state too.
    pub bundle: BundleWarp,
    /// Scratch: (h, w).
    pub coarse: Vec<f32>,
}

impl Past {
    /// For pictures of this size.
    pub fn new(size: Size, pace: Pace, detail: Detail) -> Self {
        let (plane, looks) = (|| vec![0.0; size.area()], || vec![0.0; LOOKS * size.area()]);
        Past {
            size,
            pace,
            detail,
            age: plane(),
            freshness: plane(),
            allowed: plane(),
            cover: plane(),
            softness: plane(),
            momentum: vec![1.0; size.area()],
            looks: looks(),
            made_for: looks(),
            forgotten: true,
            stale: plane(),
            luma: Plane::new(size),
            bundle: BundleWarp::new(size),
            coarse: plane(),
        }
    }

    /// A first frame was painted in so many steps.
    pub fn begin(&mut self, steps: usize) {
        self.age.fill(steps as f32);
        self.forgotten = true;
    }

    /// Goes along with the paint to the frame that was `seen`, which takes `rate` steps, and finds what follows for it.
    pub fn follow(&mut self, threads: &dyn Parallel, seen: &Seen, rate: f32) {
        self.carry(threads, seen);
        self.find_stale(threads, seen);
        self.set_detail(threads, seen, rate);
        self.set_momentum(threads, seen);
    }

    /// The age of the paint, and what it was made for, go along with the paint; it counts as younger where the motion is not reliable.
    pub fn carry(&mut self, threads: &dyn Parallel, seen: &Seen) {
        let mut past: Vec<&mut [f32]> = self.made_for.chunks_exact_mut(self.size.area()).collect();
        past.push(&mut self.age);
        self.bundle.warp(threads, &mut past, seen.backward);
        strips(threads, [&mut self.age], self.size.width, |range, [age]| doubt(age, &seen.mask[range]));
    }
}

wide! {
    /// Makes paint younger where the motion is not reliable.
    fn doubt(age: &mut [f32], mask: &[f32]) {
        for (age, mask) in age.iter_mut().zip(mask) {
            *age *= KEPT_AGE + (1.0 - KEPT_AGE) * trust(*mask);
        }
    }
}
