//! How fast each pixel may change: fresh paint by long steps, old paint by short ones, paint at rest hardly at all.

use super::{Past, trust};
use crate::{
    dispatch::wide,
    frame::Size,
    motion::Seen,
    optim::State,
    threads::{Parallel, strips},
};

/// Numbers of [`WarmStart::Full`](super::WarmStart::Full): factors on the optimizer's rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// For fresh paint.
    pub fresh: f32,
    /// Steps, one in a frame, after which that has come down to the factor of old paint, but for 1/e.
    pub ripening: f32,
    /// For old paint that moves.
    pub moving: f32,
    /// For old paint at rest; it falls further the longer it rests.
    pub resting: f32,
}

impl Pace {
    /// For networks of which [`Vgg::is_grainy`](crate::net::vgg::Vgg::is_grainy): long steps would leave coloured grain in fresh paint, so
    /// it takes shorter ones for longer.
    pub const GRAINY: Pace = Pace { fresh: 2.2, ripening: 20.0, moving: 0.8, ..Pace::SMOOTH };
    /// For other networks.
    pub const SMOOTH: Pace = Pace { fresh: 4.4, ripening: 10.0, moving: 0.15, resting: 0.08 };
}

/// Share of the optimizer's momentum that paint keeps there: the way to go was that of another place, and would tint this one.
const KEPT_MOMENTUM: f32 = 0.15;
/// Steps at rest after which paint is a quarter as fast as when it came to rest. The square makes all that it will ever move
/// finite: a still scene comes to rest.
const REST: f32 = 60.0;
/// Times of ripening after which paint is ripe: e to the minus 12 is not worth its exponential.
const RIPE: f32 = 12.0;

impl Past {
    /// How much of the optimizer's momentum goes along.
    pub(super) fn set_momentum(&mut self, threads: &dyn Parallel, seen: &Seen) {
        strips(threads, [&mut self.momentum], self.size.width, |range, [kept]| momentum(kept, &seen.mask[range]));
    }

    /// How fresh each pixel's paint is, from its age, and the factor on the pixel's rate; `rate` is steps a frame.
    pub(super) fn set_pace(&mut self, threads: &dyn Parallel, seen: &Seen, optimizer: &mut dyn State, rate: f32) {
        // More steps a frame are shorter ones: what a frame may change grows with their root. Paint then ripens by more of them. Fewer are no
        // longer ones: fresh paint would become coloured noise.
        let many = rate.sqrt().max(1.0);
        let Past { size, pace, age, freshness, .. } = self;
        strips(threads, [&mut *freshness], size.width, |range, [fresh]| pace.set_freshness(fresh, &age[range], many));
        let Some(gains) = optimizer.gains() else { return };
        for plane in gains.chunks_exact_mut(size.area()) {
            strips(threads, [plane], size.width, |range, [gains]| {
                let paint = age[range.clone()].iter().zip(&freshness[range.clone()]);
                pace.set_gains(gains, paint, &seen.still[range], many);
            });
        }
    }
}

impl Pace {
    /// How fresh paint of some ages is, for steps that are `many` times as short.
    fn set_freshness(&self, fresh: &mut [f32], age: &[f32], many: f32) {
        for (fresh, age) in fresh.iter_mut().zip(age) {
            let times = age / (self.ripening * many);
            *fresh = if times < RIPE { (-times).exp() } else { 0.0 };
        }
    }

    /// The gains at pixels from the age of their paint, how fresh that makes it and how still they are, for such steps.
    fn set_gains<'a>(
        &self,
        gains: &mut [f32],
        paint: impl Iterator<Item = (&'a f32, &'a f32)>,
        still: &[f32],
        many: f32,
    ) {
        let share = many.recip();
        for ((gain, (age, fresh)), still) in gains.iter_mut().zip(paint).zip(still) {
            let resting = self.resting * (REST / (REST + age)).powi(2);
            let old = self.moving + (resting - self.moving) * still;
            *gain = share * (old + (self.fresh - old) * fresh);
        }
    }
}

/// Leaves the optimizer that much, (h, w), of its momentum at each pixel.
pub(super) fn keep_momentum(threads: &dyn Parallel, kept: &[f32], size: Size, optimizer: &mut dyn State) {
    for plane in optimizer.momentum().into_iter().flat_map(|vector| vector.chunks_exact_mut(size.area())) {
        strips(threads, [plane], size.width, |range, [plane]| keep(plane, &kept[range]));
    }
}

wide! {
    /// All of it where the motion is reliable, little where it is not.
    fn momentum(momentum: &mut [f32], mask: &[f32]) {
        for (momentum, mask) in momentum.iter_mut().zip(mask) {
            *momentum = KEPT_MOMENTUM + (1.0 - KEPT_MOMENTUM) * trust(*mask);
        }
    }
}

wide! {
    /// Each value times what is kept there.
    fn keep(plane: &mut [f32], kept: &[f32]) {
        plane.iter_mut().zip(kept).for_each(|(value, kept)| *value *= kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        motion::FlowField,
        optim::{Optimizer, adam::Adam},
        threads::Serial,
        warm_start::Detail,
    };

    #[test]
    fn paint_from_elsewhere_forgets_where_it_was_going_and_not_how_steep_it_was() {
        let size = Size::new(8, 4);
        let mut past = Past::new(size, Pace::SMOOTH, Detail::default());
        let (frame, backward, still) = (vec![0.5; 3 * 32], FlowField::new(size), vec![0.0; 32]);
        let mask: Vec<f32> = (0..32).map(|i| if i % 2 == 0 { 1.0 } else { 0.0 }).collect();
        let seen = Seen { frame: &frame, backward: &backward, mask: &mask, still: &still, cut: false };
        let mut adam = Adam::in_planes(3 * 32, 32, 0.02);
        let slope = |_: &[f32], gradient: &mut [f32]| {
            gradient.fill(1.0);
            Ok(0.0)
        };
        adam.step(&mut vec![0.5; 3 * 32], &mut { slope }).expect("a step");
        let before: Vec<Vec<f32>> = adam.state().into_iter().map(|vector| vector.to_vec()).collect();
        past.set_momentum(&Serial, &seen);
        keep_momentum(&Serial, &past.momentum, size, &mut adam);
        // In this order: the moments, and the weights of both.
        for (index, (after, before)) in adam.state().into_iter().zip(&before).enumerate() {
            for (i, (after, before)) in after.iter().zip(before).enumerate() {
                let kept = if index % 2 == 0 && i % 2 == 1 { KEPT_MOMENTUM } else { 1.0 };
                assert!(
                    (after - kept * before).abs() < 1e-9 && *before > 0.0,
                    "vector {index} at {i}: {after} of {before}"
                );
            }
        }
    }
}
