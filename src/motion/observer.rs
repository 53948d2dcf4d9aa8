//! Watches a sequence of frames: what moved where, what held still, where a scene ends.

use super::{
    DisFlow, DisSettings, Flow, FlowField, Plane, Reliability, ReliabilitySettings, Rematch, Scale, SceneCut,
    mean::mean,
};
use std::sync::Arc;

use crate::{
    dispatch::wide,
    error::Result,
    frame::Size,
    tensor,
    threads::{Parallel, each, strips},
};

/// Watches frames, each against the one before as it was *held*: where nothing moved but the sensor's noise a frame is
/// taken to look as it did before, to the bit. What is still is so judged against the moment it came to rest, and slow
/// motion or a slow change of light shows as soon as it has added up to something.
pub struct Observer {
    flow: DisFlow,
    /// Those of the flow.
    threads: Arc<dyn Parallel>,
    reliability: Reliability,
    cuts: SceneCut,
    /// In what size motion is looked for: all of the above, and these.
    scale: Scale,
    /// Luma of the held frame before, and of the frame that has come.
    previous: Plane,
    current: Plane,
    held: Vec<f32>,
    /// The held frame before.
    before: Vec<f32>,
    rematch: Rematch,
    /// The backward flow, at rest where the picture is, and how reliable and how still each pixel is, all of full size.
    backward: FlowField,
    mask: Vec<f32>,
    still: Vec<f32>,
    started: bool,
    /// Whether the newest frame began a scene.
    cut: bool,
}

/// What is seen between a frame and the one before it.
pub struct Seen<'a> {
    /// The frame with what is still held: RGB, 0..1, (3, h, w).
    pub frame: &'a [f32],
    /// From each pixel to its place in the previous held frame, or to what looks like it there.
    pub backward: &'a FlowField,
    /// In `[0, 1]`, (h, w): how far `backward` can be believed.
    pub mask: &'a [f32],
    /// In `[0, 1]`, (h, w): 1 where nothing moved.
    pub still: &'a [f32],
    /// Whether this frame begins a scene: the motion then means nothing.
    pub cut: bool,
}

/// What was seen of a frame, to be handed on.
pub struct Sight {
    frame: Vec<f32>,
    backward: FlowField,
    mask: Vec<f32>,
    still: Vec<f32>,
    cut: bool,
}

impl Sight {
    /// Of no frame yet.
    pub fn empty() -> Self {
        let (frame, mask, still) = (Vec::new(), Vec::new(), Vec::new());
        Sight { frame, backward: FlowField::new(Size::new(0, 0)), mask, still, cut: true }
    }

    /// Keeps what was seen, in the place of what it has.
    pub fn keep(&mut self, threads: &dyn Parallel, seen: &Seen) {
        let copies = [
            (&mut self.frame, seen.frame),
            (&mut self.backward.u, &seen.backward.u[..]),
            (&mut self.backward.v, &seen.backward.v),
            (&mut self.mask, seen.mask),
            (&mut self.still, seen.still),
        ];
        each(threads, copies, |(to, from)| {
            to.clear();
            to.extend_from_slice(from);
        });
        (self.backward.size, self.cut) = (seen.backward.size, seen.cut);
    }

    pub fn seen(&self) -> Seen<'_> {
        let Sight { frame, backward, mask, still, cut } = self;
        Seen { frame, backward, mask, still, cut: *cut }
    }
}

impl Seen<'_> {
    /// Share of the frame that is still, 0 to 1.
    pub fn mean_still(&self) -> f32 {
        mean(self.still)
    }
}

impl Observer {
    /// For frames of this size.
    pub fn new(size: Size, flow: DisSettings, reliability: ReliabilitySettings) -> Self {
        let scale = Scale::new(size, flow.longest);
        let small = scale.small();
        let flow = DisFlow::new(small, flow);
        Observer {
            threads: Arc::clone(flow.workers()) as _,
            flow,
            reliability: Reliability::new(small, reliability),
            cuts: SceneCut::new(),
            scale,
            previous: Plane::new(small),
            current: Plane::new(small),
            held: vec![0.0; 3 * size.area()],
            before: vec![0.0; 3 * size.area()],
            rematch: Rematch::new(size),
            backward: FlowField::new(size),
            mask: vec![0.0; size.area()],
            still: vec![0.0; size.area()],
            started: false,
            cut: true,
        }
    }

    /// Looks at the next frame, RGB, 0..1, (3, h, w); the first begins a scene.
    ///
    /// # Panics
    /// If `frame` does not hold three planes of the observer's size.
    pub fn observe(&mut self, frame: &[f32]) -> Result<Seen<'_>> {
        let threads = &*self.threads;
        self.scale.reduce(threads, |luma| luma.set_luma_on(threads, frame), &mut self.current);
        let mut cut = !self.started;
        if self.started {
            let pair = self.flow.compute(&self.previous, &self.current)?;
            self.reliability.compute(threads, &self.previous, &self.current, pair)?;
            cut = self.cuts.between(&self.previous, &self.current, &self.reliability)?;
            self.scale.enlarge(threads, self.reliability.mask(), &mut self.mask);
            self.scale.enlarge(threads, self.reliability.still(), &mut self.still);
            self.scale.enlarge_flow(threads, &pair.backward, &mut self.backward);
            let FlowField { u, v, size } = &mut self.backward;
            strips(threads, [u, v, &mut self.mask], size.width, |range, [u, v, mask]| {
                rest(u, v, mask, &self.still[range]);
            });
        }
        std::mem::swap(&mut self.before, &mut self.held);
        if cut {
            self.held.copy_from_slice(frame);
            self.rematch.forget();
        } else {
            let (size, before, still) = (self.backward.size, &self.before, &self.still);
            strips(threads, tensor::channels(&mut self.held), size.width, |range, mut held| {
                for (channel, held) in held.iter_mut().enumerate() {
                    let values = channel * size.area() + range.start..channel * size.area() + range.end;
                    hold(&before[values.clone()], &frame[values], &still[range.clone()], held);
                }
            });
            self.rematch.replace(threads, &self.before, &self.held, &self.mask, &mut self.backward);
        }
        self.scale.reduce(threads, |luma| luma.set_luma_on(threads, &self.held), &mut self.previous);
        (self.started, self.cut) = (true, cut);
        Ok(self.seen())
    }

    /// Expects as much noise as another observer found, in the same scene at another size.
    pub fn expect_noise_of(&mut self, other: &Observer) {
        self.reliability.expect_noise(other.reliability.noise());
    }

    /// What was seen at the newest frame.
    pub fn seen(&self) -> Seen<'_> {
        let Observer { held, backward, mask, still, cut, .. } = self;
        Seen { frame: held, backward, mask, still, cut: *cut }
    }

    /// Those that share its work; they have time between two frames.
    pub(crate) fn threads(&self) -> &dyn Parallel {
        &*self.threads
    }

    /// Writes what was seen at the newest frame to `sight`.
    pub fn tell(&self, sight: &mut Sight) {
        sight.keep(&*self.threads, &self.seen());
    }

    /// Whether there was a frame since the start, or since the last [`Observer::restart`].
    pub fn has_begun(&self) -> bool {
        self.started
    }

    /// The next frame begins a scene.
    pub fn restart(&mut self) {
        self.started = false;
        self.cuts.forget();
    }
}

wide! {
    /// Brings the flow to rest where the picture is, and believes it there: under much noise the ways there and back differ.
    fn rest(u: &mut [f32], v: &mut [f32], mask: &mut [f32], still: &[f32]) {
        for (((u, v), mask), still) in u.iter_mut().zip(v).zip(mask).zip(still) {
            *u *= 1.0 - still;
            *v *= 1.0 - still;
            *mask += still * (1.0 - *mask);
        }
    }
}

wide! {
    /// What was held before, with the frame let in where something changed; of one channel.
    fn hold(before: &[f32], frame: &[f32], still: &[f32], held: &mut [f32]) {
        for ((held, (before, now)), still) in held.iter_mut().zip(before.iter().zip(frame)).zip(still) {
            let blended = now + still * (before - now);
            *held = if *still >= 1.0 { *before } else { blended };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture with soft spots under noise of so many grey levels, another in each frame.
    fn noisy(size: Size, levels: f32, seed: u64) -> Vec<f32> {
        let mut random = fastrand::Rng::with_seed(seed);
        let spots = |x: f32, y: f32| 0.5 + 0.15 * (0.23 * x).sin() * (0.19 * y).cos();
        let at = |i: usize| spots((i % size.area() % size.width) as f32, (i % size.area() / size.width) as f32);
        (0..3 * size.area()).map(|i| at(i) + levels / 255.0 * (random.f32() + random.f32() - 1.0) * 2.45).collect()
    }

    #[test]
    fn any_number_of_threads_sees_the_same() {
        // Over 64 pixels motion is looked for at half the size.
        let size = Size::new(101, 77);
        let seen = |threads: usize| {
            let flow = DisSettings { threads, longest: 64, ..DisSettings::FAST };
            let mut observer = Observer::new(size, flow, ReliabilitySettings::default());
            let mut sights = [Sight::empty(), Sight::empty(), Sight::empty()];
            for (number, sight) in (0..).zip(&mut sights) {
                let mut frame = noisy(size, 2.0, number);
                // The left half moves.
                for row in frame.chunks_exact_mut(size.width) {
                    row[..50].rotate_right(2 * number as usize);
                }
                observer.observe(&frame).expect("frames of that size");
                observer.tell(sight);
            }
            sights.map(|Sight { frame, backward, mask, still, cut }| (frame, backward.u, backward.v, mask, still, cut))
        };
        let alone = seen(1);
        assert!(alone[2].1.iter().any(|u| u.abs() > 1.0) && !alone[2].5, "something moves");
        assert!(alone == seen(3));
    }

    #[test]
    fn under_much_noise_what_is_still_is_believed() {
        let size = Size::new(160, 96);
        let mut observer = Observer::new(size, DisSettings::FAST, ReliabilitySettings::default());
        let (mut still, mut doubted) = (0, 0);
        for frame in 0..24 {
            let seen = observer.observe(&noisy(size, 5.0, frame)).expect("frames of that size");
            // The noise is known after a few frames.
            if frame > 8 {
                let sure = seen.still.iter().zip(seen.mask).filter(|(still, _)| **still > 0.9);
                still += sure.clone().count();
                doubted += sure.filter(|(_, mask)| **mask < 0.6).count();
            }
        }
        assert!(still > 14 * size.area() && doubted == 0, "{doubted} of {still}");
    }
}
