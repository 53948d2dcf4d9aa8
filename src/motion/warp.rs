//! Backward warping: every pixel of the present fetches its value from where the flow says it was.
//!
//! A picture that is warped once a frame is resampled hundreds of times. Bilinear resampling is a low-pass filter each
//! time, so detail is gone after a dozen frames. [`Kernel::Bicubic`] is Keys' cubic convolution ("Cubic convolution
//! interpolation for digital image processing", 1981) with his free parameter set where repeated resampling neither
//! blurs nor rings (Keys: -0.5), and held within the range of the four nearest pixels.

mod bundle;
mod places;
mod spline;

pub use bundle::BundleWarp;
pub(crate) use places::{Places, TOGETHER, floor, nearest};
pub(crate) use spline::POLE;
pub use spline::SplineWarp;

use std::ops::Range;

use ::wide::f32x4;

use super::FlowField;
use crate::{
    dispatch::wide,
    frame::Size,
    threads::{Parallel, Serial, strips_of},
};

/// Keys' parameter. Detail of a painting (mean absolute Laplacian) left after 10 and 100 warps by fractions of a pixel
/// there and back, and the RMS error after 100: bilinear 0.18, 0.03, 0.073; -0.5: 0.41, 0.18, 0.040; -0.6: 0.48, 0.36,
/// 0.035; -0.7: 0.57, 0.71, 0.046; -0.75: 0.62, 0.93, 0.055 (and rings).
const KEYS: f32 = -0.7;
/// A position this near to a pixel's centre is that pixel: nothing is resampled where nothing moves.
pub(crate) const SNAP: f32 = 1.0 / 64.0;

/// How values between pixels are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// Two by two pixels; for what is smooth or must keep its sign.
    Bilinear,
    /// Four by four pixels, without overshoot; for pictures.
    Bicubic,
}

/// Warps `source` along `flow`: `out(p) = source(p + flow(p))` for each channel, the border repeated.
///
/// `source` and `out` have the shape (c, h, w), h and w those of the flow.
///
/// # Panics
/// If their lengths differ or are no multiple of the flow's area.
pub fn warp(source: &[f32], flow: &FlowField, kernel: Kernel, out: &mut [f32]) {
    warp_on(&Serial, source, flow, kernel, out);
}

/// The same by several threads.
pub(crate) fn warp_on(threads: &dyn Parallel, source: &[f32], flow: &FlowField, kernel: Kernel, out: &mut [f32]) {
    assert_eq!(source.len(), out.len(), "channels of the source and of the result");
    let Size { width, height } = flow.size;
    if width * height == 0 {
        return;
    }
    assert_eq!(source.len() % (width * height), 0, "whole channels of {}", flow.size);
    let mut out: Vec<&mut [f32]> = out.chunks_exact_mut(width * height).collect();
    strips_of(threads, &mut out, width, |range, out| match kernel {
        Kernel::Bilinear => bilinear(source, flow, range, out),
        Kernel::Bicubic => bicubic(source, flow, range, out),
    });
}

wide! {
    /// The rows that `range` is of a plane, which `planes` are of all.
    fn bilinear(source: &[f32], flow: &FlowField, range: Range<usize>, planes: &mut [&mut [f32]]) {
        let width = flow.size.width;
        let mut places = Places::new();
        for y in range.start / width..range.end / width {
            for x in (0..width).step_by(TOGETHER) {
                let at = y * width + x;
                let count = (width - x).min(TOGETHER);
                places.find((x, y), &flow.u[at..][..count], &flow.v[at..][..count], flow.size, SNAP);
                for (plane, out) in source.chunks_exact(flow.size.area()).zip(&mut *planes) {
                    for (k, out) in out[at - range.start..][..count].iter_mut().enumerate() {
                        *out = places.bilinear(plane, k);
                    }
                }
            }
        }
    }
}

/// Weights of the four pixels around a position that lies `t` after the second.
#[inline(always)]
fn keys(t: f32) -> [f32; 4] {
    let a = KEYS;
    let outer = |d: f32| ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a;
    let inner = |d: f32| ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0;
    [outer(1.0 + t), inner(t), inner(1.0 - t), outer(2.0 - t)]
}

wide! {
    /// Likewise.
    fn bicubic(source: &[f32], flow: &FlowField, range: Range<usize>, planes: &mut [&mut [f32]]) {
        let width = flow.size.width;
        let mut places = Places::new();
        let (mut wx, mut wy) = ([[0.0f32; 4]; TOGETHER], [[0.0f32; 4]; TOGETHER]);
        for y in range.start / width..range.end / width {
            for x in (0..width).step_by(TOGETHER) {
                let at = y * width + x;
                let count = (width - x).min(TOGETHER);
                places.find((x, y), &flow.u[at..][..count], &flow.v[at..][..count], flow.size, SNAP);
                for k in 0..count {
                    (wx[k], wy[k]) = (keys(places.fx[k]), keys(places.fy[k]));
                }
                for (plane, out) in source.chunks_exact(flow.size.area()).zip(&mut *planes) {
                    for (k, out) in out[at - range.start..][..count].iter_mut().enumerate() {
                        let (left, top) = (places.left[k] as usize, places.top[k] as usize);
                        *out = if places.is_pixel(k) {
                            plane[places.four(k)[0]]
                        } else if places.is_inner(k, flow.size) {
                            blend(&near(plane, width, left, top), &wx[k], &wy[k])
                        } else {
                            blend(&near_border(plane, flow.size, left, top), &wx[k], &wy[k])
                        };
                    }
                }
            }
        }
    }
}

/// The four by four pixels around a position, row by row; all inside.
#[inline(always)]
fn near(plane: &[f32], width: usize, left: usize, top: usize) -> [[f32; 4]; 4] {
    let start = (top - 1) * width + left - 1;
    let mut rows = [[0.0; 4]; 4];
    for (j, row) in rows.iter_mut().enumerate() {
        *row = *plane[start + j * width..].first_chunk().expect("four pixels inside the plane");
    }
    rows
}

/// The same at the border, which is repeated.
#[inline(always)]
fn near_border(plane: &[f32], size: Size, left: usize, top: usize) -> [[f32; 4]; 4] {
    let mut rows = [[0.0; 4]; 4];
    for (j, row) in rows.iter_mut().enumerate() {
        let y = (top + j).saturating_sub(1).min(size.height - 1);
        for (i, value) in row.iter_mut().enumerate() {
            *value = plane[y * size.width + (left + i).saturating_sub(1).min(size.width - 1)];
        }
    }
    rows
}

/// Their sum, weighed, within the range of the two by two in the middle.
#[inline(always)]
fn blend(near: &[[f32; 4]; 4], wx: &[f32; 4], wy: &[f32; 4]) -> f32 {
    let (above, upper, lower, below) =
        (f32x4::new(near[0]), f32x4::new(near[1]), f32x4::new(near[2]), f32x4::new(near[3]));
    let columns = (above * wy[0] + upper * wy[1]) + (lower * wy[2] + below * wy[3]);
    let [a, b, c, d] = (columns * f32x4::new(*wx)).to_array();
    let (least, most) = (upper.fast_min(lower).to_array(), upper.fast_max(lower).to_array());
    let (least, most) =
        (if least[2] < least[1] { least[2] } else { least[1] }, if most[2] > most[1] { most[2] } else { most[1] });
    let sum = (a + b) + (c + d);
    if sum < least {
        least
    } else if sum > most {
        most
    } else {
        sum
    }
}

#[cfg(test)]
mod tests;
