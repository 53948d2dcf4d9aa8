//! The inverse search: each patch of the first image finds its place in the second by Gauss-Newton steps whose Hessian
//! is the first image's and so computed once (Baker and Matthews' inverse compositional alignment).

use super::pyramid::{Level, PAD};
use crate::{dispatch::eight::Eight, motion::warp::floor};

/// Width and height of a patch.
pub const SIDE: usize = 8;
const AREA: f32 = (SIDE * SIDE) as f32;
/// Added to the Hessian's diagonal, per pixel: keeps flat patches where they started.
const DAMPING: f32 = 2.0 * AREA;
/// Steps shorter than this many pixels are not worth a look at where they lead.
const SMALL_STEP: f32 = 0.02;

/// What a patch of the first image contributes to every step of its search.
#[derive(Clone, Copy, Default)]
pub struct Template {
    /// Inverse of the Hessian of the mean-free patch.
    inverse: [f32; 3],
    /// Sums of the gradients.
    dx: f32,
    dy: f32,
}

/// Sums over a patch: the residual's, its square's (mean-free), and its products with the gradients (mean-free).
#[derive(Clone, Copy)]
pub struct Residual {
    squared: f32,
    x: f32,
    y: f32,
}

/// Where a patch is on its way.
pub struct Patch {
    /// Where the coarser level saw it.
    pub start: (f32, f32),
    pub template: Template,
    /// What is left where it is now; None where that has not been looked at.
    pub residual: Option<Residual>,
}

impl Patch {
    /// The better of where the patch of the first image `at` that place is and where its neighbours are, and from there so many steps at most.
    #[inline(always)]
    pub fn visit<S: Eight>(
        &mut self,
        simd: S,
        images: [&Level; 2],
        at: (usize, usize),
        (mut u, mut v): (f32, f32),
        near: [Option<(f32, f32)>; 3],
        steps: usize,
    ) -> (f32, f32) {
        let template = self.template;
        let mut best = match self.residual {
            Some(residual) => residual,
            None => residual(simd, images, &template, at, (u, v)),
        };
        for (nu, nv) in near.into_iter().flatten() {
            // The same place again needs no look.
            if (nu - u).abs() + (nv - v).abs() < 0.1 {
                continue;
            }
            let found = residual(simd, images, &template, at, (nu, nv));
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
            let found = residual(simd, images, &template, at, (u - du, v - dv));
            if found.squared >= best.squared {
                break;
            }
            (u, v, best) = (u - du, v - dv, found);
        }
        let (su, sv) = self.start;
        // A patch that left the place where the coarser level saw it has slid along something else.
        let stayed = (u - su).abs().max((v - sv).abs()) <= SIDE as f32;
        self.residual = stayed.then_some(best);
        if stayed { (u, v) } else { self.start }
    }
}

/// A row of a patch.
#[inline(always)]
pub fn row(plane: &[f32], start: usize) -> &[f32; SIDE] {
    plane[start..start + SIDE].first_chunk().expect("a slice of a patch's width")
}

#[inline(always)]
pub fn template<S: Eight>(simd: S, a: &Level, x: usize, y: usize) -> Template {
    let [mut sx, mut sy, mut sxx, mut sxy, mut syy] = [simd.splat(0.0); 5];
    let start = a.at(x, y);
    for j in 0..SIDE {
        let (dx, dy) = (simd.load(row(&a.dx, start + j * a.stride)), simd.load(row(&a.dy, start + j * a.stride)));
        sx = sx + dx;
        sy = sy + dy;
        sxx = sxx + dx * dx;
        sxy = sxy + dx * dy;
        syy = syy + dy * dy;
    }
    let [dx, dy, sxx, sxy] = simd.totals([sx, sy, sxx, sxy]);
    let [syy, ..] = simd.totals([syy; 4]);
    let xx = sxx - dx * dx / AREA + DAMPING;
    let yy = syy - dy * dy / AREA + DAMPING;
    let xy = sxy - dx * dy / AREA;
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
    let ((ix, fx), (iy, fy)) = (floor(px), floor(py));
    let weights = [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy];
    (iy as usize * level.stride + ix as usize, weights)
}

/// The same weights for each pixel of a row.
#[inline(always)]
pub fn splat<S: Eight>(simd: S, weights: [f32; 4]) -> [S::Vector; 4] {
    let [a, b, c, d] = weights;
    [simd.splat(a), simd.splat(b), simd.splat(c), simd.splat(d)]
}

/// A row of a displaced patch, interpolated bilinearly.
#[inline(always)]
pub fn sample<S: Eight>(simd: S, level: &Level, start: usize, weights: [S::Vector; 4]) -> S::Vector {
    let (image, below) = (&level.image, start + level.stride);
    let (a, b) = (simd.load(row(image, start)), simd.load(row(image, start + 1)));
    let (c, d) = (simd.load(row(image, below)), simd.load(row(image, below + 1)));
    (a * weights[0] + b * weights[1]) + (c * weights[2] + d * weights[3])
}

#[inline(always)]
fn residual<S: Eight>(
    simd: S,
    [a, b]: [&Level; 2],
    template: &Template,
    (x, y): (usize, usize),
    (u, v): (f32, f32),
) -> Residual {
    let (to, weights) = place(b, x, y, u, v);
    let from = a.at(x, y);
    let weights = splat(simd, weights);
    let [mut sum, mut square, mut sx, mut sy] = [simd.splat(0.0); 4];
    for j in 0..SIDE {
        let there = sample(simd, b, to + j * b.stride, weights);
        let start = from + j * a.stride;
        let d = there - simd.load(row(&a.image, start));
        sum = sum + d;
        square = square + d * d;
        sx = sx + d * simd.load(row(&a.dx, start));
        sy = sy + d * simd.load(row(&a.dy, start));
    }
    let [sum, square, sx, sy] = simd.totals([sum, square, sx, sy]);
    // Mean-free, so that a change of brightness is no motion.
    let mean = sum / AREA;
    Residual { squared: square - mean * mean * AREA, x: sx - mean * template.dx, y: sy - mean * template.dy }
}
