//! Chooses working size and steps so that painting keeps up with the source on this machine, without pumping.

use std::time::{Duration, Instant};

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
    /// Time to paint a frame, on average, up to a factor of the machine and the network: pixels times passes through the
    /// network. With the steps go the frame's own features, a forward pass and about a third of a step; motion and what is
    /// carried along it are about half a step, in every frame.
    fn cost(self) -> f64 {
        (self.size * self.size) as f64 * ((self.steps as f64 + 0.35) / self.every as f64 + 0.5)
    }
}

/// From cheap to dear. First the picture grows until strokes are fine, then steps let the style follow faster, in turn. A
/// step every second frame is hardly told from one in each.
const LADDER: [Rung; 17] = [
    Rung { size: 160, steps: 1, every: 2 },
    Rung { size: 192, steps: 1, every: 2 },
    Rung { size: 224, steps: 1, every: 2 },
    Rung { size: 256, steps: 1, every: 2 },
    Rung { size: 288, steps: 1, every: 2 },
    Rung { size: 320, steps: 1, every: 2 },
    Rung { size: 384, steps: 1, every: 2 },
    Rung { size: 448, steps: 1, every: 2 },
    Rung { size: 448, steps: 1, every: 1 },
    Rung { size: 512, steps: 1, every: 1 },
    Rung { size: 512, steps: 2, every: 1 },
    Rung { size: 640, steps: 2, every: 1 },
    Rung { size: 640, steps: 3, every: 1 },
    Rung { size: 768, steps: 3, every: 1 },
    Rung { size: 960, steps: 3, every: 1 },
    Rung { size: 960, steps: 5, every: 1 },
    Rung { size: 1280, steps: 5, every: 1 },
];

/// Shares of the frame period. Painting that takes more than `TOO_SLOW` of it loses frames. A change downwards aims at
/// `FITS`; a change upwards must be predicted to stay under `ROOM`, so that it is not taken back.
const TOO_SLOW: f64 = 1.05;
const FITS: f64 = 0.9;
const ROOM: f64 = 0.75;
/// Frames whose time is measured before a decision: enough for a median that one hiccup does not move.
const FRAMES: usize = 24;
/// On a machine that is far too slow for those: this long, with at least `FEW` frames.
const LONG: Duration = Duration::from_secs(3);
const FEW: usize = 3;
/// Between two changes.
const REST: Duration = Duration::from_secs(4);
/// After a rung has proved too slow it is not tried again for so long.
const GRUDGE: Duration = Duration::from_secs(60);

/// Holds the source's rate.
pub struct Controller {
    size: Option<usize>,
    steps: Option<usize>,
    every: Option<usize>,
    rung: Rung,
    /// Of the frames since the last that is in `times`, fewer than the rung's `every`.
    cycle: Vec<f64>,
    /// Means over `every` frames, one of which takes steps.
    times: Vec<f64>,
    /// When the first of them was taken.
    since: Option<Instant>,
    changed: Option<Instant>,
    /// The cost that was too slow, and when.
    failed: Option<(f64, Instant)>,
}

impl Controller {
    /// Starts with `rung`; what is fixed stays so.
    pub fn new(rung: Rung) -> Self {
        Controller {
            size: None,
            steps: None,
            every: None,
            rung,
            cycle: Vec::new(),
            times: Vec::new(),
            since: None,
            changed: None,
            failed: None,
        }
    }

    pub fn rung(&self) -> Rung {
        self.rung
    }

    /// Fixes size, steps, or every how many frames they are taken, or leaves them to the controller (None). Fixed steps are
    /// taken in each frame unless that is fixed too. Returns what is to be painted now.
    pub fn fix(&mut self, size: Option<usize>, steps: Option<usize>, every: Option<usize>) -> Rung {
        let every = every.or(steps.map(|_| 1));
        if (size, steps, every) != (self.size, self.steps, self.every) {
            (self.size, self.steps, self.every) = (size, steps, every);
            self.failed = None;
            self.change(self.fixed(self.rung, usize::MAX), None);
        }
        self.rung
    }

    /// Takes the time that a frame took to paint, and the time between frames of the source; `largest` is the longest side
    /// worth painting. Returns the new rung when there is a change.
    pub fn frame(&mut self, now: Instant, took: Duration, period: Duration, largest: usize) -> Option<Rung> {
        if self.size.is_some() && self.steps.is_some() {
            return None;
        }
        if period.is_zero() || self.changed.is_some_and(|changed| now - changed < REST) {
            return None;
        }
        self.cycle.push(took.as_secs_f64());
        if self.cycle.len() >= self.rung.every {
            self.times.push(self.cycle.iter().sum::<f64>() / self.cycle.len() as f64);
            self.cycle.clear();
        }
        let long = now - *self.since.get_or_insert(now) >= LONG && self.times.len() >= FEW;
        if self.times.len() * self.rung.every < FRAMES && !long {
            return None;
        }
        self.times.sort_unstable_by(f64::total_cmp);
        let share = self.times[self.times.len() / 2] / period.as_secs_f64();
        self.forget();
        let cost = self.rung.cost();
        let predicted = |rung: &Rung| share * rung.cost() / cost;
        let ladder = self.ladder(largest);
        let chosen = if share > TOO_SLOW {
            self.failed = Some((cost, now));
            // The cheapest if none fits: the window still runs at the source's rate.
            ladder.iter().rfind(|&rung| predicted(rung) <= FITS).or(ladder.first())
        } else {
            if self.failed.is_some_and(|(_, when)| now - when > GRUDGE) {
                self.failed = None;
            }
            let proved = |rung: &Rung| self.failed.is_none_or(|(cost, _)| rung.cost() < cost);
            let dearer = |rung: &Rung| rung.cost() > cost && predicted(rung) <= ROOM;
            ladder.iter().rfind(|&rung| dearer(rung) && proved(rung))
        };
        let chosen = *chosen.filter(|&&rung| rung != self.rung)?;
        self.change(chosen, Some(now));
        Some(chosen)
    }

    fn change(&mut self, rung: Rung, now: Option<Instant>) {
        self.rung = rung;
        self.changed = now;
        self.forget();
    }

    fn forget(&mut self) {
        self.cycle.clear();
        self.times.clear();
        self.since = None;
    }

    /// The rungs that can be chosen, from cheap to dear.
    fn ladder(&self, largest: usize) -> Vec<Rung> {
        let mut rungs: Vec<Rung> = LADDER.iter().map(|rung| self.fixed(*rung, largest)).collect();
        rungs.sort_by(|a, b| a.cost().total_cmp(&b.cost()));
        rungs.dedup();
        rungs
    }

    fn fixed(&self, rung: Rung, largest: usize) -> Rung {
        Rung {
            size: self.size.unwrap_or(rung.size).min(largest),
            steps: self.steps.unwrap_or(rung.steps),
            every: self.every.unwrap_or(rung.every),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Rung = Rung { size: 256, steps: 1, every: 2 };
    const PERIOD: Duration = Duration::from_millis(33);

    /// A machine with noise: milliseconds for a million pixel-passes.
    fn simulate(controller: &mut Controller, speed: f64, seconds: f64, largest: usize) -> Vec<Rung> {
        let (start, mut random) = (Instant::now(), fastrand::Rng::with_seed(1));
        let (mut time, mut frames, mut changes) = (0.0, 0, Vec::new());
        while time < seconds {
            let Rung { size, steps, every } = controller.rung();
            // The frames between those with steps are only carried.
            let work =
                if frames % every == 0 { Rung { size, steps, every: 1 }.cost() } else { 0.5 * (size * size) as f64 };
            frames += 1;
            let took = speed * work / 1e9 * (0.9 + 0.2 * random.f64());
            time += took.max(PERIOD.as_secs_f64());
            let now = start + Duration::from_secs_f64(time);
            changes.extend(controller.frame(now, Duration::from_secs_f64(took), PERIOD, largest));
        }
        changes
    }

    #[test]
    fn the_ladder_climbs() {
        assert!(LADDER.windows(2).all(|pair| pair[0].cost() < pair[1].cost()));
    }

    #[test]
    fn it_settles_where_the_rate_is_held_and_does_not_pump() {
        for speed in [10.0, 100.0, 200.0, 400.0] {
            let mut controller = Controller::new(START);
            let changes = simulate(&mut controller, speed, 120.0, 640);
            let took = speed * controller.rung().cost() / 1e9;
            assert!(took <= TOO_SLOW * PERIOD.as_secs_f64() || controller.rung() == LADDER[0], "{speed}: {took}");
            assert!(changes.len() <= 4, "{speed}: {changes:?}");
        }
    }

    #[test]
    fn a_machine_that_is_too_slow_gets_the_cheapest() {
        let mut controller = Controller::new(START);
        assert_eq!(simulate(&mut controller, 4000.0, 60.0, 640), [LADDER[0]]);
    }

    #[test]
    fn what_is_fixed_stays() {
        let mut controller = Controller::new(START);
        assert_eq!(controller.fix(Some(200), None, None), Rung { size: 200, ..START });
        let changes = simulate(&mut controller, 50.0, 60.0, 640);
        assert!(!changes.is_empty() && changes.iter().all(|rung| rung.size == 200), "{changes:?}");
        assert_eq!(controller.fix(Some(200), Some(2), None), Rung { size: 200, steps: 2, every: 1 });
        assert!(simulate(&mut controller, 1000.0, 60.0, 640).is_empty());
    }

    #[test]
    fn nothing_is_painted_larger_than_the_frame() {
        let mut controller = Controller::new(START);
        simulate(&mut controller, 1.0, 60.0, 320);
        assert_eq!(controller.rung().size, 320);
        assert_eq!(controller.rung().steps, 5);
    }
}
