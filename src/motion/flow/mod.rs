//! Dense optical flow by inverse search: Kroeger, Timofte, Dai, van Gool, "Fast Optical Flow using Dense Inverse
//! Search", ECCV 2016, both directions at once.
//!
//! From the coarsest level of a luma pyramid to the finest: patches on a grid are searched (`patch`), spread over the
//! pixels they cover (`densify`) and smoothed along what the picture says (`refine`).

mod densify;
mod patch;
mod pyramid;
mod refine;

use self::{densify::Dense, patch::Grid, pyramid::Pyramid, refine::Refine};
use crate::{
    beside::beside,
    error::Result,
    frame::Size,
    motion::{Plane, scale::enlarge_flow},
};

/// Where each pixel went: `(u, v)` to the right and down, in pixels, `height * width` values each.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowField {
    pub size: Size,
    pub u: Vec<f32>,
    pub v: Vec<f32>,
}

impl FlowField {
    /// A field at rest.
    pub fn new(size: Size) -> Self {
        FlowField { size, u: vec![0.0; size.area()], v: vec![0.0; size.area()] }
    }
}

/// The motion between two frames, seen from either.
#[derive(Clone, Debug)]
pub struct FlowPair {
    /// At a pixel of the previous frame: the way to its place in the current one.
    pub forward: FlowField,
    /// At a pixel of the current frame: the way back to its place in the previous one. Warping along it carries
    /// the past to the present.
    pub backward: FlowField,
}

/// Something that finds the motion between two frames.
pub trait Flow {
    /// The flow between two luma planes, both of the size this was made for.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`](crate::Error::SizeMismatch) when they are not.
    fn compute(&mut self, previous: &Plane, current: &Plane) -> Result<&FlowPair>;
}

/// How carefully [`DisFlow`] looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DisSettings {
    /// The longer side, in pixels, up to which [`Observer`](super::Observer) looks at pictures as they are; larger ones at a half, a quarter
    /// and so on of their size. [`DisFlow`] itself takes planes as they come.
    pub longest: usize,
    /// The finest pyramid level searched: 0 is the plane itself, each further one is half as large. The result is
    /// brought back to full size.
    pub finest: usize,
    /// The same for the way forward, which serves to check the way back: coarser is cheaper.
    pub finest_forward: usize,
    /// The finest level on which patches are searched, at least `finest`; levels below it are only refined.
    pub finest_search: usize,
    /// Distance of neighbouring patches (8 x 8), in pixels, 1 to 8.
    pub stride: usize,
    /// Most steps of one patch's search, in each of its two passes.
    pub search_steps: usize,
    /// Rounds of variational refinement at each level (linearizations of its robust terms), 0 for none.
    pub refine_rounds: usize,
    /// Sweeps of successive over-relaxation in each round.
    pub refine_sweeps: usize,
    /// 1, or 2 for a thread for each direction.
    pub threads: usize,
}

impl DisSettings {
    /// For live pictures. Searched on the finest level, where flat walls show by little what way they moved: paint on them flickers a
    /// fifth less than if they are searched on the next coarser one.
    pub const FAST: DisSettings = DisSettings {
        longest: 512,
        finest: 0,
        finest_forward: 1,
        finest_search: 0,
        stride: 4,
        search_steps: 5,
        refine_rounds: 3,
        refine_sweeps: 8,
        threads: 2,
    };
    /// For paint that is shown once and not painted on.
    pub const COARSE: DisSettings =
        DisSettings { finest_search: 1, refine_rounds: 2, refine_sweeps: 3, ..DisSettings::FAST };
    /// For files.
    pub const GOOD: DisSettings = DisSettings {
        longest: usize::MAX,
        finest: 0,
        finest_forward: 0,
        finest_search: 0,
        stride: 3,
        search_steps: 8,
        refine_rounds: 5,
        refine_sweeps: 10,
        threads: 2,
    };

    /// As careful as so many optimizer steps a frame can afford.
    pub fn for_steps(steps: usize) -> DisSettings {
        if steps < 3 { DisSettings::FAST } else { DisSettings::GOOD }
    }
}

/// One level of one direction.
struct Step {
    grid: Grid,
    dense: Dense,
    refine: Refine,
    flow: FlowField,
}

/// One direction: its levels, the finest first.
struct Direction {
    steps: Vec<Step>,
    settings: DisSettings,
    /// A row of the enlarged field.
    row: Vec<f32>,
}

/// Dense inverse search. All buffers are allocated when it is made.
pub struct DisFlow {
    size: Size,
    settings: DisSettings,
    pyramids: [Pyramid; 2],
    directions: [Direction; 2],
    pair: FlowPair,
}

impl DisFlow {
    /// For planes of this size.
    pub fn new(size: Size, settings: DisSettings) -> Self {
        let settings = DisSettings { stride: settings.stride.clamp(1, patch::SIDE), ..settings };
        // As many levels as leave the coarsest at about four patches on its longer side, one on the shorter.
        let longer = size.width.max(size.height) as f32 / (4 * patch::SIDE) as f32;
        let shorter = size.width.min(size.height) as f32 / patch::SIDE as f32;
        let coarsest = (longer.log2() + 0.5).min(shorter.log2()).max(0.0) as usize;
        let pyramid = Pyramid::new(size, coarsest + 1);
        let directions = [settings.finest_forward, settings.finest].map(|finest| {
            let finest = finest.min(coarsest);
            let finest_search = settings.finest_search.clamp(finest, coarsest);
            Direction::new(&pyramid, DisSettings { finest, finest_search, ..settings })
        });
        let finest = settings.finest.min(settings.finest_forward).min(coarsest);
        let settings = DisSettings { finest, ..settings };
        let pair = FlowPair { forward: FlowField::new(size), backward: FlowField::new(size) };
        DisFlow { size, settings, pyramids: [pyramid.clone(), pyramid], directions, pair }
    }

    pub fn size(&self) -> Size {
        self.size
    }

    /// The way back alone, on the caller's thread.
    ///
    /// # Errors
    /// As [`Flow::compute`].
    pub fn compute_backward(&mut self, previous: &Plane, current: &Plane) -> Result<&FlowField> {
        previous.expect_size(self.size)?;
        current.expect_size(self.size)?;
        let [past, present] = &mut self.pyramids;
        past.build(previous, self.settings.finest);
        present.build(current, self.settings.finest);
        self.directions[1].run(present, past, &mut self.pair.backward);
        Ok(&self.pair.backward)
    }
}

impl Flow for DisFlow {
    fn compute(&mut self, previous: &Plane, current: &Plane) -> Result<&FlowPair> {
        previous.expect_size(self.size)?;
        current.expect_size(self.size)?;
        let [past, present] = &mut self.pyramids;
        let [onward, back] = &mut self.directions;
        let FlowPair { forward, backward } = &mut self.pair;
        let finest = self.settings.finest;
        if self.settings.threads > 1 {
            beside("pyramid", || past.build(previous, finest), || present.build(current, finest));
            let (past, present) = (&*past, &*present);
            beside("flow", || onward.run(past, present, forward), || back.run(present, past, backward));
        } else {
            past.build(previous, finest);
            present.build(current, finest);
            onward.run(past, present, forward);
            back.run(present, past, backward);
        }
        Ok(&self.pair)
    }
}

impl Direction {
    fn new(pyramid: &Pyramid, settings: DisSettings) -> Self {
        let steps = pyramid.levels[settings.finest..]
            .iter()
            .map(|level| Step {
                grid: Grid::new(level.size, settings.stride),
                dense: Dense::new(level),
                refine: Refine::new(level.size),
                flow: FlowField::new(level.size),
            })
            .collect();
        Direction { steps, settings, row: Vec::with_capacity(pyramid.levels[0].stride) }
    }

    fn run(&mut self, from: &Pyramid, to: &Pyramid, result: &mut FlowField) {
        let settings = self.settings;
        for index in (0..self.steps.len()).rev() {
            let (a, b) = (&from.levels[settings.finest + index], &to.levels[settings.finest + index]);
            let (finer, coarser) = self.steps.split_at_mut(index + 1);
            let Step { grid, dense, refine, flow } = &mut finer[index];
            match coarser.first() {
                Some(coarser) => enlarge_flow(&coarser.flow, flow, 1, &mut self.row),
                None => {
                    flow.u.fill(0.0);
                    flow.v.fill(0.0);
                }
            }
            if settings.finest + index >= settings.finest_search {
                grid.search(a, b, flow, settings.search_steps);
                dense.spread(a, b, grid, flow);
            }
            if settings.refine_rounds > 0 {
                refine.run(a, b, flow, settings.refine_rounds, settings.refine_sweeps);
            }
        }
        enlarge_flow(&self.steps[0].flow, result, settings.finest, &mut self.row);
    }
}

#[cfg(test)]
mod tests;
