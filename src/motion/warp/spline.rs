//! Warping by cubic B-spline interpolation (Unser, "Splines: a perfect fit for signal and image processing", 1999).

#![allow(clippy::needless_range_loop, reason = "the same index runs through the lanes of several pixels")]

use std::ops::Range;

use super::{
    FlowField, Places, SNAP, TOGETHER,
    bundle::{self, at_rest, interleave, most, scatter},
    wide,
};
use crate::frame::Size;

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
const STRIP: usize = 256;

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
    pub fn warp(&mut self, source: &[f32], flow: &FlowField, out: &mut [f32]) {
        self.warp_all(&[source], flow, &mut [out]);
    }

    /// The same for several pictures, four planes at a time.
    ///
    /// # Panics
    /// As [`SplineWarp::warp`].
    pub fn warp_all(&mut self, sources: &[&[f32]], flow: &FlowField, out: &mut [&mut [f32]]) {
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
            interleave(sources, &mut self.source);
            prefilter(&self.source, &mut self.coefficients, flow.size);
            spline(sources, (&self.source, &self.coefficients), flow, out);
        }
    }
}

wide! {
    /// The coefficients for these pixels, rows then columns.
    fn prefilter(pixels: &Pixels, coefficients: &mut Pixels, size: Size) {
        let Size { width, height } = size;
        let gain = |side: usize| if side > 1 { 6.0 } else { 1.0 };
        // Several rows at once: each recursion waits for itself.
        for (rows, from) in coefficients.chunks_mut(4 * width).zip(pixels.chunks(4 * width)) {
            for (value, from) in rows.as_flattened_mut().iter_mut().zip(from.as_flattened()) {
                *value = gain(width) * gain(height) * from;
            }
            if width > 1 {
                filter_rows(rows, width);
            }
        }
        if height > 1 {
            // Strips that stay in the cache on the way down and up again.
            for left in (0..ABREAST * width).step_by(STRIP) {
                let strip = left..(ABREAST * width).min(left + STRIP);
                filter_columns(coefficients.as_flattened_mut(), strip, ABREAST * width, height);
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

/// The columns `strip` of rows of `width` values; but for the factor 6.
#[inline(always)]
fn filter_columns(plane: &mut [f32], strip: Range<usize>, width: usize, height: usize) {
    let row = |y: usize| y * width + strip.start..y * width + strip.end;
    let (first, rest) = plane.split_at_mut(width);
    let mut power = POLE;
    for near in 0..(HORIZON - 1).min(height - 1) {
        let sums = first[row(0)].iter_mut().zip(&rest[row(near)]);
        sums.for_each(|(sum, value)| *sum += power * value);
        power *= POLE;
    }
    for y in 1..height {
        let (done, rest) = plane.split_at_mut(y * width);
        let values = rest[row(0)].iter_mut().zip(&done[row(y - 1)]);
        values.for_each(|(value, above)| *value += POLE * above);
    }
    let (upper, last) = plane.split_at_mut((height - 1) * width);
    let values = last[row(0)].iter_mut().zip(&upper[row(height - 2)]);
    values.for_each(|(value, above)| *value = LAST * (*value + POLE * above));
    for y in (0..height - 1).rev() {
        let (upper, lower) = plane.split_at_mut((y + 1) * width);
        let values = upper[row(y)].iter_mut().zip(&lower[row(0)]);
        values.for_each(|(value, below)| *value = POLE * (below - *value));
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
    pub(super) fn weigh(self, pixels: &Pixels, wx: &[f32; 4], wy: &[f32; 4]) -> [f32; ABREAST] {
        let mut columns = [[0.0; ABREAST]; 4];
        for i in 0..4 {
            let x = self.columns[i];
            let (a, b) = (&pixels[self.rows[0] + x], &pixels[self.rows[1] + x]);
            let (c, d) = (&pixels[self.rows[2] + x], &pixels[self.rows[3] + x]);
            columns[i] = down(a, b, c, d, wy);
        }
        across(&columns, wx)
    }
}

/// The same where all of them are inside, the first at `start`.
#[inline(always)]
fn weigh_inside(pixels: &Pixels, start: usize, width: usize, wx: &[f32; 4], wy: &[f32; 4]) -> [f32; ABREAST] {
    let (a, b) = (four(pixels, start), four(pixels, start + width));
    let (c, d) = (four(pixels, start + 2 * width), four(pixels, start + 3 * width));
    let mut columns = [[0.0; ABREAST]; 4];
    for i in 0..4 {
        columns[i] = down(&a[i], &b[i], &c[i], &d[i], wy);
    }
    across(&columns, wx)
}

#[inline(always)]
fn four(pixels: &Pixels, start: usize) -> &[[f32; ABREAST]; 4] {
    pixels[start..].first_chunk().expect("four pixels inside the picture")
}

/// The sum of four pixels of a column.
#[inline(always)]
fn down(
    a: &[f32; ABREAST],
    b: &[f32; ABREAST],
    c: &[f32; ABREAST],
    d: &[f32; ABREAST],
    weights: &[f32; 4],
) -> [f32; ABREAST] {
    let mut sum = [0.0; ABREAST];
    for lane in 0..ABREAST {
        sum[lane] = (a[lane] * weights[0] + b[lane] * weights[1]) + (c[lane] * weights[2] + d[lane] * weights[3]);
    }
    sum
}

/// The sum of four columns.
#[inline(always)]
fn across(columns: &[[f32; ABREAST]; 4], weights: &[f32; 4]) -> [f32; ABREAST] {
    let [a, b, c, d] = columns;
    down(a, b, c, d, weights)
}

#[inline(always)]
fn least(a: f32, b: f32) -> f32 {
    if b < a { b } else { a }
}

wide! {
    fn spline(from: &[&[f32]], pixels: (&Pixels, &Pixels), flow: &FlowField, planes: &mut [&mut [f32]]) {
        let (source, coefficients) = pixels;
        let Size { width, height } = flow.size;
        let mut places = Places::new();
        let (mut wx, mut wy) = ([[0.0f32; 4]; TOGETHER], [[0.0f32; 4]; TOGETHER]);
        let mut row = [[0.0f32; ABREAST]; TOGETHER];
        for y in 0..height {
            for x in (0..width).step_by(TOGETHER) {
                let at = y * width + x;
                let count = (width - x).min(TOGETHER);
                if at_rest(&flow.u[at..][..count], &flow.v[at..][..count]) {
                    for (plane, from) in planes.iter_mut().zip(from) {
                        plane[at..at + count].copy_from_slice(&from[at..at + count]);
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
                        weigh_inside(coefficients, here - width - 1, width, &wx[k], &wy[k])
                    } else {
                        let around = Around::new(flow.size, places.left[k] as usize, places.top[k] as usize);
                        around.weigh(coefficients, &wx[k], &wy[k])
                    };
                    let (a, b, c, d) = (&source[here], &source[right], &source[below], &source[both]);
                    for lane in 0..ABREAST {
                        let low = least(least(a[lane], b[lane]), least(c[lane], d[lane]));
                        let high = most(most(a[lane], b[lane]), most(c[lane], d[lane]));
                        out[lane] = least(most(sum[lane], low), high);
                    }
                }
                scatter(&row[..count], planes, at);
            }
        }
    }
}
