//! Adam (Kingma & Ba 2015, algorithm 1).

use super::{Closure, Optimizer, State};
use crate::{dispatch::wide, error::Result};

/// Decay of the first moment.
pub(crate) const BETA1: f32 = 0.9;
/// Decay of the second moment.
pub(crate) const BETA2: f32 = 0.999;
/// Keeps a pixel without any gradient where it is.
pub(crate) const EPSILON: f32 = 1e-15;

/// No step after a state was carried is longer than this many rates.
pub(crate) const LONGEST: f32 = 0.5;

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
///
/// A state that was carried may come from a place with smaller gradients than there are here. Until the second moment has
/// found that out, for a thousand steps, steps would be several rates long, and paint would turn into noise. They are
/// clipped to `LONGEST` rates, each element for itself (Shazeer & Stern 2018, section 6, clip the mean square of all).
pub struct Adam {
    /// The step size, in units of x.
    pub rate: f32,
    first: Vec<f32>,
    second: Vec<f32>,
    /// 1 - beta^t of each place.
    seen_first: Vec<f32>,
    seen_second: Vec<f32>,
    gains: Vec<f32>,
    gradient: Vec<f32>,
    /// Whether the state was carried here: only then is there a mean to borrow, and a longest step.
    carried: bool,
}

impl Adam {
    /// Every element by itself.
    pub fn new(length: usize, rate: f32) -> Self {
        Self::in_planes(length, length, rate)
    }

    /// For an x of planes of so many `places`. The elements at a place have seen the same number of gradients, whatever was
    /// forgotten on the way, and share their gain.
    pub fn in_planes(length: usize, places: usize, rate: f32) -> Self {
        assert!(length == 0 || length.is_multiple_of(places), "whole planes");
        let (vector, plane) = (|| vec![0.0; length], || vec![0.0; places]);
        Adam {
            rate,
            first: vector(),
            second: vector(),
            seen_first: plane(),
            seen_second: plane(),
            gains: vec![1.0; places],
            gradient: vector(),
            carried: false,
        }
    }

    /// The mean corrected second moment.
    fn common(&self) -> f32 {
        if !self.carried || self.second.is_empty() {
            return 0.0;
        }
        let planes = self.second.len() / self.seen_second.len();
        let (v, w) = (sum(&self.second), planes as f64 * sum(&self.seen_second));
        if w > 0.0 { (v / w) as f32 } else { 0.0 }
    }
}

fn sum(values: &[f32]) -> f64 {
    let mut total = 0.0;
    add(values, &mut total);
    total
}

wide! {
    /// Adds them all, many side by side.
    fn add(values: &[f32], total: &mut f64) {
        const ABREAST: usize = 32;
        for chunk in values.chunks(16 * ABREAST) {
            let mut sums = [0.0; ABREAST];
            let (rows, rest) = chunk.as_chunks::<ABREAST>();
            for row in rows {
                for (sum, value) in sums.iter_mut().zip(row) {
                    *sum += value;
                }
            }
            *total += f64::from(sums.iter().chain(rest).sum::<f32>());
        }
    }
}

/// What all elements of a step have in common.
#[derive(Clone, Copy)]
struct Pace {
    rate: f32,
    common: f32,
    prior: f32,
    longest: f32,
}

wide! {
    /// One more gradient is seen.
    fn count(first: &mut [f32], second: &mut [f32]) {
        for (wm, wv) in first.iter_mut().zip(second) {
            *wm = BETA1 * *wm + (1.0 - BETA1);
            *wv = BETA2 * *wv + (1.0 - BETA2);
        }
    }
}

wide! {
    /// A step of one plane.
    fn descend(
        x: &mut [f32],
        gradient: &[f32],
        moments: (&mut [f32], &mut [f32]),
        seen: (&[f32], &[f32]),
        gains: &[f32],
        pace: Pace,
    ) {
        let Pace { rate, common, prior, longest } = pace;
        let values = x.iter_mut().zip(gradient).zip(moments.0.iter_mut().zip(moments.1));
        for (((x, g), (m, v)), ((wm, wv), gain)) in values.zip(seen.0.iter().zip(seen.1).zip(gains)) {
            *m = BETA1 * *m + (1.0 - BETA1) * g;
            *v = BETA2 * *v + (1.0 - BETA2) * g * g;
            let borrowed = prior * (1.0 - *wv);
            let mean_square = (*v + borrowed * common) / (*wv + borrowed);
            let step = (*m / *wm) / (mean_square.sqrt() + EPSILON);
            *x -= rate * gain * step.clamp(-longest, longest);
        }
    }
}

impl Optimizer for Adam {
    fn step(&mut self, x: &mut [f32], closure: &mut Closure) -> Result<f32> {
        let value = closure(x, &mut self.gradient)?;
        let common = self.common();
        let prior = if common > 0.0 { PRIOR } else { 0.0 };
        let longest = if self.carried { LONGEST } else { f32::MAX };
        let pace = Pace { rate: self.rate, common, prior, longest };
        let places = self.gains.len().max(1);
        count(&mut self.seen_first, &mut self.seen_second);
        let seen = (&self.seen_first[..], &self.seen_second[..]);
        let planes = x.chunks_exact_mut(places).zip(self.gradient.chunks_exact(places));
        let moments = self.first.chunks_exact_mut(places).zip(self.second.chunks_exact_mut(places));
        for ((x, gradient), moments) in planes.zip(moments) {
            descend(x, gradient, moments, seen, &self.gains, pace);
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

    fn momentum(&mut self) -> Vec<&mut [f32]> {
        vec![&mut self.first, &mut self.seen_first]
    }

    fn gains(&mut self) -> Option<&mut [f32]> {
        Some(&mut self.gains)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_that_share_what_they_saw_move_as_elements_do_alone() {
        let number = |i: usize| (i as f32 * 0.7).sin();
        let (mut alone, mut shared) = (Adam::new(12, 0.1), Adam::in_planes(12, 4, 0.1));
        let start: Vec<f32> = (0..12).map(number).collect();
        let (mut x, mut y) = (start.clone(), start);
        for step in 0..5 {
            let mut slope = |_: &[f32], gradient: &mut [f32]| {
                gradient.iter_mut().enumerate().for_each(|(i, g)| *g = number(i + 12 * step));
                Ok(0.0)
            };
            alone.step(&mut x, &mut slope).unwrap();
            shared.step(&mut y, &mut slope).unwrap();
            for adam in [&mut alone, &mut shared] {
                for vector in adam.state() {
                    vector.iter_mut().enumerate().for_each(|(i, value)| *value *= [1.0, 0.5, 0.0, 0.9][i % 4]);
                }
                let gains = adam.gains().expect("Adam has gains");
                gains.iter_mut().enumerate().for_each(|(i, gain)| *gain = [1.0, 0.3, 2.0, 0.7][i % 4]);
            }
            assert!(x.iter().zip(&y).all(|(x, y)| (x - y).abs() < 1e-6), "step {step}: {x:?} {y:?}");
        }
        assert_eq!((alone.gains().unwrap().len(), shared.gains().unwrap().len()), (12, 4));
    }

    /// The longest step, in rates, when the gradient becomes a thousand times larger.
    fn longest_step(carried: bool) -> f32 {
        let mut adam = Adam::new(1, 0.01);
        let mut x = [0.0f32];
        let mut longest = 0.0f32;
        for step in 0..60 {
            let slope = if step < 40 { 1e-3 } else { 1.0 };
            if carried && step == 40 {
                adam.state();
            }
            let before = x[0];
            adam.step(&mut x, &mut |_, gradient| {
                gradient[0] = slope;
                Ok(0.0)
            })
            .unwrap();
            if step >= 40 {
                longest = longest.max((x[0] - before).abs() / 0.01);
            }
        }
        longest
    }

    #[test]
    fn a_carried_state_takes_no_leaps() {
        assert!((longest_step(true) - LONGEST).abs() < 1e-3, "{}", longest_step(true));
        assert!(longest_step(false) > 1.2, "the test has no leap to clip: {}", longest_step(false));
    }
}
