//! Between a picture and the smaller one in which its motion is looked for, a half or a quarter of it or less.

use super::{FlowField, Plane};
use crate::{
    dispatch::wide,
    frame::Size,
    threads::{Parallel, strips},
};

/// Makes small planes of pictures of one size, and brings what was found in them back. Pixel `i` of a small plane covers the pixels
/// from `i * factor` on.
pub struct Scale {
    full: Size,
    small: Size,
    levels: usize,
    /// A plane of the whole picture; none where nothing is made smaller.
    whole: Plane,
}

impl Scale {
    /// Halved until the longer side is at most `longest` pixels.
    pub fn new(full: Size, longest: usize) -> Self {
        let (mut small, mut levels) = (full, 0);
        while small.width.max(small.height) > longest.max(1) {
            (small, levels) = (Size::new(small.width.div_ceil(2), small.height.div_ceil(2)), levels + 1);
        }
        let whole = Plane::new(if levels > 0 { full } else { Size::new(0, 0) });
        Scale { full, small, levels, whole }
    }

    pub fn small(&self) -> Size {
        self.small
    }

    /// The small version of the plane that `fill` fills in.
    ///
    /// # Panics
    /// If `out` is not of the small size.
    pub fn reduce(&mut self, threads: &dyn Parallel, fill: impl FnOnce(&mut Plane), out: &mut Plane) {
        assert_eq!(out.size(), self.small, "the size of the small plane");
        if self.levels == 0 {
            fill(out);
            return;
        }
        fill(&mut self.whole);
        let Scale { full, small, levels, ref whole } = *self;
        strips(threads, [out.data_mut()], small.width, |range, [out]| {
            shrink(whole.data(), full, range.start / small.width, out, small.width, levels);
        });
    }

    /// A small plane's values, (h, w), at the full size, bilinear.
    pub fn enlarge(&self, threads: &dyn Parallel, from: &[f32], out: &mut [f32]) {
        let width = self.full.width;
        strips(threads, [out], width, |range, [out]| {
            enlarge(from, self.small, range.start / width, out, width, self.levels, 1.0);
        });
    }

    /// A flow between small planes as one between pictures, in their pixels.
    pub fn enlarge_flow(&self, threads: &dyn Parallel, from: &FlowField, out: &mut FlowField) {
        enlarge_flow(threads, from, out, self.levels);
    }
}

/// Brings a field to `2^levels` times its size, its vectors scaled alike.
pub(super) fn enlarge_flow(threads: &dyn Parallel, from: &FlowField, to: &mut FlowField, levels: usize) {
    let (gain, width) = ((1 << levels) as f32, to.size.width);
    strips(threads, [&mut to.u, &mut to.v], width, |range, [u, v]| {
        enlarge(&from.u, from.size, range.start / width, u, width, levels, gain);
        enlarge(&from.v, from.size, range.start / width, v, width, levels, gain);
    });
}

wide! {
    /// Means over squares of side `2^levels`; fewer pixels where they hang over the edge. Rows of `width` values from `top` on.
    fn shrink(from: &[f32], full: Size, top: usize, out: &mut [f32], width: usize, levels: usize) {
        let side = 1 << levels;
        for (row, out) in out.chunks_exact_mut(width).enumerate() {
            let y = top + row;
            let rows = y * side..((y + 1) * side).min(full.height);
            let count = rows.len() as f32;
            out.fill(0.0);
            for row in rows {
                let row = &from[row * full.width..][..full.width];
                match side {
                    2 => gather::<2>(row, count, out),
                    4 => gather::<4>(row, count, out),
                    _ => {
                        for (sum, values) in out.iter_mut().zip(row.chunks(side)) {
                            *sum += mean(values, count);
                        }
                    }
                }
            }
        }
    }
}

wide! {
    /// Brings a plane to `2^levels` times its size, bilinearly, its values times `gain`: rows of `full` values, from `first` on.
    fn enlarge(from: &[f32], small: Size, first: usize, to: &mut [f32], full: usize, levels: usize, gain: f32) {
        let Size { width, height } = small;
        if levels == 0 {
            to.iter_mut().zip(&from[first * width..]).for_each(|(to, from)| *to = gain * from);
            return;
        }
        let factor = 1 << levels;
        let mut row = vec![0.0; width + 2];
        for (y, to) in (first..).zip(to.chunks_exact_mut(full)) {
            let position = ((y as f32 + 0.5) / factor as f32 - 0.5).clamp(0.0, (height - 1) as f32);
            let (top, fraction) = (position as usize, position.fract());
            let upper = &from[top * width..][..width];
            let lower = &from[(top + 1).min(height - 1) * width..][..width];
            for ((value, a), b) in row[1..=width].iter_mut().zip(upper).zip(lower) {
                *value = gain * (a + (b - a) * fraction);
            }
            row[0] = row[1];
            row[width + 1] = row[width];
            stretch(&row, to, factor);
        }
    }
}

/// Adds a row's share to the means of squares of a side that is known and of so many rows.
#[inline(always)]
fn gather<const SIDE: usize>(row: &[f32], rows: f32, out: &mut [f32]) {
    let (whole, rest) = row.as_chunks::<SIDE>();
    for (sum, values) in out.iter_mut().zip(whole) {
        *sum += mean(values, rows);
    }
    // What hangs over the edge.
    if let (Some(sum), false) = (out.get_mut(whole.len()), rest.is_empty()) {
        *sum += mean(rest, rows);
    }
}

/// The mean of some values of a row, by the number of rows.
#[inline(always)]
fn mean(values: &[f32], rows: f32) -> f32 {
    values.iter().sum::<f32>() / (values.len() as f32 * rows)
}

/// Bilinear along a row whose first and last value are there twice.
#[inline(always)]
fn stretch(row: &[f32], to: &mut [f32], factor: usize) {
    match factor {
        2 => stretch_by::<2>(row, to),
        4 => stretch_by::<4>(row, to),
        8 => stretch_by::<8>(row, to),
        _ => {
            for (x, to) in to.iter_mut().enumerate() {
                // In the row's own numbering pixel i lies at i + 1.
                let position = (x as f32 + 0.5) / factor as f32 + 0.5;
                let left = position as usize;
                *to = row[left] + (row[left + 1] - row[left]) * (position - left as f32);
            }
        }
    }
}

/// The same by a factor that is known.
#[inline(always)]
fn stretch_by<const FACTOR: usize>(row: &[f32], to: &mut [f32]) {
    let (whole, rest) = to.as_chunks_mut::<FACTOR>();
    let near = row.iter().zip(&row[1..]).zip(&row[2..]);
    for (to, ((left, here), right)) in whole.iter_mut().zip(near) {
        *to = around([*left, *here, *right]);
    }
    // A last pixel that hangs over the edge.
    if let Some(near) = row[whole.len()..].first_chunk() {
        rest.iter_mut().zip(around::<FACTOR>(*near)).for_each(|(to, value)| *to = value);
    }
}

/// What the pixel in the middle becomes: the first half lies before its centre.
#[inline(always)]
fn around<const FACTOR: usize>([left, here, right]: [f32; 3]) -> [f32; FACTOR] {
    let mut all = [0.0; FACTOR];
    for (k, value) in all.iter_mut().enumerate() {
        let way = (k as f32 + 0.5) / FACTOR as f32;
        *value = if k < FACTOR / 2 { left + (here - left) * (way + 0.5) } else { here + (right - here) * (way - 0.5) };
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threads::Serial;

    /// A plane that rises evenly.
    fn slope(size: Size) -> Vec<f32> {
        let at = |i: usize| 0.01 * (i % size.width) as f32 + 0.02 * (i / size.width) as f32;
        (0..size.area()).map(at).collect()
    }

    #[test]
    fn what_is_made_small_and_large_again_lies_where_it_was() {
        // Whole and partial blocks, factors 1, 2 and 4.
        for (size, longest, small) in [
            (Size::new(40, 24), 40, Size::new(40, 24)),
            (Size::new(40, 24), 39, Size::new(20, 12)),
            (Size::new(37, 23), 20, Size::new(19, 12)),
            (Size::new(37, 23), 12, Size::new(10, 6)),
        ] {
            let (mut scale, whole) = (Scale::new(size, longest), slope(size));
            assert_eq!(scale.small(), small);
            let (mut plane, mut back) = (Plane::new(small), vec![0.0; size.area()]);
            scale.reduce(&Serial, |plane| plane.data_mut().copy_from_slice(&whole), &mut plane);
            scale.enlarge(&Serial, plane.data(), &mut back);
            // Not at the border, where half a small pixel is repeated and the last one may be of fewer pixels.
            let margin = size.width.div_ceil(small.width);
            for y in margin..size.height - 2 * margin {
                for x in margin..size.width - 2 * margin {
                    let at = y * size.width + x;
                    let apart = (back[at] - whole[at]).abs();
                    assert!(apart < 1e-4, "{size} at ({x}, {y}): {} for {}", back[at], whole[at]);
                }
            }
        }
    }

    #[test]
    fn a_plane_of_ones_stays_one_to_the_bit() {
        let (scale, mut back) = (Scale::new(Size::new(51, 33), 26), vec![0.0; 51 * 33]);
        scale.enlarge(&Serial, &vec![1.0; 26 * 17], &mut back);
        assert!(back.iter().all(|value| *value == 1.0));
    }

    #[test]
    fn a_flow_counts_in_pixels_of_the_picture() {
        let (mut small, mut full) = (FlowField::new(Size::new(10, 6)), FlowField::new(Size::new(37, 23)));
        small.u.fill(1.5);
        small.v.fill(-0.5);
        Scale::new(full.size, 12).enlarge_flow(&Serial, &small, &mut full);
        assert!(full.u.iter().all(|u| *u == 6.0) && full.v.iter().all(|v| *v == -2.0));
    }
}
