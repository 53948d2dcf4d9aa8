//! Warping by cubic B-spline interpolation (Unser, "Splines: a perfect fit for signal and image processing", 1999).

#![allow(clippy::needless_range_loop, reason = "the same index runs through the lanes of several pixels")]

use std::ops::Range;

use ::wide::f32x4;

use super::{
    FlowField, Places, SNAP, TOGETHER,
    bundle::{self, at_rest, interleave, scatter},
    wide,
};
use crate::{
    frame::Size,
    threads::{Parallel, each, strips, strips_of},
};

/// Planes side by side: a picture's and one more.
const ABREAST: usize = 4;

type Pixels = bundle::Pixels<ABREAST>;

/// The plane is first turned into the coefficients of the spline through its pixels. Of the detail that Keys' cubic loses in
/// one pass at half a pixel, three fifths stay; the picture's own pixels bound the result here too.
pub struct SplineWarp {
    source: Vec<[f32; ABREAST]>,
    pub(super) coefficients: Vec<[f32; ABREAST]>,
}

/// The pole of the cubic spline's prefilter, sqrt(3) - 2.
pub(crate) const POLE: f32 = -0.267_949_2;
/// Pixels after which the pole's powers are below 1e-5: the start of the recursion looks no further.
const HORIZON: usize = 9;
/// Values of a row that are filtered down and up together: 1 MiB at a height of 1080.
const BLOCK: usize = 256;

impl SplineWarp {
    /// For pictures of this size.
    pub fn new(size: Size) -> Self {
        let pixels = || vec![[0.0; ABREAST]; size.area()];
        SplineWarp { source: pixels(), coefficients: pixels() }
    }

    /// As [`super::warp`].
    ///
    /// # Panics
    /// As [`super::warp`], and if the flow is not of the size that this was made for.
    pub fn warp(&mut self, threads: &dyn Parallel, source: &[f32], flow: &FlowField, out: &mut [f32]) {
        self.warp_all(threads, &[source], flow, &mut [out]);
    }

    /// The same for several pictures, four planes at a time.
    ///
    /// # Panics
    /// As [`SplineWarp::warp`].
    pub fn warp_all(&mut self, threads: &dyn Parallel, sources: &[&[f32]], flow: &FlowField, out: &mut [&mut [f32]]) {
        let area = flow.size.area();
        assert_eq!(self.source.len(), area, "the size of the flow");
        if area == 0 {
            return;
        }
        let sources: Vec<&[f32]> = sources.iter().flat_map(|source| source.chunks(area)).collect();
        let mut out: Vec<&mut [f32]> = out.iter_mut().flat_map(|out| out.chunks_mut(area)).collect();
        assert_eq!(sources.len(), out.len(), "channels of the sources and of the results");
        let whole = |length: usize| length == area;
        assert!(sources.iter().all(|plane| whole(plane.len())), "whole channels of {}", flow.size);
        assert!(out.iter().all(|plane| whole(plane.len())), "whole channels of {}", flow.size);
        for (sources, out) in sources.chunks(ABREAST).zip(out.chunks_mut(ABREAST)) {
            self.prefilter(threads, sources, flow.size);
            let pixels = (&self.source[..], &self.coefficients[..]);
            strips_of(threads, out, flow.size.width, |range, out| spline(sources, pixels, flow, range, out));
        }
    }

    /// The coefficients for these planes, rows then columns.
    fn prefilter(&mut self, threads: &dyn Parallel, planes: &[&[f32]], size: Size) {
        let Size { width, height } = size;
        let gain = |side: usize| if side > 1 { 6.0 } else { 1.0 };
        let gain = gain(width) * gain(height);
        strips(threads, [&mut self.source], width, |range, [pixels]| interleave(planes, range.start, pixels));
        let source = &self.source;
        strips(threads, [&mut self.coefficients], width, |range, [coefficients]| {
            prefilter_rows(&source[range], coefficients, width, gain);
        });
        if height > 1 {
            // Blocks that stay in the cache on the way down and up again.
            let rows = self.coefficients.as_flattened_mut().chunks_exact_mut(ABREAST * width);
            let mut rest: Vec<_> = rows.map(|row| row.chunks_mut(BLOCK)).collect();
            let blocks =
                (0..(ABREAST * width).div_ceil(BLOCK)).map(|_| rest.iter_mut().filter_map(Iterator::next).collect());
            each(threads, blocks, |mut block: Vec<_>| filter_columns(&mut block));
        }
    }
}

wide! {
    /// The coefficients for the rows of these pixels, times `gain`.
    fn prefilter_rows(pixels: &Pixels, coefficients: &mut Pixels, width: usize, gain: f32) {
        // Several rows at once: each recursion waits for itself.
        for (rows, from) in coefficients.chunks_mut(4 * width).zip(pixels.chunks(4 * width)) {
            for (value, from) in rows.as_flattened_mut().iter_mut().zip(from.as_flattened()) {
                *value = gain * from;
            }
            if width > 1 {
                filter_rows(rows, width);
            }
        }
    }
}

/// How the recursion ends at the mirrored far border.
const LAST: f32 = POLE / (POLE * POLE - 1.0);

/// But for the factor 6.
#[inline(always)]
fn filter_rows(rows: &mut Pixels, width: usize) {
    for row in rows.chunks_exact_mut(width) {
        let mut power = 1.0;
        let mut start = [0.0; ABREAST];
        for value in &row[..HORIZON.min(width)] {
            for lane in 0..ABREAST {
                start[lane] += power * value[lane];
            }
            power *= POLE;
        }
        row[0] = start;
    }
    for x in 1..width {
        for row in rows.chunks_exact_mut(width) {
            for lane in 0..ABREAST {
                row[x][lane] += POLE * row[x - 1][lane];
            }
        }
    }
    for row in rows.chunks_exact_mut(width) {
        for lane in 0..ABREAST {
            row[width - 1][lane] = LAST * (row[width - 1][lane] + POLE * row[width - 2][lane]);
        }
    }
    for x in (0..width - 1).rev() {
        for row in rows.chunks_exact_mut(width) {
            for lane in 0..ABREAST {
                row[x][lane] = POLE * (row[x + 1][lane] - row[x][lane]);
            }
        }
    }
}

wide! {
    /// A block of columns, two rows of it or more; but for the factor 6.
    fn filter_columns(block: &mut [&mut [f32]]) {
        let height = block.len();
        let (first, rest) = block.split_at_mut(1);
        let mut power = POLE;
        for near in rest.iter().take(HORIZON - 1) {
            first[0].iter_mut().zip(&**near).for_each(|(sum, value)| *sum += power * value);
            power *= POLE;
        }
        for y in 1..height {
            let (done, rest) = block.split_at_mut(y);
            rest[0].iter_mut().zip(&*done[y - 1]).for_each(|(value, above)| *value += POLE * above);
        }
        let (upper, last) = block.split_at_mut(height - 1);
        last[0].iter_mut().zip(&*upper[height - 2]).for_each(|(value, above)| *value = LAST * (*value + POLE * above));
        for y in (0..height - 1).rev() {
            let (upper, lower) = block.split_at_mut(y + 1);
            upper[y].iter_mut().zip(&*lower[0]).for_each(|(value, below)| *value = POLE * (below - *value));
        }
    }
}

/// The cubic B-spline at the four pixels around a position that lies `t` after the second.
#[inline(always)]
pub(super) fn b_spline(t: f32) -> [f32; 4] {
    let s = 1.0 - t;
    let (t2, s2) = (t * t, s * s);
    let sixth = 1.0 / 6.0;
    [s2 * s * sixth, 2.0 / 3.0 - t2 * (1.0 - 0.5 * t), 2.0 / 3.0 - s2 * (1.0 - 0.5 * s), t2 * t * sixth]
}

/// Where the four by four pixels around a position are.
#[derive(Clone, Copy)]
pub(super) struct Around {
    /// Starts of the rows.
    rows: [usize; 4],
    columns: [usize; 4],
}

impl Around {
    /// The border is repeated, though the coefficients were made for a mirrored one: at the outermost pixels, which are the canvas's
    /// margin, the spline is not quite exact.
    #[inline(always)]
    pub(super) fn new(size: Size, left: usize, top: usize) -> Self {
        let (mut rows, mut columns) = ([0; 4], [0; 4]);
        for k in 0..4 {
            rows[k] = (top + k).saturating_sub(1).min(size.height - 1) * size.width;
            columns[k] = (left + k).saturating_sub(1).min(size.width - 1);
        }
        Around { rows, columns }
    }

    /// The sum of the pixels there, weighed.
    #[inline(always)]
    pub(super) fn weigh(self, pixels: &Pixels, wx: [f32; 4], wy: [f32; 4]) -> f32x4 {
        let mut columns = [f32x4::ZERO; 4];
        for (sum, x) in columns.iter_mut().zip(self.columns) {
            let mut column = [f32x4::ZERO; 4];
            for (value, row) in column.iter_mut().zip(self.rows) {
                *value = pixels[row + x].into();
            }
            *sum = weigh(column, wy);
        }
        weigh(columns, wx)
    }
}

/// The same where all of them are inside, the first at `start`.
#[inline(always)]
fn weigh_inside(pixels: &Pixels, start: usize, width: usize, wx: [f32; 4], wy: [f32; 4]) -> f32x4 {
    // Not by `map`: a closure is a function of its own, without the registers of this one.
    let (a, b) = (four(pixels, start), four(pixels, start + width));
    let (c, d) = (four(pixels, start + 2 * width), four(pixels, start + 3 * width));
    let mut columns = [f32x4::ZERO; 4];
    for (i, sum) in columns.iter_mut().enumerate() {
        *sum = weigh([a[i].into(), b[i].into(), c[i].into(), d[i].into()], wy);
    }
    weigh(columns, wx)
}

#[inline(always)]
fn four(pixels: &Pixels, start: usize) -> &[[f32; ABREAST]; 4] {
    pixels[start..].first_chunk().expect("four pixels inside the picture")
}

#[inline(always)]
fn weigh([a, b, c, d]: [f32x4; 4], weights: [f32; 4]) -> f32x4 {
    (a * weights[0] + b * weights[1]) + (c * weights[2] + d * weights[3])
}

wide! {
    /// The rows that `range` is of a plane, which `planes` are of all.
    fn spline(
        from: &[&[f32]],
        pixels: (&Pixels, &Pixels),
        flow: &FlowField,
        range: Range<usize>,
        planes: &mut [&mut [f32]],
    ) {
        let (source, coefficients) = pixels;
        let Size { width, .. } = flow.size;
        let mut places = Places::new();
        let (mut wx, mut wy) = ([[0.0f32; 4]; TOGETHER], [[0.0f32; 4]; TOGETHER]);
        let mut row = [[0.0f32; ABREAST]; TOGETHER];
        for y in range.start / width..range.end / width {
            for x in (0..width).step_by(TOGETHER) {
                let at = y * width + x;
                let count = (width - x).min(TOGETHER);
                if at_rest(&flow.u[at..][..count], &flow.v[at..][..count]) {
                    for (plane, from) in planes.iter_mut().zip(from) {
                        plane[at - range.start..][..count].copy_from_slice(&from[at..][..count]);
                    }
                    continue;
                }
                places.find((x, y), &flow.u[at..][..count], &flow.v[at..][..count], flow.size, SNAP);
                for k in 0..count {
                    (wx[k], wy[k]) = (b_spline(places.fx[k]), b_spline(places.fy[k]));
                }
                for (k, out) in row[..count].iter_mut().enumerate() {
                    let [here, right, below, both] = places.four(k);
                    if places.is_pixel(k) {
                        *out = source[here];
                        continue;
                    }
                    let sum = if places.is_inner(k, flow.size) {
                        weigh_inside(coefficients, here - width - 1, width, wx[k], wy[k])
                    } else {
                        let around = Around::new(flow.size, places.left[k] as usize, places.top[k] as usize);
                        around.weigh(coefficients, wx[k], wy[k])
                    };
                    let (a, b): (f32x4, f32x4) = (source[here].into(), source[right].into());
                    let (c, d): (f32x4, f32x4) = (source[below].into(), source[both].into());
                    let low = a.fast_min(b).fast_min(c.fast_min(d));
                    let high = a.fast_max(b).fast_max(c.fast_max(d));
                    *out = sum.fast_max(low).fast_min(high).to_array();
                }
                scatter(&row[..count], planes, at - range.start);
            }
        }
    }
}
