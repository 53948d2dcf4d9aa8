//! Variational refinement, as in the DIS paper's last step: a robust energy of brightness constancy, gradient constancy
//! and smoothness (Brox et al., ECCV 2004), linearized at the given flow and solved by successive over-relaxation.
//!
//! Red and black pixels (of a checkerboard) are kept in arrays of their own: all neighbours of a colour are of the
//! other, so a sweep over one colour is free of order and runs in wide registers. Pixel `(x, y)` has the colour
//! `(x + y) % 2` and the column `x / 2` there.
//!
//! Threads work on bands of rows; the result does not depend on where they are cut.

mod linearize;
mod relax;
mod system;

pub use relax::least_rows;

use super::Job;
use crate::{
    aligned::{Aligned, LINE},
    dispatch::wide,
    frame::Size,
    threads::{Parallel, bands, each},
};

/// Over-relaxation.
const OMEGA: f32 = 1.6;
/// Values of a row before its first pixel, of which one is its border.
const BEFORE: usize = LINE;

/// Rows and columns around the images that their derivatives reach over.
const FRAME: usize = 2;

/// Values of a row that sweeps go over.
fn swept(stride: usize) -> usize {
    stride - BEFORE - LINE
}

/// The pixels of one colour: `height + 2` rows, a border of one above and below, of `stride` values, [`BEFORE`] of them before the first
/// pixel and one or more behind the last. Rows begin where cache lines do, and sweeps go over whole lines: what lies behind the last
/// pixel has no link to it.
struct Half {
    u: Aligned,
    v: Aligned,
    /// The data terms, of brightness and of its gradient across and down: x, y and t of each, so that `t + x u + y v` is the residual
    /// at `(u, v)`, in pixels.
    residuals: [[Aligned; 3]; 3],
    /// Smoothness of the link to the right and to the one below.
    right: Aligned,
    below: Aligned,
    /// The linear system at each pixel: its off-diagonal, its right side, the inverse of its diagonal.
    cross: Aligned,
    side: [Aligned; 2],
    inverse: [Aligned; 2],
}

/// Buffers for one level.
pub struct Refine {
    half: usize,
    height: usize,
    stride: usize,
    /// Mean and difference of the first image and the second one warped onto it: even columns and odd ones, `height + 2 FRAME` rows
    /// each, which lie as a colour's do.
    mean: [Aligned; 2],
    difference: [Aligned; 2],
    colors: [Half; 2],
}

impl Refine {
    pub fn new(size: Size) -> Self {
        let half = size.width.div_ceil(2);
        let stride = BEFORE + half.next_multiple_of(LINE) + LINE;
        let plane = || Aligned::zeros(stride * (size.height + 2));
        let color = || Half {
            u: plane(),
            v: plane(),
            residuals: std::array::from_fn(|_| [plane(), plane(), plane()]),
            right: plane(),
            below: plane(),
            cross: plane(),
            side: [plane(), plane()],
            inverse: [plane(), plane()],
        };
        let image = || [(); 2].map(|()| Aligned::zeros(stride * (size.height + 2 * FRAME)));
        Refine { half, height: size.height, stride, mean: image(), difference: image(), colors: [color(), color()] }
    }
}

/// The rows of planes that have a border, in bands between the cuts.
fn framed<'a, const N: usize>(
    planes: [&'a mut Aligned; N],
    stride: usize,
    cuts: &[usize],
) -> impl Iterator<Item = [&'a mut [f32]; N]> {
    bands(planes.map(|plane| &mut plane[stride..]), stride, cuts)
}

/// Improves the flow of each job in place, in bands of rows between the cuts.
pub fn refine(threads: &dyn Parallel, jobs: &mut [Job], cuts: &[usize], rounds: usize, sweeps: usize) {
    linearize::linearize(threads, jobs, cuts);
    for _ in 0..rounds {
        system::smoothness(threads, jobs, cuts);
        system::system(threads, jobs, cuts);
        relax::relax(threads, jobs, cuts, sweeps);
    }
    let pieces = jobs.iter_mut().flat_map(|job| {
        let (refine, flow) = (&job.step.refine, &mut job.step.flow);
        let width = flow.size.width;
        let planes = bands([&mut flow.u[..], &mut flow.v[..]], width, cuts);
        cuts.iter().zip(planes).map(move |(&first, flow)| Gathered { refine, width, first, flow })
    });
    each(threads, pieces, |mut band| gather(&mut band));
}

/// Rows of the flow, from `first` on: u, v.
struct Gathered<'a> {
    refine: &'a Refine,
    width: usize,
    first: usize,
    flow: [&'a mut [f32]; 2],
}

wide! {
    /// The flow from the two colours.
    fn gather(band: &mut Gathered) {
        let (refine, [out_u, out_v]) = (band.refine, &mut band.flow);
        let rows = out_u.chunks_exact_mut(band.width).zip(out_v.chunks_exact_mut(band.width));
        for (y, (out_u, out_v)) in (band.first..).zip(rows) {
            let at = (y + 1) * refine.stride + BEFORE;
            let (even, odd) = (&refine.colors[y % 2], &refine.colors[(y + 1) % 2]);
            let row = at..at + refine.half;
            in_turn(&even.u[row.clone()], &odd.u[row.clone()], out_u);
            in_turn(&even.v[row.clone()], &odd.v[row], out_v);
        }
    }
}

/// The values of both rows in turn; the last may be of the first row.
#[inline(always)]
fn in_turn(even: &[f32], odd: &[f32], out: &mut [f32]) {
    let (pairs, rest) = out.as_chunks_mut::<2>();
    if let [last] = rest {
        *last = even[pairs.len()];
    }
    for (pair, (even, odd)) in pairs.iter_mut().zip(even.iter().zip(odd)) {
        *pair = [*even, *odd];
    }
}
