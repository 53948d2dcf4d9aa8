//! Chooses working size and steps so that painting keeps up with the source on this machine, without pumping.

use std::time::{Duration, Instant};

use super::ladder::{Costs, LADDER, Rung};

/// Shares of the frame period. Painting that takes more than `TOO_SLOW` of it loses frames. A change downwards aims at
/// `FITS`; a change upwards must be predicted to stay under `ROOM`, so that it is not taken back.
const TOO_SLOW: f64 = 1.05;
const FITS: f64 = 0.9;
const ROOM: f64 = 0.75;
/// Frames whose time is measured before a decision: enough for a median that one hiccup does not move.
const FRAMES: usize = 24;
/// On a machine that is far too slow for those: this long. At least `FEW` of the frames have steps.
const LONG: Duration = Duration::from_secs(3);
const FEW: usize = 3;
/// Between two changes.
const REST: Duration = Duration::from_secs(4);
/// After a rung has proved too slow it is not tried again for so long; after another, twice as long, and so on up to `LONGEST_GRUDGE`:
/// what moves now and then must not move the size each time.
const GRUDGE: Duration = Duration::from_secs(60);
const LONGEST_GRUDGE: Duration = Duration::from_secs(480);

/// Holds the source's rate.
pub struct Controller {
    size: Option<usize>,
    steps: Option<usize>,
    every: Option<usize>,
    rung: Rung,
    costs: Costs,
    /// Seconds that frames took which had steps, and that others took, since the last decision.
    with: Vec<f64>,
    without: Vec<f64>,
    /// When the first of them was taken.
    since: Option<Instant>,
    changed: Option<Instant>,
    /// What was too slow, and until when it is not tried again.
    failed: Option<(Rung, Instant)>,
    /// How long the next one is not.
    grudge: Duration,
}

impl Controller {
    /// Starts with `rung`; what is fixed stays so.
    pub fn new(rung: Rung) -> Self {
        Controller {
            size: None,
            steps: None,
            every: None,
            rung,
            costs: Costs::new(),
            with: Vec::new(),
            without: Vec::new(),
            since: None,
            changed: None,
            failed: None,
            grudge: GRUDGE,
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
            (self.failed, self.grudge) = (None, GRUDGE);
            self.change(self.fixed(self.rung, usize::MAX), None);
        }
        self.rung
    }

    /// Takes the time that a frame took to paint, with so many steps, and the time between frames of the source; `largest` is
    /// the longest side worth painting. Returns the new rung when there is a change.
    pub fn frame(
        &mut self,
        now: Instant,
        steps: usize,
        took: Duration,
        period: Duration,
        largest: usize,
    ) -> Option<Rung> {
        if self.size.is_some() && self.steps.is_some() {
            return None;
        }
        if period.is_zero() || self.changed.is_some_and(|changed| now - changed < REST) {
            return None;
        }
        if steps > 0 { &mut self.with } else { &mut self.without }.push(took.as_secs_f64());
        let long = now - *self.since.get_or_insert(now) >= LONG;
        let enough = self.with.len() + self.without.len() >= FRAMES || long;
        if !enough || self.with.len() < FEW {
            return None;
        }
        let share = self.measured() / period.as_secs_f64();
        self.forget();
        let costs = self.costs;
        let predicted = |rung: &Rung| share * costs.of(rung) / costs.of(&self.rung);
        let ladder = self.ladder(largest);
        let chosen = if share > TOO_SLOW {
            // The cheapest if none fits: the window still runs at the source's rate.
            ladder.iter().rfind(|&rung| predicted(rung) <= FITS).or(ladder.first())
        } else {
            if self.failed.is_some_and(|(_, until)| now > until) {
                self.failed = None;
            }
            let proved = |rung: &Rung| self.failed.is_none_or(|(failed, _)| costs.of(rung) < costs.of(&failed));
            let better = |rung: &Rung| *rung != self.rung && rung.is_no_worse(&self.rung);
            // What is better and clearly cheaper at once needs no room.
            let fits = |rung: &Rung| predicted(rung) <= ROOM.max(FITS * share);
            ladder.iter().rfind(|&rung| better(rung) && fits(rung) && proved(rung))
        };
        let chosen = *chosen.filter(|&&rung| rung != self.rung)?;
        if share > TOO_SLOW {
            self.failed = Some((self.rung, now + self.grudge));
            self.grudge = (2 * self.grudge).min(LONGEST_GRUDGE);
        }
        self.change(chosen, Some(now));
        Some(chosen)
    }

    /// The median time of a frame, with its share of the steps. What a step costs is learned on the way.
    fn measured(&mut self) -> f64 {
        let with = median(&mut self.with);
        if self.rung.every < 2 || self.without.is_empty() {
            return with;
        }
        let without = median(&mut self.without);
        self.costs.learn(&self.rung, with, without);
        without + (with - without) / self.rung.every as f64
    }

    fn change(&mut self, rung: Rung, now: Option<Instant>) {
        self.rung = rung;
        self.changed = now;
        self.forget();
    }

    fn forget(&mut self) {
        self.with.clear();
        self.without.clear();
        self.since = None;
    }

    /// The rungs that can be chosen, from worst to best.
    fn ladder(&self, largest: usize) -> Vec<Rung> {
        let mut rungs: Vec<Rung> = LADDER.iter().map(|rung| self.fixed(*rung, largest)).collect();
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

/// 0 of none.
fn median(times: &mut [f64]) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::live::ladder::{carried, stepped};

    const START: Rung = Rung { size: 256, steps: 1, every: 2 };
    const PERIOD: Duration = Duration::from_millis(33);

    /// A machine with noise, on which a step costs so much of what moving paint costs.
    struct Machine {
        /// Milliseconds for a million pixels moved.
        speed: f64,
        step: f64,
        /// Seconds until everything moves and all takes so many times as long, and until it rests again; 0 where it does not.
        phase: f64,
        slower: f64,
    }

    impl Machine {
        fn new(speed: f64) -> Self {
            Machine { speed, step: 1.5, phase: 0.0, slower: 1.0 }
        }

        /// Seconds for a frame of so many steps.
        fn time(&self, size: usize, steps: usize) -> f64 {
            let steps = if steps > 0 { self.step * stepped(size, steps) } else { 0.0 };
            self.speed * (carried(size) + steps) / 1e9
        }

        /// On average.
        fn mean(&self, Rung { size, steps, every }: Rung) -> f64 {
            (self.time(size, steps) + (every - 1) as f64 * self.time(size, 0)) / every as f64
        }

        fn run(&self, controller: &mut Controller, seconds: f64, largest: usize) -> Vec<Rung> {
            let (start, mut random) = (Instant::now(), fastrand::Rng::with_seed(1));
            let (mut time, mut frames, mut changes) = (0.0, 0, Vec::new());
            while time < seconds {
                let slower = if self.phase > 0.0 && (time / self.phase) % 2.0 >= 1.0 { self.slower } else { 1.0 };
                let Rung { size, steps, every } = controller.rung();
                let steps = if frames % every == 0 { steps } else { 0 };
                frames += 1;
                let took = slower * self.time(size, steps) * (0.9 + 0.2 * random.f64());
                time += took.max(PERIOD.as_secs_f64());
                let now = start + Duration::from_secs_f64(time);
                changes.extend(controller.frame(now, steps, Duration::from_secs_f64(took), PERIOD, largest));
            }
            changes
        }
    }

    #[test]
    fn it_settles_where_the_rate_is_held_and_does_not_pump() {
        for (speed, step) in
            [(4.0, 1.5), (30.0, 1.5), (60.0, 1.5), (140.0, 1.5), (4.0, 30.0), (10.0, 0.1), (30.0, 0.02)]
        {
            let (mut controller, machine) = (Controller::new(START), Machine { step, ..Machine::new(speed) });
            let changes = machine.run(&mut controller, 120.0, 1280);
            let rung = controller.rung();
            let took = machine.mean(rung);
            assert!(took <= TOO_SLOW * PERIOD.as_secs_f64() || rung == LADDER[0], "{speed} {step}: {took}");
            // Nothing better was within reach.
            let reach =
                |better: &&Rung| better.is_no_worse(&rung) && machine.mean(**better) < 0.68 * PERIOD.as_secs_f64();
            assert_eq!(LADDER.iter().rfind(reach).copied().unwrap_or(rung), rung, "{speed} {step}");
            assert!(changes.len() <= 4, "{speed} {step}: {changes:?}");
        }
    }

    #[test]
    fn what_moves_now_and_then_moves_the_size_ever_more_rarely() {
        let mut controller = Controller::new(START);
        let machine = Machine { phase: 15.0, slower: 1.6, ..Machine::new(35.0) };
        let changes = machine.run(&mut controller, 1800.0, 640).len();
        assert!(changes <= 14, "{changes}");
    }

    #[test]
    fn what_is_better_and_cheaper_is_taken() {
        let (at_512, at_640) = (Rung { size: 512, ..START }, Rung { size: 640, ..START });
        let mut controller = Controller::new(at_512);
        let machine = Machine::new(0.9 * PERIOD.as_secs_f64() / Machine::new(1.0).mean(at_512));
        assert_eq!(machine.run(&mut controller, 30.0, 640).first(), Some(&at_640));
    }

    #[test]
    fn a_machine_that_is_too_slow_gets_the_cheapest() {
        let mut controller = Controller::new(START);
        assert_eq!(Machine::new(4000.0).run(&mut controller, 60.0, 640), [LADDER[0]]);
    }

    #[test]
    fn a_machine_that_was_too_slow_for_all_for_a_while_is_not_held_back() {
        let mut controller = Controller::new(START);
        let machine = Machine { phase: 100.0, slower: 100.0, ..Machine::new(35.0) };
        let before = machine.run(&mut controller, 99.0, 640).last().copied();
        let mut controller = Controller::new(START);
        // 100 s as above, 100 s in which nothing fits, 100 s as above.
        let changes = machine.run(&mut controller, 299.0, 640);
        assert!(changes.contains(&LADDER[0]) && changes.last() == before.as_ref(), "{before:?} {changes:?}");
    }

    #[test]
    fn what_is_fixed_stays() {
        let mut controller = Controller::new(START);
        assert_eq!(controller.fix(Some(200), None, None), Rung { size: 200, ..START });
        let changes = Machine::new(20.0).run(&mut controller, 60.0, 640);
        assert!(!changes.is_empty() && changes.iter().all(|rung| rung.size == 200), "{changes:?}");
        assert_eq!(controller.fix(Some(200), Some(2), None), Rung { size: 200, steps: 2, every: 1 });
        assert!(Machine::new(400.0).run(&mut controller, 60.0, 640).is_empty());
    }

    #[test]
    fn nothing_is_painted_larger_than_the_frame() {
        let mut controller = Controller::new(START);
        Machine::new(0.4).run(&mut controller, 60.0, 320);
        assert_eq!(controller.rung().size, 320);
        assert_eq!(controller.rung().steps, 5);
    }
}
