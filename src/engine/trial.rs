//! A device on trial: whether it comes to what the host engine comes to, and how fast.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ndarray::{Array3, ArrayView3};

use super::{Choice, Engines, Objective, Units, Weights, host, host::HostEngine, resident::Resident};
use crate::{
    cost::{style::StyleTarget, tv::Variation},
    error::Result,
    frame::Size,
    machine::{self, Card},
    net::{
        onnx::{Attribute, GraphWriter},
        session::{BoundGraph, Device, Precision, Runtime, tensor},
        vgg::{Layer, Vgg},
    },
    optim::{Optimizer, adam::Adam},
};

const RATE: f32 = 0.02;
const WEIGHTS: Weights = Weights { content: 1.0, style: 10.0, tv: Variation { all: 20.0, colour: 40.0 } };

/// How far a device is from the host engine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parity {
    /// The relative L2 distance of the gradients at the first step.
    pub gradient: f64,
    /// The style cost after all steps, relative to the host's, minus one.
    pub style: f64,
}

/// Steps on the device and with the host engine on the CPU from the same start. `cpu` must be on the CPU.
///
/// # Errors
/// [`Error::Runtime`](crate::Error::Runtime) if ONNX Runtime fails.
pub fn parity(cpu: &Runtime, device: &Runtime, vgg: &Arc<Vgg>, size: Size, steps: usize) -> Result<Parity> {
    let Scene { content, start, targets } = Scene::new(cpu, vgg, size)?;
    let mut tested: Box<dyn Solver> = match device.precision() {
        Precision::Bf16 => Box::new(Stepped::new(
            Engines::new(device.clone(), Arc::clone(vgg), Choice::Auto).objective(size, Units::Relative)?,
            &targets,
            content.view(),
            start.clone(),
        )?),
        _ => {
            let mut resident = Resident::with_gradient(device, Arc::clone(vgg), size, Units::Relative)?;
            resident.set_weights(WEIGHTS);
            resident.set_style(&targets)?;
            resident.begin(content.view(), start.view())?;
            Box::new(resident)
        }
    };
    let host = HostEngine::new(cpu, Arc::clone(vgg), size, Units::Relative)?;
    let mut host = Stepped::new(Box::new(host), &targets, content.view(), start)?;
    let (mut first, mut style) = (f64::NAN, f64::NAN);
    for step in 0..steps {
        style = tested.step()? / host.step()?;
        if step == 0 {
            first = distance(&tested.gradient()?, &host.gradient()?);
        }
    }
    Ok(Parity { gradient: first, style: style - 1.0 })
}

/// What takes steps.
trait Solver {
    /// One step; returns the style cost where it began.
    fn step(&mut self) -> Result<f64>;

    /// The gradient of the last step.
    fn gradient(&mut self) -> Result<Array3<f32>>;
}

impl Solver for Resident {
    fn step(&mut self) -> Result<f64> {
        Resident::step(self, RATE, 0.0)?;
        Ok(self.losses()?.style)
    }

    fn gradient(&mut self) -> Result<Array3<f32>> {
        Resident::gradient(self)
    }
}

/// An engine whose steps are taken in Rust.
struct Stepped {
    engine: Box<dyn Objective>,
    adam: Adam,
    picture: Array3<f32>,
    gradient: Array3<f32>,
}

impl Stepped {
    fn new(
        mut engine: Box<dyn Objective>,
        targets: &[StyleTarget],
        content: ArrayView3<f32>,
        start: Array3<f32>,
    ) -> Result<Self> {
        engine.set_weights(WEIGHTS);
        engine.set_style(targets.to_vec());
        engine.set_content(content)?;
        Ok(Stepped { engine, adam: Adam::new(start.len(), RATE), gradient: Array3::zeros(start.dim()), picture: start })
    }
}

impl Solver for Stepped {
    fn step(&mut self) -> Result<f64> {
        let Stepped { engine, adam, picture, gradient: kept } = self;
        let (shape, mut style) = (picture.raw_dim(), 0.0);
        let mut closure = |x: &[f32], gradient: &mut [f32]| {
            let x = ArrayView3::from_shape(shape, x).expect("the picture's length");
            let losses = engine.evaluate(x, kept.view_mut())?;
            gradient.copy_from_slice(kept.as_slice().expect("tensors here are contiguous"));
            style = losses.style;
            Ok(losses.total as f32)
        };
        adam.step(picture.as_slice_mut().expect("tensors here are contiguous"), &mut closure)?;
        picture.iter_mut().for_each(|x| *x = x.clamp(0.0, 1.0));
        Ok(style)
    }

    fn gradient(&mut self) -> Result<Array3<f32>> {
        Ok(self.gradient.clone())
    }
}

/// How fast steps are.
#[derive(Clone, Debug, PartialEq)]
pub struct Speed {
    /// What takes them: `resident`, or the name of an engine on the CPU.
    pub engine: String,
    pub steps_per_second: f64,
    /// Floating-point operations a second, convolutions counted as direct sums.
    pub rate: f64,
    /// Memory that the engine takes, MiB: the card's, or this program's; None where nothing says.
    pub memory: Option<f64>,
}

/// Takes steps for a while, as the stylizer does on this device: all of it resident, or on the CPU the fastest engine and the
/// optimizer.
///
/// # Errors
/// [`Error::Runtime`](crate::Error::Runtime) if ONNX Runtime fails, for lack of memory for example.
pub fn speed(runtime: &Runtime, vgg: &Arc<Vgg>, size: Size, time: Duration) -> Result<Speed> {
    let Scene { content, start, targets } = Scene::new(runtime, vgg, size)?;
    let before = memory(runtime.device());
    // The memory is looked at while the engine has it.
    let (engine, seconds, after) = if runtime.device() == Device::Cpu {
        let engines = Engines::new(runtime.clone(), Arc::clone(vgg), Choice::Auto);
        let objective = engines.objective(size, Units::Relative)?;
        let mut stepped = Stepped::new(objective, &targets, content.view(), start)?;
        let seconds = seconds_a_step(time, |steps| (0..steps).try_for_each(|_| stepped.step().map(drop)))?;
        (engines.name(), seconds, memory(runtime.device()))
    } else {
        let mut resident = Resident::new(runtime, Arc::clone(vgg), size, Units::Relative)?;
        resident.set_weights(WEIGHTS);
        resident.set_style(&targets)?;
        resident.begin(content.view(), start.view())?;
        let mut steps = |steps: usize| -> Result<()> {
            (0..steps).try_for_each(|_| resident.step(RATE, 0.0))?;
            resident.losses().map(drop)
        };
        let seconds = seconds_a_step(time, &mut steps)?;
        ("resident".to_owned(), seconds, memory(runtime.device()))
    };
    let memory = before.zip(after).map(|(before, after)| after - before);
    Ok(Speed { engine, steps_per_second: 1.0 / seconds, rate: operations(vgg, size) / seconds, memory })
}

/// Floating-point operations a second of large matrix products in the runtime's precision: what its device can do at best.
///
/// # Errors
/// [`Error::Runtime`](crate::Error::Runtime) if ONNX Runtime fails.
pub fn peak(runtime: &Runtime, time: Duration) -> Result<f64> {
    const PRODUCTS: usize = 8;
    let side: usize = if runtime.device().is_nvidia() { 8192 } else { 1024 };
    let half = runtime.precision() == Precision::Fp16 && runtime.device() != Device::Cpu;
    let mut graph = GraphWriter::new();
    let input = graph.input("matrix", &[side, side]);
    let factor = if half { graph.to_half(&input, "matrix_half") } else { input };
    let mut product = factor.clone();
    for index in 0..PRODUCTS {
        product = graph.node("MatMul", &[&product, &factor], &format!("product{index}"), &[]);
    }
    let product = if half { graph.to_single(&product, "product") } else { product };
    graph.node("ReduceMax", &[&product], "largest", &[("keepdims", Attribute::Int(1))]);
    graph.output("largest", &[1, 1]);
    let mut graph = BoundGraph::new(runtime, &graph.finish())?;
    let mut matrix = tensor([side, side])?;
    // Powers of it are itself.
    matrix.extract_tensor_mut().1.fill(1.0 / side as f32);
    let mut largest = tensor([1, 1])?;
    graph.bind_input("matrix", &matrix)?;
    graph.bind_output("largest", &mut largest)?;
    let seconds = seconds_a_step(time, |runs| (0..runs).try_for_each(|_| graph.run()))?;
    Ok((2 * PRODUCTS * side.pow(3)) as f64 / seconds)
}

/// What is painted on trial: pictures of waves and noise.
struct Scene {
    content: Array3<f32>,
    start: Array3<f32>,
    targets: Vec<StyleTarget>,
}

impl Scene {
    fn new(runtime: &Runtime, vgg: &Vgg, size: Size) -> Result<Self> {
        let wave = |scale: f32| {
            Array3::from_shape_fn((3, size.height, size.width), |(c, y, x)| {
                let phase = scale * (0.21 * x as f32 + 0.13 * (c + 1) as f32 * y as f32) + c as f32;
                0.5 + 0.4 * phase.sin()
            })
        };
        let mut random = fastrand::Rng::with_seed(5);
        let content = wave(0.3);
        let start = content.mapv(|c| (c + 0.2 * (random.f32() - 0.5)).clamp(0.0, 1.0));
        // A painting's Grams do not depend on its size by much; those of a large one would take the host long.
        let hung = size.fit_longer(256);
        let painting = wave(1.7).slice(ndarray::s![.., ..hung.height, ..hung.width]).to_owned();
        let grams = host::grams(runtime, vgg, painting.view())?;
        let target = |(gram, tap): (_, &crate::net::vgg::Tap)| StyleTarget::relative(gram, tap.head.as_ref());
        Ok(Scene { content, start, targets: grams.into_iter().zip(&vgg.taps).map(target).collect() })
    }
}

/// Relative L2; infinite where it is not a number, which is as wrong as can be.
pub(super) fn distance(found: &Array3<f32>, expected: &Array3<f32>) -> f64 {
    let squares = |values: &Array3<f32>| values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
    let distance = (squares(&(found - expected)) / squares(expected)).sqrt();
    if distance.is_nan() { f64::INFINITY } else { distance }
}

/// Runs a few steps to warm up, then as many as fit into the time; the median of three stretches.
fn seconds_a_step(time: Duration, mut steps: impl FnMut(usize) -> Result<()>) -> Result<f64> {
    // Kernels are chosen in the first runs, and launches recorded in the third.
    steps(4)?;
    let begin = Instant::now();
    steps(2)?;
    let estimate = begin.elapsed().as_secs_f64() / 2.0;
    let count = ((time.as_secs_f64() / 3.0 / estimate) as usize).clamp(1, 100_000);
    let mut stretches = [0.0; 3];
    for stretch in &mut stretches {
        let begin = Instant::now();
        steps(count)?;
        *stretch = begin.elapsed().as_secs_f64() / count as f64;
    }
    stretches.sort_by(f64::total_cmp);
    Ok(stretches[1])
}

/// Of a step: both directions of every convolution as direct sums, Gram and cotangent of every tap.
fn operations(vgg: &Vgg, size: Size) -> f64 {
    let shapes = vgg.shapes(size);
    let conv = |(layer, shape): (&Layer, &crate::net::vgg::MapShape)| match layer {
        Layer::Conv(conv) => 36 * conv.inputs() * conv.outputs() * shape.size.area(),
        Layer::Pool => 0,
    };
    let tap = |tap: &crate::net::vgg::Tap| 4 * vgg.channels(tap.layer).pow(2) * shapes[tap.layer].size.area();
    let convs: usize = vgg.layers.iter().zip(&shapes).map(conv).sum();
    (convs + vgg.taps.iter().map(tap).sum::<usize>()) as f64
}

/// Memory in use where the device computes, MiB.
fn memory(device: Device) -> Option<f64> {
    if device.is_nvidia() { Card::first().map(|card| card.memory_used) } else { machine::resident_memory() }
}
