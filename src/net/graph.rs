//! The VGG as ONNX graphs, written node by node: forward, and the backward pass that ONNX inference does not have.
//!
//! Backward of each layer, for a cotangent `g` of its output:
//! - convolution: a convolution of `g` with the kernels flipped and inputs and outputs swapped;
//! - ReLU: `g` where the output is positive, else 0;
//! - average pooling: `g / 4` at each of the four pixels; the quarter is folded into the convolution before it.

use ndarray::{Array1, Array4};

use super::{
    onnx::{Attribute, GraphWriter},
    providers::Device,
    vgg::{Layer, MapShape, Vgg},
};
use crate::frame::Size;

/// Name of the picture: RGB, 0..1, (1, 3, H, W).
pub const PICTURE: &str = "picture";
/// Name of the picture's gradient, (1, 3, H, W).
pub const GRADIENT: &str = "gradient";

/// How feature maps and cotangents are held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Storage {
    Single,
    /// Half precision, sums in single. Features are `features` times what they are, a power of two: a VGG that takes
    /// colours in 0..255 has features in the thousands, and half precision ends at 65504. ReLU and pooling are homogeneous,
    /// so the factor is put on the first convolution's weights and on every bias.
    Half {
        features: f32,
    },
}

impl Storage {
    /// What features are multiplied with.
    pub fn scale(self) -> f32 {
        match self {
            Storage::Single => 1.0,
            Storage::Half { features } => features,
        }
    }

    fn constant(self, graph: &mut GraphWriter, name: &str, shape: &[usize], values: &[f32]) -> String {
        match self {
            Storage::Single => graph.constant(name, shape, values),
            Storage::Half { .. } => graph.constant_half(name, shape, values),
        }
    }
}

/// How ReLU's derivative is written: in both cases a factor of 0 or 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// A hard sigmoid of `STEP_SLOPE`: stays in the blocked layout of the CPU.
    Steep,
    /// The sign of the map, which is never negative: right in half precision too, where that slope is infinite, and with
    /// OpenVINO, which makes something else of it.
    Sign,
}

impl Mask {
    /// The fastest that is right on a device.
    pub fn on(device: Device) -> Self {
        if device == Device::Cpu { Mask::Steep } else { Mask::Sign }
    }
}

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
    graph.input(PICTURE, &[1, 3, size.height, size.width]);
    write_forward(&mut graph, vgg, PICTURE, outputs.iter().max().map_or(0, |last| last + 1), Storage::Single);
    let shapes = vgg.shapes(size);
    for &layer in outputs {
        graph.output(&map_name(layer), &shapes[layer].nchw());
    }
    graph.finish()
}

/// The first `depth` layers over `picture`.
pub(super) fn write_forward(graph: &mut GraphWriter, vgg: &Vgg, picture: &str, depth: usize, storage: Storage) {
    graph.constant("mean", &[1, 3, 1, 1], &vgg.mean);
    let mut current = graph.node("Sub", &[picture, "mean"], "centred", &[]);
    if storage != Storage::Single {
        current = write_split(graph, &current);
    }
    for (index, layer) in vgg.layers[..depth].iter().enumerate() {
        current = match layer {
            Layer::Conv(conv) => {
                let scale = if index == 0 { storage.scale() } else { 1.0 };
                let mut weight = conv.weight.mapv(|value| value * scale);
                if index == 0 && storage != Storage::Single {
                    weight = split_kernels(&weight);
                }
                let linear =
                    convolution(graph, &current, &format!("linear{index}"), &weight, Some(&conv.bias), storage);
                graph.node("Relu", &[&linear], &map_name(index), &[])
            }
            Layer::Pool => graph.node("AveragePool", &[&current], &map_name(index), &two_by_two()),
        };
    }
}

/// A picture in half precision that loses nothing: rounded, the rest, and rounded again, (1, 9, H, W). The first kernels look
/// for edges: what is left of a smooth picture is a thousandth of it, and so is half precision's rounding.
fn write_split(graph: &mut GraphWriter, picture: &str) -> String {
    let rounded = graph.to_half(picture, "centred_half");
    let single = graph.to_single(&rounded, "centred_rounded");
    let rest = graph.node("Sub", &[picture, &single], "centred_rest", &[]);
    let rest = graph.to_half(&rest, "centred_rest_half");
    graph.node("Concat", &[&rounded, &rest, &rounded], "centred_split", &[("axis", Attribute::Int(1))])
}

/// The kernels for it, (out, 9, 3, 3): rounded, for the picture's two parts, and the rest of them for the rounded picture.
fn split_kernels(weight: &Array4<f32>) -> Array4<f32> {
    let rounded = weight.mapv(|value| half::f16::from_f32(value).to_f32());
    let rest = weight - &rounded;
    ndarray::concatenate![ndarray::Axis(1), rounded, rounded, rest]
}

/// Every convolution's output and the cotangents at `taps` (layer indices) in, the picture's gradient out.
pub fn backward(vgg: &Vgg, size: Size, taps: &[usize], mask: Mask) -> Vec<u8> {
    let mut graph = GraphWriter::new();
    let shapes = vgg.shapes(size);
    let depth = taps.iter().max().map_or(0, |last| last + 1);
    let way = Backward { depth, storage: Storage::Single, mask, output: GRADIENT, last: 1.0 };
    write_backward(&mut graph, vgg, size, way, |graph, layer, above| {
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
    graph.output(GRADIENT, &[1, 3, size.height, size.width]);
    graph.finish()
}

/// How the way back is written.
pub(super) struct Backward<'a> {
    /// It starts at the layer before this one.
    pub depth: usize,
    pub storage: Storage,
    pub mask: Mask,
    /// The name of the picture's gradient, (1, 3, H, W).
    pub output: &'a str,
    /// A factor on the last convolution's kernels.
    pub last: f32,
}

/// From the layer before the depth back to the picture. `cotangent` gives that of a convolution's output, from what comes
/// from the layers above, if there are any.
pub(super) fn write_backward(
    graph: &mut GraphWriter,
    vgg: &Vgg,
    size: Size,
    way: Backward,
    mut cotangent: impl FnMut(&mut GraphWriter, usize, Option<String>) -> String,
) {
    let shapes = vgg.shapes(size);
    let mut above: Option<String> = None;
    for (index, layer) in vgg.layers[..way.depth].iter().enumerate().rev() {
        let input_shape = if index == 0 { MapShape { channels: 3, size } } else { shapes[index - 1] };
        above = Some(match layer {
            Layer::Conv(conv) => {
                let own = cotangent(graph, index, above.take());
                let masked = write_mask(graph, &own, index, way.mask);
                let after_pool = index > 0 && matches!(vgg.layers[index - 1], Layer::Pool);
                let first = if index == 0 { way.storage.scale() * way.last } else { 1.0 };
                let weight = transposed(&conv.weight, if after_pool { 0.25 } else { first });
                let name = if index == 0 { way.output.to_owned() } else { format!("back{index}") };
                convolution(graph, &masked, &name, &weight, None, way.storage)
            }
            Layer::Pool => {
                let above = above.take().expect("the walk starts at the last tap, a convolution");
                spread(graph, &above, index, input_shape.size)
            }
        });
    }
}

/// The cotangent where the layer's output is positive, else 0.
fn write_mask(graph: &mut GraphWriter, cotangent: &str, layer: usize, mask: Mask) -> String {
    let (map, name) = (map_name(layer), format!("mask{layer}"));
    let mask = match mask {
        Mask::Steep => {
            let slope = [("alpha", Attribute::Float(STEP_SLOPE)), ("beta", Attribute::Float(0.0))];
            graph.node("HardSigmoid", &[&map], &name, &slope)
        }
        Mask::Sign => graph.node("Sign", &[&map], &name, &[]),
    };
    graph.node("Mul", &[cotangent, &mask], &format!("masked{layer}"), &[])
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

/// `bias` is multiplied with the storage's scale, `weight` taken as it is.
fn convolution(
    graph: &mut GraphWriter,
    input: &str,
    output: &str,
    weight: &Array4<f32>,
    bias: Option<&Array1<f32>>,
    storage: Storage,
) -> String {
    let values = weight.as_standard_layout();
    let values = values.as_slice().expect("standard layout is contiguous");
    let weight = storage.constant(graph, &format!("weight_{output}"), weight.shape(), values);
    let mut inputs = vec![input.to_owned(), weight];
    if let Some(bias) = bias {
        let values: Vec<f32> = bias.iter().map(|value| value * storage.scale()).collect();
        inputs.push(storage.constant(graph, &format!("bias_{output}"), &[bias.len()], &values));
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let attributes = [("kernel_shape", Attribute::Ints(vec![3, 3])), ("pads", Attribute::Ints(vec![1, 1, 1, 1]))];
    graph.node("Conv", &inputs, output, &attributes)
}

fn two_by_two() -> [(&'static str, Attribute); 2] {
    [("kernel_shape", Attribute::Ints(vec![2, 2])), ("strides", Attribute::Ints(vec![2, 2]))]
}
