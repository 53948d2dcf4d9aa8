//! The margin of a canvas: a few pixels around the frame, painted with it and never shown.
//!
//! Convolutions take what is outside a picture for zero, and Gatys' objective answers with a frame of odd colour, a few
//! pixels wide, along its borders. On a canvas that is larger than the frame it falls on the margin. There the frame is
//! continued by its mirror image, and what was seen of its motion by that of the nearest pixel.
//!
//! Not in the papers. Of a first picture's 100 steps (`compact`, 320x180, two clips and two paintings) the paint of the outermost pixel
//! is 1.2 to 1.5 times as strong as inside with a margin of 4 pixels, a dark line where a painting has a dark edge, and 0.9 to 1.0 times
//! with 8.

use std::sync::Arc;

use ndarray::{Array3, ArrayView2, ArrayView3, ArrayViewMut2, Axis, s};

use crate::{
    frame::Size,
    motion::{FlowField, Seen},
    tensor,
    threads::{Parallel, each},
};

/// Pixels on each side: even, so that the first pooling falls on the frame as it would without.
const MARGIN: usize = 8;

/// The size of the canvas for a frame of this size.
pub(super) const fn around(frame: Size) -> Size {
    Size::new(frame.width + 2 * MARGIN, frame.height + 2 * MARGIN)
}

/// The frame's part of a canvas.
pub(super) fn within(canvas: &Array3<f32>) -> ArrayView3<'_, f32> {
    let (_, height, width) = canvas.dim();
    canvas.slice(s![.., MARGIN..height - MARGIN, MARGIN..width - MARGIN])
}

/// A frame, (3, h, w), with its mirror image around it.
pub(super) fn mirrored(frame: ArrayView3<f32>) -> Array3<f32> {
    let mut canvas = tensor::zeros(around(tensor::size_of(frame)));
    mirror(frame, &mut canvas);
    canvas
}

/// As [`mirrored`], in place.
///
/// # Panics
/// If `canvas` is not of the size [`around`] the frame's.
pub(super) fn mirror(frame: ArrayView3<f32>, canvas: &mut Array3<f32>) {
    assert_eq!(tensor::size_of(canvas.view()), around(tensor::size_of(frame)), "a canvas around the frame");
    frame.outer_iter().zip(canvas.outer_iter_mut()).for_each(|(from, to)| mirror_plane(from, to));
}

fn mirror_plane(from: ArrayView2<f32>, mut to: ArrayViewMut2<f32>) {
    let (height, width) = from.dim();
    for (y, mut row) in to.axis_iter_mut(Axis(0)).enumerate() {
        let from = from.row(source(y, height));
        row.slice_mut(s![MARGIN..MARGIN + width]).assign(&from);
        for x in (0..MARGIN).chain(MARGIN + width..2 * MARGIN + width) {
            row[x] = from[source(x, width)];
        }
    }
}

/// The pixel of a side of so many that is shown at a place of the canvas.
fn source(at: usize, side: usize) -> usize {
    let distance = at.abs_diff(MARGIN);
    if at < MARGIN {
        distance.min(side - 1)
    } else if distance < side {
        distance
    } else {
        (2 * (side - 1)).saturating_sub(distance)
    }
}

/// What was seen of a frame, for its canvas. All buffers are allocated when it is made.
pub(super) struct Surroundings {
    frame: Array3<f32>,
    backward: FlowField,
    mask: Vec<f32>,
    still: Vec<f32>,
    threads: Arc<dyn Parallel>,
}

impl Surroundings {
    /// For frames of this size.
    pub fn new(frame: Size, threads: Arc<dyn Parallel>) -> Self {
        let canvas = around(frame);
        let plane = || vec![0.0; canvas.area()];
        let frame = tensor::zeros(canvas);
        Surroundings { frame, backward: FlowField::new(canvas), mask: plane(), still: plane(), threads }
    }

    /// What was `seen`, of the size of the frame, around it too.
    pub fn of(&mut self, seen: &Seen) -> Seen<'_> {
        let size = seen.backward.size;
        let frame = ArrayView3::from_shape((3, size.height, size.width), seen.frame).expect("a frame of this size");
        each(&*self.threads, frame.outer_iter().zip(self.frame.outer_iter_mut()), |(from, to)| mirror_plane(from, to));
        let planes: [(&[f32], &mut [f32]); 4] = [
            (&seen.backward.u, &mut self.backward.u),
            (&seen.backward.v, &mut self.backward.v),
            (seen.mask, &mut self.mask),
            (seen.still, &mut self.still),
        ];
        each(&*self.threads, planes, |(from, to)| extend(from, size, to));
        Seen {
            frame: self.frame.as_slice().expect("tensors here are contiguous"),
            backward: &self.backward,
            mask: &self.mask,
            still: &self.still,
            cut: seen.cut,
        }
    }
}

/// A plane, (h, w), with its outermost values around it.
fn extend(plane: &[f32], size: Size, canvas: &mut [f32]) {
    for (y, row) in canvas.chunks_exact_mut(around(size).width).enumerate() {
        let from = y.saturating_sub(MARGIN).min(size.height - 1) * size.width;
        let from = &plane[from..from + size.width];
        row[..MARGIN].fill(from[0]);
        row[MARGIN..MARGIN + size.width].copy_from_slice(from);
        row[MARGIN + size.width..].fill(from[size.width - 1]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threads::Scoped;

    const SIZE: Size = Size::new(10, 9);

    fn values(parts: &[&[u16]]) -> Vec<f32> {
        parts.concat().into_iter().map(f32::from).collect()
    }

    #[test]
    fn a_frame_is_mirrored_at_its_outermost_pixels() {
        let frame = Array3::from_shape_fn((3, 9, 10), |(c, y, x)| (100 * c + 10 * y + x) as f32);
        let mut canvas = tensor::zeros(around(SIZE));
        mirror(frame.view(), &mut canvas);
        assert_eq!(within(&canvas), frame);
        let row: Vec<f32> = canvas.slice(s![0, MARGIN, ..]).to_vec();
        let there = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
        assert_eq!(row, values(&[&[8, 7, 6, 5, 4, 3, 2, 1], &there, &[8, 7, 6, 5, 4, 3, 2, 1]]));
        let column: Vec<f32> = canvas.slice(s![1, .., MARGIN]).to_vec();
        let there = [100, 110, 120, 130, 140, 150, 160, 170, 180];
        let (above, below) = ([180, 170, 160, 150, 140, 130, 120, 110], [170, 160, 150, 140, 130, 120, 110, 100]);
        assert_eq!(column, values(&[&above, &there, &below]));
        assert_eq!(canvas[[2, 0, 0]], frame[[2, 8, 8]]);
    }

    #[test]
    fn a_frame_smaller_than_the_margin_is_surrounded_too() {
        let frame = Array3::from_shape_fn((3, 1, 2), |(_, _, x)| x as f32);
        let mut canvas = tensor::zeros(around(Size::new(2, 1)));
        mirror(frame.view(), &mut canvas);
        assert_eq!(canvas.slice(s![0, 0, ..]).to_vec(), values(&[&[1; MARGIN], &[0, 1], &[0; MARGIN]]));
    }

    #[test]
    fn motion_goes_on_around_the_frame() {
        let mut backward = FlowField::new(SIZE);
        backward.u.iter_mut().enumerate().for_each(|(i, u)| *u = (i % SIZE.width) as f32);
        let (frame, plane) = (vec![0.5; 3 * SIZE.area()], vec![0.25; SIZE.area()]);
        let seen = Seen { frame: &frame, backward: &backward, mask: &plane, still: &plane, cut: false };
        let mut surroundings = Surroundings::new(SIZE, Arc::new(Scoped(3)));
        let seen = surroundings.of(&seen);
        assert_eq!(seen.backward.size, around(SIZE));
        let row = values(&[&[0; MARGIN], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], &[9; MARGIN]]);
        assert_eq!(seen.backward.u[..row.len()], row);
        assert!(seen.mask.iter().chain(seen.still).all(|value| *value == 0.25));
        assert_eq!(seen.frame.len(), 3 * around(SIZE).area());
    }
}
