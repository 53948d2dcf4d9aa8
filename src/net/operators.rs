//! The kernels of [`super::ops`] as operators of ONNX Runtime, domain `stylize`.
//!
//! Feature maps are float tensors `[channels / 16][height][width][16]` (where the kernels round, `[8]`: two bfloat16 in the bits of each),
//! signs `uint16` tensors `[channels / 16][height][width]`. Weights are not in the graph: an operator's attribute `layer` names the convolution
//! of the [`Prepared`] network that it runs, on the threads of that network.
//!
//! | operator | inputs | outputs |
//! |---|---|---|
//! | `FirstConvolution` | picture (1, 3, H, W) | any of values, signs, pooled values |
//! | `Convolution` | values | any of values, signs, pooled values |
//! | `Tap` | values, gradient from above, A, L, L^T, style factors, P, content factors: all but the first optional | gradient before the ReLU, and the values of style and content where measured |
//! | `TapToPicture` | as `Tap`, at the first layer | gradient of the picture (1, 3, H, W), and the values |
//! | `ConvolutionGradient` | gradient, signs of the map below (optional) | gradient of the map below; before its pool where attributes `height` and `width` say so |
//! | `LastConvolution` | gradient | gradient of the picture (1, 3, H, W) |

use std::sync::Arc;

use ort::{
    Error, Result,
    operator::{BoxedKernel, ComputeContext, KernelContext, Operator, OperatorDomain, OperatorInput, OperatorOutput},
    value::{TensorElementType, ValueRef, ValueRefMut},
};

use super::{
    ops::{Activations, Factors, FeatureShape, Gradient, LANES, StyleTarget, Tap, Terms, Upstream, View},
    prepared::Prepared,
};

/// The operators' domain.
pub const DOMAIN: &str = "stylize";

/// All operators for a network.
pub fn domain(network: &Arc<Prepared>) -> Result<OperatorDomain> {
    let make = |kind| Layer { kind, network: Arc::clone(network) };
    OperatorDomain::new(DOMAIN)?
        .add(make(Kind::FirstConvolution))?
        .add(make(Kind::Convolution))?
        .add(make(Kind::Tap))?
        .add(make(Kind::TapToPicture))?
        .add(make(Kind::ConvolutionGradient))?
        .add(make(Kind::LastConvolution))
}

#[derive(Clone, Copy)]
enum Kind {
    FirstConvolution,
    Convolution,
    Tap,
    TapToPicture,
    ConvolutionGradient,
    LastConvolution,
}

/// An operator on the layers of a network.
struct Layer {
    kind: Kind,
    network: Arc<Prepared>,
}

const FLOAT: TensorElementType = TensorElementType::Float32;
const BITS: TensorElementType = TensorElementType::Uint16;

impl Operator for Layer {
    type Kernel<'a> = BoxedKernel<'a>;

    fn name(&self) -> &str {
        match self.kind {
            Kind::FirstConvolution => "FirstConvolution",
            Kind::Convolution => "Convolution",
            Kind::Tap => "Tap",
            Kind::TapToPicture => "TapToPicture",
            Kind::ConvolutionGradient => "ConvolutionGradient",
            Kind::LastConvolution => "LastConvolution",
        }
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        let mut inputs = vec![OperatorInput::required(FLOAT)];
        match self.kind {
            Kind::Tap | Kind::TapToPicture => inputs.extend((0..7).map(|_| OperatorInput::optional(FLOAT))),
            Kind::ConvolutionGradient => inputs.push(OperatorInput::optional(BITS)),
            _ => {}
        }
        inputs
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        match self.kind {
            Kind::FirstConvolution | Kind::Convolution => {
                vec![OperatorOutput::optional(FLOAT), OperatorOutput::optional(BITS), OperatorOutput::optional(FLOAT)]
            }
            Kind::Tap | Kind::TapToPicture => {
                vec![OperatorOutput::required(FLOAT), OperatorOutput::optional(FLOAT), OperatorOutput::optional(FLOAT)]
            }
            Kind::ConvolutionGradient | Kind::LastConvolution => vec![OperatorOutput::required(FLOAT)],
        }
    }

    fn create_kernel<'a>(&self, context: &KernelContext<'a>) -> Result<BoxedKernel<'a>> {
        let network = Arc::clone(&self.network);
        let attribute = |name: &str| context.get::<i64>(name).and_then(|value| usize::try_from(value).ok());
        let layer = attribute("layer").unwrap_or(0);
        let before_pool = attribute("height").zip(attribute("width"));
        if matches!(self.kind, Kind::Convolution | Kind::ConvolutionGradient) && network.conv(layer).is_none() {
            return Err(Error::new(format!("layer {layer} is no convolution of this network")));
        }
        Ok(match self.kind {
            Kind::FirstConvolution => Box::new(move |context: &ComputeContext| first_convolution(&network, context)),
            Kind::Convolution => Box::new(move |context: &ComputeContext| convolution(&network, layer, context)),
            kind @ (Kind::Tap | Kind::TapToPicture) => {
                let (mut tap, to_picture) = (None, matches!(kind, Kind::TapToPicture));
                Box::new(move |context: &ComputeContext| self::tap(&network, &mut tap, to_picture, context))
            }
            Kind::ConvolutionGradient => {
                Box::new(move |context: &ComputeContext| convolution_gradient(&network, layer, before_pool, context))
            }
            Kind::LastConvolution => Box::new(move |context: &ComputeContext| last_convolution(&network, context)),
        })
    }
}

fn required(context: &ComputeContext, index: usize) -> Result<ValueRef<'_>> {
    context.input(index)?.ok_or_else(|| Error::new(format!("input {index} is missing")))
}

/// A map and its shape.
fn map<'a>(network: &Prepared, value: &'a ValueRef<'_>) -> Result<(FeatureShape, &'a [f32])> {
    let (shape, values) = value.try_extract_tensor::<f32>()?;
    let expected = network.floats();
    match shape[..] {
        [blocks, height, width, floats] if floats as usize == expected => {
            Ok((FeatureShape::new(blocks as usize * LANES, height as usize, width as usize), values))
        }
        _ => {
            Err(Error::new(format!("a feature map has shape {shape:?}, expected (blocks, height, width, {expected})")))
        }
    }
}

fn dimensions(network: &Prepared, shape: FeatureShape) -> [usize; 4] {
    [shape.blocks(), shape.height, shape.width, network.floats()]
}

/// The three outputs of a forward convolution, those that are wanted.
struct Outputs<'a> {
    values: Option<ValueRefMut<'a>>,
    signs: Option<ValueRefMut<'a>>,
    pooled: Option<ValueRefMut<'a>>,
}

impl<'a> Outputs<'a> {
    fn new(network: &Prepared, context: &'a ComputeContext, shape: FeatureShape) -> Result<Self> {
        let [blocks, height, width, _] = dimensions(network, shape);
        Ok(Outputs {
            values: context.output(0, dimensions(network, shape))?,
            signs: context.output(1, [blocks, height, width])?,
            pooled: context.output(2, dimensions(network, shape.halved()))?,
        })
    }

    fn activations(&mut self) -> Result<Activations<'_>> {
        Ok(Activations {
            values: self.values.as_mut().map(|v| v.try_extract_tensor_mut::<f32>()).transpose()?.map(|(_, v)| v),
            signs: self.signs.as_mut().map(|v| v.try_extract_tensor_mut::<u16>()).transpose()?.map(|(_, v)| v),
            pooled: self.pooled.as_mut().map(|v| v.try_extract_tensor_mut::<f32>()).transpose()?.map(|(_, v)| v),
        })
    }
}

fn first_convolution(network: &Prepared, context: &ComputeContext) -> Result<()> {
    let picture = required(context, 0)?;
    let (shape, picture) = picture.try_extract_tensor::<f32>()?;
    let [1, 3, height, width] = shape[..] else {
        return Err(Error::new(format!("a picture has shape {shape:?}, expected (1, 3, height, width)")));
    };
    let (height, width) = (height as usize, width as usize);
    let mut outputs = Outputs::new(network, context, FeatureShape::new(network.first().outputs(), height, width))?;
    network.first().run(network.machine(), picture, (height, width), outputs.activations()?);
    Ok(())
}

fn convolution(network: &Prepared, layer: usize, context: &ComputeContext) -> Result<()> {
    let (conv, _) = network.conv(layer).expect("create_kernel looked it up");
    let input = required(context, 0)?;
    let (shape, values) = map(network, &input)?;
    let mut outputs = Outputs::new(network, context, FeatureShape { channels: conv.outputs(), ..shape })?;
    conv.run_forward(network.machine(), values, (shape.height, shape.width), outputs.activations()?);
    Ok(())
}

fn convolution_gradient(
    network: &Prepared,
    layer: usize,
    before_pool: Option<(usize, usize)>,
    context: &ComputeContext,
) -> Result<()> {
    let (_, conv) = network.conv(layer).expect("create_kernel looked it up");
    let (input, signs) = (required(context, 0)?, context.input(1)?);
    let (shape, gradient) = map(network, &input)?;
    let signs = signs.as_ref().map(|signs| signs.try_extract_tensor::<u16>()).transpose()?.map(|(_, signs)| signs);
    let (height, width) = before_pool.unwrap_or((shape.height, shape.width));
    let mut output = context
        .output(0, dimensions(network, FeatureShape::new(conv.outputs(), height, width)))?
        .ok_or_else(|| Error::new("the gradient has no place to go"))?;
    let to = Gradient { values: output.try_extract_tensor_mut::<f32>()?.1, signs, before_pool };
    conv.run_backward(network.machine(), gradient, (shape.height, shape.width), to);
    Ok(())
}

fn last_convolution(network: &Prepared, context: &ComputeContext) -> Result<()> {
    let input = required(context, 0)?;
    let (shape, gradient) = map(network, &input)?;
    let mut output = context
        .output(0, [1, 3, shape.height, shape.width])?
        .ok_or_else(|| Error::new("the gradient has no place to go"))?;
    let to = output.try_extract_tensor_mut::<f32>()?.1;
    network.last().run(network.machine(), gradient, (shape.height, shape.width), to);
    Ok(())
}

/// A matrix in column blocks, `[columns / 16][rows][16]`.
fn matrix<'a>(value: &'a ValueRef<'_>) -> Result<View<'a>> {
    let (shape, values) = value.try_extract_tensor::<f32>()?;
    match shape[..] {
        [blocks, rows, 16] => Ok(View::new(rows as usize, blocks as usize * LANES, values)),
        _ => Err(Error::new(format!("a matrix has shape {shape:?}, expected (columns / 16, rows, 16)"))),
    }
}

/// A pair of scale and weight.
fn factors(value: Option<&ValueRef<'_>>) -> Result<Factors> {
    let value = value.ok_or_else(|| Error::new("the factors of a term are missing"))?;
    match value.try_extract_tensor::<f32>()?.1 {
        &[scale, weight] => Ok(Factors { scale, weight }),
        other => Err(Error::new(format!("a term has {} factors, expected scale and weight", other.len()))),
    }
}

fn tap(network: &Prepared, tap: &mut Option<Tap>, to_picture: bool, context: &ComputeContext) -> Result<()> {
    let input = required(context, 0)?;
    let (shape, activations) = map(network, &input)?;
    let others = (1..7).map(|index| context.input(index)).collect::<Result<Vec<_>>>()?;
    let [upstream, gram, metric, style_factors, content, content_factors] =
        std::array::from_fn(|index| others[index].as_ref());
    let upstream = match upstream.map(|value| map(network, value)).transpose()? {
        None => Upstream::None,
        Some((from, values)) if from == shape => Upstream::Full(values),
        Some((_, values)) => Upstream::Pooled(values),
    };
    let mut terms = Terms::default();
    if let Some(gram) = gram {
        let target = StyleTarget { gram: matrix(gram)?, metric: metric.map(matrix).transpose()? };
        terms.style = Some((target, factors(style_factors)?));
    }
    if let Some(content) = content {
        terms.content = Some((map(network, content)?.1, factors(content_factors)?));
    }
    let to = if to_picture { [1, 3, shape.height, shape.width] } else { dimensions(network, shape) };
    let mut gradient = context.output(0, to)?.ok_or_else(|| Error::new("the gradient has no place to go"))?;
    let tap = tap.get_or_insert_with(|| Tap::new(shape));
    let to = gradient.try_extract_tensor_mut::<f32>()?.1;
    let machine = network.machine();
    let values = match to_picture {
        true => tap.run_to_picture(machine, activations, upstream, terms, network.last(), to),
        false => tap.run(machine, activations, upstream, terms, to),
    };
    for (index, value) in [(1, values.style), (2, values.content)] {
        if let Some(mut output) = context.output(index, [1usize])? {
            output.try_extract_tensor_mut::<f32>()?.1[0] = value as f32;
        }
    }
    Ok(())
}
