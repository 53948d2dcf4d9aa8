//! What the content cost compares with: the frame, and on it a share of the paint that is fresh.

use super::Past;
use crate::{
    dispatch::wide,
    threads::{Parallel, strips},
};

/// Share of fresh paint that the content cost takes for the frame's own, where P of Gatys et al. (2016, equation 1) is of the frame alone:
/// in full the cost would scrape off paint that has yet to find its form. What moves would wear less of it than what rests, which
/// alone makes the Gram matrices the painting's.
const ALLOWED: f32 = 0.5;

impl Past {
    /// How much of each pixel's paint the content cost allows for, from how fresh and how stale it is.
    pub(super) fn set_allowed(&mut self, threads: &dyn Parallel) {
        let Past { size, freshness, stale, allowed, .. } = self;
        strips(threads, [allowed], size.width, |range, [allowed]| {
            allow(allowed, &freshness[range.clone()], &stale[range]);
        });
    }

    /// The picture whose features are the content's, to `aim`: the frame, and on it what of the paint in `picture` is allowed for, all
    /// (3, h, w).
    pub(super) fn aim(&self, threads: &dyn Parallel, frame: &[f32], picture: &[f32], aim: &mut [f32]) {
        let area = self.size.area();
        let planes = frame.chunks_exact(area).zip(picture.chunks_exact(area));
        for (plane, (frame, picture)) in aim.chunks_exact_mut(area).zip(planes) {
            strips(threads, [plane], self.size.width, |range, [aim]| {
                put(aim, &frame[range.clone()], &picture[range.clone()], &self.allowed[range]);
            });
        }
    }
}

wide! {
    /// The share that the content cost allows for: of fresh paint, not of what has outlived what it was made for.
    fn allow(allowed: &mut [f32], fresh: &[f32], stale: &[f32]) {
        for ((allowed, fresh), stale) in allowed.iter_mut().zip(fresh).zip(stale) {
            *allowed = ALLOWED * fresh * (1.0 - stale);
        }
    }
}

wide! {
    /// The frame with a share of the paint on it.
    fn put(aim: &mut [f32], frame: &[f32], picture: &[f32], share: &[f32]) {
        for (((aim, c), x), share) in aim.iter_mut().zip(frame).zip(picture).zip(share) {
            *aim = c + share * (x - c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        frame::Size,
        motion::{FlowField, Seen},
        optim::adam::Adam,
        threads::Serial,
        warm_start::{Detail, Pace},
    };

    #[test]
    fn the_content_allows_for_a_share_of_fresh_paint_and_for_none_of_the_old_or_stale() {
        let size = Size::new(6, 4);
        let mut past = Past::new(size, Pace::SMOOTH, Detail::default());
        let (frame, picture, mut aim) = (vec![0.5; 3 * 24], vec![0.9; 3 * 24], vec![f32::NAN; 3 * 24]);
        let (backward, mask, still) = (FlowField::new(size), vec![1.0; 24], vec![0.0; 24]);
        let seen = Seen { frame: &frame, backward: &backward, mask: &mask, still: &still, cut: false };
        for (index, (age, stale)) in past.age.iter_mut().zip(&mut past.stale).enumerate() {
            *age = if index % 2 == 0 { 0.0 } else { 1e6 };
            *stale = if index % 4 == 0 { 1.0 } else { 0.0 };
        }
        past.set_pace(&Serial, &seen, &mut Adam::in_planes(3 * 24, 24, 0.02), 1.0);
        past.set_allowed(&Serial);
        past.aim(&Serial, &frame, &picture, &mut aim);
        for (index, aim) in aim.iter().enumerate() {
            let expected = if index % 4 == 2 { 0.5 + 0.4 * ALLOWED } else { 0.5 };
            assert!((aim - expected).abs() < 1e-6, "at {index}: {aim}");
        }
    }
}
