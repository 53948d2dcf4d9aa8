//! From patches to pixels: every pixel takes the mean of the patches over it, each weighted by how well the pixel
//! matches where that patch says it went (Kroeger et al., equation 3).

use super::{
    FlowField,
    patch::{self, Grid, SIDE},
    pyramid::{Level, PAD},
};
use crate::dispatch::wide;

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

    pub fn spread(&mut self, a: &Level, b: &Level, grid: &Grid, flow: &mut FlowField) {
        spread(self, a, b, grid, flow);
    }
}

wide! {
    fn spread(dense: &mut Dense, a: &Level, b: &Level, grid: &Grid, flow: &mut FlowField) {
        dense.weight.fill(0.0);
        dense.u.fill(0.0);
        dense.v.fill(0.0);
        for (j, &y) in grid.ys.iter().enumerate() {
            for (i, &x) in grid.xs.iter().enumerate() {
                let index = j * grid.xs.len() + i;
                add(dense, a, b, (x, y), (grid.u[index], grid.v[index]));
            }
        }
        let width = flow.size.width;
        for y in 0..flow.size.height {
            let start = (y + PAD) * a.stride + PAD;
            let weight = &dense.weight[start..start + width];
            let (u, v) = (&dense.u[start..start + width], &dense.v[start..start + width]);
            let out_u = &mut flow.u[y * width..(y + 1) * width];
            let out_v = &mut flow.v[y * width..(y + 1) * width];
            for x in 0..width {
                let scale = 1.0 / weight[x];
                out_u[x] = u[x] * scale;
                out_v[x] = v[x] * scale;
            }
        }
    }
}

#[inline(always)]
fn add(dense: &mut Dense, a: &Level, b: &Level, at: (usize, usize), (u, v): (f32, f32)) {
    let (to, weights) = patch::place(b, at.0, at.1, u, v);
    let from = a.at(at.0, at.1);
    for j in 0..SIDE {
        let there = patch::sample(b, to + j * b.stride, weights);
        let range = from + j * a.stride..from + j * a.stride + SIDE;
        let here = &a.image[range.clone()];
        let (sum, sum_u) = (&mut dense.weight[range.clone()], &mut dense.u[range.clone()]);
        let sum_v = &mut dense.v[range];
        for i in 0..SIDE {
            let weight = 1.0 / (there[i] - here[i]).abs().max(1.0);
            sum[i] += weight;
            sum_u[i] += weight * u;
            sum_v[i] += weight * v;
        }
    }
}
