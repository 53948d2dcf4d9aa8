//! What a second of a live run looked like.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::frame::Size;

/// Collects measurements from all stages. Its buffers hold a second's worth and are emptied by [`Meter::take`].
#[derive(Default)]
pub struct Meter {
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    since: Option<Instant>,
    captured: u64,
    composed: u64,
    shown: u64,
    painted: u64,
    steps: u64,
    work: Option<Work>,
    latency: Vec<f32>,
    age: Vec<f32>,
    paint: Vec<f32>,
    compose: Vec<f32>,
    drops: Drops,
}

#[derive(Clone, Copy)]
struct Work {
    size: Size,
    steps: usize,
}

/// Frames that did not get through, by cause.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Drops {
    /// Came damaged from the source.
    pub damaged: u64,
    /// Not painted: the painter was still busy.
    pub paint: u64,
    /// Not composed: the composer was still busy.
    pub compose: u64,
    /// Not drawn: the window was still busy.
    pub window: u64,
    /// Not recorded: the encoder was still busy.
    pub record: u64,
    /// Not sent: the virtual camera was still busy.
    pub virtual_camera: u64,
}

/// Milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Percentiles {
    pub p50: f32,
    pub p95: f32,
    pub max: f32,
}

/// The measurements since the last look.
#[derive(Clone, Debug, Serialize)]
pub struct Second {
    /// Frames a second from the source.
    pub fps_in: f32,
    /// Frames a second that were shown.
    pub fps_out: f32,
    /// Frames a second that were painted.
    pub fps_painted: f32,
    /// Frames that were composed, each for the window, the recording and the virtual camera: a count, not a rate.
    pub composed: u64,
    /// Optimizer steps for a painted frame.
    pub steps: f32,
    /// What is painted, `WIDTHxHEIGHT`.
    pub size: String,
    /// From a frame's capture until it is shown, ms.
    pub latency: Percentiles,
    /// The age of the paint on a shown frame, from the capture of the frame it was painted on, ms.
    pub paint_age: Percentiles,
    /// Time to paint a frame, ms.
    pub paint: Percentiles,
    /// Time to compose a frame, ms.
    pub compose: Percentiles,
    pub dropped: Drops,
}

impl Meter {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn captured(&self) {
        self.counts().captured += 1;
    }

    /// `steps` is what this frame took, `regular` what a frame takes that is not a first picture.
    pub(super) fn painted(&self, size: Size, steps: usize, regular: usize, took: Duration) {
        let mut counts = self.counts();
        counts.painted += 1;
        counts.steps += steps as u64;
        counts.work = Some(Work { size, steps: regular });
        counts.paint.push(milliseconds(took));
    }

    pub(super) fn composed(&self, took: Duration, age: Option<Duration>) {
        let mut counts = self.counts();
        counts.composed += 1;
        counts.compose.push(milliseconds(took));
        counts.age.extend(age.map(milliseconds));
    }

    /// Whoever shows frames tells of each.
    pub fn shown(&self, captured: Instant) {
        let mut counts = self.counts();
        counts.shown += 1;
        counts.latency.push(milliseconds(captured.elapsed()));
    }

    /// Whoever shows frames tells how many it has missed.
    pub fn window_dropped(&self, frames: u64) {
        self.drop_count(|drops| drops.window += frames);
    }

    pub(super) fn drop_count(&self, count: impl FnOnce(&mut Drops)) {
        count(&mut self.counts().drops);
    }

    /// What is being painted: size and steps, of frames other than a first picture.
    pub fn work(&self) -> Option<(Size, usize)> {
        self.counts().work.map(|work| (work.size, work.steps))
    }

    /// What was measured since the last time.
    pub fn take(&self) -> Second {
        let mut counts = self.counts();
        let now = Instant::now();
        let seconds = counts.since.replace(now).map_or(1.0, |since| (now - since).as_secs_f32()).max(1e-3);
        let second = Second {
            fps_in: counts.captured as f32 / seconds,
            fps_out: counts.shown as f32 / seconds,
            fps_painted: counts.painted as f32 / seconds,
            composed: counts.composed,
            steps: counts.steps as f32 / counts.painted.max(1) as f32,
            size: counts.work.map(|work| work.size.to_string()).unwrap_or_default(),
            latency: percentiles(&mut counts.latency),
            paint_age: percentiles(&mut counts.age),
            paint: percentiles(&mut counts.paint),
            compose: percentiles(&mut counts.compose),
            dropped: std::mem::take(&mut counts.drops),
        };
        (counts.captured, counts.composed, counts.shown, counts.painted, counts.steps) = (0, 0, 0, 0, 0);
        second
    }
}

fn milliseconds(duration: Duration) -> f32 {
    1000.0 * duration.as_secs_f32()
}

/// Of the values, which are used up.
fn percentiles(values: &mut Vec<f32>) -> Percentiles {
    values.sort_unstable_by(f32::total_cmp);
    let at = |share: f32| values.get((share * values.len().saturating_sub(1) as f32).round() as usize);
    let rounded = |share: f32| at(share).map_or(0.0, |value| (10.0 * value).round() / 10.0);
    let percentiles = Percentiles { p50: rounded(0.5), p95: rounded(0.95), max: rounded(1.0) };
    values.clear();
    percentiles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_values() {
        let mut values: Vec<f32> = (0..=100).rev().map(|value| value as f32).collect();
        let found = percentiles(&mut values);
        assert_eq!((found.p50, found.p95, found.max), (50.0, 95.0, 100.0));
        assert!(values.is_empty());
        assert_eq!(percentiles(&mut values).max, 0.0);
    }
}
