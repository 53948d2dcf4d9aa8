//! One step as one graph of ONNX's own operators: the same inputs and outputs as [`super::step`], in the usual layout, on
//! any device. On a GPU nothing but the picture and its gradient crosses the bus.
//!
//! With `D = L (G - A) L^T`: the value is `scale |D|^2`, the cotangent `4 scale weight / (H W) * L^T D L F`.

use super::{
    graph::{map_name, write_backward, write_forward},
    onnx::{Attribute, GraphWriter},
    step::{CONTENT, CONTENT_FACTORS, CONTENT_VALUE, StyleNames},
    vgg::{MapShape, Vgg},
};
use crate::frame::Size;

/// Picture, targets and factors in; the gradient of the picture and the value of each term out.
pub fn step(vgg: &Vgg, size: Size) -> Vec<u8> {
    let mut graph = GraphWriter::new();
    let shapes = vgg.shapes(size);
    write_forward(&mut graph, vgg, size, vgg.depth());
    graph.integers("one", &[1]);
    write_backward(&mut graph, vgg, size, vgg.depth(), |graph, layer, mut above| {
        if let Some(tap) = vgg.taps.iter().position(|tap| tap.layer == layer) {
            let own = write_style(graph, vgg, tap, shapes[layer]);
            above = Some(add(graph, above, own, &format!("with_style{layer}")));
        }
        if layer == vgg.content {
            let own = write_content(graph, layer, shapes[layer]);
            above = Some(add(graph, above, own, &format!("with_content{layer}")));
        }
        above.expect("the walk starts at the last tap")
    });
    graph.finish()
}

fn add(graph: &mut GraphWriter, above: Option<String>, own: String, output: &str) -> String {
    match above {
        None => own,
        Some(above) => graph.node("Add", &[&above, &own], output, &[]),
    }
}

/// Scale and weight as two values of one element each.
fn write_factors(graph: &mut GraphWriter, factors: &str) -> (String, String) {
    graph.input(factors, &[2]);
    let (scale, weight) = (format!("scale_of_{factors}"), format!("weight_of_{factors}"));
    graph.node_in("", "Split", &[factors], &[&scale, &weight], &[("axis", Attribute::Int(0))]);
    (scale, weight)
}

/// `output = scale * |of|^2`, one element.
fn write_value(graph: &mut GraphWriter, of: &str, scale: &str, output: &str) {
    let sum = graph.node("ReduceSumSquare", &[of], &format!("sum_{output}"), &[("keepdims", Attribute::Int(0))]);
    let sum = graph.node("Reshape", &[&sum, "one"], &format!("one_{output}"), &[]);
    graph.node("Mul", &[&sum, scale], output, &[]);
    graph.output(output, &[1]);
}

/// `factor * scale * weight`, one element.
fn write_coefficient(graph: &mut GraphWriter, name: &str, factor: f64, scale: &str, weight: &str) -> String {
    let both = graph.node("Mul", &[scale, weight], &format!("both_{name}"), &[]);
    let factor = graph.constant(&format!("factor_{name}"), &[1], &[factor as f32]);
    graph.node("Mul", &[&both, &factor], &format!("coefficient_{name}"), &[])
}

/// The style cost of a tap; returns the name of its cotangent.
fn write_style(graph: &mut GraphWriter, vgg: &Vgg, tap: usize, shape: MapShape) -> String {
    let (names, channels, positions) = (StyleNames::new(tap), shape.channels, shape.size.area());
    let map = map_name(vgg.taps[tap].layer);
    let flat = graph.integers(&format!("flat{tap}"), &[channels as i64, positions as i64]);
    let features = graph.node("Reshape", &[&map, &flat], &format!("features{tap}"), &[]);
    let gram = graph.input(&names.gram, &[channels, channels]);
    let right = ("transB", Attribute::Int(1));
    let attributes =
        [right.clone(), ("alpha", Attribute::Float(1.0 / positions as f32)), ("beta", Attribute::Float(-1.0))];
    let difference = graph.node("Gemm", &[&features, &features, &gram], &format!("difference{tap}"), &attributes);
    let (scale, weight) = write_factors(graph, &names.factors);
    let slope = match &vgg.taps[tap].head {
        None => {
            write_value(graph, &difference, &scale, &names.value);
            difference
        }
        Some(head) => {
            let head = graph.input(&names.head, &[head.nrows(), channels]);
            let half = graph.node("Gemm", &[&head, &difference], &format!("half{tap}"), &[]);
            let seen = graph.node("Gemm", &[&half, &head], &format!("seen{tap}"), &[right]);
            write_value(graph, &seen, &scale, &names.value);
            let left = [("transA", Attribute::Int(1))];
            let half = graph.node("Gemm", &[&head, &seen], &format!("half_back{tap}"), &left);
            graph.node("Gemm", &[&half, &head], &format!("back_to_channels{tap}"), &[])
        }
    };
    let coefficient = write_coefficient(graph, &format!("style{tap}"), 4.0 / positions as f64, &scale, &weight);
    let slope = graph.node("Mul", &[&slope, &coefficient], &format!("slope{tap}"), &[]);
    let product = graph.node("MatMul", &[&slope, &features], &format!("product{tap}"), &[]);
    let nchw = graph.integers(&format!("nchw{tap}"), &shape.nchw().map(|side| side as i64));
    graph.node("Reshape", &[&product, &nchw], &format!("style_cotangent{tap}"), &[])
}

/// The content cost; returns the name of its cotangent.
fn write_content(graph: &mut GraphWriter, layer: usize, shape: MapShape) -> String {
    graph.input(CONTENT, &shape.nchw());
    let difference = graph.node("Sub", &[&map_name(layer), CONTENT], "content_difference", &[]);
    let (scale, weight) = write_factors(graph, CONTENT_FACTORS);
    write_value(graph, &difference, &scale, CONTENT_VALUE);
    let coefficient = write_coefficient(graph, "content", 2.0, &scale, &weight);
    graph.node("Mul", &[&difference, &coefficient], "content_cotangent", &[])
}
