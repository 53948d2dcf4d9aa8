//! The VGG as data: 3x3 convolutions with ReLU, 2x2 average pooling, and the taps where costs are measured.
//!
//! Simonyan & Zisserman 2014, "Very Deep Convolutional Networks for Large-Scale Image Recognition"; average instead of
//! maximum pooling as in Gatys et al. 2016, section 2. Any widths, any depth.

use ndarray::{Array1, Array2, Array4};

use crate::{
    error::{Error, Result},
    frame::Size,
};

/// What the lambdas of a network may sum to. At 1 a style cost weighs as much beside the content cost as in VGG-19; a network whose
/// content cost says more or less than VGG-19's sets the balance right with the sum.
pub const BALANCE: std::ops::RangeInclusive<f32> = 0.5..=2.0;

/// A convolution 3x3, zero padding 1, stride 1, followed by ReLU.
#[derive(Clone, Debug)]
pub struct Conv {
    pub name: String,
    /// (out, in, 3, 3)
    pub weight: Array4<f32>,
    /// (out)
    pub bias: Array1<f32>,
}

impl Conv {
    pub fn inputs(&self) -> usize {
        self.weight.dim().1
    }

    pub fn outputs(&self) -> usize {
        self.weight.dim().0
    }
}

#[derive(Clone, Debug)]
pub enum Layer {
    Conv(Conv),
    /// Average over 2x2, stride 2; an odd last row or column is dropped.
    Pool,
}

/// A place where style is measured: after the ReLU of a layer.
#[derive(Clone, Debug)]
pub struct Tap {
    /// Index into [`Vgg::layers`]; a convolution.
    pub layer: usize,
    /// The weight lambda of this layer's style cost; over all taps they sum to about one ([`BALANCE`]).
    pub lambda: f32,
    /// The coordinates in which Grams are compared. None is the identity.
    pub head: Option<Head>,
}

/// The coordinates in which the Grams of a layer are compared, `L (G - A) L^T`.
///
/// With `F_teacher = W F` and `L^T L = W^T W` the distance is the one that the teacher would measure.
#[derive(Clone, Debug)]
pub struct Head {
    map: Array2<f32>,
    metric: Array2<f32>,
}

impl Head {
    /// `map` is L, (rank, C).
    pub fn new(map: Array2<f32>) -> Self {
        let precise = map.mapv(f64::from);
        let metric = precise.t().dot(&precise).mapv(|value| value as f32);
        Head { map, metric }
    }

    /// L, (rank, C).
    pub fn map(&self) -> &Array2<f32> {
        &self.map
    }

    /// M = L^T L, (C, C), symmetric: `|L D L^T|^2 = <M D M, D>` for a symmetric D.
    pub fn metric(&self) -> &Array2<f32> {
        &self.metric
    }
}

/// A network and where it is tapped.
#[derive(Clone, Debug)]
pub struct Vgg {
    pub name: String,
    /// What is subtracted from a picture (RGB, 0..1) before the first convolution, whose zero padding thus continues the
    /// picture with this colour. Channel order and scale of the file are folded into that convolution.
    pub mean: [f32; 3],
    pub layers: Vec<Layer>,
    /// In the order of the layers.
    pub taps: Vec<Tap>,
    /// Index of the layer whose output the content cost compares.
    pub content: usize,
}

/// The shape of a feature map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapShape {
    pub channels: usize,
    pub size: Size,
}

impl MapShape {
    /// (1, C, H, W)
    pub fn nchw(self) -> [usize; 4] {
        [1, self.channels, self.size.height, self.size.width]
    }
}

impl Vgg {
    /// Channels that agree from layer to layer, taps on convolutions in order, lambdas that sum to about one ([`BALANCE`]).
    pub fn validate(&self) -> Result<()> {
        let wrong = |reason: String| Err(Error::Weights { name: self.name.clone(), reason });
        let mut channels = 3;
        for layer in &self.layers {
            let Layer::Conv(conv) = layer else { continue };
            let (outputs, inputs, height, width) = conv.weight.dim();
            if (inputs, height, width) != (channels, 3, 3) || conv.bias.len() != outputs || outputs == 0 {
                return wrong(format!(
                    "{}: weight {:?} with bias ({}); expected (out, {channels}, 3, 3) with bias (out)",
                    conv.name,
                    conv.weight.shape(),
                    conv.bias.len()
                ));
            }
            if conv.weight.iter().chain(&conv.bias).any(|value| !value.is_finite()) {
                return wrong(format!("{} holds values that are not finite", conv.name));
            }
            channels = outputs;
        }
        if self.taps.is_empty() {
            return wrong("it has no style taps".into());
        }
        let ordered = self.taps.windows(2).all(|pair| pair[0].layer < pair[1].layer);
        let convs = |layer: usize| matches!(self.layers.get(layer), Some(Layer::Conv(_)));
        if !ordered || !convs(self.content) || !self.taps.iter().all(|tap| convs(tap.layer)) {
            return wrong("style and content taps must be convolutions, in the order of the layers".into());
        }
        for tap in &self.taps {
            let channels = self.channels(tap.layer);
            if tap.head.as_ref().is_some_and(|head| head.map.ncols() != channels || head.map.nrows() == 0) {
                return wrong(format!("the head of {} must be (rank, {channels})", self.layer_name(tap.layer)));
            }
        }
        let sum: f32 = self.taps.iter().map(|tap| tap.lambda).sum();
        if !BALANCE.contains(&sum) || self.taps.iter().any(|tap| tap.lambda < 0.0) {
            return wrong(format!(
                "the lambdas of its taps sum to {sum}; expected about 1 ({} to {}), none negative",
                BALANCE.start(),
                BALANCE.end()
            ));
        }
        Ok(())
    }

    /// The network up to the tap of this number, from 1, and where its content cost would have to be at the latest; None if that is
    /// all of it. Lambdas stay as they are: each tap has the same share in the style cost as in the whole network.
    pub fn up_to_tap(&self, count: usize) -> Option<Vgg> {
        let last = self.taps.get(count.checked_sub(1)?)?.layer;
        (last + 1 < self.depth()).then(|| Vgg {
            name: self.name.clone(),
            mean: self.mean,
            layers: self.layers[..=last].to_vec(),
            taps: self.taps[..count].to_vec(),
            content: last.min(self.content),
        })
    }

    /// Whether more than one convolution runs at the full size, as in Simonyan and Zisserman's own networks: steps down such a
    /// one are grainier, for each pixel weighs in more of its features.
    pub fn is_grainy(&self) -> bool {
        self.layers.iter().take_while(|layer| matches!(layer, Layer::Conv(_))).count() > 1
    }

    /// The convolutions that have to run: up to the last tap.
    pub fn depth(&self) -> usize {
        let last = self.taps.last().map_or(0, |tap| tap.layer);
        last.max(self.content) + 1
    }

    /// The smallest side of a picture that leaves every tapped map at least one pixel.
    pub fn smallest_side(&self) -> usize {
        let pools = self.layers[..self.depth()].iter().filter(|layer| matches!(layer, Layer::Pool)).count();
        1 << pools
    }

    /// Whether pictures of this size reach the last tap.
    ///
    /// # Errors
    /// [`Error::Setting`] if a side is under [`Vgg::smallest_side`].
    pub fn check_size(&self, size: Size) -> Result<()> {
        let smallest = self.smallest_side();
        if size.width.min(size.height) < smallest {
            let found =
                format!("so small that the picture becomes {size} (the network needs {smallest} pixels each way)");
            let expected = "larger, and so must the input be if it is that small itself: no picture is enlarged";
            return Err(Error::Setting { name: "size", expected, found });
        }
        Ok(())
    }

    /// The output channels of a convolution.
    pub fn channels(&self, layer: usize) -> usize {
        match &self.layers[layer] {
            Layer::Conv(conv) => conv.outputs(),
            Layer::Pool => unreachable!("taps are convolutions: validate()"),
        }
    }

    /// The name of a convolution.
    pub fn layer_name(&self, layer: usize) -> &str {
        match &self.layers[layer] {
            Layer::Conv(conv) => &conv.name,
            Layer::Pool => "pool",
        }
    }

    /// The shape of every layer's output for a picture of this size, up to [`Vgg::depth`].
    pub fn shapes(&self, picture: Size) -> Vec<MapShape> {
        let mut shape = MapShape { channels: 3, size: picture };
        let next = |layer: &Layer| {
            match layer {
                Layer::Conv(conv) => shape.channels = conv.outputs(),
                Layer::Pool => shape.size = Size::new(shape.size.width / 2, shape.size.height / 2),
            }
            shape
        };
        self.layers[..self.depth()].iter().map(next).collect()
    }

    /// Multiplications of the forward pass of a picture of this size.
    pub fn operations(&self, picture: Size) -> usize {
        let shapes = self.shapes(picture);
        let count = |(layer, shape): (&Layer, &MapShape)| match layer {
            Layer::Conv(conv) => conv.weight.len() * shape.size.area(),
            Layer::Pool => 0,
        };
        self.layers.iter().zip(&shapes).map(count).sum()
    }

    /// Weights and biases, for the start line.
    pub fn parameters(&self) -> usize {
        let count = |layer: &Layer| match layer {
            Layer::Conv(conv) => conv.weight.len() + conv.bias.len(),
            Layer::Pool => 0,
        };
        self.layers[..self.depth()].iter().map(count).sum()
    }
}
