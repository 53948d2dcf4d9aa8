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
struct Pair {
    /// `x_{k+1} - x_k`
    step: Vec<f32>,
    /// `g_{k+1} - g_k`
    change: Vec<f32>,
    /// `1 / (step . change)`
    rho: f64,
}

/// L-BFGS. Costs more evaluations a step than Adam, and reaches lower values in a long run from one start.
pub struct Lbfgs {
    /// How far the very first step moves the component that moves most, in units of x.
    first_step: f32,
    pairs: VecDeque<Pair>,
    /// Point and gradient after the last step.
    last: Option<(Vec<f32>, Vec<f32>, f32)>,
    direction: Vec<f32>,
}

impl Lbfgs {
    pub fn new(length: usize, first_step: f32) -> Self {
        Lbfgs { first_step, pairs: VecDeque::with_capacity(HISTORY), last: None, direction: vec![0.0; length] }
    }

    /// The two-loop recursion: `direction = -H g`.
    fn aim(&mut self, gradient: &[f32]) {
        self.direction.copy_from_slice(gradient);
        let mut alphas = Vec::with_capacity(self.pairs.len());
        for pair in self.pairs.iter().rev() {
            let alpha = pair.rho * dot(&pair.step, &self.direction);
            add(&mut self.direction, -alpha, &pair.change);
            alphas.push(alpha);
        }
        let scale = match self.pairs.back() {
            Some(pair) => 1.0 / (pair.rho * dot(&pair.change, &pair.change)),
            None => {
                let steepest = gradient.iter().fold(0.0f32, |most, g| most.max(g.abs()));
                f64::from(self.first_step / steepest.max(f32::MIN_POSITIVE))
            }
        };
        self.direction.iter_mut().for_each(|d| *d *= scale as f32);
        for (pair, alpha) in self.pairs.iter().zip(alphas.into_iter().rev()) {
            let beta = pair.rho * dot(&pair.change, &self.direction);
            add(&mut self.direction, alpha - beta, &pair.step);
        }
        self.direction.iter_mut().for_each(|d| *d = -*d);
    }

    fn remember(&mut self, x: &[f32], gradient: &[f32], value: f32) {
        if let Some((last_x, last_gradient, _)) = &self.last {
            let step: Vec<f32> = x.iter().zip(last_x).map(|(a, b)| a - b).collect();
            let change: Vec<f32> = gradient.iter().zip(last_gradient).map(|(a, b)| a - b).collect();
            let curvature = dot(&step, &change);
            // Only a positive curvature keeps the approximation positive definite.
            if curvature > 1e-10 * dot(&change, &change).max(f64::MIN_POSITIVE) {
                if self.pairs.len() == HISTORY {
                    self.pairs.pop_front();
                }
                self.pairs.push_back(Pair { step, change, rho: 1.0 / curvature });
            }
        }
        self.last = Some((x.to_vec(), gradient.to_vec(), value));
    }
}

impl Optimizer for Lbfgs {
    fn step(&mut self, x: &mut [f32], closure: &mut Closure) -> Result<f32> {
        // The point may have been moved since (clamped, warped): the gradient is evaluated where it stands.
        let moved = self.last.as_ref().is_none_or(|(last, ..)| last.as_slice() != &*x);
        if moved {
            let mut gradient = vec![0.0; x.len()];
            let value = closure(x, &mut gradient)?;
            self.remember(x, &gradient, value);
        }
        let (start, gradient, value) = self.last.clone().expect("it was just remembered");
        self.aim(&gradient);
        let mut slope = dot(&gradient, &self.direction);
        if slope >= 0.0 {
            // Not a descent direction: the curvature belongs to another problem. Begin again with the gradient.
            self.pairs.clear();
            self.aim(&gradient);
            slope = dot(&gradient, &self.direction);
        }
        let mut trial_gradient = vec![0.0; x.len()];
        let mut length = 1.0f64;
        for _ in 0..TRIALS {
            x.copy_from_slice(&start);
            add(x, length, &self.direction);
            let trial = closure(x, &mut trial_gradient)?;
            if f64::from(trial) <= f64::from(value) + SUFFICIENT * length * slope {
                self.remember(x, &trial_gradient, trial);
                return Ok(value);
            }
            length *= 0.5;
        }
        x.copy_from_slice(&start);
        self.pairs.clear();
        Ok(value)
    }
}

impl State for Lbfgs {
    fn reset(&mut self) {
        self.pairs.clear();
        self.last = None;
    }

    fn state(&mut self) -> Vec<&mut [f32]> {
        Vec::new()
    }
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
