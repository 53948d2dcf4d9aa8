//! Costs and gradient of the objective in ONNX's own operators, as a part of a graph: forward, costs, backward.
//!
//! With `D = L (G - A) L^T`: the value is `scale |D|^2`, the cotangent `4 scale weight / (H W) * L^T D L F`.
//!
//! In half precision features come multiplied with a factor s ([`Storage::Half`]), and cotangents with one, S, that is
//! found anew in every run: a gradient of 1e-9 would be zero. Grams, costs and what follows from them are single precision;
//! of a Gram of s F one knows how large the cotangents will be, `|M F|^2 = H W tr(M G M)`, before there are any.

use super::{
    graph::{Backward, Mask, Storage, map_name, write_backward, write_forward},
    onnx::{Attribute, GraphWriter},
    step::{CONTENT, StyleNames},
    vgg::{MapShape, Vgg},
};
use crate::frame::Size;

/// The root mean square that the largest of the taps' cotangents is brought to in half precision. What is 1/4000 of it is
/// still a normal number, and there is room for what is 200,000 times as large.
const COTANGENT: f32 = 0.25;
/// Mean square of a cotangent below which there is nothing to bring up.
const NOTHING: f32 = 1e-30;

/// The factors on the terms' gradients, names of values of one element.
pub(super) struct Coefficients {
    /// `scale * weight` of every tap's style cost.
    pub style: Vec<String>,
    /// `scale * weight` of the content cost.
    pub content: String,
}

/// Names of what the objective came to.
pub(super) struct Written {
    /// The picture's gradient, (1, 3, H, W), single precision.
    pub gradient: String,
    /// `|D|^2` of every tap, yet to be multiplied with its scale; one element, (1, 1).
    pub style: Vec<String>,
    /// `sum (F - P)^2`, alike, (1, 1, 1, 1).
    pub content: String,
}

/// What a tap's style cost leaves for the way back.
struct Slope {
    /// `4 scale weight / (H W) * L^T D L`, (C, C).
    matrix: String,
    /// F, (C, H W), as it is stored.
    features: String,
}

/// Writes the objective at `picture`, to which the graph has the features P in [`CONTENT`].
pub(super) fn write_objective(
    graph: &mut GraphWriter,
    vgg: &Vgg,
    size: Size,
    picture: &str,
    (storage, mask): (Storage, Mask),
    coefficients: &Coefficients,
) -> Written {
    let shapes = vgg.shapes(size);
    write_forward(graph, vgg, picture, vgg.depth(), storage);
    let mut costs = Costs { graph, storage, energies: Vec::new() };
    let style = coefficients.style.iter().enumerate();
    let style = style.map(|(tap, coefficient)| costs.style(vgg, tap, shapes[vgg.taps[tap].layer], coefficient));
    let (slopes, style): (Vec<Slope>, Vec<String>) = style.collect::<Vec<_>>().into_iter().unzip();
    let (pull, content) = costs.content(vgg.content, shapes[vgg.content], &coefficients.content);
    let gain = costs.gain();

    let raw = if gain.is_some() { "gradient_half" } else { super::graph::GRADIENT };
    let last = last_factor(vgg, storage);
    let way = Backward { depth: vgg.depth(), storage, mask, output: raw, last };
    write_backward(graph, vgg, size, way, |graph, layer, mut above| {
        if let Some(tap) = vgg.taps.iter().position(|tap| tap.layer == layer) {
            let own = write_style_cotangent(graph, tap, &slopes[tap], shapes[layer], gain.as_deref());
            above = Some(add(graph, above, own, &format!("with_style{layer}")));
        }
        if layer == vgg.content {
            let own = scaled_half(graph, &pull, gain.as_deref(), "content_cotangent");
            above = Some(add(graph, above, own, &format!("with_content{layer}")));
        }
        above.expect("the walk starts at the last tap")
    });
    if let Some(gain) = gain {
        let single = graph.to_single(raw, "gradient_scaled");
        let last = graph.constant("last_factor", &[1], &[last]);
        let all = graph.node("Mul", &[&gain, &last], "gradient_gain", &[]);
        graph.node("Div", &[&single, &all], super::graph::GRADIENT, &[]);
    }
    Written { gradient: super::graph::GRADIENT.to_owned(), style, content }
}

/// `keepdims` and all axes: the sum of squares as one element of the same rank.
pub(super) fn write_sum_of_squares(graph: &mut GraphWriter, of: &str, output: &str) -> String {
    graph.node("ReduceSumSquare", &[of], output, &[("keepdims", Attribute::Int(1))])
}

fn add(graph: &mut GraphWriter, above: Option<String>, own: String, output: &str) -> String {
    match above {
        None => own,
        Some(above) => graph.node("Add", &[&above, &own], output, &[]),
    }
}

/// `value`, single precision, in the precision of the way back: where there is a gain, multiplied with it and brought to half precision.
fn scaled_half(graph: &mut GraphWriter, value: &str, gain: Option<&str>, output: &str) -> String {
    match gain {
        None => value.to_owned(),
        Some(gain) => {
            let scaled = graph.node("Mul", &[value, gain], &format!("{output}_scaled"), &[]);
            graph.to_half(&scaled, output)
        }
    }
}

fn write_style_cotangent(
    graph: &mut GraphWriter,
    tap: usize,
    slope: &Slope,
    shape: MapShape,
    gain: Option<&str>,
) -> String {
    let matrix = scaled_half(graph, &slope.matrix, gain, &format!("slope_half{tap}"));
    let product = graph.node("MatMul", &[&matrix, &slope.features], &format!("product{tap}"), &[]);
    let nchw = graph.integers(&format!("nchw{tap}"), &shape.nchw().map(|side| side as i64));
    graph.node("Reshape", &[&product, &nchw], &format!("style_cotangent{tap}"), &[])
}

/// The factor, a power of two, that brings the last convolution's gain near 1 in half precision: its kernels are as large as
/// the colours that the network takes.
fn last_factor(vgg: &Vgg, storage: Storage) -> f32 {
    let super::vgg::Layer::Conv(first) = &vgg.layers[0] else { return 1.0 };
    if storage == Storage::Single {
        return 1.0;
    }
    let squares: f32 = first.weight.iter().map(|value| (value * storage.scale()).powi(2)).sum();
    (squares / first.inputs() as f32).sqrt().max(f32::MIN_POSITIVE).log2().round().clamp(-14.0, 14.0).exp2().recip()
}

/// The costs, one after the other.
struct Costs<'a> {
    graph: &'a mut GraphWriter,
    storage: Storage,
    /// Mean squares of the cotangents to come, in half precision.
    energies: Vec<String>,
}

impl Costs<'_> {
    fn is_half(&self) -> bool {
        self.storage != Storage::Single
    }

    /// What half precision makes of 1: features are s times what they are.
    fn square(&self) -> f32 {
        self.storage.scale().powi(2)
    }

    /// The style cost of a tap: its slope, and `|D|^2`.
    fn style(&mut self, vgg: &Vgg, tap: usize, shape: MapShape, coefficient: &str) -> (Slope, String) {
        let (names, channels, positions) = (StyleNames::new(tap), shape.channels, shape.size.area());
        let square = self.square();
        let graph = &mut *self.graph;
        let map = map_name(vgg.taps[tap].layer);
        let flat = graph.integers(&format!("flat{tap}"), &[channels as i64, positions as i64]);
        let features = graph.node("Reshape", &[&map, &flat], &format!("features{tap}"), &[]);
        let target = graph.input(&names.gram, &[channels, channels]);
        let factor = 1.0 / (positions as f32 * square);
        let (gram, difference) = match self.storage {
            Storage::Single => {
                let attributes = [RIGHT, ("alpha", Attribute::Float(factor)), ("beta", Attribute::Float(-1.0))];
                let inputs = [features.as_str(), &features, &target];
                (None, graph.node("Gemm", &inputs, &format!("difference{tap}"), &attributes))
            }
            Storage::Half { .. } => {
                let single = graph.to_single(&features, &format!("features_single{tap}"));
                let attributes = [RIGHT, ("alpha", Attribute::Float(factor))];
                let gram = graph.node("Gemm", &[&single, &single], &format!("own_gram{tap}"), &attributes);
                let difference = graph.node("Sub", &[&gram, &target], &format!("difference{tap}"), &[]);
                (Some(gram), difference)
            }
        };
        let (sum, slope) = self.compared(vgg, tap, &difference);
        let graph = &mut *self.graph;
        let factor = graph.constant(&format!("factor_style{tap}"), &[1], &[4.0 * factor]);
        let coefficient = graph.node("Mul", &[coefficient, &factor], &format!("coefficient_style{tap}"), &[]);
        let matrix = graph.node("Mul", &[&slope, &coefficient], &format!("slope{tap}"), &[]);
        if let Some(gram) = gram {
            let product = graph.node("MatMul", &[&matrix, &gram], &format!("slope_gram{tap}"), &[]);
            let product = graph.node("Mul", &[&product, &matrix], &format!("slope_gram_slope{tap}"), &[]);
            let trace =
                graph.node("ReduceSum", &[&product], &format!("trace{tap}"), &[("keepdims", Attribute::Int(1))]);
            self.energy(&trace, f64::from(square) / channels as f64, &format!("style{tap}"));
        }
        (Slope { matrix, features }, sum)
    }

    /// `|L D L^T|^2 = <M D M, D>` and `M D M` of `D = G - A`.
    fn compared(&mut self, vgg: &Vgg, tap: usize, difference: &str) -> (String, String) {
        let graph = &mut *self.graph;
        let sum = format!("style_sum{tap}");
        if vgg.taps[tap].head.is_none() {
            return (write_sum_of_squares(graph, difference, &sum), difference.to_owned());
        }
        let channels = vgg.channels(vgg.taps[tap].layer);
        let metric = graph.input(&StyleNames::new(tap).metric, &[channels, channels]);
        let half = graph.node("Gemm", &[&metric, difference], &format!("half{tap}"), &[]);
        let slope = graph.node("Gemm", &[&half, &metric], &format!("slope_of_difference{tap}"), &[]);
        let product = graph.node("Mul", &[&slope, difference], &format!("slope_by_difference{tap}"), &[]);
        (graph.node("ReduceSum", &[&product], &sum, &[("keepdims", Attribute::Int(1))]), slope)
    }

    /// The content cost: its cotangent, single precision, and `sum (F - P)^2`.
    fn content(&mut self, layer: usize, shape: MapShape, coefficient: &str) -> (String, String) {
        let square = self.square();
        let half = self.is_half();
        let graph = &mut *self.graph;
        graph.input(CONTENT, &shape.nchw());
        let features =
            if half { graph.to_single(&map_name(layer), "content_features_single") } else { map_name(layer) };
        let difference = graph.node("Sub", &[&features, CONTENT], "content_difference", &[]);
        let sum = write_sum_of_squares(graph, &difference, "content_sum");
        let factor = graph.constant("factor_content", &[1], &[2.0 / square]);
        let coefficient = graph.node("Mul", &[coefficient, &factor], "coefficient_content", &[]);
        if half {
            let product = graph.node("Mul", &[&coefficient, &coefficient], "coefficient_content_squared", &[]);
            let product = graph.node("Mul", &[&sum, &product], "content_energy_sum", &[]);
            self.energy(&product, 1.0 / (shape.channels * shape.size.area()) as f64, "content");
        }
        (self.graph.node("Mul", &[&difference, &coefficient], "content_cotangent_single", &[]), sum)
    }

    /// Notes `factor * value` as the mean square of a cotangent.
    fn energy(&mut self, value: &str, factor: f64, name: &str) {
        let graph = &mut *self.graph;
        let one = graph.integers(&format!("one_{name}"), &[1]);
        let value = graph.node("Reshape", &[value, &one], &format!("energy_flat_{name}"), &[]);
        let factor = graph.constant(&format!("energy_factor_{name}"), &[1], &[factor as f32]);
        self.energies.push(graph.node("Mul", &[&value, &factor], &format!("energy_{name}"), &[]));
    }

    /// S, one element, in half precision.
    fn gain(&mut self) -> Option<String> {
        if !self.is_half() {
            return None;
        }
        let graph = &mut *self.graph;
        let mut energies = std::mem::take(&mut self.energies);
        energies.push(graph.constant("energy_of_nothing", &[1], &[NOTHING]));
        let energies: Vec<&str> = energies.iter().map(String::as_str).collect();
        let most = graph.node("Max", &energies, "energy_most", &[]);
        let root = graph.node("Sqrt", &[&most], "cotangent_most", &[]);
        let wanted = graph.constant("cotangent_wanted", &[1], &[COTANGENT]);
        Some(graph.node("Div", &[&wanted, &root], "cotangent_gain", &[]))
    }
}

const RIGHT: (&str, Attribute) = ("transB", Attribute::Int(1));
