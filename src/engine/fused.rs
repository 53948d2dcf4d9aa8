//! A whole step as one graph: of Rust operators inside ONNX Runtime on the CPU, where features never leave the layout and
//! mostly not the cache ([`crate::net::ops`]), or of ONNX's own operators on any device.
//!
//! Same objective as [`super::host`], same weights. [`super::Engines`] chooses.

use std::sync::Arc;

use ndarray::{Array2, ArrayView3, ArrayViewMut3};
use ort::value::Tensor;

use super::{Losses, Objective, Units, Weights};
use crate::{
    cost::{
        content,
        style::StyleTarget,
        tv::{self, Variation},
    },
    error::{Error, Result},
    frame::Size,
    net::{
        graph::{self, GRADIENT, Mask, PICTURE, map_name},
        operators,
        ops::{self, Isa, LANES, to_column_blocks},
        prepared::Prepared,
        session::{BoundGraph, Runtime, tensor},
        step::{self, CONTENT, CONTENT_FACTORS, CONTENT_VALUE, StyleNames},
        step_standard,
        vgg::Vgg,
    },
};

/// How maps and matrices lie in the graph's buffers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Blocks of 16 channels or columns, maps as kernels of this set store them.
    Blocked(Isa),
    /// Row by row.
    Planar,
}

/// What a tap is compared with, in the buffers that the graph reads.
struct BoundTap {
    names: StyleNames,
    layout: Layout,
    gram: Tensor<f32>,
    metric: Option<Tensor<f32>>,
    factors: Tensor<f32>,
    value: Tensor<f32>,
    scale: f64,
}

/// One graph for one picture size, and the forward graph that gives a frame's content features.
pub struct FusedEngine {
    vgg: Arc<Vgg>,
    size: Size,
    units: Units,
    layout: Layout,
    weights: Weights,
    step: BoundGraph,
    features: BoundGraph,
    picture: Tensor<f32>,
    gradient: Tensor<f32>,
    taps: Vec<BoundTap>,
    /// P: written by `features`, read by `step`.
    content: Tensor<f32>,
    content_factors: Tensor<f32>,
    content_value: Tensor<f32>,
    content_scale: f64,
    content_changed: bool,
    targets_changed: bool,
    losses: Losses,
}

impl FusedEngine {
    /// Rust operators on the CPU. `network` is `vgg`, prepared.
    ///
    /// # Errors
    /// [`Error::Setting`] if the size is too small for the network's pools, [`Error::Runtime`] if ONNX Runtime fails.
    pub fn new(runtime: &Runtime, vgg: Arc<Vgg>, network: &Arc<Prepared>, size: Size, units: Units) -> Result<Self> {
        vgg.check_size(size)?;
        let step = BoundGraph::step(
            runtime,
            &step::step(&vgg, size, network.floats()),
            size,
            Some(operators::domain(network)?),
        )?;
        let model = step::content_features(&vgg, size, network.floats());
        let mut features = BoundGraph::with_operators(runtime, &model, operators::domain(network)?)?;
        let mut content = tensor(step::blocked(vgg.shapes(size)[vgg.content], network.floats()))?;
        features.bind_output(&step::content_name(&vgg), &mut content)?;
        Self::with_graphs(vgg, size, units, Layout::Blocked(network.isa), step, features, content)
    }

    /// ONNX's own operators on the runtime's device.
    ///
    /// # Errors
    /// As [`FusedEngine::new`].
    pub fn standard(runtime: &Runtime, vgg: Arc<Vgg>, size: Size, units: Units) -> Result<Self> {
        vgg.check_size(size)?;
        let step = BoundGraph::step(runtime, &step_standard::step(&vgg, size, Mask::on(runtime.device())), size, None)?;
        let mut features = BoundGraph::new(runtime, &graph::forward(&vgg, size, &[vgg.content]))?;
        let mut content = tensor(vgg.shapes(size)[vgg.content].nchw())?;
        features.bind_output(&map_name(vgg.content), &mut content)?;
        Self::with_graphs(vgg, size, units, Layout::Planar, step, features, content)
    }

    fn with_graphs(
        vgg: Arc<Vgg>,
        size: Size,
        units: Units,
        layout: Layout,
        mut step: BoundGraph,
        features: BoundGraph,
        content: Tensor<f32>,
    ) -> Result<Self> {
        let picture = tensor([1, 3, size.height, size.width])?;
        let mut gradient = tensor([1, 3, size.height, size.width])?;
        let content_factors = tensor([2])?;
        let mut content_value = tensor([1])?;
        step.bind_output(GRADIENT, &mut gradient)?;
        step.bind_output(CONTENT_VALUE, &mut content_value)?;
        step.bind_input(CONTENT, &content)?;
        let taps = (0..vgg.taps.len()).map(|tap| BoundTap::new(&mut step, &vgg, tap, layout)).collect::<Result<_>>()?;
        Ok(FusedEngine {
            size,
            units,
            layout,
            weights: Weights { content: 1.0, style: 1.0, tv: Variation::ZERO },
            step,
            features,
            picture,
            gradient,
            taps,
            content,
            content_factors,
            content_value,
            content_scale: 0.0,
            content_changed: true,
            targets_changed: true,
            losses: Losses { style_layers: vec![0.0; vgg.taps.len()], ..Losses::default() },
            vgg,
        })
    }

    fn set_picture(&mut self, picture: ArrayView3<f32>) -> Result<()> {
        let expected = (3, self.size.height, self.size.width);
        if picture.dim() != expected {
            let found = Size::new(picture.dim().2, picture.dim().1);
            return Err(Error::SizeMismatch { expected: self.size, found });
        }
        let picture = picture.as_standard_layout();
        self.picture.extract_tensor_mut().1.copy_from_slice(picture.as_slice().expect("standard layout"));
        Ok(())
    }

    /// Scales and weights as they are now, to the graph.
    fn write_factors(&mut self) -> Result<()> {
        for (tap, described) in self.taps.iter_mut().zip(&self.vgg.taps) {
            let weight = self.weights.style * f64::from(described.lambda);
            tap.factors.extract_tensor_mut().1.copy_from_slice(&[tap.scale as f32, weight as f32]);
            self.step.bind_input(&tap.names.factors, &tap.factors)?;
        }
        let factors = [self.content_scale as f32, self.weights.content as f32];
        self.content_factors.extract_tensor_mut().1.copy_from_slice(&factors);
        self.step.bind_input(CONTENT_FACTORS, &self.content_factors)
    }
}

impl BoundTap {
    fn new(step: &mut BoundGraph, vgg: &Vgg, index: usize, layout: Layout) -> Result<Self> {
        let (tap, names) = (&vgg.taps[index], StyleNames::new(index));
        let channels = vgg.channels(tap.layer);
        let mut value = tensor([1])?;
        step.bind_output(&names.value, &mut value)?;
        let bound = BoundTap {
            gram: layout.matrix(channels, channels)?,
            metric: tap.head.as_ref().map(|_| layout.matrix(channels, channels)).transpose()?,
            factors: tensor([2])?,
            value,
            scale: 0.0,
            names,
            layout,
        };
        bound.bind(step)?;
        Ok(bound)
    }

    fn bind(&self, step: &mut BoundGraph) -> Result<()> {
        step.bind_input(&self.names.gram, &self.gram)?;
        if let Some(metric) = &self.metric {
            step.bind_input(&self.names.metric, metric)?;
        }
        Ok(())
    }

    fn set(&mut self, target: &StyleTarget) {
        assert_eq!(self.metric.is_some(), target.metric.is_some(), "a target has a metric where its tap has a head");
        self.layout.fill(&mut self.gram, &target.gram);
        if let Some((to, metric)) = self.metric.as_mut().zip(target.metric.as_ref()) {
            self.layout.fill(to, metric);
        }
        self.scale = target.scale;
    }
}

impl Layout {
    /// A buffer for a matrix.
    fn matrix(self, rows: usize, columns: usize) -> Result<Tensor<f32>> {
        match self {
            Layout::Planar => tensor([rows, columns]),
            Layout::Blocked(_) => tensor([columns.div_ceil(LANES), rows.next_multiple_of(LANES), LANES]),
        }
    }

    /// All values of a map.
    fn values(self, map: &[f32]) -> impl Iterator<Item = f32> {
        match self {
            Layout::Planar => ops::values(Isa::PLAIN, map),
            Layout::Blocked(isa) => ops::values(isa, map),
        }
    }

    /// A matrix to its buffer.
    fn fill(self, to: &mut Tensor<f32>, matrix: &Array2<f32>) {
        let values: Vec<f32> = matrix.iter().copied().collect();
        let to = to.extract_tensor_mut().1;
        match self {
            Layout::Planar => to.copy_from_slice(&values),
            Layout::Blocked(_) => to.copy_from_slice(&to_column_blocks(matrix.nrows(), matrix.ncols(), &values)),
        }
    }
}

impl Objective for FusedEngine {
    fn set_weights(&mut self, weights: Weights) {
        self.weights = weights;
    }

    fn set_style(&mut self, targets: Vec<StyleTarget>) {
        assert_eq!(targets.len(), self.taps.len(), "one target for each tap");
        self.taps.iter_mut().zip(&targets).for_each(|(tap, target)| tap.set(target));
        self.targets_changed = true;
    }

    fn set_content(&mut self, frame: ArrayView3<f32>) -> Result<()> {
        self.set_picture(frame)?;
        self.features.bind_input(PICTURE, &self.picture)?;
        self.features.run()?;
        self.content_changed = true;
        let shape = self.vgg.shapes(self.size)[self.vgg.content];
        let (channels, positions) = (shape.channels, shape.size.area());
        self.content_scale = match self.units {
            Units::Relative => {
                let energy = content::energy(self.layout.values(self.content.extract_tensor().1));
                content::relative_scale(energy, channels * positions)
            }
            Units::Course => content::course_scale(channels, positions),
        };
        Ok(())
    }

    fn evaluate(&mut self, picture: ArrayView3<f32>, mut gradient: ArrayViewMut3<f32>) -> Result<&Losses> {
        self.set_picture(picture)?;
        self.write_factors()?;
        self.step.bind_input(PICTURE, &self.picture)?;
        // On the CPU these are already what the graph reads; a device has copies, to be made anew where they changed.
        if std::mem::take(&mut self.targets_changed) {
            self.taps.iter().try_for_each(|tap| tap.bind(&mut self.step))?;
        }
        if std::mem::take(&mut self.content_changed) {
            self.step.bind_input(CONTENT, &self.content)?;
        }
        self.step.run()?;
        match gradient.as_slice_mut() {
            Some(gradient) => gradient.copy_from_slice(self.gradient.extract_tensor().1),
            None => gradient.iter_mut().zip(self.gradient.extract_tensor().1).for_each(|(to, from)| *to = *from),
        }
        let (weights, losses) = (self.weights, &mut self.losses);
        losses.style = 0.0;
        for ((tap, described), layer) in self.taps.iter().zip(&self.vgg.taps).zip(&mut losses.style_layers) {
            *layer = f64::from(tap.value.extract_tensor().1[0]);
            losses.style += f64::from(described.lambda) * *layer;
        }
        losses.content = f64::from(self.content_value.extract_tensor().1[0]);
        losses.tv = tv::value_and_add_gradient(picture, weights.tv, gradient);
        losses.weigh(weights);
        Ok(losses)
    }
}
