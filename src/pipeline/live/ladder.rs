//! What can be painted for each frame, from worst to best, and what it costs on this machine.

use crate::{motion::flow::DisSettings, stylizer::LARGE};

/// What is painted for each frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rung {
    /// The longer side, in pixels.
    pub size: usize,
    /// Optimizer steps, taken every so many frames (as in [`Settings`](crate::settings::Settings)).
    pub steps: usize,
    pub every: usize,
}

impl Rung {
    /// At least as large, and as many steps.
    pub(super) fn is_no_worse(&self, other: &Rung) -> bool {
        self.size >= other.size && self.steps * other.every >= other.steps * self.every
    }
}

/// From worst to best. First the picture grows until strokes are fine, then steps let the style follow faster; a step every
/// second frame is hardly told from one in each. What is better is not always dearer: over 512 pixels motion is looked for
/// between planes of half the size.
pub(super) const LADDER: [Rung; 17] = [
    Rung { size: 160, steps: 1, every: 2 },
    Rung { size: 192, steps: 1, every: 2 },
    Rung { size: 224, steps: 1, every: 2 },
    Rung { size: 256, steps: 1, every: 2 },
    Rung { size: 288, steps: 1, every: 2 },
    Rung { size: 320, steps: 1, every: 2 },
    Rung { size: 384, steps: 1, every: 2 },
    Rung { size: 448, steps: 1, every: 2 },
    Rung { size: 512, steps: 1, every: 2 },
    Rung { size: 640, steps: 1, every: 2 },
    Rung { size: 640, steps: 1, every: 1 },
    Rung { size: 768, steps: 1, every: 1 },
    Rung { size: 960, steps: 1, every: 1 },
    Rung { size: 1280, steps: 1, every: 1 },
    Rung { size: 1280, steps: 2, every: 1 },
    Rung { size: 1280, steps: 3, every: 1 },
    Rung { size: 1280, steps: 5, every: 1 },
];

/// The time that a frame takes, in a unit of the machine: what is carried along the motion, in every frame, and steps. Between
/// the two lies a factor of the network and the device (a twentieth to fifty), taken from frames with and without steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Costs {
    /// Of a step for a pixel, by that of moving a pixel's paint.
    step: f64,
}

/// Looking for a pixel's motion, by moving its paint.
const MOTION: f64 = 2.0;
/// A frame's own features and the passes over its pixels that belong to steps, by a step.
const FEATURES: f64 = 0.35;
/// Of steps of which those in full are taken on half of a large picture, by steps.
const REDUCED: f64 = 0.55;
/// As measured with `compact` on two cores, for the time before frames have been.
const STEP: f64 = 1.3;
/// What can be believed of a step's cost.
const PLAUSIBLE: (f64, f64) = (0.01, 200.0);

impl Costs {
    pub fn new() -> Self {
        Costs { step: STEP }
    }

    /// Of a frame, on average.
    pub fn of(self, rung: &Rung) -> f64 {
        carried(rung.size) + self.step * stepped(rung.size, rung.steps) / rung.every as f64
    }

    /// Learns from the times of frames at one rung, with steps and without: goes half of the way there, as factors go, so that one
    /// hiccup is not taken for a fast device.
    pub fn learn(&mut self, rung: &Rung, with: f64, without: f64) {
        if without > 0.0 {
            let step = (with / without - 1.0) * carried(rung.size) / stepped(rung.size, rung.steps);
            self.step = (self.step * step.clamp(PLAUSIBLE.0, PLAUSIBLE.1)).sqrt();
        }
    }
}

/// Motion, and the paint that is carried along it.
pub(super) fn carried(size: usize) -> f64 {
    let mut planes = size;
    while planes > DisSettings::FAST.longest {
        planes = planes.div_ceil(2);
    }
    pixels(size) + MOTION * pixels(planes)
}

/// Steps, and what goes with them.
pub(super) fn stepped(size: usize, steps: usize) -> f64 {
    let steps = pixels(size) * (steps as f64 + FEATURES);
    if size > LARGE { REDUCED * steps } else { steps }
}

/// Of pictures of one shape, up to a factor.
fn pixels(size: usize) -> f64 {
    (size * size) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_rung_is_worse_than_the_one_before() {
        for pair in LADDER.windows(2) {
            let (a, b) = (pair[0], pair[1]);
            assert!(a != b && b.is_no_worse(&a), "{a:?} {b:?}");
        }
    }

    #[test]
    fn what_a_step_costs_is_learned() {
        let rung = Rung { size: 320, steps: 1, every: 2 };
        for step in [0.05, 1.0, 30.0] {
            let (mut costs, machine) = (Costs::new(), 3e-7);
            let without = machine * carried(320);
            (0..10).for_each(|_| costs.learn(&rung, without + machine * step * stepped(320, 1), without));
            assert!((costs.step / step - 1.0).abs() < 0.01, "{step}: {costs:?}");
        }
    }

    #[test]
    fn times_that_cannot_be_teach_little() {
        let (rung, mut costs) = (LADDER[0], Costs::new());
        costs.learn(&rung, 1.0, 0.0);
        assert_eq!(costs.step, STEP);
        costs.learn(&rung, 1.0, 2.0);
        assert!(costs.step > 0.05 && costs.step < STEP, "{costs:?}");
    }

    #[test]
    fn motion_between_smaller_planes_is_cheaper() {
        assert!(carried(640) < carried(512) && carried(320) < carried(640));
    }
}
