//! The buffers of an optimization that stays on the device.

use ndarray::Array3;

use crate::{
    error::Result,
    frame::Size,
    net::{
        bound::{DeviceTensor, PingPong},
        carry::FRAME,
        features::Features,
        graph::{PICTURE, Storage},
        iteration::{
            self, ANCHOR, CONTENT_SCALE, FACTORS, GAINS, LOSSES, RELIABILITY, SCALES, STATE, WHOLE_GRADIENT, next,
            shape_of,
        },
        session::Runtime,
        step::{CONTENT, StyleNames},
        vgg::{Layer, Tap, Vgg},
    },
};

/// In the device's memory.
pub(super) struct Memory {
    /// Picture and state, twice.
    pub(super) sides: [Vec<DeviceTensor>; 2],
    pub(super) frames: [DeviceTensor; 2],
    pub(super) flow: DeviceTensor,
    pub(super) cover: DeviceTensor,
    pub(super) softness: DeviceTensor,
    pub(super) momentum: DeviceTensor,
    pub(super) allowed: DeviceTensor,
    pub(super) gains: DeviceTensor,
    pub(super) reliability: DeviceTensor,
    pub(super) anchor: DeviceTensor,
    pub(super) content: DeviceTensor,
    pub(super) content_scale: DeviceTensor,
    /// By tap: the target's Gram and the metric.
    pub(super) grams: Vec<DeviceTensor>,
    pub(super) metrics: Vec<Option<DeviceTensor>>,
    pub(super) factors: DeviceTensor,
    pub(super) scales: DeviceTensor,
    pub(super) losses: DeviceTensor,
    pub(super) gradient: Option<DeviceTensor>,
}

impl Memory {
    pub(super) fn new(step: &PingPong, vgg: &Vgg, size: Size, gradient: bool) -> Result<Self> {
        let named = |name: &str| step.device_tensor(shape_of(name, size));
        let side = || [PICTURE].into_iter().chain(STATE).map(named).collect::<Result<Vec<_>>>();
        let square = |channels: usize| step.device_tensor([channels, channels]);
        let metric = |tap: &Tap| tap.head.as_ref().map(|_| square(vgg.channels(tap.layer))).transpose();
        let (factors, losses) = iteration::lengths(vgg);
        Ok(Memory {
            sides: [side()?, side()?],
            frames: [named(FRAME)?, named(FRAME)?],
            flow: step.device_tensor([1, 2, size.height, size.width])?,
            cover: named(GAINS)?,
            softness: named(GAINS)?,
            momentum: named(GAINS)?,
            allowed: named(GAINS)?,
            gains: named(GAINS)?,
            reliability: named(RELIABILITY)?,
            anchor: named(ANCHOR)?,
            content: step.device_tensor(vgg.shapes(size)[vgg.content].nchw())?,
            content_scale: step.device_tensor([1])?,
            grams: vgg.taps.iter().map(|tap| square(vgg.channels(tap.layer))).collect::<Result<_>>()?,
            metrics: vgg.taps.iter().map(metric).collect::<Result<_>>()?,
            factors: step.device_tensor([factors])?,
            scales: step.device_tensor([losses])?,
            losses: step.device_tensor([losses])?,
            gradient: if gradient { Some(named(PICTURE)?) } else { None },
        })
    }

    /// Binds both ways of the step to their buffers.
    pub(super) fn bind_step(&mut self, step: &mut PingPong) -> Result<()> {
        for way in [0, 1] {
            let fixed = [
                (GAINS, &self.gains),
                (RELIABILITY, &self.reliability),
                (ANCHOR, &self.anchor),
                (CONTENT, &self.content),
                (CONTENT_SCALE, &self.content_scale),
                (FACTORS, &self.factors),
                (SCALES, &self.scales),
            ];
            for (name, tensor) in fixed {
                step.read(way, name, tensor)?;
            }
            for (tap, (gram, metric)) in self.grams.iter().zip(&self.metrics).enumerate() {
                let names = StyleNames::new(tap);
                step.read(way, &names.gram, gram)?;
                if let Some(metric) = metric {
                    step.read(way, &names.metric, metric)?;
                }
            }
            for (index, name) in [PICTURE].into_iter().chain(STATE).enumerate() {
                step.read(way, name, &self.sides[way][index])?;
                step.write(way, &next(name), &mut self.sides[1 - way][index])?;
            }
            step.write(way, LOSSES, &mut self.losses)?;
            if let Some(gradient) = &mut self.gradient {
                step.write(way, WHOLE_GRADIENT, gradient)?;
            }
        }
        Ok(())
    }
}

/// Side of the picture of noise by which features are measured.
const MEASURED: usize = 64;
/// What their largest value is brought to in half precision, which ends at 65504.
const LARGEST: f32 = 128.0;

/// Half precision with a factor on the features, found by looking at noise: whatever colours a network takes.
pub(super) fn half(runtime: &Runtime, vgg: &Vgg) -> Result<Storage> {
    let convs = (0..vgg.depth()).filter(|&layer| matches!(vgg.layers[layer], Layer::Conv(_))).collect::<Vec<_>>();
    let side = MEASURED.max(vgg.smallest_side());
    let mut features = Features::new(runtime, vgg, Size::new(side, side), &convs)?;
    let mut random = fastrand::Rng::with_seed(1);
    features.look(Array3::from_shape_simple_fn((3, side, side), || random.f32()).view())?;
    let largest = |layer: usize| features.map(layer).iter().fold(0.0f32, |most, &value| most.max(value));
    let largest = convs.into_iter().map(largest).fold(f32::MIN_POSITIVE, f32::max);
    Ok(Storage::Half { features: (LARGEST / largest).log2().floor().clamp(-14.0, 10.0).exp2() })
}
