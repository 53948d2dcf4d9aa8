//! Dense optical flow by inverse search: Kroeger, Timofte, Dai, van Gool, "Fast Optical Flow using Dense Inverse
//! Search", ECCV 2016, both directions at once.
//!
//! From the coarsest level of a luma pyramid to the finest: patches on a grid are searched (`patch`), spread over the
//! pixels they cover (`densify`) and smoothed along what the picture says (`refine`). Threads share the work on large levels and have
//! a direction each on small ones; how many there are does not change a bit of the result.

mod densify;
mod patch;
mod pyramid;
mod refine;
mod search;

use std::sync::Arc;

use self::{
    densify::{Dense, spread},
    pyramid::{Level, Pyramid},
    refine::{Refine, refine},
    search::{Grid, search},
};
use crate::{
    error::Result,
    frame::Size,
    motion::{Plane, scale::enlarge_flow},
    threads::{Parallel, Serial, Workers, each, for_pictures, share},
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
    /// Threads that share the work, the caller's included; 0 for one for each core. More than 16 do not help.
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
        threads: 0,
    };
    /// For paint that is shown once and not painted on.
    pub const COARSE: DisSettings =
        DisSettings { finest_search: 1, refine_rounds: 2, refine_sweeps: 3, ..DisSettings::FAST };
    /// For files. Between larger planes motion is neither looked for nor found better: at 640 pixels, four steps a frame, what flickers is a
    /// tenth less than with motion at the full size, and the whole takes a third of the time behind a card.
    pub const GOOD: DisSettings = DisSettings {
        longest: 512,
        finest: 0,
        finest_forward: 0,
        finest_search: 0,
        stride: 3,
        search_steps: 8,
        refine_rounds: 5,
        refine_sweeps: 10,
        threads: 0,
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

/// What is done at one level of one direction.
struct Job<'a> {
    step: &'a mut Step,
    a: &'a Level,
    b: &'a Level,
    /// The flow at the next coarser level, if there is one.
    coarser: Option<&'a FlowField>,
}

/// One direction: its levels, the finest first.
struct Direction {
    steps: Vec<Step>,
    /// The pyramids' level that is the finest.
    finest: usize,
}

/// A direction on its way: from the first pyramid to the second, and where the flow goes.
struct Journey<'a> {
    direction: &'a mut Direction,
    from: &'a Pyramid,
    to: &'a Pyramid,
    result: &'a mut FlowField,
}

/// Dense inverse search. All buffers are allocated when it is made.
pub struct DisFlow {
    size: Size,
    settings: DisSettings,
    pyramids: [Pyramid; 2],
    directions: [Direction; 2],
    pair: FlowPair,
    workers: Arc<Workers>,
}

/// More threads wait for one another longer than they work: at 320x180 on sixteen cores four take 6.7 ms, eight 5.8, sixteen 8.9.
const MOST_THREADS: usize = 8;

impl DisFlow {
    /// For planes of this size.
    pub fn new(size: Size, settings: DisSettings) -> Self {
        let settings = DisSettings { stride: settings.stride.clamp(1, patch::SIDE), ..settings };
        // As many levels as leave the coarsest at about four patches on its longer side, one on the shorter.
        let longer = size.width.max(size.height) as f32 / (4 * patch::SIDE) as f32;
        let shorter = size.width.min(size.height) as f32 / patch::SIDE as f32;
        let coarsest = (longer.log2() + 0.5).min(shorter.log2()).max(0.0) as usize;
        let pyramid = Pyramid::new(size, coarsest + 1);
        let threads = for_pictures(settings.threads).min(MOST_THREADS);
        let directions = [settings.finest_forward, settings.finest]
            .map(|finest| Direction::new(&pyramid, finest.min(coarsest), settings.stride));
        let finest = settings.finest.min(settings.finest_forward).min(coarsest);
        let settings =
            DisSettings { finest, finest_search: settings.finest_search.clamp(finest, coarsest), ..settings };
        let pair = FlowPair { forward: FlowField::new(size), backward: FlowField::new(size) };
        let (pyramids, workers) = ([pyramid.clone(), pyramid], Arc::new(Workers::new("motion", threads)));
        DisFlow { size, settings, pyramids, directions, pair, workers }
    }

    pub fn size(&self) -> Size {
        self.size
    }

    /// The threads that share its work; they have time between two flows.
    pub fn workers(&self) -> &Arc<Workers> {
        &self.workers
    }

    /// The way back alone.
    ///
    /// # Errors
    /// As [`Flow::compute`].
    pub fn compute_backward(&mut self, previous: &Plane, current: &Plane) -> Result<&FlowField> {
        self.run(previous, current, false)?;
        Ok(&self.pair.backward)
    }

    fn run(&mut self, previous: &Plane, current: &Plane, forward: bool) -> Result<()> {
        previous.expect_size(self.size)?;
        current.expect_size(self.size)?;
        let (settings, threads) = (self.settings, &*self.workers);
        let planes = self.pyramids.iter_mut().zip([previous, current]);
        each(threads, planes, |(pyramid, plane)| pyramid.build(plane, settings.finest));
        let ([past, present], [onward, back]) = (&self.pyramids, &mut self.directions);
        let there = Journey { direction: onward, from: past, to: present, result: &mut self.pair.forward };
        let back = Journey { direction: back, from: present, to: past, result: &mut self.pair.backward };
        let mut journeys: Vec<_> = [there, back].into_iter().skip(usize::from(!forward)).collect();
        for level in (settings.finest..present.levels.len()).rev() {
            let mut jobs: Vec<_> = journeys.iter_mut().filter_map(|journey| journey.job(level)).collect();
            settle(threads, &mut jobs, level >= settings.finest_search, &settings);
        }
        journeys.into_iter().for_each(|journey| journey.arrive(threads));
        Ok(())
    }
}

impl Flow for DisFlow {
    fn compute(&mut self, previous: &Plane, current: &Plane) -> Result<&FlowPair> {
        self.run(previous, current, true)?;
        Ok(&self.pair)
    }
}

impl Direction {
    fn new(pyramid: &Pyramid, finest: usize, stride: usize) -> Self {
        let steps = pyramid.levels[finest..]
            .iter()
            .map(|level| Step {
                grid: Grid::new(level.size, stride),
                dense: Dense::new(level),
                refine: Refine::new(level.size),
                flow: FlowField::new(level.size),
            })
            .collect();
        Direction { steps, finest }
    }
}

impl Journey<'_> {
    /// What is to be done at a level; nothing at one finer than the finest.
    fn job(&mut self, level: usize) -> Option<Job<'_>> {
        let index = level.checked_sub(self.direction.finest)?;
        let (finer, coarser) = self.direction.steps.split_at_mut(index + 1);
        let coarser = coarser.first().map(|step| &step.flow);
        Some(Job { step: finer.last_mut()?, a: &self.from.levels[level], b: &self.to.levels[level], coarser })
    }

    /// Brings the flow to the size of the planes.
    fn arrive(self, threads: &dyn Parallel) {
        let Direction { steps, finest } = self.direction;
        enlarge_flow(threads, &steps[0].flow, self.result, *finest);
    }
}

impl Job<'_> {
    /// Starts from the coarser level, or at rest.
    fn begin(&mut self, threads: &dyn Parallel) {
        let flow = &mut self.step.flow;
        match self.coarser {
            Some(coarser) => enlarge_flow(threads, coarser, flow, 1),
            None => {
                flow.u.fill(0.0);
                flow.v.fill(0.0);
            }
        }
    }
}

/// Finds the flow of each job at its level, all of one size.
fn settle(threads: &dyn Parallel, jobs: &mut [Job], search_patches: bool, settings: &DisSettings) {
    let height = jobs.first().map_or(0, |job| job.a.size.height);
    let bands = (threads.threads() / jobs.len().max(1)).min(height / refine::least_rows(settings.refine_sweeps)).max(1);
    if bands == 1 && threads.threads() > 1 {
        let settle = |job| settle(&Serial, std::slice::from_mut(job), search_patches, settings);
        return each(threads, jobs, settle);
    }
    let cuts: Vec<_> = (0..=bands).map(|band| share(height, band, bands).start).collect();
    jobs.iter_mut().for_each(|job| job.begin(threads));
    if search_patches {
        search(threads, jobs, settings.search_steps);
        spread(threads, jobs, &cuts);
    }
    if settings.refine_rounds > 0 {
        refine(threads, jobs, &cuts, settings.refine_rounds, settings.refine_sweeps);
    }
}

#[cfg(test)]
mod tests;
