//! What a network sees in a picture: the feature maps of the layers that are asked for.

use ndarray::{ArrayView2, ArrayView3};
use ort::value::Tensor;

use super::{
    graph::{self, PICTURE, map_name},
    session::{BoundGraph, Runtime, tensor},
    vgg::{MapShape, Vgg},
};
use crate::{
    error::{Error, Result},
    frame::Size,
};

/// The forward pass for one picture size, its maps in buffers that are used again.
pub struct Features {
    size: Size,
    forward: BoundGraph,
    picture: Tensor<f32>,
    /// In the order of the layers that were asked for.
    maps: Vec<Map>,
}

struct Map {
    layer: usize,
    shape: MapShape,
    values: Tensor<f32>,
}

impl Features {
    /// For pictures of this size; `layers` are indices of convolutions, whose output after ReLU is kept.
    ///
    /// # Errors
    /// [`Error::Setting`] if the size is too small for the network's pools, [`Error::Runtime`] if ONNX Runtime fails.
    pub fn new(runtime: &Runtime, vgg: &Vgg, size: Size, layers: &[usize]) -> Result<Self> {
        vgg.check_size(size)?;
        let mut forward = BoundGraph::new(runtime, &graph::forward(vgg, size, layers))?;
        let shapes = vgg.shapes(size);
        let mut maps = Vec::with_capacity(layers.len());
        for &layer in layers {
            let mut values = tensor(shapes[layer].nchw())?;
            forward.bind_output(&map_name(layer), &mut values)?;
            maps.push(Map { layer, shape: shapes[layer], values });
        }
        Ok(Features { size, forward, picture: tensor([1, 3, size.height, size.width])?, maps })
    }

    /// Fills every map with the features of a picture: RGB, 0..1, (3, H, W).
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] if the picture has another size, [`Error::Runtime`] if ONNX Runtime fails.
    pub fn look(&mut self, picture: ArrayView3<f32>) -> Result<()> {
        let (channels, height, width) = picture.dim();
        if (channels, height, width) != (3, self.size.height, self.size.width) {
            return Err(Error::SizeMismatch { expected: self.size, found: Size::new(width, height) });
        }
        let input = self.picture.extract_tensor_mut().1;
        input.iter_mut().zip(picture.iter()).for_each(|(to, from)| *to = *from);
        // Bound anew: away from the CPU a binding is a copy.
        self.forward.bind_input(PICTURE, &self.picture)?;
        self.forward.run()
    }

    /// The map of a layer in the picture looked at last, (C, H W).
    ///
    /// # Panics
    /// If the layer was not asked for.
    pub fn map(&self, layer: usize) -> ArrayView2<'_, f32> {
        let Map { shape, values, .. } = self.find(layer);
        ArrayView2::from_shape((shape.channels, shape.size.area()), values.extract_tensor().1)
            .expect("the buffer was made for this shape")
    }

    /// Its channels and size.
    ///
    /// # Panics
    /// If the layer was not asked for.
    pub fn shape(&self, layer: usize) -> MapShape {
        self.find(layer).shape
    }

    /// Every layer with its buffer, for another graph to be bound to.
    pub(crate) fn buffers(&self) -> impl Iterator<Item = (usize, &Tensor<f32>)> {
        self.maps.iter().map(|map| (map.layer, &map.values))
    }

    fn find(&self, layer: usize) -> &Map {
        self.maps.iter().find(|map| map.layer == layer).expect("a layer that was asked for")
    }
}
