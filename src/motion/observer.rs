//! Watches a sequence of frames: what moved where, what held still, where a scene ends.

use super::{
    DisFlow, DisSettings, Flow, FlowField, FlowPair, Plane, Reliability, ReliabilitySettings, Rematch, SceneCut,
};
use crate::{error::Result, frame::Size};

/// Watches frames, each against the one before as it was *held*: where nothing moved but the sensor's noise a frame is
/// taken to look as it did before, to the bit. What is still is so judged against the moment it came to rest, and slow
/// motion or a slow change of light shows as soon as it has added up to something.
pub struct Observer {
    size: Size,
    flow: DisFlow,
    reliability: Reliability,
    cuts: SceneCut,
    /// Luma of the held frame before, and of the frame that has come.
    previous: Plane,
    current: Plane,
    held: Vec<f32>,
    /// The held frame before.
    before: Vec<f32>,
    rematch: Rematch,
    /// The backward flow, at rest where the picture is.
    backward: FlowField,
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

impl Observer {
    /// For frames of this size.
    pub fn new(size: Size, flow: DisSettings, reliability: ReliabilitySettings) -> Self {
        Observer {
            size,
            flow: DisFlow::new(size, flow),
            reliability: Reliability::new(size, reliability),
            cuts: SceneCut::new(),
            previous: Plane::new(size),
            current: Plane::new(size),
            held: vec![0.0; 3 * size.area()],
            before: vec![0.0; 3 * size.area()],
            rematch: Rematch::new(size),
            backward: FlowField::new(size),
            started: false,
            cut: true,
        }
    }

    /// Looks at the next frame, RGB, 0..1, (3, h, w); the first begins a scene.
    ///
    /// # Panics
    /// If `frame` does not hold three planes of the observer's size.
    pub fn observe(&mut self, frame: &[f32]) -> Result<Seen<'_>> {
        self.current.set_luma(frame);
        let mut cut = !self.started;
        if self.started {
            let pair = self.flow.compute(&self.previous, &self.current)?;
            self.reliability.compute(&self.previous, &self.current, pair)?;
            cut = self.cuts.between(&self.previous, &self.current, &self.reliability)?;
            rest(&mut self.backward, pair, self.reliability.still());
        }
        self.before.copy_from_slice(&self.held);
        if cut {
            self.held.copy_from_slice(frame);
        } else {
            hold(&mut self.held, frame, self.reliability.still(), self.size.area());
            self.rematch.replace(&self.before, &self.held, self.reliability.mask(), &mut self.backward);
        }
        self.previous.set_luma(&self.held);
        (self.started, self.cut) = (true, cut);
        Ok(self.seen())
    }

    /// What was seen at the newest frame.
    pub fn seen(&self) -> Seen<'_> {
        let (mask, still) = (self.reliability.mask(), self.reliability.still());
        Seen { frame: &self.held, backward: &self.backward, mask, still, cut: self.cut }
    }

    /// Whether there was a frame since the start, or since the last [`Observer::restart`].
    pub fn has_begun(&self) -> bool {
        self.started
    }

    /// The next frame begins a scene.
    pub fn restart(&mut self) {
        self.started = false;
    }
}

/// The flow back, brought to rest where the picture is.
fn rest(out: &mut FlowField, pair: &FlowPair, still: &[f32]) {
    let from = pair.backward.u.iter().zip(&pair.backward.v).zip(still);
    for ((u, v), ((from_u, from_v), still)) in out.u.iter_mut().zip(&mut out.v).zip(from) {
        *u = from_u * (1.0 - still);
        *v = from_v * (1.0 - still);
    }
}

/// Lets the frame in where something changed.
fn hold(held: &mut [f32], frame: &[f32], still: &[f32], area: usize) {
    for (held, frame) in held.chunks_exact_mut(area).zip(frame.chunks_exact(area)) {
        for ((held, now), still) in held.iter_mut().zip(frame).zip(still) {
            *held = if *still >= 1.0 { *held } else { now + still * (*held - now) };
        }
    }
}
