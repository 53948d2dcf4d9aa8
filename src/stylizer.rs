//! The algorithm: Gatys' objective, solved frame by frame, each from the last one's solution.
//!
//! For every frame c: start from the picture painted last, take a few optimizer steps down
//! `J(x) = alpha J_content(x, c) + beta J_style(x, painting)`, keep x within the colours there are, and show it. The first
//! frame, and one after a cut, is solved coarse to fine.

use std::sync::Arc;

use ndarray::{Array2, Array3, ArrayView3};

mod adjust;
mod canvas;
mod debug;
mod margin;
mod rhythm;

pub use adjust::Style;
pub(crate) use adjust::hung;
pub use debug::DebugView;

use canvas::{Canvas, Partly, Solver};
use margin::Surroundings;
use rhythm::{Depth, FEW, Rhythm};

use crate::{
    cost::style::StyleTarget,
    engine::{Choice, Engines, Losses, Units, Weights},
    error::Result,
    frame::{Frame, Size},
    motion::{Observer, Seen},
    net::{session::Runtime, vgg::Vgg},
    settings::{Balance, OptimizerKind, Settings},
    tensor::{self, Resampler},
    warm_start::{Carrier, LongTerm, Pictures},
};

/// A style picture and its weight among the others.
pub struct Painting {
    pub picture: Frame,
    pub weight: f32,
}

/// Amplitude of the noise in the first frame's start, of 1: below what is seen, enough to break a flat area's symmetry.
const NOISE: f32 = 0.02;
/// No level of the pyramid has a shorter side than this many pixels.
const COARSEST: usize = 64;
/// Where the canvas's longer side, margin included, has more pixels than this, few steps in full are taken on half of the picture.
const LARGE: usize = 520;
/// Levels of the first frame's pyramid, each half as large as the one after it.
const LEVELS: usize = 3;

/// Paints frames one after the other.
pub struct Stylizer {
    runtime: Runtime,
    vgg: Arc<Vgg>,
    engines: Arc<Engines>,
    settings: Settings,
    paintings: Vec<Painting>,
    resampler: Resampler,
    /// From coarse to fine; the last is the one that every frame is painted on. Empty before the first frame, or
    /// [`Stylizer::prepare`].
    canvases: Vec<Canvas>,
    /// All three as long as there are canvases.
    observer: Option<Observer>,
    surroundings: Option<Surroundings>,
    carrier: Option<Carrier>,
    /// The picture without its margin.
    shown: Array3<f32>,
    /// What an earlier pass painted, with a margin.
    earlier: Array3<f32>,
    rhythm: Rhythm,
    /// What the canvases are measured against.
    style: Style,
    watch: Option<Watch>,
}

/// Is told of every step of a first frame: the step, how many there are, the losses. False cuts the rest short.
pub type Watch = Box<dyn FnMut(usize, usize, &Losses) -> bool + Send>;

/// A painted frame.
pub struct Painted<'a> {
    /// x: RGB, 0..1, (3, H, W), at the working size.
    pub picture: &'a Array3<f32>,
    /// The costs where the last step in full began.
    pub losses: &'a Losses,
    /// Optimizer steps spent on this frame.
    pub steps: usize,
    /// Whether it begins a scene.
    pub cut: bool,
}

impl Stylizer {
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the settings are not valid.
    ///
    /// # Panics
    /// If there is no painting.
    pub fn new(runtime: Runtime, vgg: Arc<Vgg>, paintings: Vec<Painting>, settings: Settings) -> Result<Self> {
        let engines = Arc::new(Engines::new(runtime.clone(), Arc::clone(&vgg), Choice::Auto));
        Self::with_engines(engines, runtime, vgg, paintings, settings)
    }

    /// As [`Stylizer::new`] with engines that were chosen before for this network: several stylizers can share them.
    pub fn with_engines(
        engines: Arc<Engines>,
        runtime: Runtime,
        vgg: Arc<Vgg>,
        paintings: Vec<Painting>,
        settings: Settings,
    ) -> Result<Self> {
        settings.validate()?;
        assert!(!paintings.is_empty(), "at least one painting");
        Ok(Stylizer {
            engines,
            style: Style::default(),
            runtime,
            vgg,
            settings,
            paintings,
            resampler: Resampler::new(),
            canvases: Vec::new(),
            observer: None,
            surroundings: None,
            carrier: None,
            shown: tensor::zeros(Size::new(0, 0)),
            earlier: tensor::zeros(Size::new(0, 0)),
            rhythm: Rhythm::new(),
            watch: None,
        })
    }

    /// Paints the next frame: RGB, 0..1, (3, H, W). All frames of a video have one size.
    pub fn paint(&mut self, frame: ArrayView3<f32>) -> Result<Painted<'_>> {
        self.paint_after(frame, None)
    }

    /// Paints the next frame from what an earlier pass made of it, `earlier`, and from its neighbour painted last. A first
    /// frame, and one after a cut, starts from `earlier` alone.
    pub fn repaint(&mut self, frame: ArrayView3<f32>, earlier: ArrayView3<f32>) -> Result<Painted<'_>> {
        self.paint_after(frame, Some(earlier))
    }

    fn paint_after(&mut self, frame: ArrayView3<f32>, earlier: Option<ArrayView3<f32>>) -> Result<Painted<'_>> {
        if self.canvases.is_empty() {
            self.set_up(tensor::size_of(frame))?;
        }
        let frame = frame.as_standard_layout();
        // Taken out while the rest of self is at work, and back in whatever comes of it.
        let mut observer = self.observer.take().expect("set_up makes it");
        let mut surroundings = self.surroundings.take().expect("set_up makes it");
        let steps = self.paint_observed(&mut observer, &mut surroundings, frame.view(), earlier);
        let cut = observer.seen().cut;
        (self.observer, self.surroundings) = (Some(observer), Some(surroundings));
        let steps = steps?;
        let canvas = self.canvases.last_mut().expect("set_up makes canvases");
        canvas.fetch()?;
        self.shown.assign(&margin::within(&canvas.picture));
        Ok(Painted { picture: &self.shown, losses: &canvas.losses, steps, cut })
    }

    fn paint_observed(
        &mut self,
        observer: &mut Observer,
        surroundings: &mut Surroundings,
        frame: ArrayView3<f32>,
        earlier: Option<ArrayView3<f32>>,
    ) -> Result<usize> {
        let seen = observer.observe(frame.as_slice().expect("standard layout"))?;
        if seen.cut {
            self.rhythm.begin();
        }
        let held = ArrayView3::from_shape(frame.raw_dim(), seen.frame).expect("a frame of this size");
        match earlier {
            None if seen.cut => self.first_frame(held),
            Some(earlier) if seen.cut => self.first_frame_again(held, earlier),
            earlier => self.next_frame(&surroundings.of(&seen), earlier),
        }
    }

    /// Watches over first frames, which take many steps.
    pub fn watch(&mut self, watch: Watch) {
        self.watch = Some(watch);
    }

    /// The next frame is painted as a first frame.
    pub fn restart(&mut self) {
        if let Some(observer) = &mut self.observer {
            observer.restart();
        }
    }

    /// From the last solution, carried along the motion.
    fn next_frame(&mut self, seen: &Seen, earlier: Option<ArrayView3<f32>>) -> Result<usize> {
        let Settings { steps, step_every, .. } = self.settings;
        let rate = self.settings.steps_a_frame();
        let canvas = self.canvases.last_mut().expect("set_up makes canvases");
        let at_rest = canvas.solver.has_shallow().then(|| seen.mean_still());
        let (steps, turns) = self.rhythm.next(steps, step_every, at_rest);
        let carrier = self.carrier.as_mut().expect("set_up makes it");
        // The device moves its own picture where that is all there is to a start.
        let on_device = canvas.solver.moves_picture() && earlier.is_none() && !self.settings.long_term;
        if on_device {
            carrier.pace(rate, seen, canvas.solver.state());
        } else {
            let picture = canvas.picture.as_slice_mut().expect("tensors here are contiguous");
            let before = canvas.content.as_slice().expect("tensors here are contiguous");
            let earlier = earlier.map(|earlier| {
                margin::mirror(earlier, &mut self.earlier);
                self.earlier.as_slice().expect("tensors here are contiguous")
            });
            let pictures = Pictures { picture, before, earlier };
            let state = canvas.solver.state();
            carrier.carry(self.settings.warm_start, rate, pictures, seen, state)?;
        }
        let frame = ArrayView3::from_shape(canvas.content.raw_dim(), seen.frame).expect("a frame of this size");
        canvas.look_at(frame, turns.deepest(steps))?;
        let temporal = (self.settings.temporal > 0.0).then_some((self.settings.temporal, carrier.mask()));
        // Adam's first step looks where the frame started, at the temporal cost's minimum.
        let first_held = if self.settings.optimizer == OptimizerKind::Adam { 1 } else { 0 };
        let paint = [carrier.cover(), carrier.softness(), carrier.momentum(), carrier.mask()];
        canvas.start(seen, paint, on_device)?;
        if temporal.is_some() && steps > first_held {
            canvas.hold();
        }
        for step in 0..steps {
            canvas.step(turns.depth(step), temporal.filter(|_| step >= first_held))?;
        }
        carrier.spent(steps);
        Ok(steps)
    }

    /// A first frame that an earlier pass has painted.
    fn first_frame_again(&mut self, frame: ArrayView3<f32>, earlier: ArrayView3<f32>) -> Result<usize> {
        let canvas = self.canvases.last_mut().expect("set_up makes canvases");
        canvas.look_at(margin::mirrored(frame).view(), Depth::Whole)?;
        margin::mirror(earlier, &mut canvas.picture);
        canvas.solver.state().reset();
        for _ in 0..self.settings.steps {
            canvas.step(Depth::Whole, None)?;
        }
        self.carrier.as_mut().expect("set_up makes it").begin(self.settings.first_steps);
        Ok(self.settings.steps)
    }

    /// Coarse to fine: large strokes are settled on small pictures, where they are few pixels long and steps are cheap.
    fn first_frame(&mut self, frame: ArrayView3<f32>) -> Result<usize> {
        let steps = steps_of_levels(self.settings.first_steps, self.canvases.len());
        let (mut done, mut taken, all) = (0, 0, steps.iter().sum());
        let size = tensor::size_of(frame);
        let frame = frame.to_owned();
        // What the finest level that is done has painted over the frame.
        let mut paint = noise(size, self.settings.seed);
        for ((canvas, size), steps) in self.canvases.iter_mut().zip(pyramid(size)).zip(steps) {
            let resampler = &mut self.resampler;
            let mut on_canvas = |tensor: &Array3<f32>| {
                let mut resampled = tensor::zeros(size);
                resampler.planes(tensor, &mut resampled);
                margin::mirrored(resampled.view())
            };
            canvas.look_at(on_canvas(&frame).view(), Depth::Whole)?;
            canvas.solver.state().reset();
            canvas.picture.assign(&(on_canvas(&paint) + &canvas.content));
            canvas.clamp();
            let watch = &mut self.watch;
            let go_on = |step, losses: &_| watch.as_mut().is_none_or(|watch| watch(done + step, all, losses));
            taken += canvas.settle(steps, go_on)?;
            done += steps;
            paint = &margin::within(&canvas.picture) - &margin::within(&canvas.content);
        }
        self.carrier.as_mut().expect("set_up makes it").begin(taken);
        Ok(taken)
    }

    /// Makes the canvases for frames of this size, and measures the paintings at each.
    fn set_up(&mut self, size: Size) -> Result<()> {
        let Settings { flow, reliability, pace, fresh_detail, long_term, .. } = self.settings;
        self.observer = Some(Observer::new(size, flow, reliability));
        self.surroundings = Some(Surroundings::new(size));
        self.shown = tensor::zeros(size);
        let canvas = margin::around(size);
        self.earlier = tensor::zeros(canvas);
        let long_term = long_term.then(|| LongTerm::new(canvas, flow, reliability));
        self.carrier = Some(Carrier::new(canvas, pace, fresh_detail, long_term));
        self.style = Style::measure(&self.runtime, &self.vgg, &self.paintings, size)?;
        let sizes = pyramid(size);
        let levels = sizes.len();
        for (level, size) in sizes.into_iter().enumerate() {
            let last = level + 1 == levels;
            let units = match self.settings.balance {
                Balance::Strength(_) => Units::Relative,
                Balance::Course { .. } => Units::Course,
            };
            let size = margin::around(size);
            let partly = if last { self.partly(size, levels) } else { Partly::Never };
            let mut solver = Solver::new(&self.engines, size, units, &self.settings, partly)?;
            solver.set_style(self.targets(level), level.checked_sub(1).map(|half| self.targets(half)))?;
            solver.set_weights(self.weights());
            self.canvases.push(Canvas::new(solver, size));
        }
        Ok(())
    }

    /// Which steps on the finest canvas, of this size and with so many levels, may be down a part of the objective.
    fn partly(&self, size: Size, levels: usize) -> Partly {
        let large = size.width.max(size.height) > LARGE && levels > 1;
        if large && self.settings.steps <= FEW { Partly::Reduced } else { Partly::Shallow }
    }

    fn weights(&self) -> Weights {
        let (content, style) = match self.settings.balance {
            Balance::Strength(strength) => (1.0, Balance::style_weight(strength)),
            Balance::Course { content, style } => (content, style),
        };
        Weights { content, style, tv: self.settings.tv }
    }

    /// The paintings' Grams at a level of the pyramid, as targets.
    fn targets(&self, level: usize) -> Vec<StyleTarget> {
        let target = |(gram, tap): (&Array2<f32>, &crate::net::vgg::Tap)| match self.settings.balance {
            Balance::Strength(_) => StyleTarget::relative(gram.clone(), tap.head.as_ref()),
            Balance::Course { .. } => StyleTarget::course(gram.clone(), tap.head.as_ref()),
        };
        self.style.levels[level].iter().zip(&self.vgg.taps).map(target).collect()
    }
}

/// The sizes of the frame in the pyramid, from coarse to fine.
fn pyramid(size: Size) -> Vec<Size> {
    let level = |halvings: usize| Size::new(size.width >> halvings, size.height >> halvings);
    let fits = |size: &Size| size.width.min(size.height) >= COARSEST;
    let mut sizes: Vec<Size> = (1..LEVELS).map(level).take_while(fits).collect();
    sizes.reverse();
    sizes.push(size);
    sizes
}

/// The steps of each level: the finest gets half of them, the others share the rest; each at least one.
fn steps_of_levels(steps: usize, levels: usize) -> Vec<usize> {
    let coarse = levels - 1;
    let mut shares = vec![(steps / 2).checked_div(coarse).unwrap_or(0).max(1); coarse];
    shares.push(steps.saturating_sub(shares.iter().sum()).max(1));
    shares
}

/// Uniform noise around zero, the same for the same seed.
fn noise(size: Size, seed: u64) -> Array3<f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    Array3::from_shape_simple_fn((3, size.height, size.width), || NOISE * (2.0 * random.f32() - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pyramid_ends_at_the_full_size_and_stays_large_enough() {
        let size = Size::new;
        assert_eq!(pyramid(size(320, 180)), [size(160, 90), size(320, 180)]);
        assert_eq!(pyramid(size(640, 361)), [size(160, 90), size(320, 180), size(640, 361)]);
        assert_eq!(pyramid(size(40, 33)), [size(40, 33)]);
    }

    #[test]
    fn every_level_gets_its_steps() {
        assert_eq!(steps_of_levels(100, 3), [25, 25, 50]);
        assert_eq!(steps_of_levels(100, 1), [100]);
        assert_eq!(steps_of_levels(1, 3), [1, 1, 1]);
    }
}
