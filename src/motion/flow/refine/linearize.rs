//! The energy at the given flow: the second image warped onto the first, and the derivatives of the two.

use super::{BEFORE, Half, Refine, framed};
use crate::{
    dispatch::wide,
    frame::Size,
    motion::{
        flow::{
            FlowField, Job,
            pyramid::{Level, PAD},
        },
        warp::{TOGETHER, floor},
    },
    threads::{Parallel, bands, each},
};

/// Warps, differentiates, and deals flow and derivatives out to the two colours.
pub fn linearize(threads: &dyn Parallel, jobs: &mut [Job], cuts: &[usize]) {
    let warped = jobs.iter_mut().flat_map(|job| {
        let (a, b, step) = (job.a, job.b, &mut *job.step);
        let (Refine { mean, difference, .. }, flow) = (&mut step.refine, &step.flow);
        let planes = bands([mean, difference].map(|plane| &mut plane[PAD * a.stride..]), a.stride, cuts);
        cuts.iter().zip(planes).map(move |(&first, images)| Warped { a, b, flow, first, images })
    });
    each(threads, warped, |mut band| warp(&mut band));
    for job in &mut *jobs {
        for plane in [&mut job.step.refine.mean, &mut job.step.refine.difference] {
            extend(plane, job.a.size, job.a.stride);
        }
    }
    each(threads, jobs.iter_mut().flat_map(|job| dealt(job, cuts)), |mut band| derive(&mut band));
}

/// Rows of the mean and the difference, from `first` on, on the canvas.
struct Warped<'a> {
    a: &'a Level,
    b: &'a Level,
    flow: &'a FlowField,
    first: usize,
    images: [&'a mut [f32]; 2],
}

wide! {
    fn warp(band: &mut Warped) {
        let Warped { a, b, flow, first, images: [means, differences] } = band;
        let Size { width, height } = flow.size;
        let (right, bottom) = ((width + PAD - 2) as f32, (height + PAD - 2) as f32);
        let margin = -((PAD - 1) as f32);
        // Places first, so that they are worked out in wide registers, then the values there.
        let (mut from, mut fx, mut fy) = ([0i32; TOGETHER], [0.0f32; TOGETHER], [0.0f32; TOGETHER]);
        let rows = means.chunks_exact_mut(a.stride).zip(differences.chunks_exact_mut(a.stride));
        for (y, (means, differences)) in (*first..).zip(rows) {
            for x in (0..width).step_by(TOGETHER) {
                let count = (width - x).min(TOGETHER);
                let (fu, fv) = (&flow.u[y * width + x..][..count], &flow.v[y * width + x..][..count]);
                for k in 0..count {
                    let px = ((x + k) as f32 + fu[k]).clamp(margin, right) + PAD as f32;
                    let py = (y as f32 + fv[k]).clamp(margin, bottom) + PAD as f32;
                    let ((ix, x_way), (iy, y_way)) = (floor(px), floor(py));
                    (fx[k], fy[k]) = (x_way, y_way);
                    from[k] = iy * b.stride as i32 + ix;
                }
                let here = &a.image[a.at(x, y)..][..count];
                let mean = &mut means[PAD + x..][..count];
                let difference = &mut differences[PAD + x..][..count];
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

/// What of one colour is dealt out: the derivatives, u and v.
type Hand<'a> = [&'a mut [f32]; 10];

/// Rows of both colours, from `first` on.
struct Dealt<'a> {
    a: &'a Level,
    flow: &'a FlowField,
    images: [&'a [f32]; 2],
    first: usize,
    /// Rows of derivatives before they are dealt out.
    rows: &'a mut [Vec<f32>; 8],
    stride: usize,
    hands: [Hand<'a>; 2],
}

fn dealt<'a>(job: &'a mut Job, cuts: &'a [usize]) -> impl Iterator<Item = Dealt<'a>> {
    let (a, flow) = (job.a, &job.step.flow);
    let Refine { mean, difference, rows, colors: [red, black], stride, .. } = &mut job.step.refine;
    let (images, stride) = ([&mean[..], &difference[..]], *stride);
    let hands = [red, black].map(|color| {
        let Half { u, v, derivatives: [dx, dy, dt, dxx, dxy, dyy, dxt, dyt], .. } = color;
        framed([dx, dy, dt, dxx, dxy, dyy, dxt, dyt, u, v], stride, cuts)
    });
    let [red, black] = hands;
    let bands = cuts.iter().zip(rows).zip(red.zip(black));
    bands.map(move |((&first, rows), (red, black))| Dealt { a, flow, images, first, rows, stride, hands: [red, black] })
}

wide! {
    fn derive(band: &mut Dealt) {
        let Dealt { a, flow, images: [mean, difference], first, rows, stride, hands } = band;
        let width = flow.size.width;
        let half = width.div_ceil(2);
        for y in *first..*first + hands[0][0].len() / *stride {
            differentiate(mean, difference, rows, a, y);
            let (fu, fv) = (&flow.u[y * width..(y + 1) * width], &flow.v[y * width..(y + 1) * width]);
            let [dx, dy, dt, dxx, dxy, dyy, dxt, dyt] = rows.each_mut().map(|row| &mut row[..width]);
            for (x, at) in (0..width).zip(0u32..) {
                let inside = inside(flow.size, at as f32 + fu[x], y as f32 + fv[x]);
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
            for row in rows.iter_mut() {
                // The column that makes an odd width even.
                row[2 * half - 1] = row[width - 1];
            }
            let start = (y - *first) * *stride + BEFORE;
            for (color, hand) in hands.iter_mut().enumerate() {
                let odd = (color + y) % 2;
                let [derivatives @ .., u, v] = hand;
                for (to, from) in derivatives.iter_mut().zip(rows.iter()) {
                    deal(&mut to[start..start + half], &from[..2 * half], odd);
                }
                deal(&mut u[start..start + half], fu, odd);
                deal(&mut v[start..start + half], fv, odd);
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
    match odd {
        0 => deal_one::<0>(to, from),
        _ => deal_one::<1>(to, from),
    }
}

/// Which of the two is known to the compiler: it then shuffles registers instead of fetching value by value.
#[inline(always)]
fn deal_one<const ODD: usize>(to: &mut [f32], from: &[f32]) {
    let last = from.len() - 1;
    let whole = (from.len() / 2).min(to.len());
    for (to, pair) in to.iter_mut().zip(from.as_chunks::<2>().0) {
        *to = pair[ODD];
    }
    for k in whole..to.len() {
        to[k] = from[(2 * k + ODD).min(last)];
    }
}

/// Derivatives of one row, one pixel more where the width is odd.
#[inline(always)]
fn differentiate(mean: &[f32], difference: &[f32], rows: &mut [Vec<f32>; 8], a: &Level, y: usize) {
    let (stride, count) = (a.stride, rows[0].len());
    let start = a.at(0, y);
    let [dx, dy, dt, dxx, dxy, dyy, dxt, dyt] = rows.each_mut().map(|row| &mut row[..count]);
    let s = stride as isize;
    let m = |by: isize| &mean[(start as isize + by) as usize..][..count];
    let d = |by: isize| &difference[(start as isize + by) as usize..][..count];
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
