//! From patches to pixels: every pixel takes the mean of the patches over it, each weighted by how well the pixel
//! matches where that patch says it went (Kroeger et al., equation 3).

use super::{
    Job,
    patch::{self, SIDE},
    pyramid::{Level, PAD},
    search::Grid,
};
use crate::{
    dispatch::{eight::Eight, wide},
    threads::{Parallel, bands, each},
};

/// Sums on the level's canvas: of the weights, and of the weighted displacements.
pub struct Dense {
    weight: Vec<f32>,
    u: Vec<f32>,
    v: Vec<f32>,
}

impl Dense {
    pub fn new(level: &Level) -> Self {
        let canvas = || vec![0.0; level.image.len()];
        Dense { weight: canvas(), u: canvas(), v: canvas() }
    }
}

/// Rows of one field, from `first` on.
struct Band<'a> {
    a: &'a Level,
    b: &'a Level,
    grid: &'a Grid,
    first: usize,
    /// Rows of the canvas: weight, u, v.
    sums: [&'a mut [f32]; 3],
    /// The flow there: u, v.
    flow: [&'a mut [f32]; 2],
}

/// Replaces the flow with what the patches found, in bands of rows between the cuts.
pub fn spread(threads: &dyn Parallel, jobs: &mut [Job], cuts: &[usize]) {
    let pieces = jobs.iter_mut().flat_map(|job| {
        let (a, b, step) = (job.a, job.b, &mut *job.step);
        let (grid, Dense { weight, u, v }, flow) = (&step.grid, &mut step.dense, &mut step.flow);
        let sums = bands([weight, u, v].map(|plane| &mut plane[PAD * a.stride..]), a.stride, cuts);
        let flow = bands([&mut flow.u[..], &mut flow.v[..]], flow.size.width, cuts);
        let rows = cuts.iter().zip(sums.zip(flow));
        rows.map(move |(&first, (sums, flow))| Band { a, b, grid, first, sums, flow })
    });
    each(threads, pieces, |mut band| fill(&mut band));
}

wide! {
    fn fill(simd: Eight, band: &mut Band) {
        let (stride, width) = (band.a.stride, band.a.size.width);
        for sum in &mut band.sums {
            sum.fill(0.0);
        }
        let end = band.first + band.sums[0].len() / stride;
        for (row, &y) in band.grid.ys.iter().enumerate() {
            // Of a patch, the rows that lie in the band.
            let rows = band.first.max(y)..end.min(y + SIDE);
            if rows.is_empty() {
                continue;
            }
            for (column, &x) in band.grid.xs.iter().enumerate() {
                add(simd, band, x, y, band.grid.place(row, column), rows.clone());
            }
        }
        let [weight, u, v] = &band.sums;
        let [out_u, out_v] = &mut band.flow;
        let canvas = weight.chunks_exact(stride).zip(u.chunks_exact(stride).zip(v.chunks_exact(stride)));
        let out = out_u.chunks_exact_mut(width).zip(out_v.chunks_exact_mut(width));
        for ((weight, (u, v)), (out_u, out_v)) in canvas.zip(out) {
            let (weight, u, v) = (&weight[PAD..PAD + width], &u[PAD..PAD + width], &v[PAD..PAD + width]);
            for x in 0..width {
                let scale = 1.0 / weight[x];
                out_u[x] = u[x] * scale;
                out_v[x] = v[x] * scale;
            }
        }
    }
}

#[inline(always)]
fn add<S: Eight>(simd: S, band: &mut Band, x: usize, y: usize, (u, v): (f32, f32), rows: std::ops::Range<usize>) {
    let Band { a, b, first, sums: [weights, sums_u, sums_v], .. } = band;
    let (to, between) = patch::place(b, x, y, u, v);
    let (between, u, v, one) = (patch::splat(simd, between), simd.splat(u), simd.splat(v), simd.splat(1.0));
    for row in rows {
        let there = patch::sample(simd, b, to + (row - y) * b.stride, between);
        let here = simd.load(patch::row(&a.image, a.at(x, row)));
        let start = (row - *first) * a.stride + PAD + x;
        let weight = one / simd.max(simd.abs(there - here), one);
        for (sums, value) in [(&mut *weights, weight), (&mut *sums_u, weight * u), (&mut *sums_v, weight * v)] {
            let sums = sums[start..start + SIDE].first_chunk_mut().expect("a slice of a patch's width");
            simd.store(simd.load(sums) + value, sums);
        }
    }
}
