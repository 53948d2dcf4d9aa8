//! The start of a frame: what of the last frame's solution is taken along, and how fast each pixel may change.
//!
//! What is carried is not the picture but the *painted difference* d = x - c between picture and frame:
//!
//! `x_t = c_t + carry(x_{t-1} - c_{t-1})`
//!
//! so the picture follows the frame at once, whatever the motion. The same start is the carried picture and what the motion does
//! not explain, `carry(x_{t-1}) + (c_t - carry(c_{t-1}))`. Of that residual, fine detail is mostly a misfit by a fraction of a
//! pixel: it would scrape the paint off what moves, so little of it is let in (see [`Detail`]). Where the motion is not reliable the difference comes, smoothed, from
//! what looks alike (`motion::rematch`): paint is never thrown away, so that moving things stay painted. With it goes the optimizer's state, and
//! for each pixel the age of its paint: fresh paint takes large steps until it looks like the rest, old paint small ones so
//! that it does not crawl. Of what the content cost asks of fresh paint a part is remitted: it compares with the features of the frame with
//! some of that paint on it ([`Carrier::aim`]).

mod aim;
mod detail;
mod long_term;
mod pace;
mod paint;
mod past;
mod stale;

pub use detail::Detail;
pub use long_term::LongTerm;
pub use pace::Pace;
pub(crate) use paint::FINE;
use paint::Paint;
use past::Past;

use std::sync::Arc;

use crate::{
    error::Result,
    frame::Size,
    motion::Seen,
    optim::State,
    threads::{Parallel, strips},
};

/// What a frame starts from. All but [`WarmStart::Full`] are there to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WarmStart {
    /// The frame itself.
    Content,
    /// The last picture.
    Previous,
    /// The last picture, warped.
    Warped,
    /// The last picture and the optimizer's state, warped.
    WarpedMoments,
    /// The painted difference and the optimizer's state, warped, none where the motion is not reliable.
    Difference,
    /// The painted difference and the optimizer's state, warped; from a place that looks alike where the motion is not
    /// reliable; each pixel at a pace of its own.
    #[default]
    Full,
}

/// Reliability at and below which paint counts as fresh, and at and above which it ages undisturbed.
const DOUBT: (f32, f32) = (0.2, 0.6);
/// Share of what is carried in the blend with what an earlier pass painted, where the motion is reliable (delta of Ruder
/// et al. 2016, equation 11).
const BLEND: f32 = 0.5;

/// The pictures that a start is made of: RGB, (3, h, w).
pub struct Pictures<'a> {
    /// The solution for the frame before; replaced with the start.
    pub picture: &'a mut [f32],
    /// The frame before.
    pub before: &'a [f32],
    /// What an earlier pass painted of this frame.
    pub earlier: Option<&'a [f32]>,
}

/// Carries pictures of one size from frame to frame. All buffers are allocated when it is made.
pub struct Carrier {
    size: Size,
    threads: Arc<dyn Parallel>,
    long_term: Option<LongTerm>,
    /// How far what was carried to each pixel can be believed, in `[0, 1]`.
    mask: Vec<f32>,
    paint: Paint,
    past: Past,
    /// The picture whose features are the content's, (3, h, w).
    aim: Vec<f32>,
}

impl Carrier {
    /// With `long_term`, [`WarmStart::Full`] looks further back than the last frame.
    pub fn new(
        size: Size,
        pace: Pace,
        detail: Detail,
        long_term: Option<LongTerm>,
        threads: Arc<dyn Parallel>,
    ) -> Self {
        let (mask, aim) = (vec![0.0; size.area()], vec![0.0; 3 * size.area()]);
        let (paint, past) = (Paint::new(size), Past::new(size, pace, detail));
        Carrier { size, threads, long_term, mask, paint, past, aim }
    }

    /// A first frame was painted in so many steps.
    pub fn begin(&mut self, steps: usize) {
        self.past.begin(steps);
        if let Some(long_term) = &mut self.long_term {
            long_term.forget();
        }
    }

    /// Makes the start for the frame that was `seen`, and sets the pace of the steps that follow, `rate` of them a frame.
    pub fn carry(
        &mut self,
        how: WarmStart,
        rate: f32,
        pictures: Pictures,
        seen: &Seen,
        optimizer: &mut dyn State,
    ) -> Result<()> {
        let Pictures { picture, before, earlier } = pictures;
        let threads = &*Arc::clone(&self.threads);
        self.mask.copy_from_slice(seen.mask);
        match how {
            WarmStart::Content => {
                picture.copy_from_slice(seen.frame);
                optimizer.reset();
            }
            WarmStart::Previous => {}
            WarmStart::Warped | WarmStart::WarpedMoments => {
                self.paint.warp(threads, picture, seen.backward);
                if how == WarmStart::Warped {
                    optimizer.reset();
                } else {
                    self.past.bundle.warp(threads, &mut planes(optimizer, self.size), seen.backward);
                }
            }
            WarmStart::Difference => {
                let hard = |mask: f32| if mask > 0.5 { 1.0 } else { 0.0 };
                self.paint.lift(threads, picture, before);
                self.paint.follow(threads, seen.backward);
                self.past.bundle.warp(threads, &mut planes(optimizer, self.size), seen.backward);
                let carried = self.paint.carried.chunks_exact_mut(self.size.area());
                for plane in planes(optimizer, self.size).into_iter().chain(carried) {
                    plane.iter_mut().zip(seen.mask).for_each(|(value, mask)| *value *= hard(*mask));
                }
                self.paint.put(threads, seen.frame, picture);
            }
            WarmStart::Full => {
                self.paint.lift(threads, picture, before);
                if let Some(long_term) = &mut self.long_term {
                    long_term.remember(before, &self.paint.difference, &self.past.age);
                }
                self.follow(rate, seen, optimizer);
                if let Some(long_term) = &mut self.long_term {
                    let Carrier { mask, paint, past, .. } = self;
                    long_term.fill(threads, seen.frame, mask, &mut paint.carried, &mut past.age)?;
                    past.renew(mask.iter().zip(seen.mask).map(|(found, nearest)| found - nearest));
                }
                self.paint.put(threads, seen.frame, picture);
                if let Some(earlier) = earlier {
                    self.blend(picture, earlier);
                    self.past.renew(self.mask.iter().map(|mask| 1.0 - BLEND * mask));
                }
                self.past.set_pace(threads, seen, optimizer, rate);
                self.past.set_allowed(threads);
            }
        }
        Ok(())
    }

    /// Takes paint, its past and the optimizer's state along the motion, and settles what of fine detail shows.
    fn follow(&mut self, rate: f32, seen: &Seen, optimizer: &mut dyn State) {
        let Carrier { size, threads, paint, past, .. } = self;
        let threads = &**threads;
        paint.follow(threads, seen.backward);
        past.follow(threads, seen, rate);
        let Past { luma, cover, softness, momentum, bundle, .. } = past;
        paint.soften(threads, softness);
        paint.cover_detail(threads, luma.data(), cover);
        bundle.warp(threads, &mut planes(optimizer, *size), seen.backward);
        pace::keep_momentum(threads, momentum, *size, optimizer);
    }

    /// As [`Carrier::carry`] in the manner of [`WarmStart::Full`] where the device moves picture and state: the pace alone.
    pub fn pace(&mut self, rate: f32, seen: &Seen, state: &mut dyn State) {
        self.mask.copy_from_slice(seen.mask);
        let Carrier { threads, past, .. } = self;
        past.follow(&**threads, seen, rate);
        past.set_pace(&**threads, seen, state, rate);
        past.set_allowed(&**threads);
    }

    /// The picture whose features the content cost compares with when a frame starts from `picture`: the frame, and on it the share
    /// of the paint that is [`Carrier::allowed`] for. All RGB, (3, h, w).
    pub fn aim(&mut self, frame: &[f32], picture: &[f32]) -> &[f32] {
        self.past.aim(&*self.threads, frame, picture, &mut self.aim);
        &self.aim
    }

    /// The share of the paint that the content cost allows for in the last start, in `[0, 1]`, (h, w); none without
    /// [`WarmStart::Full`].
    pub fn allowed(&self) -> &[f32] {
        &self.past.allowed
    }

    /// How much of the fine detail that the motion does not explain was covered in the last start, 0 to 1, (h, w).
    pub fn cover(&self) -> &[f32] {
        &self.past.cover
    }

    /// How far the fine detail of the carried paint was smoothed away in the last start, 0 to 1, (h, w).
    pub fn softness(&self) -> &[f32] {
        &self.past.softness
    }

    /// How much of the optimizer's momentum was taken along in the last start, 0 to 1, (h, w).
    pub fn momentum(&self) -> &[f32] {
        &self.past.momentum
    }

    /// The steps that were just spent on every pixel.
    pub fn spent(&mut self, steps: usize) {
        let Carrier { threads, past, size, .. } = self;
        strips(&**threads, [&mut past.age], size.width, |_, [age]| age.iter_mut().for_each(|age| *age += steps as f32));
    }

    /// `delta c x + (1 - delta c) x_earlier` (Ruder et al. 2016, equation 11), c the reliability.
    fn blend(&mut self, picture: &mut [f32], earlier: &[f32]) {
        let area = self.size.area();
        for (picture, earlier) in picture.chunks_exact_mut(area).zip(earlier.chunks_exact(area)) {
            for ((x, earlier), mask) in picture.iter_mut().zip(earlier).zip(&self.mask) {
                *x = earlier + BLEND * mask * (*x - earlier);
            }
        }
        // No paint is fresh: what is not carried was painted in the pass before.
        let ripe = 3.0 * self.past.pace.ripening;
        self.past.age.iter_mut().for_each(|age| *age = age.max(ripe));
    }

    /// How far what was carried to each pixel can be believed, in `[0, 1]`, (h, w).
    pub fn mask(&self) -> &[f32] {
        &self.mask
    }

    /// The age of the paint at each pixel, in steps, (h, w).
    pub fn age(&self) -> &[f32] {
        &self.past.age
    }
}

/// The optimizer's state.
fn planes(optimizer: &mut dyn State, size: Size) -> Vec<&mut [f32]> {
    optimizer.state().into_iter().flat_map(|vector| vector.chunks_exact_mut(size.area())).collect()
}

/// 0 below the first bound of doubt, 1 above the second, straight between.
fn trust(mask: f32) -> f32 {
    between(mask, DOUBT)
}

/// From 0 at the first bound to 1 at the second.
#[inline(always)]
fn between(value: f32, bounds: (f32, f32)) -> f32 {
    ((value - bounds.0) / (bounds.1 - bounds.0)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        motion::FlowField,
        optim::adam::Adam,
        threads::{STRIP, Scoped, Serial},
    };

    const SIZE: Size = Size::new(24, 16);
    const AREA: usize = SIZE.area();
    const PAINT: f32 = 0.2;

    fn carrier(detail: Detail) -> Carrier {
        Carrier::new(SIZE, Pace::SMOOTH, detail, None, Arc::new(Scoped(2)))
    }

    /// The start for `frame` after a flat grey one with flat paint, nothing having moved.
    fn start(frame: &[f32], detail: Detail, mask: f32, still: f32) -> Vec<f32> {
        let mut carrier = carrier(detail);
        carrier.begin(50);
        let before = vec![0.4; 3 * AREA];
        let mut picture = vec![0.4 + PAINT; 3 * AREA];
        let (backward, mask, still) = (FlowField::new(SIZE), vec![mask; AREA], vec![still; AREA]);
        let seen = Seen { frame, backward: &backward, mask: &mask, still: &still, cut: false };
        let pictures = Pictures { picture: &mut picture, before: &before, earlier: None };
        let mut optimizer = Adam::new(3 * AREA, 0.02);
        carrier.carry(WarmStart::Full, 1.0, pictures, &seen, &mut optimizer).expect("sizes agree");
        picture
    }

    /// A grey of this level with a checkerboard on it.
    fn checkered(level: f32, amplitude: f32) -> Vec<f32> {
        let at =
            |i: usize| level + if (i % SIZE.width + i / SIZE.width).is_multiple_of(2) { amplitude } else { -amplitude };
        let plane: Vec<f32> = (0..AREA).map(at).collect();
        [plane.clone(), plane.clone(), plane].concat()
    }

    fn contrast(picture: &[f32]) -> f32 {
        (picture[5 * SIZE.width + 11] - picture[5 * SIZE.width + 12]).abs()
    }

    #[test]
    fn fine_detail_stays_under_the_paint_and_light_shows_at_once() {
        let (none, all) = (
            Detail { reliable: 0.0, doubtful: 1.0, smoothed: 0.0, outlived: 0.0 },
            Detail { reliable: 1.0, doubtful: 0.0, smoothed: 0.0, outlived: 0.0 },
        );
        let frame = checkered(0.5, 0.1);
        for (detail, mask, expected) in [(none, 1.0, 0.0), (all, 1.0, 0.2), (none, 0.0, 0.2), (all, 0.0, 0.0)] {
            let picture = start(&frame, detail, mask, 0.0);
            assert!((contrast(&picture) - expected).abs() < 0.01, "{detail:?}, mask {mask}: {}", contrast(&picture));
            let mean = picture.iter().sum::<f32>() / picture.len() as f32;
            assert!((mean - (0.5 + PAINT)).abs() < 0.005, "{detail:?}, mask {mask}: the new light is {mean}");
        }
    }

    #[test]
    fn paint_from_elsewhere_loses_its_specks_and_the_other_nothing() {
        let mut carrier = carrier(Detail { smoothed: 0.5, ..Detail::default() });
        let (frame, backward, still) = (vec![0.4; 3 * AREA], FlowField::new(SIZE), vec![0.0; AREA]);
        for (mask, expected) in [(1.0, 0.2), (0.0, 0.1)] {
            let mask = vec![mask; AREA];
            let seen = Seen { frame: &frame, backward: &backward, mask: &mask, still: &still, cut: false };
            carrier.paint.carried = checkered(0.0, 0.1);
            carrier.past.set_detail(&Serial, &seen, 1.0);
            carrier.paint.soften(&Serial, &carrier.past.softness);
            let left = contrast(&carrier.paint.carried);
            assert!((left - expected).abs() < 0.01, "mask {}: {left}", mask[0]);
        }
    }

    #[test]
    fn any_number_of_threads_makes_the_same_start() {
        let size = Size::new(40, 3 * STRIP + 5);
        let wave = |pace: f32, planes: usize| -> Vec<f32> {
            (0..planes * size.area()).map(|i| 0.5 + 0.4 * (pace * i as f32).sin()).collect()
        };
        let backward = FlowField { size, u: wave(0.3, 1), v: wave(0.7, 1) };
        let (before, frame, mask, still) = (wave(0.11, 3), wave(0.13, 3), wave(0.9, 1), wave(0.05, 1));
        let start = |threads: Arc<dyn Parallel>| {
            let mut carrier = Carrier::new(size, Pace::SMOOTH, Detail::default(), None, threads);
            carrier.begin(5);
            let mut optimizer = Adam::in_planes(3 * size.area(), size.area(), 0.02);
            planes(&mut optimizer, size).into_iter().for_each(|plane| plane.copy_from_slice(&wave(0.2, 1)));
            let mut picture = wave(0.17, 3);
            for _ in 0..2 {
                let seen = Seen { frame: &frame, backward: &backward, mask: &mask, still: &still, cut: false };
                let pictures = Pictures { picture: &mut picture, before: &before, earlier: None };
                carrier.carry(WarmStart::Full, 1.0, pictures, &seen, &mut optimizer).expect("sizes agree");
                carrier.spent(1);
            }
            let state = planes(&mut optimizer, size).concat();
            let gains = optimizer.gains().expect("Adam has them").to_vec();
            (picture, state, gains, carrier.past.age, carrier.past.softness, carrier.past.cover)
        };
        assert!(start(Arc::new(Serial)) == start(Arc::new(Scoped(3))));
    }

    #[test]
    fn what_is_still_is_held() {
        let frame = checkered(0.4, 0.0);
        let picture = start(&frame, Detail::default(), 1.0, 1.0);
        assert!(picture.iter().all(|x| (x - (0.4 + PAINT)).abs() < 1e-6));
    }

    #[test]
    fn an_earlier_pass_is_blended_where_the_motion_is_reliable_and_rules_where_it_is_not() {
        let mut carrier = carrier(Detail::default());
        for (mask, expected) in [(1.0, 0.6), (0.0, 0.8)] {
            carrier.mask.fill(mask);
            let mut picture = vec![0.4; 3 * AREA];
            carrier.blend(&mut picture, &vec![0.8; 3 * AREA]);
            assert!(picture.iter().all(|x| (x - expected).abs() < 1e-6), "mask {mask}: {}", picture[0]);
        }
    }
}
