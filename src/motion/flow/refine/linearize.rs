//! The energy at the given flow: the second image warped onto the first, and what the two say of the motion there.
//!
//! Even and odd columns of the warped images are kept apart: in every row one of them is a colour's own, and all that its derivatives are
//! made of lies side by side.

use super::{BEFORE, FRAME, Half, Refine, framed};
use crate::{
    aligned::{Aligned, LINE},
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

/// Keeps a residual finite where the picture is flat (squared grey levels).
const FLAT: f32 = 0.03;

/// Warps, differentiates, and deals the flow out to the two colours.
pub fn linearize(threads: &dyn Parallel, jobs: &mut [Job], cuts: &[usize]) {
    let warped = jobs.iter_mut().flat_map(|job| {
        let (a, b, step) = (job.a, job.b, &mut *job.step);
        let (Refine { mean: [m, n], difference: [d, e], stride, .. }, flow) = (&mut step.refine, &step.flow);
        let stride = *stride;
        let planes = bands([m, n, d, e].map(|plane| &mut plane[FRAME * stride..]), stride, cuts);
        cuts.iter().zip(planes).map(move |(&first, images)| Warped { a, b, flow, first, stride, images })
    });
    each(threads, warped, |mut band| warp(&mut band));
    for job in &mut *jobs {
        let Refine { mean, difference, stride, .. } = &mut job.step.refine;
        for columns in [mean, difference] {
            extend(columns, job.a.size, *stride);
        }
    }
    each(threads, jobs.iter_mut().flat_map(|job| dealt(job, cuts)), |mut band| derive(&mut band));
}

/// Rows of the mean and the difference, even and odd columns of each, from `first` on.
struct Warped<'a> {
    a: &'a Level,
    b: &'a Level,
    flow: &'a FlowField,
    first: usize,
    stride: usize,
    images: [&'a mut [f32]; 4],
}

wide! {
    fn warp(band: &mut Warped) {
        let Warped { a, b, flow, first, stride, images } = band;
        let Size { width, height } = flow.size;
        let (right, bottom) = ((width + PAD - 2) as f32, (height + PAD - 2) as f32);
        let margin = -((PAD - 1) as f32);
        // Places first, so that they are worked out in wide registers, then the values there.
        let (mut from, mut fx, mut fy) = ([0i32; TOGETHER], [0.0f32; TOGETHER], [0.0f32; TOGETHER]);
        let (mut mean, mut difference) = ([0.0f32; TOGETHER], [0.0f32; TOGETHER]);
        for row in 0..images[0].len() / *stride {
            let y = *first + row;
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
                for k in 0..count {
                    let at = from[k] as usize;
                    let (upper, lower) = (&b.image[at..at + 2], &b.image[at + b.stride..at + b.stride + 2]);
                    let (p, q) = (upper[0] + (upper[1] - upper[0]) * fx[k], lower[0] + (lower[1] - lower[0]) * fx[k]);
                    let there = p + (q - p) * fy[k];
                    mean[k] = 0.5 * (there + here[k]);
                    difference[k] = there - here[k];
                }
                let [even_mean, odd_mean, even_difference, odd_difference] = images;
                let at = row * *stride + BEFORE + x / 2;
                deal::<0>(&mut even_mean[at..at + count.div_ceil(2)], &mean);
                deal::<1>(&mut odd_mean[at..at + count / 2], &mean);
                deal::<0>(&mut even_difference[at..at + count.div_ceil(2)], &difference);
                deal::<1>(&mut odd_difference[at..at + count / 2], &difference);
            }
        }
    }
}

/// Every second value of a row, from the first or the second on. Which of them is known to the compiler: it then shuffles registers
/// instead of fetching value by value.
#[inline(always)]
fn deal<const ODD: usize>(to: &mut [f32], from: &[f32]) {
    for (to, pair) in to.iter_mut().zip(from.as_chunks::<2>().0) {
        *to = pair[ODD];
    }
}

/// Repeats the outermost pixels two (right: three) further.
fn extend(columns: &mut [Aligned; 2], size: Size, stride: usize) {
    let last = size.width - 1;
    for y in FRAME..FRAME + size.height {
        let row = y * stride + BEFORE;
        let (left, right) = (columns[0][row], columns[last % 2][row + last / 2]);
        (columns[0][row - 1], columns[1][row - 1]) = (left, left);
        for x in last + 1..last + 4 {
            columns[x % 2][row + x / 2] = right;
        }
    }
    let last = FRAME + size.height - 1;
    for plane in columns {
        for (from, to) in [(FRAME, FRAME - 1), (FRAME, FRAME - 2), (last, last + 1), (last, last + 2)] {
            plane.copy_within(from * stride..(from + 1) * stride, to * stride);
        }
    }
}

/// What of one colour is worked out: the residuals of the data terms, u and v.
type Hand<'a> = [&'a mut [f32]; 11];

/// Rows of both colours, from `first` on.
struct Dealt<'a> {
    flow: &'a FlowField,
    mean: &'a [Aligned; 2],
    difference: &'a [Aligned; 2],
    first: usize,
    stride: usize,
    hands: [Hand<'a>; 2],
}

fn dealt<'a>(job: &'a mut Job, cuts: &'a [usize]) -> impl Iterator<Item = Dealt<'a>> {
    let flow = &job.step.flow;
    let Refine { mean, difference, colors: [red, black], stride, .. } = &mut job.step.refine;
    let (mean, difference, stride) = (&*mean, &*difference, *stride);
    let hands = [red, black].map(|color| {
        let Half { u, v, residuals: [[x, y, t], [xx, xy, xt], [yx, yy, yt]], .. } = color;
        framed([x, y, t, xx, xy, xt, yx, yy, yt, u, v], stride, cuts)
    });
    let [red, black] = hands;
    let rows = cuts.iter().zip(red.zip(black));
    rows.map(move |(&first, (red, black))| Dealt { flow, mean, difference, first, stride, hands: [red, black] })
}

wide! {
    fn derive(band: &mut Dealt) {
        let Dealt { flow, mean, difference, first, stride, hands } = band;
        let (size, stride) = (flow.size, *stride);
        let (width, half) = (size.width, size.width.div_ceil(2));
        for row in 0..hands[0][0].len() / stride {
            let y = *first + row;
            let start = row * stride + BEFORE;
            for (color, hand) in hands.iter_mut().enumerate() {
                let odd = (color + y) % 2;
                let [residuals @ .., u, v] = hand;
                for (to, from) in [(&mut **u, &flow.u), (&mut **v, &flow.v)] {
                    let (to, from) = (&mut to[start..start + half], &from[y * width..(y + 1) * width]);
                    if odd == 0 { deal::<0>(to, from) } else { deal::<1>(to, from) }
                    if width % 2 == 1 {
                        to[half - 1] = from[width - 1];
                    }
                }
                let near = Near {
                    mean: [&mean[odd], &mean[1 - odd]],
                    difference: [&difference[odd], &difference[1 - odd]],
                    stride,
                    odd,
                };
                for k in (0..half).step_by(LINE) {
                    let way = [line(u, start + k), line(v, start + k)];
                    let at = (y + FRAME) * stride + BEFORE + k;
                    let found = near.residuals(at, ((2 * k + odd) as f32, y as f32), way, size);
                    for (to, from) in residuals.iter_mut().zip(&found) {
                        to[start + k..start + k + LINE].copy_from_slice(from);
                    }
                }
            }
            if width % 2 == 1 {
                // The column that makes an odd width even.
                let (last, [red, black]) = (start + half - 1, &mut *hands);
                let (to, from) = if y % 2 == 1 { (red, black) } else { (black, red) };
                for (to, from) in to.iter_mut().zip(from) {
                    to[last] = from[last];
                }
            }
        }
    }
}

/// As many values as a cache line has.
#[inline(always)]
fn line(plane: &[f32], start: usize) -> &[f32; LINE] {
    plane[start..start + LINE].first_chunk().expect("a slice of a line's length")
}

/// The warped images around a colour's pixels of one row: its own columns, and those between them.
struct Near<'a> {
    mean: [&'a [f32]; 2],
    difference: [&'a [f32]; 2],
    stride: usize,
    /// Whether its own columns are the odd ones.
    odd: usize,
}

/// From a colour's pixel to the next one of its own.
const APART: [f32; LINE] = {
    let mut apart = [0.0; LINE];
    let mut k = 0;
    while k < LINE {
        apart[k] = 2.0 * k as f32;
        k += 1;
    }
    apart
};

impl Near<'_> {
    /// What brightness and its gradient, across and down, say of the motion of a line of pixels, the first of them at `(x, y)`, in pixels:
    /// each `t + x u + y v`, divided by the gradient it is measured with (Zimmer et al. 2011); of x, y and t of each. `at` is where the pixels lie
    /// in the planes, `u` and `v` the given flow.
    #[inline(always)]
    fn residuals(&self, at: usize, (x, y): (f32, f32), [u, v]: [&[f32; LINE]; 2], size: Size) -> [[f32; LINE]; 9] {
        let s = self.stride;
        // Of the columns between, those to the left begin here.
        let beside = at + self.odd - 1;
        let [own, other] = self.mean;
        let (here, above, below) = (line(own, at), line(own, at - s), line(own, at + s));
        let (before, after, high, low) =
            (line(own, at - 1), line(own, at + 1), line(own, at - 2 * s), line(own, at + 2 * s));
        let (left, right) = (line(other, beside), line(other, beside + 1));
        let (nw, ne) = (line(other, beside - s), line(other, beside - s + 1));
        let (sw, se) = (line(other, beside + s), line(other, beside + s + 1));
        let [own, other] = self.difference;
        let (t, t_above, t_below) = (line(own, at), line(own, at - s), line(own, at + s));
        let (t_left, t_right) = (line(other, beside), line(other, beside + 1));
        let (end, bottom) = (size.width as f32 - 0.5, size.height as f32 - 0.5);
        let mut out = [[0.0; LINE]; 9];
        for k in 0..LINE {
            let (dx, dy) = (0.5 * (right[k] - left[k]), 0.5 * (below[k] - above[k]));
            let dxx = 0.25 * ((after[k] - here[k]) - (here[k] - before[k]));
            let dyy = 0.25 * ((low[k] - here[k]) - (here[k] - high[k]));
            let dxy = 0.25 * ((se[k] - sw[k]) - (ne[k] - nw[k]));
            let (dxt, dyt) = (0.5 * (t_right[k] - t_left[k]), 0.5 * (t_below[k] - t_above[k]));
            // Where the second image shows nothing, smoothness alone decides.
            let (x, to_x, to_y) = (x + APART[k], x + APART[k] + u[k], y + v[k]);
            let inside = x < end && to_x >= -0.5 && to_x <= end && to_y >= -0.5 && to_y <= bottom;
            let keep = if inside { 1.0 } else { 0.0 };
            let norm = keep / (dx * dx + dy * dy + FLAT).sqrt();
            let norm_x = keep / (dxx * dxx + dxy * dxy + FLAT).sqrt();
            let norm_y = keep / (dxy * dxy + dyy * dyy + FLAT).sqrt();
            out[0][k] = norm * dx;
            out[1][k] = norm * dy;
            out[2][k] = norm * t[k] - out[0][k] * u[k] - out[1][k] * v[k];
            out[3][k] = norm_x * dxx;
            out[4][k] = norm_x * dxy;
            out[5][k] = norm_x * dxt - out[3][k] * u[k] - out[4][k] * v[k];
            out[6][k] = norm_y * dxy;
            out[7][k] = norm_y * dyy;
            out[8][k] = norm_y * dyt - out[6][k] * u[k] - out[7][k] * v[k];
        }
        out
    }
}
