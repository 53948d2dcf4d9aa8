//! The linear system of one round: robust weights at the present flow.

use super::{BEFORE, Half, OMEGA, Refine, framed, swept};
use crate::{
    aligned::Aligned,
    dispatch::wide,
    motion::flow::Job,
    threads::{Parallel, each},
};

/// Weights of smoothness, brightness and gradient constancy.
const SMOOTH: f32 = 20.0;
const BRIGHTNESS: f32 = 5.0;
const GRADIENT: f32 = 10.0;
/// Keeps the robust terms differentiable at zero (squared).
const EPSILON: f32 = 1e-6;

/// Robust weights of the links between neighbours; none across the border.
pub fn smoothness(threads: &dyn Parallel, jobs: &mut [Job], cuts: &[usize]) {
    let pieces = jobs.iter_mut().flat_map(|job| {
        let refine = &mut job.step.refine;
        border(refine);
        let (height, stride) = (refine.height, refine.stride);
        let [red, black] = &mut refine.colors;
        let flows = [[&red.u[..], &red.v[..]], [&black.u[..], &black.v[..]]];
        let links = framed([&mut red.right, &mut red.below, &mut black.right, &mut black.below], stride, cuts);
        let half = refine.half;
        cuts.iter().zip(links).map(move |(&first, links)| Links { flows, first, half, height, stride, links })
    });
    each(threads, pieces, |mut band| link(&mut band));
}

/// Rows of the links of both colours, from `first` on.
struct Links<'a> {
    /// u and v of each colour.
    flows: [[&'a [f32]; 2]; 2],
    first: usize,
    half: usize,
    height: usize,
    stride: usize,
    /// To the right and below, of each colour.
    links: [&'a mut [f32]; 4],
}

wide! {
    fn link(band: &mut Links) {
        let Links { flows, first, half, height, stride, links: [red_right, red_below, black_right, black_below] } = band;
        let (stride, n) = (*stride, swept(*stride));
        for (color, (right, below)) in [(red_right, red_below), (black_right, black_below)].into_iter().enumerate() {
            let ([own_u, own_v], [other_u, other_v]) = (flows[color], flows[1 - color]);
            let rows = right.chunks_exact_mut(stride).zip(below.chunks_exact_mut(stride));
            for (y, (right, below)) in (*first..).zip(rows) {
                let odd = (color + y) % 2;
                let at = (y + 1) * stride + BEFORE;
                let (u, v) = (&own_u[at..at + n], &own_v[at..at + n]);
                let (ur, vr) = (&other_u[at + odd..at + odd + n], &other_v[at + odd..at + odd + n]);
                let (ub, vb) = (&other_u[at + stride..at + stride + n], &other_v[at + stride..at + stride + n]);
                let (right, below) = (&mut right[BEFORE..][..n], &mut below[BEFORE..][..n]);
                for k in 0..n {
                    let (ux, uy) = (ur[k] - u[k], ub[k] - u[k]);
                    let (vx, vy) = (vr[k] - v[k], vb[k] - v[k]);
                    right[k] = SMOOTH / ((ux * ux + uy * uy) + (vx * vx + vy * vy) + EPSILON).sqrt();
                }
                if y + 1 == *height {
                    below.fill(0.0);
                } else {
                    below.copy_from_slice(right);
                }
                if odd == 1 {
                    right[*half - 1] = 0.0;
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
        let last = (y + 1) * stride + BEFORE + n - 1;
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

/// The data terms at the present flow, made robust, and the diagonal with the links' weights.
pub fn system(threads: &dyn Parallel, jobs: &mut [Job], cuts: &[usize]) {
    let pieces = jobs.iter_mut().flat_map(|job| {
        let stride = job.step.refine.stride;
        let [red, black] = &mut job.step.refine.colors;
        let ((red, red_system), (black, black_system)) = (red.split(), black.split());
        let systems = framed(red_system, stride, cuts).zip(framed(black_system, stride, cuts));
        let rows = cuts.iter().zip(systems);
        rows.map(move |(&first, (r, b))| Equations { known: [red, black], first, stride, systems: [r, b] })
    });
    each(threads, pieces, |mut band| equate(&mut band));
}

/// What of a colour the system is made of.
#[derive(Clone, Copy)]
struct Known<'a> {
    u: &'a [f32],
    v: &'a [f32],
    residuals: &'a [[Aligned; 3]; 3],
    right: &'a [f32],
    below: &'a [f32],
}

impl Half {
    /// What the system is made of, and its off-diagonal, right side and inverse diagonal.
    fn split(&mut self) -> (Known<'_>, [&mut Aligned; 5]) {
        let Half { u, v, residuals, right, below, cross, side: [side_u, side_v], inverse: [inverse_u, inverse_v] } =
            self;
        (Known { u, v, residuals, right, below }, [cross, side_u, side_v, inverse_u, inverse_v])
    }
}

/// Rows of the system of both colours, from `first` on.
struct Equations<'a> {
    known: [Known<'a>; 2],
    first: usize,
    stride: usize,
    systems: [[&'a mut [f32]; 5]; 2],
}

wide! {
    fn equate(band: &mut Equations) {
        let (stride, n) = (band.stride, swept(band.stride));
        for (color, system) in band.systems.iter_mut().enumerate() {
            let (own, other) = (band.known[color], band.known[1 - color]);
            for row in 0..system[0].len() / stride {
                let y = band.first + row;
                let odd = (color + y) % 2;
                let at = (y + 1) * stride + BEFORE;
                let r = at..at + n;
                // One by one, so that the compiler knows that all are as long.
                let [[x, y, t], [xx, xy, xt], [yx, yy, yt]] = own.residuals;
                let (x, y, t) = (&x[r.clone()], &y[r.clone()], &t[r.clone()]);
                let (xx, xy, xt) = (&xx[r.clone()], &xy[r.clone()], &xt[r.clone()]);
                let (yx, yy, yt) = (&yx[r.clone()], &yy[r.clone()], &yt[r.clone()]);
                let (u, v) = (&own.u[r.clone()], &own.v[r.clone()]);
                let (right, below) = (&own.right[r.clone()], &own.below[r]);
                let left = &other.right[at + odd - 1..at + odd - 1 + n];
                let above = &other.below[at - stride..at - stride + n];
                let start = row * stride + BEFORE;
                let [cross, side_u, side_v, inverse_u, inverse_v] = system.each_mut();
                let (cross, side_u, side_v) =
                    (&mut cross[start..][..n], &mut side_u[start..][..n], &mut side_v[start..][..n]);
                let (inverse_u, inverse_v) = (&mut inverse_u[start..][..n], &mut inverse_v[start..][..n]);
                for k in 0..n {
                    let r = t[k] + x[k] * u[k] + y[k] * v[k];
                    let rx = xt[k] + xx[k] * u[k] + xy[k] * v[k];
                    let ry = yt[k] + yx[k] * u[k] + yy[k] * v[k];
                    let w = BRIGHTNESS / (r * r + EPSILON).sqrt();
                    let g = GRADIENT / (rx * rx + ry * ry + EPSILON).sqrt();
                    let links = (right[k] + below[k]) + (left[k] + above[k]) + 1e-6;
                    let uu = w * x[k] * x[k] + g * (xx[k] * xx[k] + yx[k] * yx[k]) + links;
                    let vv = w * y[k] * y[k] + g * (xy[k] * xy[k] + yy[k] * yy[k]) + links;
                    cross[k] = w * x[k] * y[k] + g * (xx[k] * xy[k] + yx[k] * yy[k]);
                    side_u[k] = -(w * x[k] * t[k] + g * (xx[k] * xt[k] + yx[k] * yt[k]));
                    side_v[k] = -(w * y[k] * t[k] + g * (xy[k] * xt[k] + yy[k] * yt[k]));
                    // One division for both.
                    let inverse = OMEGA / (uu * vv);
                    (inverse_u[k], inverse_v[k]) = (inverse * vv, inverse * uu);
                }
            }
        }
    }
}
