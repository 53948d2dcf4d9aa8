//! Adam (Kingma & Ba 2015, algorithm 1).

use super::{Closure, Optimizer, State};
use crate::error::Result;

/// Decay of the first moment.
pub(crate) const BETA1: f32 = 0.9;
/// Decay of the second moment.
pub(crate) const BETA2: f32 = 0.999;
/// Keeps a pixel without any gradient where it is.
pub(crate) const EPSILON: f32 = 1e-15;

/// Share of the common second moment in that of an element which has just forgotten its own.
pub(crate) const PRIOR: f32 = 0.02;

/// Adam with a rate of its own for each element, and a state that can be carried to another problem.
///
/// Departures from the paper: epsilon is 1e-15 instead of 1e-8, which would rule the step: the gradient of a normalized cost
/// is 1e-6 to 1e-9 for each pixel at video sizes. 1e-15 is still far above where squares underflow in f32.
///
/// The bias correction 1 - beta^t is kept for each element beside its moments, as the weight of what they have seen.
/// Scaling moments and weights alike by a factor below 1 lets an element forget: its estimates stay, but count less against
/// the next gradients. An element that has forgotten its second moment borrows the mean of all, so that its first step
/// is as long as its gradient deserves, not one full rate whatever the gradient.
pub struct Adam {
    /// The step size, in units of x.
    pub rate: f32,
    first: Vec<f32>,
    second: Vec<f32>,
    /// 1 - beta^t of each element.
    seen_first: Vec<f32>,
    seen_second: Vec<f32>,
    gains: Vec<f32>,
    gradient: Vec<f32>,
    /// Whether the state was carried here: only then is there a mean to borrow.
    carried: bool,
}

impl Adam {
    pub fn new(length: usize, rate: f32) -> Self {
        let vector = || vec![0.0; length];
        Adam {
            rate,
            first: vector(),
            second: vector(),
            seen_first: vector(),
            seen_second: vector(),
            gains: vec![1.0; length],
            gradient: vector(),
            carried: false,
        }
    }

    /// The mean corrected second moment.
    fn common(&self) -> f32 {
        if !self.carried || self.second.is_empty() {
            return 0.0;
        }
        let chunk = |(v, w): (&[f32], &[f32])| {
            let (v, w) = v.iter().zip(w).fold((0.0f32, 0.0f32), |(sv, sw), (v, w)| (sv + v, sw + w));
            (f64::from(v), f64::from(w))
        };
        let sums = self.second.chunks(256).zip(self.seen_second.chunks(256)).map(chunk);
        let (v, w) = sums.fold((0.0, 0.0), |(sv, sw), (v, w)| (sv + v, sw + w));
        if w > 0.0 { (v / w) as f32 } else { 0.0 }
    }
}

impl Optimizer for Adam {
    fn step(&mut self, x: &mut [f32], closure: &mut Closure) -> Result<f32> {
        let value = closure(x, &mut self.gradient)?;
        let common = self.common();
        let prior = if common > 0.0 { PRIOR } else { 0.0 };
        let moments = self.first.iter_mut().zip(&mut self.second);
        let weights = self.seen_first.iter_mut().zip(&mut self.seen_second).zip(&self.gains);
        for (((x, g), (m, v)), ((wm, wv), gain)) in x.iter_mut().zip(&self.gradient).zip(moments).zip(weights) {
            *m = BETA1 * *m + (1.0 - BETA1) * g;
            *v = BETA2 * *v + (1.0 - BETA2) * g * g;
            *wm = BETA1 * *wm + (1.0 - BETA1);
            *wv = BETA2 * *wv + (1.0 - BETA2);
            let borrowed = prior * (1.0 - *wv);
            let mean_square = (*v + borrowed * common) / (*wv + borrowed);
            *x -= self.rate * gain * (*m / *wm) / (mean_square.sqrt() + EPSILON);
        }
        Ok(value)
    }
}

impl State for Adam {
    fn reset(&mut self) {
        for vector in [&mut self.first, &mut self.second, &mut self.seen_first, &mut self.seen_second] {
            vector.fill(0.0);
        }
        self.gains.fill(1.0);
        self.carried = false;
    }

    fn state(&mut self) -> Vec<&mut [f32]> {
        self.carried = true;
        vec![&mut self.first, &mut self.second, &mut self.seen_first, &mut self.seen_second]
    }

    fn gains(&mut self) -> Option<&mut [f32]> {
        Some(&mut self.gains)
    }
}
