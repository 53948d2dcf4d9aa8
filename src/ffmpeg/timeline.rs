//! Which part of a file's time is wanted, and which moment is zero in what comes out.
//!
//! The picture is decoded by the source, sound and subtitles are copied by the sink: both must cut alike, so both ask
//! this one place.

use ffmpeg_next::{Rational, Rescale, ffi, format::context::Input};

/// Microseconds, FFmpeg's common unit.
const MICROSECONDS: Rational = Rational(1, 1_000_000);

/// A cut through a container's time, in microseconds of the container's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeline {
    /// This moment becomes zero.
    zero: i64,
    /// Where the file begins.
    begin: i64,
    from: Option<i64>,
    until: Option<i64>,
}

impl Timeline {
    /// `start` and `duration` in seconds, counted from the file's beginning.
    ///
    /// Time stamps are kept as they are, a late start included, with two exceptions: with a `start`, that moment becomes
    /// zero; and broadcast containers (MPEG transport streams), whose clock begins anywhere, begin at zero.
    pub fn new(input: &Input, start: Option<f64>, duration: Option<f64>) -> Self {
        // SAFETY: both structures live as long as `input`.
        let (start_time, flags) = unsafe {
            let context = input.as_ptr();
            ((*context).start_time, (*(*context).iformat).flags)
        };
        let begin = if start_time == ffi::AV_NOPTS_VALUE { 0 } else { start_time };
        Self::cut(begin, flags & ffi::AVFMT_TS_DISCONT != 0, start, duration)
    }

    fn cut(begin: i64, arbitrary_clock: bool, start: Option<f64>, duration: Option<f64>) -> Self {
        let from = start.map(|seconds| begin + microseconds(seconds));
        let until = duration.map(|seconds| from.unwrap_or(begin) + microseconds(seconds));
        let zero = from.unwrap_or(if arbitrary_clock { begin } else { 0 });
        Timeline { zero, begin, from, until }
    }

    /// Where the file begins, in microseconds of its own clock.
    pub fn begin(&self) -> i64 {
        self.begin
    }

    /// Where reading must begin, in microseconds; None for the file's beginning.
    pub fn seek_target(&self) -> Option<i64> {
        self.from.filter(|&from| from > self.begin)
    }

    /// What to subtract from a time stamp in `base`.
    pub fn shift(&self, base: Rational) -> i64 {
        self.zero.rescale(MICROSECONDS, base)
    }

    /// Whether the moment lies before the part that is wanted.
    pub fn is_before(&self, ts: i64, base: Rational) -> bool {
        // Rounded to the tick: a frame that begins at the very moment asked for belongs to the part.
        self.from.is_some_and(|from| ts < from.rescale(MICROSECONDS, base))
    }

    /// Whether a frame of this time is the first of the part beyond doubt.
    pub fn begins_at(&self, ts: i64, base: Rational) -> bool {
        self.from.is_none_or(|from| ts == from.rescale(MICROSECONDS, base))
    }

    /// Whether the part ends before the file.
    pub fn has_end(&self) -> bool {
        self.until.is_some()
    }

    /// Whether the moment lies behind the part that is wanted.
    pub fn is_after(&self, ts: i64, base: Rational) -> bool {
        self.until.is_some_and(|until| ts >= until.rescale(MICROSECONDS, base))
    }

    /// The end of the part, if it has one, in `base`.
    pub fn until(&self, base: Rational) -> Option<i64> {
        self.until.map(|until| until.rescale(MICROSECONDS, base))
    }

    /// Whether the moment lies so far behind the part that nothing of it can follow (streams are interleaved loosely).
    pub fn is_long_after(&self, ts: i64, base: Rational) -> bool {
        const SLACK: i64 = 3_000_000;
        self.until.is_some_and(|until| ts >= (until + SLACK).rescale(MICROSECONDS, base))
    }

    /// The part in the output's clock, in seconds, for chapters: `(first, last)`.
    pub fn bounds(&self) -> (Option<f64>, Option<f64>) {
        let seconds = |at: i64| (at - self.zero) as f64 / 1e6;
        (self.from.map(seconds), self.until.map(seconds))
    }
}

fn microseconds(seconds: f64) -> i64 {
    (seconds * 1e6).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Rational = Rational(1, 15360);

    #[test]
    fn without_a_cut_time_stamps_stay() {
        let whole = Timeline::cut(8_333_000, false, None, None);
        assert_eq!(whole.shift(TICK), 0);
        assert!(!whole.is_before(0, TICK) && !whole.is_after(i64::MAX / 2, TICK));
    }

    #[test]
    fn a_broadcast_clock_begins_at_zero() {
        assert_eq!(Timeline::cut(1_400_000, true, None, None).shift(Rational(1, 90_000)), 126_000);
    }

    #[test]
    fn a_cut_counts_from_the_beginning_of_the_file() {
        let part = Timeline::cut(2_000_000, false, Some(1.0), Some(0.5));
        assert_eq!(part.seek_target(), Some(3_000_000));
        assert_eq!(part.shift(TICK), 3 * 15360);
        assert!(part.is_before(3 * 15360 - 1, TICK) && !part.is_before(3 * 15360, TICK));
        assert!(!part.is_after(3 * 15360 + 7679, TICK) && part.is_after(3 * 15360 + 7680, TICK));
    }
}
