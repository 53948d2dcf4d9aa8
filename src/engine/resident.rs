//! Optimization that stays on the device: picture, optimizer's state, frame, targets and features lie in its memory from
//! the first frame to the last. For a frame go up the frame, its flow and six planes of one channel; down comes the
//! picture.
//!
//! The same objective and optimizer as [`super::host`] and [`crate::optim::adam`], which it is tested against, but
//! each step one graph from picture to picture ([`crate::net::iteration`]), run forth and back between two sets of buffers.

mod memory;

use std::{borrow::Cow, sync::Arc};

use ndarray::{Array2, Array3, ArrayView3};

use self::memory::{Memory, half};
use super::{Losses, Units, Weights};
use crate::{
    cost::{style::StyleTarget, tv::Variation},
    error::{Error, Result},
    frame::Size,
    motion::FlowField,
    net::{
        bound::{DeviceTensor, PingPong},
        carry::{self, ALLOWED, BEFORE, COVER, FLOW, FRAME, MOMENTUM, SOFTNESS},
        graph::{PICTURE, Storage},
        iteration::{self, ANCHOR, CONTENT_SCALE, Factors, STATE, next},
        session::{BoundGraph, Device, Precision, Runtime},
        step::CONTENT,
        vgg::Vgg,
    },
    optim::adam::{LONGEST, PRIOR},
    tensor::size_of,
};

/// What a frame's steps start from, as seen between it and the frame before. Planes are (h, w).
pub struct Start<'a> {
    /// The frame: RGB, 0..1, (3, h, w).
    pub frame: ArrayView3<'a, f32>,
    /// From each pixel to its place in the frame before.
    pub flow: &'a FlowField,
    /// In 0..1: how much of the frame's fine detail that the motion does not explain is covered by the paint.
    pub cover: &'a [f32],
    /// In 0..1: how far the carried paint's own fine detail is smoothed away.
    pub softness: &'a [f32],
    /// In 0..1: how much of the optimizer's momentum is taken along.
    pub momentum: &'a [f32],
    /// In 0..1: the share of the paint that the content cost allows for.
    pub allowed: &'a [f32],
    /// Factors on the optimizer's rate.
    pub gains: &'a [f32],
    /// In 0..1: where the temporal cost holds the picture.
    pub reliability: &'a [f32],
    /// What to start from instead of the last picture, moved: RGB, 0..1, (3, h, w).
    pub picture: Option<ArrayView3<'a, f32>>,
}

/// One picture's optimization, on the device.
pub struct Resident {
    vgg: Arc<Vgg>,
    size: Size,
    storage: Storage,
    weights: Weights,
    /// What each tap's squared distance is multiplied with.
    style_scales: Vec<f64>,
    step: PingPong,
    look: BoundGraph,
    carry: BoundGraph,
    memory: Memory,
    /// On its way to the device: both parts of the flow, (2, h, w).
    flow: Vec<f32>,
    /// What the device found in the last step: costs.
    found: Vec<f32>,
    /// The side that holds the picture, and the frame buffer that holds the frame.
    front: usize,
    frame: usize,
    factors: Option<Vec<f32>>,
    /// Whether the state was carried here from another frame.
    carried: bool,
    losses: Losses,
}

impl Resident {
    /// For pictures of one size on the runtime's device, with its precision.
    ///
    /// # Errors
    /// [`Error::Setting`] if the size is too small for the network's pools, [`Error::Runtime`] if ONNX Runtime fails.
    pub fn new(runtime: &Runtime, vgg: Arc<Vgg>, size: Size, units: Units) -> Result<Self> {
        Self::build(runtime, vgg, size, units, false)
    }

    /// As [`Resident::new`], for the comparison with other engines: each step also leaves its gradient.
    ///
    /// # Errors
    /// As [`Resident::new`].
    pub fn with_gradient(runtime: &Runtime, vgg: Arc<Vgg>, size: Size, units: Units) -> Result<Self> {
        Self::build(runtime, vgg, size, units, true)
    }

    fn build(runtime: &Runtime, vgg: Arc<Vgg>, size: Size, units: Units, gradient: bool) -> Result<Self> {
        vgg.check_size(size)?;
        let storage = match runtime.precision() {
            // OpenVINO rewrites what is in half precision as it likes, and on a CPU has nothing to gain by it.
            Precision::Fp16 if runtime.device() != Device::OpenVino => half(runtime, &vgg)?,
            _ => Storage::Single,
        };
        let model = iteration::iteration(&vgg, size, storage, gradient);
        let mut step = runtime.replayed(&model, size)?;
        let mut memory = Memory::new(&step, &vgg, size, gradient)?;
        memory.bind_step(&mut step)?;
        let mut look = BoundGraph::new(runtime, &carry::look(&vgg, size, units, storage))?;
        look.read(ALLOWED, &memory.allowed)?;
        look.write(CONTENT, &mut memory.content)?;
        look.write(CONTENT_SCALE, &mut memory.content_scale)?;
        let mut carry = BoundGraph::new(runtime, &carry::carry(size))?;
        carry.read(FLOW, &memory.flow)?;
        carry.read(COVER, &memory.cover)?;
        carry.read(SOFTNESS, &memory.softness)?;
        carry.read(MOMENTUM, &memory.momentum)?;
        carry.write(ANCHOR, &mut memory.anchor)?;
        let taps = vgg.taps.len();
        Ok(Resident {
            size,
            storage,
            weights: Weights { content: 1.0, style: 1.0, tv: Variation::ZERO },
            style_scales: vec![0.0; taps],
            step,
            look,
            carry,
            memory,
            flow: Vec::with_capacity(2 * size.area()),
            found: vec![0.0; iteration::lengths(&vgg).1],
            front: 0,
            frame: 0,
            factors: None,
            carried: false,
            losses: Losses { style_layers: vec![0.0; taps], ..Losses::default() },
            vgg,
        })
    }

    /// The weights that the next steps use.
    pub fn set_weights(&mut self, weights: Weights) {
        self.weights = weights;
    }

    /// The painting's Grams, one for each tap of the network, in its order.
    ///
    /// # Errors
    /// [`Error::Runtime`] if ONNX Runtime fails.
    ///
    /// # Panics
    /// If their number is not that of the taps.
    pub fn set_style(&mut self, targets: &[StyleTarget]) -> Result<()> {
        assert_eq!(targets.len(), self.vgg.taps.len(), "one target for each tap");
        self.step.finish()?;
        let upload = |values: &Array2<f32>, to: &mut DeviceTensor| {
            to.upload(values.as_standard_layout().as_slice().expect("standard layout"))
        };
        for (tap, target) in targets.iter().enumerate() {
            upload(&target.gram, &mut self.memory.grams[tap])?;
            if let (Some(to), Some(metric)) = (&mut self.memory.metrics[tap], &target.metric) {
                upload(metric, to)?;
            }
            self.style_scales[tap] = target.scale;
        }
        let scales = self.style_scales.iter().map(|&scale| scale as f32);
        let pixel = iteration::pixel_scales(self.size, self.storage);
        self.memory.scales.upload(&scales.chain(pixel).collect::<Vec<_>>())
    }

    /// A frame, and the picture that its steps start from, without a past: the optimizer knows nothing, the temporal cost holds
    /// nothing. Both RGB, 0..1, (3, H, W).
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] if one has another size, [`Error::Runtime`] if ONNX Runtime fails.
    pub fn begin(&mut self, frame: ArrayView3<f32>, start: ArrayView3<f32>) -> Result<()> {
        self.step.finish()?;
        self.memory.frames[self.frame].upload(&values(&frame, self.size)?)?;
        self.replace(start)?;
        let none = vec![0.0; 3 * self.size.area()];
        let [first, second, seen_first, seen_second] = &mut self.memory.sides[self.front][1..] else {
            unreachable!("picture and four parts of the state")
        };
        first.upload(&none)?;
        second.upload(&none)?;
        let none = &none[..self.size.area()];
        seen_first.upload(none)?;
        seen_second.upload(none)?;
        self.memory.reliability.upload(none)?;
        self.memory.allowed.upload(none)?;
        self.memory.gains.upload(&vec![1.0; self.size.area()])?;
        self.carried = false;
        self.look()
    }

    /// The next frame: picture and state are carried to it on the device.
    ///
    /// # Errors
    /// As [`Resident::begin`].
    ///
    /// # Panics
    /// If a plane or the flow has another size.
    pub fn carry(&mut self, start: &Start) -> Result<()> {
        self.step.finish()?;
        let before = self.frame;
        self.frame = 1 - before;
        self.memory.frames[self.frame].upload(&values(&start.frame, self.size)?)?;
        let planes = [
            (start.cover, &mut self.memory.cover),
            (start.softness, &mut self.memory.softness),
            (start.momentum, &mut self.memory.momentum),
            (start.allowed, &mut self.memory.allowed),
            (start.gains, &mut self.memory.gains),
            (start.reliability, &mut self.memory.reliability),
        ];
        for (plane, to) in planes {
            to.upload(plane)?;
        }
        self.flow.clear();
        self.flow.extend_from_slice(&start.flow.u);
        self.flow.extend_from_slice(&start.flow.v);
        self.memory.flow.upload(&self.flow)?;
        self.carry.read(FRAME, &self.memory.frames[self.frame])?;
        self.carry.read(BEFORE, &self.memory.frames[before])?;
        let [one, other] = &mut self.memory.sides;
        let (from, to) = if self.front == 0 { (one, other) } else { (other, one) };
        for (index, name) in [PICTURE].into_iter().chain(STATE).enumerate() {
            self.carry.read(name, &from[index])?;
            self.carry.write(&next(name), &mut to[index])?;
        }
        self.carry.run()?;
        self.front = 1 - self.front;
        self.carried = true;
        start.picture.map_or(Ok(()), |picture| self.replace(picture))?;
        self.look()
    }

    /// Puts another picture in the place of the one that the frame's steps start from.
    fn replace(&mut self, start: ArrayView3<f32>) -> Result<()> {
        let start = values(&start, self.size)?;
        self.memory.sides[self.front][0].upload(&start)?;
        self.memory.anchor.upload(&start)
    }

    /// One step down the objective at a rate, held to the start of the frame with the weight `temporal`. Comes back before
    /// it is done.
    ///
    /// # Errors
    /// [`Error::Runtime`] if ONNX Runtime fails.
    pub fn step(&mut self, rate: f32, temporal: f64) -> Result<()> {
        self.write_factors(rate, temporal)?;
        self.step.run(self.front)?;
        self.front = 1 - self.front;
        Ok(())
    }

    /// The terms where the last step began. The temporal cost is not among them, nor in the total.
    ///
    /// # Errors
    /// [`Error::Runtime`] if ONNX Runtime fails.
    pub fn losses(&mut self) -> Result<&Losses> {
        self.step.finish()?;
        self.memory.losses.download(&mut self.found)?;
        let values = &self.found;
        let (losses, weights) = (&mut self.losses, self.weights);
        losses.style = 0.0;
        for ((layer, value), tap) in losses.style_layers.iter_mut().zip(values).zip(&self.vgg.taps) {
            *layer = f64::from(*value);
            losses.style += f64::from(tap.lambda) * *layer;
        }
        let taps = self.vgg.taps.len();
        losses.content = f64::from(values[taps]);
        losses.tv = Variation { all: f64::from(values[taps + 1]), colour: f64::from(values[taps + 2]) };
        losses.weigh(weights);
        Ok(losses)
    }

    /// The temporal cost where the last step began, as of the last [`Resident::losses`].
    pub fn temporal(&self) -> f64 {
        f64::from(self.found[self.vgg.taps.len() + 3])
    }

    /// Writes the picture to `to`: RGB, 0..1, (3, H, W).
    ///
    /// # Errors
    /// [`Error::Runtime`] if ONNX Runtime fails.
    pub fn picture(&mut self, to: &mut Array3<f32>) -> Result<()> {
        self.step.finish()?;
        self.memory.sides[self.front][0].download(to.as_slice_mut().expect("tensors here are contiguous"))
    }

    /// The gradient of all terms where the last step began; zero without [`Resident::with_gradient`].
    ///
    /// # Errors
    /// [`Error::Runtime`] if ONNX Runtime fails.
    pub fn gradient(&mut self) -> Result<Array3<f32>> {
        self.step.finish()?;
        let mut gradient = Array3::zeros((3, self.size.height, self.size.width));
        if let Some(from) = &self.memory.gradient {
            from.download(gradient.as_slice_mut().expect("standard layout"))?;
        }
        Ok(gradient)
    }

    /// Takes the frame as the content from now on, with the share that is allowed for of the paint that its steps start from.
    fn look(&mut self) -> Result<()> {
        self.look.read(FRAME, &self.memory.frames[self.frame])?;
        self.look.read(PICTURE, &self.memory.sides[self.front][0])?;
        self.look.run()
    }

    /// Rates and weights as they are now, if they have changed.
    fn write_factors(&mut self, rate: f32, temporal: f64) -> Result<()> {
        let style =
            |(scale, tap): (&f64, &crate::net::vgg::Tap)| (scale * self.weights.style * f64::from(tap.lambda)) as f32;
        let factors = Factors {
            style: self.style_scales.iter().zip(&self.vgg.taps).map(style).collect(),
            content: self.weights.content as f32,
            tv: [self.weights.tv.all as f32, self.weights.tv.colour as f32],
            temporal: temporal as f32,
            rate,
            prior: if self.carried { PRIOR } else { 0.0 },
            longest: if self.carried { LONGEST } else { f32::MAX },
        };
        let factors = factors.to_vec();
        if self.factors.as_ref() == Some(&factors) {
            return Ok(());
        }
        self.step.finish()?;
        self.memory.factors.upload(&factors)?;
        self.factors = Some(factors);
        Ok(())
    }
}

/// A picture's values, RGB, (3, h, w), channel after channel.
///
/// # Errors
/// [`Error::SizeMismatch`] if it has another size.
fn values<'a>(picture: &'a ArrayView3<f32>, size: Size) -> Result<Cow<'a, [f32]>> {
    if picture.dim() != (3, size.height, size.width) {
        return Err(Error::SizeMismatch { expected: size, found: size_of(*picture) });
    }
    Ok(picture.as_slice().map_or_else(|| picture.iter().copied().collect(), Cow::Borrowed))
}
