//! The readable engine: forward graph, costs and feature gradients in Rust, backward graph.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2, ArrayView3, ArrayViewMut2, ArrayViewMut3};
use ort::value::Tensor;

use super::{Losses, Objective, Units, Weights};
use crate::{
    cost::{
        content,
        style::{self, StyleTarget},
        tv::{self, Variation},
    },
    error::Result,
    frame::Size,
    net::{
        features::Features,
        graph::{self, GRADIENT, Mask, cotangent_name, map_name},
        session::{self, BoundGraph, Runtime},
        vgg::{Layer, MapShape, Vgg},
    },
    tensor,
};

/// A tapped feature map and what is measured there.
struct TappedMap {
    layer: usize,
    cotangent: Tensor<f32>,
    /// Scratch, (C, C).
    gram: Array2<f32>,
    /// Index among the network's taps and its lambda, where style is measured.
    style: Option<(usize, f64)>,
}

/// Forward and backward sessions for one picture size, with the costs between them.
pub struct HostEngine {
    vgg: Arc<Vgg>,
    units: Units,
    weights: Weights,
    targets: Vec<StyleTarget>,
    content: Option<ContentTarget>,
    /// The output of every convolution up to the last tap.
    features: Features,
    backward: BoundGraph,
    gradient: Tensor<f32>,
    taps: Vec<TappedMap>,
    losses: Losses,
}

/// P, and the scale of the content cost.
struct ContentTarget {
    features: Vec<f32>,
    scale: f64,
}

impl HostEngine {
    /// Builds both sessions.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the size is too small for the network's pools, [`Error::Runtime`](crate::Error::Runtime) if ONNX Runtime fails.
    pub fn new(runtime: &Runtime, vgg: Arc<Vgg>, size: Size, units: Units) -> Result<Self> {
        let shapes = vgg.shapes(size);
        let convs: Vec<usize> =
            (0..shapes.len()).filter(|&layer| matches!(vgg.layers[layer], Layer::Conv(_))).collect();
        let mut tapped: Vec<usize> = vgg.taps.iter().map(|tap| tap.layer).chain([vgg.content]).collect();
        tapped.sort_unstable();
        tapped.dedup();

        let features = Features::new(runtime, &vgg, size, &convs)?;
        let mut backward = BoundGraph::new(runtime, &graph::backward(&vgg, size, &tapped, Mask::on(runtime.device())))?;
        let mut gradient = session::tensor([1, 3, size.height, size.width])?;
        backward.bind_output(GRADIENT, &mut gradient)?;
        let taps = tapped.into_iter().map(|layer| TappedMap::new(&vgg, layer, shapes[layer])).collect::<Result<_>>()?;
        Ok(HostEngine {
            units,
            weights: Weights { content: 1.0, style: 1.0, tv: Variation::ZERO },
            targets: Vec::new(),
            content: None,
            features,
            backward,
            gradient,
            taps,
            losses: Losses { style_layers: vec![0.0; vgg.taps.len()], ..Losses::default() },
            vgg,
        })
    }

    /// The costs at every tap, and their cotangents, weighted.
    fn cost_and_cotangents(&mut self) {
        let (weights, losses) = (self.weights, &mut self.losses);
        (losses.content, losses.style) = (0.0, 0.0);
        for tap in &mut self.taps {
            let features = self.features.map(tap.layer);
            let values = tap.cotangent.extract_tensor_mut().1;
            values.fill(0.0);
            let mut cotangent =
                ArrayViewMut2::from_shape(features.dim(), values).expect("the buffer was made for this shape");
            if let Some((index, lambda)) = tap.style {
                let target = &self.targets[index];
                let weight = weights.style * lambda;
                let value =
                    style::value_and_add_gradient(features, target, weight, &mut tap.gram, cotangent.view_mut());
                losses.style_layers[index] = value;
                losses.style += lambda * value;
            }
            if let Some(target) = self.content.as_ref().filter(|_| tap.layer == self.vgg.content) {
                let p = ArrayView2::from_shape(features.dim(), &target.features).expect("P has the map's shape");
                losses.content = content::value(features, p, target.scale);
                content::add_gradient(features, p, target.scale, weights.content, cotangent);
            }
        }
    }
}

impl TappedMap {
    fn new(vgg: &Vgg, layer: usize, shape: MapShape) -> Result<Self> {
        let index = vgg.taps.iter().position(|tap| tap.layer == layer);
        let style = index.map(|index| (index, f64::from(vgg.taps[index].lambda)));
        let gram = Array2::zeros((shape.channels, shape.channels));
        Ok(TappedMap { layer, cotangent: session::tensor(shape.nchw())?, gram, style })
    }
}

impl Objective for HostEngine {
    fn set_weights(&mut self, weights: Weights) {
        self.weights = weights;
    }

    fn set_style(&mut self, targets: Vec<StyleTarget>) {
        assert_eq!(targets.len(), self.vgg.taps.len(), "one target for each tap");
        self.targets = targets;
    }

    fn set_content(&mut self, frame: ArrayView3<f32>) -> Result<()> {
        self.features.look(frame)?;
        let map = self.features.map(self.vgg.content);
        let mut features = self.content.take().map(|target| target.features).unwrap_or_default();
        features.clear();
        features.extend(map.iter());
        let scale = match self.units {
            Units::Relative => content::relative_scale(content::energy(map.iter().copied()), map.len()),
            Units::Course => content::course_scale(map.nrows(), map.ncols()),
        };
        self.content = Some(ContentTarget { features, scale });
        Ok(())
    }

    fn evaluate(&mut self, picture: ArrayView3<f32>, mut gradient: ArrayViewMut3<f32>) -> Result<&Losses> {
        self.features.look(picture)?;
        self.cost_and_cotangents();
        for tap in &self.taps {
            self.backward.bind_input(&cotangent_name(tap.layer), &tap.cotangent)?;
        }
        for (layer, map) in self.features.buffers() {
            self.backward.bind_input(&map_name(layer), map)?;
        }
        self.backward.run()?;
        gradient.iter_mut().zip(self.gradient.extract_tensor().1).for_each(|(to, from)| *to = *from);
        self.losses.tv = tv::value_and_add_gradient(picture, self.weights.tv, gradient);
        let (weights, losses) = (self.weights, &mut self.losses);
        losses.weigh(weights);
        Ok(losses)
    }
}

/// The Grams of a picture (RGB, 0..1, (3, H, W)) at every tap, divided by the positions: what a painting is reduced to.
pub fn grams(runtime: &Runtime, vgg: &Vgg, picture: ArrayView3<f32>) -> Result<Vec<Array2<f32>>> {
    let layers: Vec<usize> = vgg.taps.iter().map(|tap| tap.layer).collect();
    let mut features = Features::new(runtime, vgg, tensor::size_of(picture), &layers)?;
    features.look(picture)?;
    Ok(layers.iter().map(|&layer| style::gram(features.map(layer))).collect())
}
