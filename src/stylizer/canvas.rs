//! A size at which pictures are optimized, and where the steps are taken: in Rust with an objective and an optimizer, or
//! on the device, which then keeps picture and state.

use ndarray::{Array3, ArrayView3, ArrayViewMut3, Zip};

use super::rhythm::Depth;
use crate::{
    cost::{style::StyleTarget, temporal},
    engine::{
        Engines, Losses, Objective, Units, Weights,
        resident::{Resident, Start},
    },
    error::Result,
    frame::Size,
    motion::Seen,
    optim::{Optimizer, State, adam::Adam, lbfgs::Lbfgs},
    settings::{OptimizerKind, Settings},
    tensor,
    warm_start::{Carrier, WarmStart},
};

/// How much shorter the last step of a first frame is than its first ones: long steps leave grain.
const SETTLED: f32 = 0.9;

/// The frame, the picture and its solver, all with the margin around.
pub(super) struct Canvas {
    pub solver: Solver,
    /// c, the frame: RGB, 0..1, (3, H, W).
    pub content: Array3<f32>,
    /// x, the painted picture, alike; where the device keeps it, as of the last [`Canvas::fetch`].
    pub picture: Array3<f32>,
    pub losses: Losses,
}

/// Where steps are taken.
pub(super) enum Solver {
    Host {
        objective: Box<dyn Objective + Send>,
        /// The style cost of the first few taps alone, and how many; for a canvas whose steps may be so.
        shallow: Option<(usize, Box<dyn Objective + Send>)>,
        /// All of it on half of the picture, likewise.
        reduced: Option<Box<dyn Objective + Send>>,
        optimizer: Box<dyn Optimizer + Send>,
        /// Where the frame's steps began, for the temporal cost.
        start: Array3<f32>,
    },
    Device {
        resident: Box<Resident>,
        remote: Remote,
        /// Adam's rate.
        rate: f32,
    },
}

/// Which steps may be down a part of the objective.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Partly {
    Never,
    /// Some down the style cost of the shallow taps alone.
    Shallow,
    /// These, and the others down all of it on half of the picture.
    Reduced,
}

/// What is to become of an optimizer's state that is on the device.
pub(super) struct Remote {
    /// Of each pixel, (h, w).
    gains: Vec<f32>,
    /// A factor on all of them.
    pace: f32,
    /// Whether the next step starts anew from the canvas's frame and picture.
    anew: bool,
}

impl State for Remote {
    fn reset(&mut self) {
        self.gains.fill(1.0);
        self.anew = true;
    }

    /// None here: the device moves them along the flow.
    fn state(&mut self) -> Vec<&mut [f32]> {
        Vec::new()
    }

    fn gains(&mut self) -> Option<&mut [f32]> {
        Some(&mut self.gains)
    }
}

impl Solver {
    /// On the device where that is the engine, and what is asked for is what it can do: Adam, warm starts in full. `partly` says
    /// which steps may be down a part of the objective, if the optimizer takes another now and then as Adam does.
    pub fn new(engines: &Engines, size: Size, units: Units, settings: &Settings, partly: Partly) -> Result<Self> {
        let rate = settings.rate as f32;
        let suits = settings.optimizer == OptimizerKind::Adam && settings.warm_start == WarmStart::Full;
        let resident = if suits { engines.resident(size, units)? } else { None };
        if let Some(resident) = resident {
            let remote = Remote { gains: vec![1.0; size.area()], pace: 1.0, anew: true };
            return Ok(Solver::Device { resident: Box::new(resident), remote, rate });
        }
        let length = 3 * size.area();
        let optimizer: Box<dyn Optimizer + Send> = match settings.optimizer {
            OptimizerKind::Adam => Box::new(Adam::in_planes(length, size.area(), rate)),
            OptimizerKind::Lbfgs => Box::new(Lbfgs::new(length, rate)),
        };
        let partly = if settings.optimizer == OptimizerKind::Adam { partly } else { Partly::Never };
        let shallow = if partly == Partly::Never { None } else { engines.shallow(size, units)? };
        let reduced =
            if partly == Partly::Reduced && shallow.is_some() { Some(engines.reduced(size, units)?) } else { None };
        let objective = engines.objective(size, units)?;
        Ok(Solver::Host { objective, shallow, reduced, optimizer, start: tensor::zeros(size) })
    }

    /// The optimizer's state.
    pub fn state(&mut self) -> &mut dyn State {
        match self {
            Solver::Host { optimizer, .. } => &mut **optimizer,
            Solver::Device { remote, .. } => remote,
        }
    }

    /// Whether the device can move the picture along the motion: what it has is not about to be forgotten.
    pub fn moves_picture(&self) -> bool {
        matches!(self, Solver::Device { remote, .. } if !remote.anew)
    }

    /// The targets for the canvas's size, and for half of it where there is a level of that size.
    pub fn set_style(&mut self, targets: Vec<StyleTarget>, at_half: Option<Vec<StyleTarget>>) -> Result<()> {
        match self {
            Solver::Host { objective, shallow, reduced, .. } => {
                if let Some((taps, shallow)) = shallow {
                    shallow.set_style(targets[..*taps].to_vec());
                }
                if let (Some(reduced), Some(targets)) = (reduced, at_half) {
                    reduced.set_style(targets);
                }
                objective.set_style(targets);
            }
            Solver::Device { resident, .. } => resident.set_style(&targets)?,
        }
        Ok(())
    }

    pub fn set_weights(&mut self, weights: Weights) {
        match self {
            Solver::Host { objective, shallow, reduced, .. } => {
                if let Some((_, shallow)) = shallow {
                    shallow.set_weights(Weights { content: 0.0, ..weights });
                }
                if let Some(reduced) = reduced {
                    reduced.set_weights(weights);
                }
                objective.set_weights(weights);
            }
            Solver::Device { resident, .. } => resident.set_weights(weights),
        }
    }

    /// Whether steps may be down the shallow taps alone.
    pub fn has_shallow(&self) -> bool {
        matches!(self, Solver::Host { shallow: Some(_), .. })
    }

    /// A factor on all steps.
    fn set_pace(&mut self, pace: f32) {
        match self {
            Solver::Host { optimizer, .. } => optimizer.gains().into_iter().for_each(|gains| gains.fill(pace)),
            Solver::Device { remote, .. } => remote.pace = pace,
        }
    }
}

impl Canvas {
    pub fn new(solver: Solver, size: Size) -> Self {
        Canvas { solver, content: tensor::zeros(size), picture: tensor::zeros(size), losses: Losses::default() }
    }

    /// Takes a first frame as the content from now on.
    pub fn begin_at(&mut self, frame: ArrayView3<f32>) -> Result<()> {
        self.content.assign(&frame);
        self.solver.state().forget_value();
        match &mut self.solver {
            Solver::Host { objective, .. } => objective.set_content(frame),
            // It gets the frame with its first step.
            Solver::Device { .. } => Ok(()),
        }
    }

    /// Takes the next frame, RGB, (3, H, W), as the content from now on, with what the carrier allows for of the picture, where
    /// its steps start; no step deeper than `deepest` may follow. The device gets it with their start.
    pub fn look_at(&mut self, frame: &[f32], carrier: &mut Carrier, deepest: Depth) -> Result<()> {
        let Canvas { solver, content, picture, .. } = self;
        content.as_slice_mut().expect("tensors here are contiguous").copy_from_slice(frame);
        solver.state().forget_value();
        let objective = match (solver, deepest) {
            (Solver::Host { shallow: Some(_), .. }, Depth::Shallow) | (Solver::Device { .. }, _) => return Ok(()),
            (Solver::Host { reduced: Some(reduced), .. }, Depth::Deep) => reduced,
            (Solver::Host { objective, .. }, _) => objective,
        };
        let aim = carrier.aim(frame, picture.as_slice().expect("tensors here are contiguous"));
        objective.set_content(ArrayView3::from_shape(picture.raw_dim(), aim).expect("alike to the picture"))
    }

    /// The steps that follow start from here, after the motion that was `seen`: from the canvas's picture, or where
    /// `on_device` from what the device makes of its own, with what the carrier knows of the paint.
    pub fn start(&mut self, seen: &Seen, carrier: &Carrier, on_device: bool) -> Result<()> {
        match &mut self.solver {
            Solver::Device { resident, remote, .. } if !remote.anew => resident.carry(&Start {
                frame: self.content.view(),
                flow: seen.backward,
                cover: carrier.cover(),
                softness: carrier.softness(),
                momentum: carrier.momentum(),
                allowed: carrier.allowed(),
                gains: &remote.gains,
                reliability: carrier.mask(),
                picture: (!on_device).then(|| self.picture.view()),
            }),
            Solver::Host { .. } | Solver::Device { .. } => Ok(()),
        }
    }

    /// The temporal cost of the steps that follow holds to the picture as it is. The device does so since the start.
    pub fn hold(&mut self) {
        if let Solver::Host { start, .. } = &mut self.solver {
            start.assign(&self.picture);
        }
    }

    /// One step down the objective, as deep as is asked for; down all of it where the solver has no other. `temporal` is gamma and
    /// c: the picture is held to where the frame started, as far as c says; the device has c since the start.
    pub fn step(&mut self, depth: Depth, temporal: Option<(f64, &[f32])>) -> Result<()> {
        let Canvas { solver, content, picture, losses } = self;
        match solver {
            Solver::Device { resident, remote, rate, .. } => {
                if std::mem::take(&mut remote.anew) {
                    resident.begin(content.view(), picture.view())?;
                }
                resident.step(*rate * remote.pace, temporal.map_or(0.0, |(weight, _)| weight))
            }
            Solver::Host { objective, shallow, reduced, optimizer, start } => {
                let (objective, losses): (&mut dyn Objective, _) = match (depth, shallow, reduced) {
                    (Depth::Shallow, Some((_, shallow)), _) => (&mut **shallow, None),
                    (Depth::Deep, _, Some(reduced)) => (&mut **reduced, Some(losses)),
                    _ => (&mut **objective, Some(losses)),
                };
                descend(objective, &mut **optimizer, picture, start, temporal, losses)
            }
        }
    }

    /// Many steps from a rough start, as long as `go_on` says so; how many that were. The second half of them grow shorter: long
    /// steps leave grain.
    pub fn settle(&mut self, steps: usize, mut go_on: impl FnMut(usize, &Losses) -> bool) -> Result<usize> {
        let mut taken = 0;
        for step in 0..steps {
            let late = (2.0 * step as f32 / steps as f32 - 1.0).max(0.0);
            self.solver.set_pace(1.0 - SETTLED * late);
            self.step(Depth::Whole, None)?;
            self.fetch_losses()?;
            taken += 1;
            if !go_on(step + 1, &self.losses) {
                break;
            }
        }
        self.solver.set_pace(1.0);
        self.fetch()?;
        Ok(taken)
    }

    /// Brings picture and losses here from the device, if they are there.
    pub fn fetch(&mut self) -> Result<()> {
        if let Solver::Device { resident, remote, .. } = &mut self.solver
            && !remote.anew
        {
            resident.picture(&mut self.picture)?;
        }
        self.fetch_losses()
    }

    fn fetch_losses(&mut self) -> Result<()> {
        if let Solver::Device { resident, .. } = &mut self.solver {
            self.losses.clone_from(resident.losses()?);
        }
        Ok(())
    }

    /// Projects the picture onto the colours there are.
    pub fn clamp(&mut self) {
        clamp(&mut self.picture);
    }
}

/// One step of the picture down an objective and the temporal cost, in Rust; the objective's costs go to `losses`.
fn descend(
    objective: &mut dyn Objective,
    optimizer: &mut dyn Optimizer,
    picture: &mut Array3<f32>,
    start: &Array3<f32>,
    temporal: Option<(f64, &[f32])>,
    mut losses: Option<&mut Losses>,
) -> Result<()> {
    let shape = picture.raw_dim();
    let start = start.as_slice().expect("tensors here are contiguous");
    let mut evaluate = |x: &[f32], gradient: &mut [f32]| {
        let picture = ArrayView3::from_shape(shape, x).expect("x is the picture");
        let view = ArrayViewMut3::from_shape(shape, &mut *gradient).expect("alike to the picture");
        let found = objective.evaluate(picture, view)?;
        let mut total = found.total;
        if let Some(losses) = &mut losses {
            losses.clone_from(found);
        }
        if let Some((weight, reliability)) = temporal {
            total += weight * temporal::value_and_add_gradient(x, start, reliability, weight, gradient);
        }
        Ok(total as f32)
    };
    optimizer.step(picture.as_slice_mut().expect("tensors here are contiguous"), &mut evaluate)?;
    clamp(picture);
    Ok(())
}

fn clamp(picture: &mut Array3<f32>) {
    Zip::from(picture).for_each(|x| *x = x.clamp(0.0, 1.0));
}
