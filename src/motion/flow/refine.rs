//! Variational refinement, as in the DIS paper's last step: a robust energy of brightness constancy, gradient constancy
//! and smoothness (Brox et al., ECCV 2004), linearized at the given flow and solved by successive over-relaxation.
//!
//! Red and black pixels (of a checkerboard) are kept in arrays of their own: all neighbours of a colour are of the
//! other, so a sweep over one colour is free of order and runs in wide registers. Pixel `(x, y)` has the colour
//! `(x + y) % 2` and the column `x / 2` there.

use super::{
    FlowField,
    pyramid::{Level, PAD},
};
use crate::{dispatch::wide, frame::Size, motion::warp::TOGETHER};

/// Weights of smoothness, brightness and gradient constancy.
const SMOOTH: f32 = 20.0;
const BRIGHTNESS: f32 = 5.0;
const GRADIENT: f32 = 10.0;
/// Keeps the robust terms differentiable at zero (squared).
const EPSILON: f32 = 1e-6;
/// Keeps the normalization of the data terms finite where the picture is flat (squared grey levels).
const FLAT: f32 = 0.03;
/// Over-relaxation.
const OMEGA: f32 = 1.6;

/// The pixels of one colour: `height + 2` rows of `half + 2` values, a border of one on every side.
struct Half {
    u: Vec<f32>,
    v: Vec<f32>,
    /// Derivatives of the picture: x, y, t, xx, xy, yy, xt, yt; those in time less what the given flow explains, so
    /// that `t + x u + y v` is the brightness residual at `(u, v)`.
    derivatives: [Vec<f32>; 8],
    /// Smoothness of the link to the right and to the one below.
    right: Vec<f32>,
    below: Vec<f32>,
    /// The linear system at each pixel: its off-diagonal, its right side, the inverse of its diagonal.
    cross: Vec<f32>,
    side: [Vec<f32>; 2],
    inverse: [Vec<f32>; 2],
}

/// Buffers for one level.
pub struct Refine {
    half: usize,
    height: usize,
    stride: usize,
    /// Mean and difference of the first image and the second one warped onto it, on the level's canvas.
    mean: Vec<f32>,
    difference: Vec<f32>,
    /// Rows of derivatives before they are dealt out to the colours.
    rows: [Vec<f32>; 8],
    colors: [Half; 2],
}

impl Refine {
    pub fn new(size: Size) -> Self {
        let half = size.width.div_ceil(2);
        let stride = half + 2;
        let plane = || vec![0.0; stride * (size.height + 2)];
        let color = || Half {
            u: plane(),
            v: plane(),
            derivatives: std::array::from_fn(|_| plane()),
            right: plane(),
            below: plane(),
            cross: plane(),
            side: [plane(), plane()],
            inverse: [plane(), plane()],
        };
        let canvas = || vec![0.0; (size.width + 2 * PAD) * (size.height + 2 * PAD)];
        Refine {
            half,
            height: size.height,
            stride,
            mean: canvas(),
            difference: canvas(),
            rows: std::array::from_fn(|_| vec![0.0; 2 * half]),
            colors: [color(), color()],
        }
    }

    /// Improves `flow` from `a` to `b` in place.
    pub fn run(&mut self, a: &Level, b: &Level, flow: &mut FlowField, rounds: usize, sweeps: usize) {
        linearize(self, a, b, flow);
        for _ in 0..rounds {
            smoothness(self);
            system(self);
            relax(self, sweeps);
        }
        gather(self, flow);
    }
}

wide! {
    /// Warps, differentiates, and deals flow and derivatives out to the two colours.
    fn linearize(refine: &mut Refine, a: &Level, b: &Level, flow: &FlowField) {
        let Size { width, height } = flow.size;
        warp(refine, a, b, flow);
        for y in 0..height {
            differentiate(refine, a, y);
            let (fu, fv) = (&flow.u[y * width..(y + 1) * width], &flow.v[y * width..(y + 1) * width]);
            let [dx, dy, dt, dxx, dxy, dyy, dxt, dyt] = refine.rows.each_mut().map(|row| &mut row[..width]);
            for x in 0..width {
                let inside = inside(flow.size, x as f32 + fu[x], y as f32 + fv[x]);
                // Where the second image shows nothing, smoothness alone decides.
                let keep = if inside { 1.0 } else { 0.0 };
                dx[x] *= keep;
                dy[x] *= keep;
                dxx[x] *= keep;
                dxy[x] *= keep;
                dyy[x] *= keep;
                dt[x] = keep * dt[x] - dx[x] * fu[x] - dy[x] * fv[x];
                dxt[x] = keep * dxt[x] - dxx[x] * fu[x] - dxy[x] * fv[x];
                dyt[x] = keep * dyt[x] - dxy[x] * fu[x] - dyy[x] * fv[x];
            }
            for row in &mut refine.rows {
                // The column that makes an odd width even.
                row[2 * refine.half - 1] = row[width - 1];
            }
            let start = (y + 1) * refine.stride + 1;
            for (color, half) in refine.colors.iter_mut().enumerate() {
                let odd = (color + y) % 2;
                for (to, from) in half.derivatives.iter_mut().zip(&refine.rows) {
                    deal(&mut to[start..start + refine.half], &from[..2 * refine.half], odd);
                }
                deal(&mut half.u[start..start + refine.half], fu, odd);
                deal(&mut half.v[start..start + refine.half], fv, odd);
            }
        }
    }
}

#[inline(always)]
fn inside(size: Size, x: f32, y: f32) -> bool {
    x >= -0.5 && y >= -0.5 && x <= size.width as f32 - 0.5 && y <= size.height as f32 - 0.5
}

/// Every second value of a row; an odd row's missing last value is its last one again.
#[inline(always)]
fn deal(to: &mut [f32], from: &[f32], odd: usize) {
    let last = from.len() - 1;
    let whole = (from.len() / 2).min(to.len());
    for (to, pair) in to.iter_mut().zip(from.chunks_exact(2)) {
        *to = pair[odd];
    }
    for k in whole..to.len() {
        to[k] = from[(2 * k + odd).min(last)];
    }
}

#[inline(always)]
fn warp(refine: &mut Refine, a: &Level, b: &Level, flow: &FlowField) {
    let Size { width, height } = flow.size;
    let (right, bottom) = ((width + PAD - 2) as f32, (height + PAD - 2) as f32);
    let margin = -((PAD - 1) as f32);
    // Places first, so that they are worked out in wide registers, then the values there.
    let (mut from, mut fx, mut fy) = ([0i32; TOGETHER], [0.0f32; TOGETHER], [0.0f32; TOGETHER]);
    for y in 0..height {
        for x in (0..width).step_by(TOGETHER) {
            let count = (width - x).min(TOGETHER);
            let (fu, fv) = (&flow.u[y * width + x..][..count], &flow.v[y * width + x..][..count]);
            for k in 0..count {
                let px = ((x + k) as f32 + fu[k]).clamp(margin, right) + PAD as f32;
                let py = (y as f32 + fv[k]).clamp(margin, bottom) + PAD as f32;
                let (ix, iy) = (px as i32, py as i32);
                (fx[k], fy[k]) = (px - ix as f32, py - iy as f32);
                from[k] = iy * b.stride as i32 + ix;
            }
            let start = a.at(x, y);
            let here = &a.image[start..][..count];
            let mean = &mut refine.mean[start..][..count];
            let difference = &mut refine.difference[start..][..count];
            for k in 0..count {
                let at = from[k] as usize;
                let (upper, lower) = (&b.image[at..at + 2], &b.image[at + b.stride..at + b.stride + 2]);
                let (p, q) = (upper[0] + (upper[1] - upper[0]) * fx[k], lower[0] + (lower[1] - lower[0]) * fx[k]);
                let there = p + (q - p) * fy[k];
                mean[k] = 0.5 * (there + here[k]);
                difference[k] = there - here[k];
            }
        }
    }
    for plane in [&mut refine.mean, &mut refine.difference] {
        extend(plane, flow.size, a.stride);
    }
}

/// Repeats the outermost pixels two (right: three) further.
#[inline(always)]
fn extend(plane: &mut [f32], size: Size, stride: usize) {
    for y in PAD..PAD + size.height {
        let (first, last) = (y * stride + PAD, y * stride + PAD + size.width - 1);
        let (left, right) = (plane[first], plane[last]);
        plane[first - 2..first].fill(left);
        plane[last + 1..last + 4].fill(right);
    }
    let last = PAD + size.height - 1;
    for (from, to) in [(PAD, PAD - 1), (PAD, PAD - 2), (last, last + 1), (last, last + 2)] {
        plane.copy_within(from * stride..(from + 1) * stride, to * stride);
    }
}

/// Derivatives of one row, one pixel more where the width is odd.
#[inline(always)]
fn differentiate(refine: &mut Refine, a: &Level, y: usize) {
    let (stride, count) = (a.stride, 2 * refine.half);
    let start = a.at(0, y);
    let [dx, dy, dt, dxx, dxy, dyy, dxt, dyt] = refine.rows.each_mut().map(|row| &mut row[..count]);
    let s = stride as isize;
    let m = |by: isize| &refine.mean[(start as isize + by) as usize..][..count];
    let d = |by: isize| &refine.difference[(start as isize + by) as usize..][..count];
    let (here, left, right, above, below) = (m(0), m(-1), m(1), m(-s), m(s));
    for x in 0..count {
        dx[x] = 0.5 * (right[x] - left[x]);
        dy[x] = 0.5 * (below[x] - above[x]);
    }
    let (left, right, above, below) = (m(-2), m(2), m(-2 * s), m(2 * s));
    for x in 0..count {
        dxx[x] = 0.25 * ((right[x] - here[x]) - (here[x] - left[x]));
        dyy[x] = 0.25 * ((below[x] - here[x]) - (here[x] - above[x]));
    }
    let (nw, ne, sw, se) = (m(-s - 1), m(-s + 1), m(s - 1), m(s + 1));
    for x in 0..count {
        dxy[x] = 0.25 * ((se[x] - sw[x]) - (ne[x] - nw[x]));
    }
    let (here, left, right, above, below) = (d(0), d(-1), d(1), d(-s), d(s));
    for x in 0..count {
        dt[x] = here[x];
        dxt[x] = 0.5 * (right[x] - left[x]);
        dyt[x] = 0.5 * (below[x] - above[x]);
    }
}

wide! {
    /// Robust weights of the links between neighbours; none across the border.
    fn smoothness(refine: &mut Refine) {
        let (n, height, stride) = (refine.half, refine.height, refine.stride);
        border(refine);
        for color in 0..2 {
            let [red, black] = &mut refine.colors;
            let (own, other) = if color == 0 { (red, &*black) } else { (black, &*red) };
            for y in 0..height {
                let odd = (color + y) % 2;
                let at = (y + 1) * stride + 1;
                let (u, v) = (&own.u[at..at + n], &own.v[at..at + n]);
                let (ur, vr) = (&other.u[at + odd..at + odd + n], &other.v[at + odd..at + odd + n]);
                let (ub, vb) = (&other.u[at + stride..at + stride + n], &other.v[at + stride..at + stride + n]);
                let right = &mut own.right[at..at + n];
                for k in 0..n {
                    let (ux, uy) = (ur[k] - u[k], ub[k] - u[k]);
                    let (vx, vy) = (vr[k] - v[k], vb[k] - v[k]);
                    right[k] = SMOOTH / ((ux * ux + uy * uy) + (vx * vx + vy * vy) + EPSILON).sqrt();
                }
                own.below[at..at + n].copy_from_slice(right);
                if y + 1 == height {
                    own.below[at..at + n].fill(0.0);
                }
                if odd == 1 {
                    right[n - 1] = 0.0;
                }
            }
        }
    }
}

/// Repeats the flow beyond the right and the lower border.
#[inline(always)]
fn border(refine: &mut Refine) {
    let (n, height, stride) = (refine.half, refine.height, refine.stride);
    let [red, black] = &mut refine.colors;
    for y in 0..height {
        let last = (y + 1) * stride + n;
        let (own, other) = if y % 2 == 1 { (&mut *red, &mut *black) } else { (&mut *black, &mut *red) };
        other.u[last + 1] = own.u[last];
        other.v[last + 1] = own.v[last];
    }
    let (last, beyond) = (height * stride, (height + 1) * stride);
    for k in 0..stride {
        (red.u[beyond + k], red.v[beyond + k]) = (black.u[last + k], black.v[last + k]);
        (black.u[beyond + k], black.v[beyond + k]) = (red.u[last + k], red.v[last + k]);
    }
}

wide! {
    /// The data terms at the present flow, made robust, and the diagonal with the links' weights.
    fn system(refine: &mut Refine) {
        let (n, height, stride) = (refine.half, refine.height, refine.stride);
        for color in 0..2 {
            let [red, black] = &mut refine.colors;
            let (own, other) = if color == 0 { (red, &*black) } else { (black, &*red) };
            for y in 0..height {
                let odd = (color + y) % 2;
                let at = (y + 1) * stride + 1;
                let [dx, dy, dt, dxx, dxy, dyy, dxt, dyt] = &own.derivatives;
                let r = at..at + n;
                let (dx, dy, dt) = (&dx[r.clone()], &dy[r.clone()], &dt[r.clone()]);
                let (dxx, dxy, dyy) = (&dxx[r.clone()], &dxy[r.clone()], &dyy[r.clone()]);
                let (dxt, dyt) = (&dxt[r.clone()], &dyt[r.clone()]);
                let (u, v) = (&own.u[r.clone()], &own.v[r.clone()]);
                let (right, below) = (&own.right[r.clone()], &own.below[r.clone()]);
                let left = &other.right[at + odd - 1..at + odd - 1 + n];
                let above = &other.below[at - stride..at - stride + n];
                let cross = &mut own.cross[r.clone()];
                let [side_u, side_v] = &mut own.side;
                let (side_u, side_v) = (&mut side_u[r.clone()], &mut side_v[r.clone()]);
                let [inverse_u, inverse_v] = &mut own.inverse;
                let (inverse_u, inverse_v) = (&mut inverse_u[r.clone()], &mut inverse_v[r.clone()]);
                for k in 0..n {
                    // Each residual in pixels: divided by the gradient it is measured with (Zimmer et al. 2011).
                    let norm = 1.0 / (dx[k] * dx[k] + dy[k] * dy[k] + FLAT);
                    let norm_x = 1.0 / (dxx[k] * dxx[k] + dxy[k] * dxy[k] + FLAT);
                    let norm_y = 1.0 / (dxy[k] * dxy[k] + dyy[k] * dyy[k] + FLAT);
                    let rt = dt[k] + dx[k] * u[k] + dy[k] * v[k];
                    let rx = dxt[k] + dxx[k] * u[k] + dxy[k] * v[k];
                    let ry = dyt[k] + dxy[k] * u[k] + dyy[k] * v[k];
                    let w = BRIGHTNESS * norm / (rt * rt * norm + EPSILON).sqrt();
                    let g = GRADIENT / (rx * rx * norm_x + ry * ry * norm_y + EPSILON).sqrt();
                    let (gx, gy) = (g * norm_x, g * norm_y);
                    let links = (right[k] + below[k]) + (left[k] + above[k]);
                    let uu = w * dx[k] * dx[k] + gx * dxx[k] * dxx[k] + gy * dxy[k] * dxy[k];
                    let vv = w * dy[k] * dy[k] + gx * dxy[k] * dxy[k] + gy * dyy[k] * dyy[k];
                    cross[k] = w * dx[k] * dy[k] + gx * dxx[k] * dxy[k] + gy * dxy[k] * dyy[k];
                    side_u[k] = -(w * dx[k] * dt[k] + gx * dxx[k] * dxt[k] + gy * dxy[k] * dyt[k]);
                    side_v[k] = -(w * dy[k] * dt[k] + gx * dxy[k] * dxt[k] + gy * dyy[k] * dyt[k]);
                    inverse_u[k] = OMEGA / (uu + links + 1e-6);
                    inverse_v[k] = OMEGA / (vv + links + 1e-6);
                }
            }
        }
    }
}

wide! {
    /// Sweeps of successive over-relaxation, red and black in turn, all in one pass over the rows: each half sweep
    /// follows one row behind the one before it, which has then done all that it reads. The result is that of one
    /// sweep after the other; the rows stay in the cache.
    fn relax(refine: &mut Refine, sweeps: usize) {
        for front in 0..refine.height + 2 * sweeps - 1 {
            let first = (front + 1).saturating_sub(refine.height);
            for half_sweep in first..(2 * sweeps).min(front + 1) {
                relax_row(refine, half_sweep % 2, front - half_sweep);
            }
        }
    }
}

#[inline(always)]
fn relax_row(refine: &mut Refine, color: usize, y: usize) {
    let (n, stride) = (refine.half, refine.stride);
    let [red, black] = &mut refine.colors;
    let (own, other) = if color == 0 { (red, &*black) } else { (black, &*red) };
    let odd = (color + y) % 2;
    let at = (y + 1) * stride + 1;
    let r = at..at + n;
    let west = at + odd - 1..at + odd - 1 + n;
    let east = at + odd..at + odd + n;
    let north = at - stride..at - stride + n;
    let south = at + stride..at + stride + n;
    let (right, below) = (&own.right[r.clone()], &own.below[r.clone()]);
    let (left, above) = (&other.right[west.clone()], &other.below[north.clone()]);
    let (uw, vw) = (&other.u[west.clone()], &other.v[west]);
    let (ue, ve) = (&other.u[east.clone()], &other.v[east]);
    let (un, vn) = (&other.u[north.clone()], &other.v[north]);
    let (us, vs) = (&other.u[south.clone()], &other.v[south]);
    let cross = &own.cross[r.clone()];
    let (side_u, side_v) = (&own.side[0][r.clone()], &own.side[1][r.clone()]);
    let (inverse_u, inverse_v) = (&own.inverse[0][r.clone()], &own.inverse[1][r.clone()]);
    let (u, v) = (&mut own.u[r.clone()], &mut own.v[r]);
    for k in 0..n {
        let near = (right[k] * ue[k] + below[k] * us[k]) + (left[k] * uw[k] + above[k] * un[k]);
        u[k] = (1.0 - OMEGA) * u[k] + (near + side_u[k] - cross[k] * v[k]) * inverse_u[k];
        let near = (right[k] * ve[k] + below[k] * vs[k]) + (left[k] * vw[k] + above[k] * vn[k]);
        v[k] = (1.0 - OMEGA) * v[k] + (near + side_v[k] - cross[k] * u[k]) * inverse_v[k];
    }
}

wide! {
    fn gather(refine: &Refine, flow: &mut FlowField) {
        let Size { width, height } = flow.size;
        for y in 0..height {
            let at = (y + 1) * refine.stride + 1;
            let rows = |part: fn(&Half) -> &[f32]| {
                let halves = [y % 2, (y + 1) % 2].map(|color| &refine.colors[color]);
                halves.map(|half| &part(half)[at..at + refine.half])
            };
            for (out, part) in [(&mut flow.u, rows(|half| &half.u)), (&mut flow.v, rows(|half| &half.v))] {
                let row = &mut out[y * width..(y + 1) * width];
                for (k, pair) in row.chunks_mut(2).enumerate() {
                    pair[0] = part[0][k];
                    if let Some(second) = pair.get_mut(1) {
                        *second = part[1][k];
                    }
                }
            }
        }
    }
}
