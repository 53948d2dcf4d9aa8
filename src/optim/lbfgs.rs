//! L-BFGS (Nocedal & Wright 2006, algorithms 7.4 and 7.5) with a backtracking line search (algorithm 3.1).

use std::collections::VecDeque;

use super::{Closure, Optimizer, State};
use crate::error::Result;

/// Pairs of steps and gradient differences that approximate the curvature.
const HISTORY: usize = 10;
/// Armijo's constant: the share of the promised decrease that is enough.
const SUFFICIENT: f64 = 1e-4;
/// Trials of the line search: the step halves each time.
const TRIALS: usize = 8;

/// One remembered step.
#[derive(Default)]
struct Pair {
    /// `x_{k+1} - x_k`
    step: Vec<f32>,
    /// `g_{k+1} - g_k`
    change: Vec<f32>,
    /// `1 / (step . change)`
    rho: f64,
}

/// L-BFGS. Costs more evaluations a step than Adam, and reaches lower values in a long run from one start. Once the history is
/// full nothing is allocated.
pub struct Lbfgs {
    /// How far the very first step moves the component that moves most, in units of x.
    first_step: f32,
    pairs: VecDeque<Pair>,
    /// A pair that was given up: its vectors serve again.
    spare: Option<Pair>,
    /// The point after the last step, and the gradient there; no value where they are not known.
    point: Vec<f32>,
    gradient: Vec<f32>,
    value: Option<f32>,
    direction: Vec<f32>,
    /// The gradient at a point that is tried.
    trial: Vec<f32>,
    /// Scratch of the two loops.
    alphas: Vec<f64>,
}

impl Lbfgs {
    pub fn new(length: usize, first_step: f32) -> Self {
        let vector = || vec![0.0; length];
        Lbfgs {
            first_step,
            pairs: VecDeque::with_capacity(HISTORY),
            spare: None,
            point: vector(),
            gradient: vector(),
            value: None,
            direction: vector(),
            trial: vector(),
            alphas: Vec::with_capacity(HISTORY),
        }
    }

    /// The two-loop recursion: `direction = -H g`. Returns its slope, negative where it leads down.
    fn aim(&mut self) -> f64 {
        self.direction.copy_from_slice(&self.gradient);
        self.alphas.clear();
        for pair in self.pairs.iter().rev() {
            let alpha = pair.rho * dot(&pair.step, &self.direction);
            add(&mut self.direction, -alpha, &pair.change);
            self.alphas.push(alpha);
        }
        let scale = match self.pairs.back() {
            Some(pair) => 1.0 / (pair.rho * dot(&pair.change, &pair.change)),
            None => {
                let steepest = self.gradient.iter().fold(0.0f32, |most, g| most.max(g.abs()));
                f64::from(self.first_step / steepest.max(f32::MIN_POSITIVE))
            }
        };
        self.direction.iter_mut().for_each(|d| *d *= scale as f32);
        for (pair, alpha) in self.pairs.iter().zip(self.alphas.iter().rev()) {
            let beta = pair.rho * dot(&pair.change, &self.direction);
            add(&mut self.direction, alpha - beta, &pair.step);
        }
        self.direction.iter_mut().for_each(|d| *d = -*d);
        dot(&self.gradient, &self.direction)
    }

    /// Takes `x`, with the gradient in `trial`, for the point after the last step, and learns from the way there.
    fn arrive(&mut self, x: &[f32], value: f32) {
        if self.value.replace(value).is_some() {
            self.learn(x);
        }
        self.point.copy_from_slice(x);
        std::mem::swap(&mut self.gradient, &mut self.trial);
    }

    fn learn(&mut self, x: &[f32]) {
        let mut pair = self.spare.take().unwrap_or_default();
        subtract(x, &self.point, &mut pair.step);
        subtract(&self.trial, &self.gradient, &mut pair.change);
        let curvature = dot(&pair.step, &pair.change);
        pair.rho = 1.0 / curvature;
        // Only a positive curvature keeps the approximation positive definite.
        let sound = curvature > 1e-10 * dot(&pair.change, &pair.change).max(f64::MIN_POSITIVE);
        if sound {
            if self.pairs.len() == HISTORY {
                self.spare = self.pairs.pop_front();
            }
            self.pairs.push_back(pair);
        } else {
            self.spare = Some(pair);
        }
    }
}

impl Optimizer for Lbfgs {
    fn step(&mut self, x: &mut [f32], closure: &mut Closure) -> Result<f32> {
        // The point may have been moved since (clamped, warped): the gradient is evaluated where it stands.
        if self.value.is_none() || self.point != x {
            let value = closure(x, &mut self.trial)?;
            self.arrive(x, value);
        }
        let value = self.value.expect("it is known now");
        let mut slope = self.aim();
        if slope >= 0.0 {
            // Not a descent direction: the curvature belongs to another problem. Begin again with the gradient.
            self.pairs.clear();
            slope = self.aim();
        }
        let mut length = 1.0f64;
        for _ in 0..TRIALS {
            x.copy_from_slice(&self.point);
            add(x, length, &self.direction);
            let trial = closure(x, &mut self.trial).inspect_err(|_| x.copy_from_slice(&self.point))?;
            if f64::from(trial) <= f64::from(value) + SUFFICIENT * length * slope {
                self.arrive(x, trial);
                return Ok(value);
            }
            length *= 0.5;
        }
        x.copy_from_slice(&self.point);
        self.pairs.clear();
        Ok(value)
    }
}

impl State for Lbfgs {
    fn reset(&mut self) {
        self.pairs.clear();
        self.value = None;
    }

    fn forget_value(&mut self) {
        self.value = None;
    }

    fn state(&mut self) -> Vec<&mut [f32]> {
        Vec::new()
    }
}

/// `a - b`.
fn subtract(a: &[f32], b: &[f32], out: &mut Vec<f32>) {
    out.clear();
    out.extend(a.iter().zip(b).map(|(a, b)| a - b));
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    // Chunks in f32 vectorize; their sums are kept in f64.
    let chunk = |(a, b): (&[f32], &[f32])| f64::from(a.iter().zip(b).fold(0.0f32, |sum, (a, b)| a.mul_add(*b, sum)));
    a.chunks(256).zip(b.chunks(256)).map(chunk).sum()
}

fn add(x: &mut [f32], factor: f64, direction: &[f32]) {
    let factor = factor as f32;
    x.iter_mut().zip(direction).for_each(|(x, d)| *x += factor * d);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    /// Half the squared distance to a target.
    fn toward(target: f32) -> impl FnMut(&[f32], &mut [f32]) -> Result<f32> {
        move |x, gradient| {
            gradient.iter_mut().zip(x).for_each(|(gradient, x)| *gradient = x - target);
            Ok(0.5 * x.iter().map(|x| (x - target).powi(2)).sum::<f32>())
        }
    }

    #[test]
    fn another_function_at_the_same_point_is_gone_down_too() {
        let (mut lbfgs, mut x) = (Lbfgs::new(3, 0.1), vec![0.5f32; 3]);
        for _ in 0..30 {
            lbfgs.step(&mut x, &mut toward(0.2)).unwrap();
        }
        assert!(x.iter().all(|x| (x - 0.2).abs() < 1e-4), "{x:?}");
        lbfgs.forget_value();
        for _ in 0..30 {
            lbfgs.step(&mut x, &mut toward(0.8)).unwrap();
        }
        assert!(x.iter().all(|x| (x - 0.8).abs() < 1e-4), "{x:?}");
    }

    #[test]
    fn a_failure_leaves_the_point_as_it_was() {
        let (mut lbfgs, mut x, mut calls) = (Lbfgs::new(3, 0.1), vec![0.5f32; 3], 0);
        let mut fails = |x: &[f32], gradient: &mut [f32]| {
            calls += 1;
            if calls == 2 { Err(Error::NoFrames) } else { toward(0.2)(x, gradient) }
        };
        assert!(lbfgs.step(&mut x, &mut fails).is_err());
        assert_eq!(x, [0.5; 3]);
    }
}
