//! Which frames take steps, and which of the steps go down the whole objective.
//!
//! A painting's large figures, in the deep layers, change little from frame to frame, and what a frame shows comes with the
//! painted difference. So only every second step goes down `alpha J_content + beta J_style` in full; the ones between go down the
//! style cost of the shallow taps, which keeps strokes and colours, for less than half of the time. Where most of the picture rests, every
//! fourth does. Those in full are taken on half of a large picture where a frame takes few: large figures need no more.
//!
//! Not in the papers. Every step is in full for the first frame, after a change of style, by L-BFGS, on devices other than the CPU, and
//! where pictures are too large or nothing is shallow ([`crate::engine::Engines::shallow`]).

/// Steps from one in full to the next where the picture moves, and where most of it rests.
const APART: (usize, usize) = (2, 4);
/// Share of the picture at rest from which most of it rests.
const AT_REST: f32 = 0.5;
/// Frames of so few steps take those in full on half of a large picture.
pub(super) const FEW: usize = 2;
/// Frames that each take steps after a change of style or strength.
const EAGER: usize = 24;

/// Counts frames and steps.
pub(super) struct Rhythm {
    /// Frames since the last one that took steps.
    waited: usize,
    /// Frames that are yet to take steps whatever the settings say, all in full.
    eager: usize,
    /// Steps since the last one in full.
    since: usize,
}

/// How deep a step goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Depth {
    /// Down the style cost of the shallow taps.
    Shallow,
    /// Down all of the objective, on half of the picture where that is done.
    Deep,
    /// Down all of the objective, on the whole picture.
    Whole,
}

/// How deep the steps of a frame go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turns {
    since: usize,
    apart: usize,
    /// How deep those in full go between shallow ones.
    full: Depth,
}

impl Turns {
    /// Of the step of this number.
    pub fn depth(self, step: usize) -> Depth {
        if self.apart == 1 {
            Depth::Whole
        } else if (self.since + step + 1).is_multiple_of(self.apart) {
            self.full
        } else {
            Depth::Shallow
        }
    }

    /// Of the deepest of the first `steps`.
    pub fn deepest(self, steps: usize) -> Depth {
        (0..steps).map(|step| self.depth(step)).max().unwrap_or(Depth::Shallow)
    }
}

impl Rhythm {
    /// Before the first frame.
    pub fn new() -> Self {
        Rhythm { waited: 0, eager: 0, since: 0 }
    }

    /// A first frame was painted.
    pub fn begin(&mut self) {
        (self.waited, self.since) = (0, 0);
    }

    /// A picture was taken over: the next frame takes steps, and the first of them is in full.
    pub fn resume(&mut self) {
        (self.waited, self.since) = (usize::MAX, APART.1 - 1);
    }

    /// The style has changed.
    pub fn hurry(&mut self) {
        self.eager = EAGER;
    }

    /// The steps that are due at the next frame, `steps` every so many frames; and how deep they go where so much of the picture,
    /// 0 to 1, is at rest. Without that share every step is in full.
    pub fn next(&mut self, steps: usize, every: usize, at_rest: Option<f32>) -> (usize, Turns) {
        let eager = self.eager > 0;
        self.eager = self.eager.saturating_sub(1);
        let apart = match at_rest {
            Some(at_rest) if !eager => {
                if at_rest < AT_REST {
                    APART.0
                } else {
                    APART.1
                }
            }
            _ => 1,
        };
        self.waited = self.waited.saturating_add(1);
        let full = if steps <= FEW { Depth::Deep } else { Depth::Whole };
        let turns = Turns { since: self.since % apart, apart, full };
        if self.waited < every && !eager {
            return (0, turns);
        }
        self.waited = 0;
        self.since = (turns.since + steps) % apart;
        (steps, turns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of so many frames: a figure for each step, 1 where it is in full, and a dot for a frame without any.
    fn run(rhythm: &mut Rhythm, frames: usize, steps: usize, every: usize, at_rest: f32) -> String {
        let frame = |_| match rhythm.next(steps, every, Some(at_rest)) {
            (0, _) => ".".to_owned(),
            (steps, turns) => {
                (0..steps).map(|step| if turns.depth(step) > Depth::Shallow { '1' } else { '0' }).collect()
            }
        };
        (0..frames).map(frame).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_second_step_is_in_full_and_every_fourth_at_rest() {
        let begun = || {
            let mut rhythm = Rhythm::new();
            rhythm.begin();
            rhythm
        };
        assert_eq!(run(&mut begun(), 5, 1, 1, 0.0), "0 1 0 1 0");
        assert_eq!(run(&mut begun(), 5, 1, 1, 0.9), "0 0 0 1 0");
        assert_eq!(run(&mut begun(), 6, 1, 2, 0.0), ". 0 . 1 . 0");
        assert_eq!(run(&mut begun(), 3, 3, 1, 0.0), "010 101 010");
        assert_eq!(run(&mut begun(), 2, 4, 1, 0.9), "0001 0001");
        let mut taken_over = begun();
        taken_over.resume();
        assert_eq!(run(&mut taken_over, 3, 1, 1, 0.0), "1 0 1");
        taken_over.resume();
        assert_eq!(run(&mut taken_over, 5, 1, 3, 0.0), "1 . . 0 .");
    }

    #[test]
    fn a_frame_knows_how_deep_its_steps_go() {
        let mut rhythm = Rhythm::new();
        rhythm.begin();
        for deepest in [Depth::Shallow, Depth::Deep, Depth::Shallow, Depth::Deep] {
            let (steps, turns) = rhythm.next(2, 1, Some(0.9));
            assert_eq!(turns.deepest(steps), deepest);
        }
        assert_eq!(rhythm.next(1, 2, None).1.deepest(0), Depth::Shallow, "a frame without a step");
        let (steps, turns) = rhythm.next(FEW + 2, 1, Some(0.9));
        assert_eq!(turns.deepest(steps), Depth::Whole, "more than a few steps");
    }

    #[test]
    fn where_nothing_is_shallow_every_step_is_in_full() {
        let mut rhythm = Rhythm::new();
        rhythm.begin();
        for _ in 0..3 {
            let (steps, turns) = rhythm.next(2, 1, None);
            assert!((0..steps).all(|step| turns.depth(step) == Depth::Whole));
        }
    }

    #[test]
    fn a_new_style_takes_every_frame_and_every_step_in_full() {
        let mut rhythm = Rhythm::new();
        rhythm.begin();
        rhythm.hurry();
        assert_eq!(run(&mut rhythm, EAGER, 2, 3, 0.9), vec!["11"; EAGER].join(" "));
        assert_eq!(run(&mut rhythm, 3, 2, 3, 0.9), ". . 00");
    }
}
