//! The inverse search: each patch of the first image finds its place in the second by Gauss-Newton steps whose Hessian
//! is the first image's and so computed once (Baker and Matthews' inverse compositional alignment).

use ::wide::f32x8;

use super::pyramid::{Level, PAD};
use crate::motion::warp::floor;

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
    /// The better of where the patch of `a` at `(x, y)` is and where its neighbours are, and from there so many steps at most.
    #[inline(always)]
    pub fn visit(
        &mut self,
        [a, b]: [&Level; 2],
        (x, y): (usize, usize),
        (mut u, mut v): (f32, f32),
        near: [Option<(f32, f32)>; 3],
        steps: usize,
    ) -> (f32, f32) {
        let template = self.template;
        let mut best = match self.residual {
            Some(residual) => residual,
            None => residual(a, b, &template, x, y, u, v),
        };
        for (nu, nv) in near.into_iter().flatten() {
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
        let (su, sv) = self.start;
        // A patch that left the place where the coarser level saw it has slid along something else.
        let stayed = (u - su).abs().max((v - sv).abs()) <= SIDE as f32;
        self.residual = stayed.then_some(best);
        if stayed { (u, v) } else { self.start }
    }
}

/// The sum of all lanes, in the same order whatever the processor.
#[inline(always)]
fn total(sums: f32x8) -> f32 {
    let a = sums.to_array();
    ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]))
}

/// A row of a patch.
#[inline(always)]
pub fn row(plane: &[f32], start: usize) -> f32x8 {
    let row: &[f32; SIDE] = plane[start..start + SIDE].first_chunk().expect("a slice of a patch's width");
    f32x8::from(*row)
}

#[inline(always)]
pub fn template(a: &Level, x: usize, y: usize) -> Template {
    let (mut sx, mut sy) = (f32x8::ZERO, f32x8::ZERO);
    let (mut sxx, mut sxy, mut syy) = (f32x8::ZERO, f32x8::ZERO, f32x8::ZERO);
    let start = a.at(x, y);
    for j in 0..SIDE {
        let (dx, dy) = (row(&a.dx, start + j * a.stride), row(&a.dy, start + j * a.stride));
        sx += dx;
        sy += dy;
        sxx += dx * dx;
        sxy += dx * dy;
        syy += dy * dy;
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
    let ((ix, fx), (iy, fy)) = (floor(px), floor(py));
    let weights = [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy];
    (iy as usize * level.stride + ix as usize, weights)
}

/// A row of a displaced patch, interpolated bilinearly.
#[inline(always)]
pub fn sample(level: &Level, start: usize, weights: [f32; 4]) -> f32x8 {
    let (a, b) = (row(&level.image, start), row(&level.image, start + 1));
    let (c, d) = (row(&level.image, start + level.stride), row(&level.image, start + level.stride + 1));
    (a * weights[0] + b * weights[1]) + (c * weights[2] + d * weights[3])
}

#[inline(always)]
fn residual(a: &Level, b: &Level, template: &Template, x: usize, y: usize, u: f32, v: f32) -> Residual {
    let (to, weights) = place(b, x, y, u, v);
    let from = a.at(x, y);
    let (mut sum, mut square) = (f32x8::ZERO, f32x8::ZERO);
    let (mut sx, mut sy) = (f32x8::ZERO, f32x8::ZERO);
    for j in 0..SIDE {
        let there = sample(b, to + j * b.stride, weights);
        let start = from + j * a.stride;
        let d = there - row(&a.image, start);
        sum += d;
        square += d * d;
        sx += d * row(&a.dx, start);
        sy += d * row(&a.dy, start);
    }
    // Mean-free, so that a change of brightness is no motion.
    let mean = total(sum) / AREA;
    Residual {
        squared: total(square) - mean * mean * AREA,
        x: total(sx) - mean * template.dx,
        y: total(sy) - mean * template.dy,
    }
}
