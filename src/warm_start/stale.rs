//! Paint that has outlived what it was made for.
//!
//! Strokes reach over the edges that they follow, onto ground that never changes itself: when the thing moves on, that ground is
//! as it was, and its paint is old and at rest. And a motion that is a little wrong in each frame, too little to be doubted,
//! drags the paint of a thing over what it uncovers. So paint remembers what the frame looked like where it was made: its
//! colour, and how strong the edges were. Where the frame has another colour now, or much weaker edges, the frame's own detail
//! shows, the paint's is smoothed a little, and it counts as fresh.

use super::{Past, between};
use crate::{
    dispatch::wide,
    motion::{Seen, box_mean::box_mean, gradient::gradient},
    threads::{Parallel, strips},
};

/// Planes of what is remembered: mean colour and mean strength of the edges near each pixel.
pub(super) const LOOKS: usize = 4;
/// The last of them.
const EDGES: usize = 3;
/// What is within this many pixels, across and down, is near: for the colour, and for edges.
const NEAR: [usize; LOOKS] = [2, 2, 2, 5];
/// Mean gradient of luma (0..1 a pixel) that counts as no edge.
const FLAT: f32 = 0.005;
/// How many times as strong as now the edges must have been for paint to begin to be stale, and to be so entirely.
const WEAKER: (f32, f32) = (1.3, 2.3);
/// The same of the RMS difference of colour (0..1).
const OTHER: (f32, f32) = (0.05, 0.12);
/// Share of the difference to how the place looks now that is forgotten in a frame: by paint that is not stale, and by stale
/// paint, which is painted over meanwhile.
const FORGOTTEN: (f32, f32) = (0.01, 0.15);

impl Past {
    /// Finds what is stale, in `[0, 1]`, and makes it younger. Where the paint was made has been carried along.
    pub(super) fn find_stale(&mut self, threads: &dyn Parallel, seen: &Seen) {
        let Past { size, luma, coarse, looks, made_for, stale, age, .. } = self;
        let (size, area, stride) = (*size, size.area(), size.width);
        luma.set_luma_on(threads, seen.frame);
        strips(threads, [coarse], stride, |range, [coarse]| gradient(luma.data(), range.start / stride, coarse, size));
        let planes = seen.frame.chunks_exact(area).chain([&coarse[..]]);
        for ((out, plane), near) in looks.chunks_exact_mut(area).zip(planes).zip(NEAR) {
            box_mean(threads, plane, out, size, near);
        }
        if std::mem::take(&mut self.forgotten) {
            made_for.copy_from_slice(looks);
        }
        let now: [&[f32]; LOOKS] = std::array::from_fn(|look| &looks[look * area..][..area]);
        let mut planes = made_for.chunks_exact_mut(area);
        let [red, green, blue, edges] = std::array::from_fn(|_| planes.next().expect("a plane for each look"));
        strips(
            threads,
            [red, green, blue, edges, stale, age],
            stride,
            |range, [red, green, blue, edges, stale, age]| {
                outlived(now.map(|plane| &plane[range.clone()]), [red, green, blue, edges], stale);
                age.iter_mut().zip(stale).for_each(|(age, stale)| *age *= 1.0 - *stale);
            },
        );
    }

    /// These shares of the paint, pixel by pixel, were replaced by what was made for how the place looks now.
    pub(super) fn renew(&mut self, shares: impl Iterator<Item = f32> + Clone) {
        let area = self.size.area();
        for (then, now) in self.made_for.chunks_exact_mut(area).zip(self.looks.chunks_exact(area)) {
            for ((then, now), share) in then.iter_mut().zip(now).zip(shares.clone()) {
                *then += share * (now - *then);
            }
        }
    }
}

wide! {
    /// Compares how each place looks with how it did where its paint was made, and lets the paint forget a little.
    fn outlived(now: [&[f32]; LOOKS], then: [&mut [f32]; LOOKS], stale: &mut [f32]) {
        let length = stale.len();
        let (now, mut then) = (now.map(|plane| &plane[..length]), then.map(|plane| &mut plane[..length]));
        for at in 0..length {
            let mut apart = 0.0;
            for (now, then) in now.iter().zip(&then).take(EDGES) {
                apart += (now[at] - then[at]) * (now[at] - then[at]);
            }
            let weaker = between(then[EDGES][at] / (now[EDGES][at] + FLAT), WEAKER);
            stale[at] = weaker.max(between((apart / 3.0).sqrt(), OTHER));
            let forgotten = FORGOTTEN.0 + (FORGOTTEN.1 - FORGOTTEN.0) * stale[at];
            for (now, then) in now.iter().zip(&mut then) {
                then[at] += forgotten * (now[at] - then[at]);
            }
            // Stronger edges are painted over at once.
            then[EDGES][at] = then[EDGES][at].max(now[EDGES][at]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        frame::Size,
        motion::FlowField,
        threads::Serial,
        warm_start::{Detail, Pace},
    };

    const SIZE: Size = Size::new(64, 40);

    /// A grey ground with a dark disc around (x, 20).
    fn frame(x: f32, level: f32) -> Vec<f32> {
        let at = |i: usize| {
            let from = ((i % SIZE.width) as f32 - x).hypot((i / SIZE.width) as f32 - 20.0);
            if from < 8.0 { 0.2 } else { level }
        };
        let plane: Vec<f32> = (0..SIZE.area()).map(at).collect();
        [plane.clone(), plane.clone(), plane].concat()
    }

    /// What is stale after these frames, none of which seems to have moved; the age is 100 where nothing is.
    fn stale_after(frames: &[Vec<f32>]) -> Past {
        let mut past = Past::new(SIZE, Pace::SMOOTH, Detail::default());
        past.begin(100);
        let (backward, mask, still) = (FlowField::new(SIZE), vec![1.0; SIZE.area()], vec![1.0; SIZE.area()]);
        for frame in frames {
            past.carry(&Serial, &Seen { frame, backward: &backward, mask: &mask, still: &still, cut: false });
            past.find_stale(&Serial, &Seen { frame, backward: &backward, mask: &mask, still: &still, cut: false });
        }
        past
    }

    fn at(plane: &[f32], x: usize) -> f32 {
        plane[20 * SIZE.width + x]
    }

    #[test]
    fn what_a_thing_leaves_behind_is_stale_and_what_is_far_from_it_is_not() {
        // A disc that moves without any motion being seen.
        let frames: Vec<_> = [16.0, 16.0, 16.0, 30.0, 44.0, 44.0].map(|x| frame(x, 0.5)).into();
        let after = stale_after(&frames);
        // Where it was at first, the ground beside that, which has never changed, where it is, and the far corner.
        assert!(at(&after.stale, 16) > 0.5 && at(&after.stale, 6) > 0.5, "{:?}", &after.stale[20 * 64..21 * 64]);
        assert!(at(&after.stale, 60) == 0.0 && after.stale[0] == 0.0);
        assert!(at(&after.age, 16) < 30.0 && at(&after.age, 60) == 100.0);
        // It is painted over, and that is forgotten.
        let later: Vec<_> = frames.iter().cloned().chain(vec![frame(44.0, 0.5); 60]).collect();
        assert!(at(&stale_after(&later).stale, 16) < 0.1);
    }

    #[test]
    fn nothing_is_stale_where_nothing_changes_or_light_changes_a_little() {
        let still = stale_after(&vec![frame(20.0, 0.5); 20]);
        let dimmed = stale_after(&[frame(20.0, 0.5), frame(20.0, 0.46)]);
        assert!(still.stale.iter().chain(&dimmed.stale).all(|stale| *stale == 0.0));
        assert!(still.age.iter().all(|age| *age == 100.0));
    }
}
