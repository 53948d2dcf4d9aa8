//! Choosing among a camera's modes.

use std::fmt;

use super::{Wanted, decode::Coding};
use crate::frame::Size;

/// What a camera can be set to.
#[derive(Clone, Debug, PartialEq)]
pub struct Mode {
    pub coding: Coding,
    pub size: Size,
    /// Seconds from frame to frame, as a fraction; None where the driver does not say.
    pub interval: Option<(u32, u32)>,
    /// Whether the driver lists this very size and interval, rather than a range that they are in.
    pub listed: bool,
}

impl Mode {
    /// Frames per second.
    pub fn rate(&self) -> Option<f64> {
        self.interval.map(|(numerator, denominator)| f64::from(denominator) / f64::from(numerator.max(1)))
    }

    /// Whether nokhwa can open a camera in this mode.
    #[cfg(target_os = "linux")]
    pub fn plain(&self) -> bool {
        let whole = self.interval.is_some_and(|(numerator, _)| numerator == 1);
        whole && self.listed && self.coding != Coding::Grey
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.coding, self.size)?;
        self.rate().map_or(Ok(()), |rate| write!(f, " {rate:.4} fps"))
    }
}

/// The mode to take: one that keeps the wanted rate (or, if there is none, the fastest), among these the nearest in size,
/// then the nearest in rate, then the least work to decode.
pub fn choose(modes: &[Mode], wanted: &Wanted) -> Option<Mode> {
    // A rate that is not told may be anything. 29.97 is as good as 30.
    let keeps = |mode: &&Mode| mode.rate().is_none_or(|rate| rate >= 0.98 * wanted.rate);
    let fastest = modes.iter().filter_map(Mode::rate).fold(0.0, f64::max);
    let mut candidates: Vec<&Mode> = modes.iter().filter(keeps).collect();
    if candidates.is_empty() {
        candidates = modes.iter().filter(|mode| mode.rate().is_some_and(|rate| rate >= 0.98 * fastest)).collect();
    }
    let cost = |mode: &&Mode| {
        let excess = mode.rate().map_or(0.0, |rate| (rate / wanted.rate).ln().abs());
        (distance(mode.size, wanted.size), excess, mode.coding.work())
    };
    candidates.into_iter().min_by(|a, b| cost(a).partial_cmp(&cost(b)).expect("no rate is NaN")).cloned()
}

/// How far two sizes are apart: twice as wide is as far as half as wide.
fn distance(a: Size, b: Size) -> f64 {
    let side = |a: usize, b: usize| (a.max(1) as f64 / b.max(1) as f64).ln().abs();
    side(a.width, b.width) + side(a.height, b.height)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(coding: Coding, width: usize, height: usize, rate: u32) -> Mode {
        Mode { coding, size: Size::new(width, height), interval: Some((1, rate)), listed: true }
    }

    fn wanted(width: usize, height: usize, rate: f64) -> Wanted {
        Wanted { camera: None, size: Size::new(width, height), rate }
    }

    #[test]
    fn the_rate_comes_first_then_the_size() {
        let modes = [
            mode(Coding::Yuyv, 640, 480, 30),
            mode(Coding::Yuyv, 1280, 720, 10),
            mode(Coding::Mjpg, 640, 480, 30),
            mode(Coding::Mjpg, 1280, 720, 30),
            mode(Coding::Mjpg, 1280, 720, 60),
        ];
        assert_eq!(choose(&modes, &wanted(1280, 720, 30.0)), Some(modes[3].clone()));
        assert_eq!(choose(&modes, &wanted(1280, 720, 10.0)), Some(modes[1].clone()));
        assert_eq!(choose(&modes, &wanted(640, 360, 30.0)), Some(modes[0].clone()), "raw is less work");
        assert_eq!(choose(&modes, &wanted(640, 360, 90.0)), Some(modes[4].clone()), "the fastest there is");
        assert_eq!(choose(&[], &wanted(640, 360, 30.0)), None);
    }

    #[test]
    fn television_s_rate_is_good_enough() {
        let ntsc = Mode { interval: Some((1001, 30000)), ..mode(Coding::Yuyv, 640, 480, 1) };
        let modes = [ntsc.clone(), mode(Coding::Yuyv, 320, 240, 30)];
        assert_eq!(choose(&modes, &wanted(640, 480, 30.0)), Some(ntsc));
    }

    #[test]
    fn an_untold_rate_is_taken() {
        let modes = [Mode { interval: None, ..mode(Coding::Yuyv, 640, 480, 1) }];
        assert_eq!(choose(&modes, &wanted(640, 480, 30.0)), Some(modes[0].clone()));
    }
}
