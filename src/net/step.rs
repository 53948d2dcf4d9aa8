//! One step as one graph of the operators of [`super::operators`]: forward, costs and their gradients, backward.
//!
//! What is kept between the two directions is as little as can be: a layer without costs leaves one bit a value, one
//! before a pool hands on the pooled values only. Un-pooling and masks happen where a gradient is written.

use super::{
    graph::{GRADIENT, PICTURE},
    onnx::{Attribute, GraphWriter},
    operators::DOMAIN,
    ops::LANES,
    vgg::{Layer, MapShape, Vgg},
};
use crate::frame::Size;

/// The content features P, blocked.
pub const CONTENT: &str = "content";
/// Scale and weight of the content cost.
pub const CONTENT_FACTORS: &str = "content_factors";
/// The value of the content cost.
pub const CONTENT_VALUE: &str = "content_value";

/// What is fed to, and comes out of, the style cost at a tap (an index into [`Vgg::taps`]).
pub struct StyleNames {
    /// A, `[C / 16][C][16]` (here; (C, C) in the standard graph).
    pub gram: String,
    /// M = L^T L, laid out as A, where the tap has a head L.
    pub metric: String,
    /// Scale and weight.
    pub factors: String,
    /// The value.
    pub value: String,
}

impl StyleNames {
    pub fn new(tap: usize) -> Self {
        StyleNames {
            gram: format!("gram{tap}"),
            metric: format!("metric{tap}"),
            factors: format!("style_factors{tap}"),
            value: format!("style_value{tap}"),
        }
    }
}

/// The shape of a feature map as tensors have it: `[C / 16][H][W][floats]`, so many for 16 channels.
pub fn blocked(shape: MapShape, floats: usize) -> [usize; 4] {
    [shape.channels / LANES, shape.size.height, shape.size.width, floats]
}

fn is_pool(vgg: &Vgg, layer: usize) -> bool {
    layer < vgg.depth() && matches!(vgg.layers[layer], Layer::Pool)
}

/// Where the costs are.
fn is_tapped(vgg: &Vgg, layer: usize) -> bool {
    layer == vgg.content || vgg.taps.iter().any(|tap| tap.layer == layer)
}

fn values(layer: usize) -> String {
    format!("values{layer}")
}

fn signs(layer: usize) -> String {
    format!("signs{layer}")
}

fn pooled(layer: usize) -> String {
    format!("pooled{layer}")
}

/// Picture in, features of the content layer out. A pixel's 16 channels take so many `floats` in the maps.
pub fn content_features(vgg: &Vgg, size: Size, floats: usize) -> Vec<u8> {
    let mut graph = GraphWriter::new();
    graph.input(PICTURE, &[1, 3, size.height, size.width]);
    let content = values(vgg.content);
    write_forward(&mut graph, vgg, vgg.content + 1, |layer| (layer == vgg.content, false));
    graph.output(&content, &blocked(vgg.shapes(size)[vgg.content], floats));
    graph.finish()
}

/// Name of the output of [`content_features`].
pub fn content_name(vgg: &Vgg) -> String {
    values(vgg.content)
}

/// Picture, targets and factors in; the gradient of the picture and the value of each term out. `floats` as there.
pub fn step(vgg: &Vgg, size: Size, floats: usize) -> Vec<u8> {
    let mut graph = GraphWriter::new();
    let shapes = vgg.shapes(size);
    graph.input(PICTURE, &[1, 3, size.height, size.width]);
    let depth = vgg.depth();
    write_forward(&mut graph, vgg, depth, |layer| (is_tapped(vgg, layer), !is_tapped(vgg, layer)));
    let mut above: Option<String> = None;
    for layer in (0..depth).rev().filter(|&layer| !is_pool(vgg, layer)) {
        if is_tapped(vgg, layer) {
            above = Some(write_tap(&mut graph, vgg, layer, (shapes[layer], floats), above));
            if layer == 0 {
                break;
            }
        }
        let gradient = above.take().expect("the walk starts at the last tap");
        if layer == 0 {
            graph.node_in(DOMAIN, "LastConvolution", &[&gradient], &[GRADIENT], &[]);
            break;
        }
        let after_pool = is_pool(vgg, layer - 1);
        let below = if after_pool { layer - 2 } else { layer - 1 };
        let output = format!("back{layer}");
        let mut attributes = vec![("layer", Attribute::Int(layer as i64))];
        let mask = signs(below);
        let mut inputs = vec![gradient.as_str()];
        // A tap below masks and un-pools by itself.
        if !is_tapped(vgg, below) {
            inputs.push(&mask);
            if after_pool {
                attributes.push(("height", Attribute::Int(shapes[below].size.height as i64)));
                attributes.push(("width", Attribute::Int(shapes[below].size.width as i64)));
            }
        }
        graph.node_in(DOMAIN, "ConvolutionGradient", &inputs, &[&output], &attributes);
        above = Some(output);
    }
    graph.output(GRADIENT, &[1, 3, size.height, size.width]);
    graph.finish()
}

/// The convolutions up to `depth`. `keep` says of a layer whether its values and its signs are wanted beside what the
/// next layer needs.
fn write_forward(graph: &mut GraphWriter, vgg: &Vgg, depth: usize, keep: impl Fn(usize) -> (bool, bool)) {
    let mut current = PICTURE.to_owned();
    for layer in (0..depth).filter(|&layer| !is_pool(vgg, layer)) {
        let (keep_values, keep_signs) = keep(layer);
        let is_last = layer + 1 == depth;
        let to_pool = !is_last && is_pool(vgg, layer + 1);
        let wanted = |wanted: bool, name: String| if wanted { name } else { String::new() };
        let outputs = [
            wanted(keep_values || (!is_last && !to_pool), values(layer)),
            wanted(keep_signs, signs(layer)),
            wanted(to_pool, pooled(layer)),
        ];
        let outputs = outputs.each_ref().map(String::as_str);
        let attributes = [("layer", Attribute::Int(layer as i64))];
        let op = if layer == 0 { "FirstConvolution" } else { "Convolution" };
        graph.node_in(DOMAIN, op, &[&current], &outputs, &attributes);
        current = if to_pool { pooled(layer) } else { values(layer) };
    }
}

/// The costs at a layer; returns the name of its gradient, masked. At the first layer that is the picture's, [`GRADIENT`].
fn write_tap(
    graph: &mut GraphWriter,
    vgg: &Vgg,
    layer: usize,
    (shape, floats): (MapShape, usize),
    above: Option<String>,
) -> String {
    let (op, output) = match layer {
        0 => ("TapToPicture", GRADIENT.to_owned()),
        _ => ("Tap", format!("gradient{layer}")),
    };
    let mut inputs = vec![values(layer), above.unwrap_or_default()];
    let mut outputs = vec![output.clone()];
    match vgg.taps.iter().position(|tap| tap.layer == layer) {
        None => {
            inputs.extend((0..3).map(|_| String::new()));
            outputs.push(String::new());
        }
        Some(tap) => {
            let (names, blocks) = (StyleNames::new(tap), shape.channels / LANES);
            inputs.push(graph.input(&names.gram, &[blocks, shape.channels, LANES]));
            inputs.push(match &vgg.taps[tap].head {
                None => String::new(),
                Some(_) => graph.input(&names.metric, &[blocks, shape.channels, LANES]),
            });
            inputs.push(graph.input(&names.factors, &[2]));
            graph.output(&names.value, &[1]);
            outputs.push(names.value);
        }
    }
    if layer == vgg.content {
        inputs.push(graph.input(CONTENT, &blocked(shape, floats)));
        inputs.push(graph.input(CONTENT_FACTORS, &[2]));
        graph.output(CONTENT_VALUE, &[1]);
        outputs.push(CONTENT_VALUE.to_owned());
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
    graph.node_in(DOMAIN, op, &inputs, &outputs, &[("layer", Attribute::Int(layer as i64))]);
    output
}
