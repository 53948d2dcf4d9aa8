//! The VGG as ONNX graphs, written node by node: forward, and the backward pass that ONNX inference does not have.
//!
//! Backward of each layer, for a cotangent `g` of its output:
//! - convolution: a convolution of `g` with the kernels flipped and inputs and outputs swapped;
//! - ReLU: `g` where the output is positive, else 0;
//! - average pooling: `g / 4` at each of the four pixels; the quarter is folded into the convolution before it.

use ndarray::Array4;

use super::{
    onnx::{Attribute, GraphWriter},
    vgg::{Conv, Layer, MapShape, Vgg},
};
use crate::frame::Size;

/// Name of the picture: RGB, 0..1, (1, 3, H, W).
pub const PICTURE: &str = "picture";
/// Name of the picture's gradient, (1, 3, H, W).
pub const GRADIENT: &str = "gradient";

/// Name of a layer's output, (1, C, H, W), after ReLU.
pub fn map_name(layer: usize) -> String {
    format!("map{layer}")
}

/// Name of the cotangent that a cost puts on a layer's output.
pub fn cotangent_name(layer: usize) -> String {
    format!("cotangent{layer}")
}

/// Steep enough that a hard sigmoid is 0 at 0 and 1 at every normal positive number: ReLU's derivative in one node that
/// ONNX Runtime keeps in its blocked layout (Greater, Cast and Mul cost three passes and two reorderings).
const STEP_SLOPE: f32 = 1e30;

/// Picture in, the output of each of `outputs` (layer indices) out.
pub fn forward(vgg: &Vgg, size: Size, outputs: &[usize]) -> Vec<u8> {
    let mut graph = GraphWriter::new();
    write_forward(&mut graph, vgg, size, outputs.iter().max().map_or(0, |last| last + 1));
    let shapes = vgg.shapes(size);
    for &layer in outputs {
        graph.output(&map_name(layer), &shapes[layer].nchw());
    }
    graph.finish()
}

/// The first `depth` layers.
pub(super) fn write_forward(graph: &mut GraphWriter, vgg: &Vgg, size: Size, depth: usize) {
    graph.input(PICTURE, &[1, 3, size.height, size.width]);
    graph.constant("mean", &[1, 3, 1, 1], &vgg.mean);
    let mut current = graph.node("Sub", &[PICTURE, "mean"], "centred", &[]);
    for (index, layer) in vgg.layers[..depth].iter().enumerate() {
        current = match layer {
            Layer::Conv(conv) => {
                let linear = convolution(graph, &current, &format!("linear{index}"), &conv.weight, Some(conv));
                graph.node("Relu", &[&linear], &map_name(index), &[])
            }
            Layer::Pool => graph.node("AveragePool", &[&current], &map_name(index), &two_by_two()),
        };
    }
}

/// Every convolution's output and the cotangents at `taps` (layer indices) in, the picture's gradient out.
pub fn backward(vgg: &Vgg, size: Size, taps: &[usize]) -> Vec<u8> {
    let mut graph = GraphWriter::new();
    let shapes = vgg.shapes(size);
    let depth = taps.iter().max().map_or(0, |last| last + 1);
    write_backward(&mut graph, vgg, size, depth, |graph, layer, above| {
        graph.input(&map_name(layer), &shapes[layer].nchw());
        if !taps.contains(&layer) {
            return above.expect("the walk starts at the last tap");
        }
        let own = graph.input(&cotangent_name(layer), &shapes[layer].nchw());
        match above {
            None => own,
            Some(above) => graph.node("Add", &[&above, &own], &format!("sum{layer}"), &[]),
        }
    });
    graph.finish()
}

/// From the layer before `depth` back to the picture. `cotangent` gives that of a convolution's output, from what comes
/// from the layers above, if there are any.
pub(super) fn write_backward(
    graph: &mut GraphWriter,
    vgg: &Vgg,
    size: Size,
    depth: usize,
    mut cotangent: impl FnMut(&mut GraphWriter, usize, Option<String>) -> String,
) {
    let shapes = vgg.shapes(size);
    let mut above: Option<String> = None;
    for (index, layer) in vgg.layers[..depth].iter().enumerate().rev() {
        let input_shape = if index == 0 { MapShape { channels: 3, size } } else { shapes[index - 1] };
        above = Some(match layer {
            Layer::Conv(conv) => {
                let own = cotangent(graph, index, above.take());
                let slope = [("alpha", Attribute::Float(STEP_SLOPE)), ("beta", Attribute::Float(0.0))];
                let mask = graph.node("HardSigmoid", &[&map_name(index)], &format!("mask{index}"), &slope);
                let masked = graph.node("Mul", &[&own, &mask], &format!("masked{index}"), &[]);
                let after_pool = index > 0 && matches!(vgg.layers[index - 1], Layer::Pool);
                let weight = transposed(&conv.weight, if after_pool { 0.25 } else { 1.0 });
                let name = if index == 0 { GRADIENT.to_owned() } else { format!("back{index}") };
                convolution(graph, &masked, &name, &weight, None)
            }
            Layer::Pool => {
                let above = above.take().expect("the walk starts at the last tap, a convolution");
                spread(graph, &above, index, input_shape.size)
            }
        });
    }
    graph.output(GRADIENT, &[1, 3, size.height, size.width]);
}

/// Each pixel to the 2x2 it came from; zero in an odd last row or column, which pooling did not see.
fn spread(graph: &mut GraphWriter, cotangent: &str, index: usize, size: Size) -> String {
    let scales = graph.constant(&format!("scales{index}"), &[4], &[1.0, 1.0, 2.0, 2.0]);
    let nearest = [
        ("mode", Attribute::Text("nearest")),
        ("coordinate_transformation_mode", Attribute::Text("asymmetric")),
        ("nearest_mode", Attribute::Text("floor")),
    ];
    let spread = graph.node("Resize", &[cotangent, "", &scales], &format!("spread{index}"), &nearest);
    let (right, bottom) = ((size.width % 2) as i64, (size.height % 2) as i64);
    if right == 0 && bottom == 0 {
        return spread;
    }
    let pads = graph.integers(&format!("pads{index}"), &[0, 0, 0, 0, 0, 0, bottom, right]);
    graph.node("Pad", &[&spread, &pads], &format!("padded{index}"), &[])
}

/// The kernels of the backward convolution: (in, out, 3, 3), flipped, times `scale`.
pub fn transposed(weight: &Array4<f32>, scale: f32) -> Array4<f32> {
    let mut swapped = weight.view().permuted_axes([1, 0, 2, 3]);
    swapped.invert_axis(ndarray::Axis(2));
    swapped.invert_axis(ndarray::Axis(3));
    swapped.mapv(|value| value * scale)
}

fn convolution(
    graph: &mut GraphWriter,
    input: &str,
    output: &str,
    weight: &Array4<f32>,
    bias: Option<&Conv>,
) -> String {
    let values = weight.as_standard_layout();
    let values = values.as_slice().expect("standard layout is contiguous");
    let weight = graph.constant(&format!("weight_{output}"), weight.shape(), values);
    let mut inputs = vec![input.to_owned(), weight];
    if let Some(conv) = bias {
        inputs.push(graph.constant(&format!("bias_{output}"), &[conv.outputs()], &conv.bias.to_vec()));
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let attributes = [("kernel_shape", Attribute::Ints(vec![3, 3])), ("pads", Attribute::Ints(vec![1, 1, 1, 1]))];
    graph.node("Conv", &inputs, output, &attributes)
}

fn two_by_two() -> [(&'static str, Attribute); 2] {
    [("kernel_shape", Attribute::Ints(vec![2, 2])), ("strides", Attribute::Ints(vec![2, 2]))]
}
