//! The inverse search: each patch of the first image finds its place in the second by Gauss-Newton steps whose Hessian
//! is the first image's and so computed once (Baker and Matthews' inverse compositional alignment).

use super::{
    FlowField,
    pyramid::{Level, PAD},
};
use crate::{dispatch::wide, frame::Size};

/// Width and height of a patch.
pub const SIDE: usize = 8;
const AREA: f32 = (SIDE * SIDE) as f32;
/// Added to the Hessian's diagonal, per pixel: keeps flat patches where they started.
const DAMPING: f32 = 2.0 * AREA;
/// Steps shorter than this many pixels are not worth a look at where they lead.
const SMALL_STEP: f32 = 0.02;

/// Patches at regular distances, the last of each row and column flush with the border.
pub struct Grid {
    /// Left and upper edges of the patches.
    pub xs: Vec<usize>,
    pub ys: Vec<usize>,
    /// Displacement of each patch, row by row.
    pub u: Vec<f32>,
    pub v: Vec<f32>,
    start: Vec<(f32, f32)>,
    templates: Vec<Template>,
    /// What is left there; None where that has not been looked at.
    residuals: Vec<Option<Residual>>,
}

/// What a patch of the first image contributes to every step of its search.
#[derive(Clone, Copy, Default)]
struct Template {
    /// Inverse of the Hessian of the mean-free patch.
    inverse: [f32; 3],
    /// Sums of the gradients.
    dx: f32,
    dy: f32,
}

/// Sums over a patch: the residual's, its square's (mean-free), and its products with the gradients (mean-free).
#[derive(Clone, Copy)]
struct Residual {
    squared: f32,
    x: f32,
    y: f32,
}

impl Grid {
    pub fn new(size: Size, stride: usize) -> Self {
        let edges = |side: usize| -> Vec<usize> {
            let last = side.saturating_sub(SIDE);
            (0..last).step_by(stride).chain([last]).collect()
        };
        let (xs, ys) = (edges(size.width), edges(size.height));
        let count = xs.len() * ys.len();
        let (u, v) = (vec![0.0; count], vec![0.0; count]);
        let (start, templates) = (vec![(0.0, 0.0); count], vec![Template::default(); count]);
        Grid { xs, ys, u, v, start, templates, residuals: vec![None; count] }
    }

    /// Searches every patch of `a` in `b`, starting from the dense field `prior`.
    pub fn search(&mut self, a: &Level, b: &Level, prior: &FlowField, steps: usize) {
        let half = SIDE / 2;
        let Size { width, height } = prior.size;
        for (j, &y) in self.ys.iter().enumerate() {
            for (i, &x) in self.xs.iter().enumerate() {
                let center = (y + half).min(height - 1) * width + (x + half).min(width - 1);
                let index = j * self.xs.len() + i;
                (self.u[index], self.v[index]) = (prior.u[center], prior.v[center]);
                self.start[index] = (prior.u[center], prior.v[center]);
                self.residuals[index] = None;
            }
        }
        sweep(self, a, b, steps);
    }
}

wide! {
    /// Two passes over the grid, down and up again, as OpenCV's implementation makes them: a patch also tries the
    /// results of its neighbours already visited, so that a good match spreads over the picture.
    fn sweep(grid: &mut Grid, a: &Level, b: &Level, steps: usize) {
        let (columns, rows) = (grid.xs.len(), grid.ys.len());
        for j in 0..rows {
            for i in 0..columns {
                let index = j * columns + i;
                grid.templates[index] = template(a, grid.xs[i], grid.ys[j]);
                let left = (i > 0).then(|| index - 1);
                let above = (j > 0).then(|| index - columns);
                let right_above = (j > 0 && i + 1 < columns).then(|| index - columns + 1);
                visit(grid, a, b, (i, j), [left, above, right_above], steps);
            }
        }
        for j in (0..rows).rev() {
            for i in (0..columns).rev() {
                let index = j * columns + i;
                let right = (i + 1 < columns).then_some(index + 1);
                let below = (j + 1 < rows).then_some(index + columns);
                let left_below = (j + 1 < rows && i > 0).then(|| index + columns - 1);
                visit(grid, a, b, (i, j), [right, below, left_below], steps);
            }
        }
    }
}

#[inline(always)]
fn visit(grid: &mut Grid, a: &Level, b: &Level, at: (usize, usize), near: [Option<usize>; 3], steps: usize) {
    let index = at.1 * grid.xs.len() + at.0;
    let (x, y) = (grid.xs[at.0], grid.ys[at.1]);
    let template = grid.templates[index];
    let (mut u, mut v) = (grid.u[index], grid.v[index]);
    let mut best = match grid.residuals[index] {
        Some(residual) => residual,
        None => residual(a, b, &template, x, y, u, v),
    };
    for other in near.into_iter().flatten() {
        let (nu, nv) = (grid.u[other], grid.v[other]);
        // The same place again needs no look.
        if (nu - u).abs() + (nv - v).abs() < 0.1 {
            continue;
        }
        let found = residual(a, b, &template, x, y, nu, nv);
        if found.squared < best.squared {
            (u, v, best) = (nu, nv, found);
        }
    }
    for _ in 0..steps {
        let [xx, xy, yy] = template.inverse;
        let (du, dv) = (xx * best.x + xy * best.y, xy * best.x + yy * best.y);
        if du.abs() + dv.abs() < SMALL_STEP {
            break;
        }
        let found = residual(a, b, &template, x, y, u - du, v - dv);
        if found.squared >= best.squared {
            break;
        }
        (u, v, best) = (u - du, v - dv, found);
    }
    let (su, sv) = grid.start[index];
    // A patch that left the place where the coarser level saw it has slid along something else.
    if (u - su).abs().max((v - sv).abs()) <= SIDE as f32 {
        (grid.u[index], grid.v[index], grid.residuals[index]) = (u, v, Some(best));
    } else {
        (grid.u[index], grid.v[index], grid.residuals[index]) = (su, sv, None);
    }
}

/// The same order of summation whatever the processor.
#[inline(always)]
fn total(a: [f32; SIDE]) -> f32 {
    ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]))
}

#[inline(always)]
fn row(plane: &[f32], start: usize) -> &[f32; SIDE] {
    plane[start..start + SIDE].first_chunk().expect("a slice of a patch's width")
}

#[inline(always)]
fn template(a: &Level, x: usize, y: usize) -> Template {
    let (mut sx, mut sy) = ([0.0; SIDE], [0.0; SIDE]);
    let (mut sxx, mut sxy, mut syy) = ([0.0; SIDE], [0.0; SIDE], [0.0; SIDE]);
    let start = a.at(x, y);
    for j in 0..SIDE {
        let (dx, dy) = (row(&a.dx, start + j * a.stride), row(&a.dy, start + j * a.stride));
        for i in 0..SIDE {
            sx[i] += dx[i];
            sy[i] += dy[i];
            sxx[i] += dx[i] * dx[i];
            sxy[i] += dx[i] * dy[i];
            syy[i] += dy[i] * dy[i];
        }
    }
    let (dx, dy) = (total(sx), total(sy));
    let xx = total(sxx) - dx * dx / AREA + DAMPING;
    let yy = total(syy) - dy * dy / AREA + DAMPING;
    let xy = total(sxy) - dx * dy / AREA;
    let scale = 1.0 / (xx * yy - xy * xy).max(1e-6);
    Template { inverse: [yy * scale, -xy * scale, xx * scale], dx, dy }
}

/// Where a displaced patch begins on the canvas of a level and how it lies between the pixels: kept on the canvas,
/// whose border repeats anyway.
#[inline(always)]
pub fn place(level: &Level, x: usize, y: usize, u: f32, v: f32) -> (usize, [f32; 4]) {
    let margin = (PAD - 1) as f32;
    let limit = |side: usize| (side + PAD) as f32 - (SIDE + 2) as f32;
    let px = (x as f32 + u).clamp(-margin, limit(level.size.width)) + PAD as f32;
    let py = (y as f32 + v).clamp(-margin, limit(level.size.height)) + PAD as f32;
    let (ix, iy) = (px as usize, py as usize);
    let (fx, fy) = (px - ix as f32, py - iy as f32);
    let weights = [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy];
    (iy * level.stride + ix, weights)
}

/// A row of a displaced patch, interpolated bilinearly.
#[inline(always)]
pub fn sample(level: &Level, start: usize, weights: [f32; 4]) -> [f32; SIDE] {
    let (a, b) = (row(&level.image, start), row(&level.image, start + 1));
    let (c, d) = (row(&level.image, start + level.stride), row(&level.image, start + level.stride + 1));
    std::array::from_fn(|i| (weights[0] * a[i] + weights[1] * b[i]) + (weights[2] * c[i] + weights[3] * d[i]))
}

#[inline(always)]
fn residual(a: &Level, b: &Level, template: &Template, x: usize, y: usize, u: f32, v: f32) -> Residual {
    let (to, weights) = place(b, x, y, u, v);
    let from = a.at(x, y);
    let (mut sum, mut square) = ([0.0; SIDE], [0.0; SIDE]);
    let (mut sx, mut sy) = ([0.0; SIDE], [0.0; SIDE]);
    for j in 0..SIDE {
        let there = sample(b, to + j * b.stride, weights);
        let start = from + j * a.stride;
        let (here, dx, dy) = (row(&a.image, start), row(&a.dx, start), row(&a.dy, start));
        for i in 0..SIDE {
            let d = there[i] - here[i];
            sum[i] += d;
            square[i] += d * d;
            sx[i] += d * dx[i];
            sy[i] += d * dy[i];
        }
    }
    // Mean-free, so that a change of brightness is no motion.
    let mean = total(sum) / AREA;
    Residual {
        squared: total(square) - mean * mean * AREA,
        x: total(sx) - mean * template.dx,
        y: total(sy) - mean * template.dy,
    }
}
