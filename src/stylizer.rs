//! The algorithm: Gatys' objective, solved frame by frame, each from the last one's solution.
//!
//! For every frame c: start from the picture painted last, take a few optimizer steps down
//! `J(x) = alpha J_content(x, c) + beta J_style(x, painting)`, keep x within the colours there are, and show it. The first
//! frame, and one after a cut, is solved coarse to fine.

use std::sync::Arc;

use ndarray::{Array3, ArrayView3};

mod adjust;
mod canvas;
mod debug;
mod margin;
mod rhythm;
mod studio;

pub use adjust::Style;
pub(crate) use adjust::hung;
pub use debug::DebugView;

use rhythm::Depth;
pub(crate) use studio::LARGE;
use studio::{Canvases, Studio, pyramid};

use crate::{
    engine::{Choice, Engines, Losses},
    error::Result,
    frame::{Frame, Size},
    motion::{Observer, Seen},
    net::{session::Runtime, vgg::Vgg},
    settings::{OptimizerKind, Settings},
    tensor,
    threads::{Parallel, each},
    warm_start::Pictures,
};

/// A style picture and its weight among the others.
pub struct Painting {
    pub picture: Frame,
    pub weight: f32,
}

/// Amplitude of the noise in the first frame's start, of 1: below what is seen, enough to break a flat area's symmetry.
const NOISE: f32 = 0.02;

/// Paints frames one after the other.
pub struct Stylizer {
    runtime: Runtime,
    vgg: Arc<Vgg>,
    engines: Arc<Engines>,
    settings: Settings,
    paintings: Vec<Painting>,
    /// What the canvases are measured against.
    style: Style,
    /// Made for the size of the first frame, or by [`Stylizer::prepare`].
    studio: Option<Studio>,
    /// Made for the first frame that was not seen by another.
    observer: Option<Observer>,
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
    threads: &'a dyn Parallel,
}

impl Painted<'_> {
    /// Writes the picture as RGB8 rows, rounded.
    ///
    /// # Panics
    /// If `pixels` does not have its size.
    pub fn to_rgb8(&self, pixels: &mut [u8]) {
        tensor::to_rgb8_on(self.threads, self.picture, pixels);
    }
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
        let (style, studio, observer, watch) = (Style::default(), None, None, None);
        Ok(Stylizer { runtime, vgg, engines, settings, paintings, style, studio, observer, watch })
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
        let size = tensor::size_of(frame);
        self.prepare(size)?;
        let Stylizer { observer, studio, settings, watch, .. } = self;
        let observer = observer.get_or_insert_with(|| settings.observer(size));
        let frame = frame.as_standard_layout();
        let seen = observer.observe(frame.as_slice().expect("standard layout"))?;
        studio.as_mut().expect("just prepared").paint(&seen, earlier, settings, watch)
    }

    /// As [`Stylizer::paint`], or [`Stylizer::repaint`] if there is an `earlier` picture, of what a [`Settings::observer`] saw: what is
    /// seen of a frame does not depend on what is painted, so one can look ahead on another thread.
    pub fn paint_seen(&mut self, seen: &Seen, earlier: Option<ArrayView3<f32>>) -> Result<Painted<'_>> {
        self.prepare(seen.backward.size)?;
        let Stylizer { studio, settings, watch, .. } = self;
        studio.as_mut().expect("just prepared").paint(seen, earlier, settings, watch)
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
}

impl Studio {
    fn paint(
        &mut self,
        seen: &Seen,
        earlier: Option<ArrayView3<f32>>,
        settings: &Settings,
        watch: &mut Option<Watch>,
    ) -> Result<Painted<'_>> {
        let Studio { surroundings, canvases, shown, threads } = self;
        let held = ArrayView3::from_shape(shown.raw_dim(), seen.frame).expect("a frame of this size");
        let steps = match earlier {
            None if seen.cut => canvases.first_frame(held, settings, watch),
            Some(earlier) if seen.cut => canvases.first_frame_again(held, earlier, settings),
            earlier => canvases.next_frame(&surroundings.of(seen), earlier, settings),
        }?;
        let canvas = &mut canvases.finest;
        canvas.fetch()?;
        let picture = margin::within(&canvas.picture);
        each(&**threads, shown.outer_iter_mut().zip(picture.outer_iter()), |(mut to, from)| to.assign(&from));
        Ok(Painted { picture: shown, losses: &canvas.losses, steps, cut: seen.cut, threads: &**threads })
    }
}

impl Canvases {
    /// From the last solution, carried along the motion.
    fn next_frame(&mut self, seen: &Seen, earlier: Option<ArrayView3<f32>>, settings: &Settings) -> Result<usize> {
        let Canvases { finest: canvas, carrier, rhythm, .. } = self;
        let rate = settings.steps_a_frame();
        let at_rest = canvas.solver.has_shallow().then(|| seen.mean_still());
        let (steps, turns) = rhythm.next(settings.steps, settings.step_every, at_rest);
        // The device moves its own picture where that is all there is to a start.
        let on_device = canvas.solver.moves_picture() && earlier.is_none() && !settings.long_term;
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
            carrier.carry(settings.warm_start, rate, pictures, seen, state)?;
        }
        canvas.look_at(seen.frame, carrier, turns.deepest(steps))?;
        let temporal = (settings.temporal > 0.0).then_some((settings.temporal, carrier.mask()));
        // Adam's first step looks where the frame started, at the temporal cost's minimum.
        let first_held = if settings.optimizer == OptimizerKind::Adam { 1 } else { 0 };
        canvas.start(seen, carrier, on_device)?;
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
    fn first_frame_again(
        &mut self,
        frame: ArrayView3<f32>,
        earlier: ArrayView3<f32>,
        settings: &Settings,
    ) -> Result<usize> {
        self.rhythm.begin();
        let canvas = &mut self.finest;
        canvas.begin_at(margin::mirrored(frame).view())?;
        margin::mirror(earlier, &mut canvas.picture);
        canvas.solver.state().reset();
        for _ in 0..settings.steps {
            canvas.step(Depth::Whole, None)?;
        }
        self.carrier.begin(settings.first_steps);
        Ok(settings.steps)
    }

    /// Coarse to fine: large strokes are settled on small pictures, where they are few pixels long and steps are cheap.
    fn first_frame(&mut self, frame: ArrayView3<f32>, settings: &Settings, watch: &mut Option<Watch>) -> Result<usize> {
        self.rhythm.begin();
        let steps = steps_of_levels(settings.first_steps, self.coarser.len() + 1);
        let (mut done, mut taken, all) = (0, 0, steps.iter().sum());
        let size = tensor::size_of(frame);
        let frame = frame.to_owned();
        // What the finest level that is done has painted over the frame.
        let mut paint = noise(size, settings.seed);
        let canvases = self.coarser.iter_mut().chain([&mut self.finest]);
        for ((canvas, size), steps) in canvases.zip(pyramid(size)).zip(steps) {
            let resampler = &mut self.resampler;
            let mut on_canvas = |tensor: &Array3<f32>| {
                let mut resampled = tensor::zeros(size);
                resampler.planes(tensor, &mut resampled);
                margin::mirrored(resampled.view())
            };
            canvas.begin_at(on_canvas(&frame).view())?;
            canvas.solver.state().reset();
            canvas.picture.assign(&(on_canvas(&paint) + &canvas.content));
            canvas.clamp();
            let go_on = |step, losses: &_| watch.as_mut().is_none_or(|watch| watch(done + step, all, losses));
            taken += canvas.settle(steps, go_on)?;
            done += steps;
            paint = &margin::within(&canvas.picture) - &margin::within(&canvas.content);
        }
        self.carrier.begin(taken);
        Ok(taken)
    }
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
    fn every_level_gets_its_steps() {
        assert_eq!(steps_of_levels(100, 3), [25, 25, 50]);
        assert_eq!(steps_of_levels(100, 1), [100]);
        assert_eq!(steps_of_levels(1, 3), [1, 1, 1]);
    }
}
