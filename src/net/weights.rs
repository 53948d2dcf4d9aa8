//! Network files: safetensors with their own metadata (`models/FORMAT.md`), and the networks inside the binary.

use std::{borrow::Cow, fs, path::Path};

use ndarray::{Array1, Array2, Array4, Axis};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use super::vgg::{Conv, Head, Layer, Tap, Vgg};
use crate::error::{Error, Result};

/// What the `format` key must say.
const FORMAT: &str = "stylize-vgg/1";

#[derive(Deserialize)]
struct InputKey {
    order: String,
    scale: f32,
    mean: [f32; 3],
}

#[derive(Deserialize)]
struct TapKey {
    layer: String,
    lambda: f32,
}

#[derive(Deserialize)]
struct ContentKey {
    layer: String,
}

/// Reads a network file.
///
/// # Errors
/// [`Error::Io`] if it cannot be read, [`Error::Weights`] if it is damaged or of another format.
pub fn load(path: &Path) -> Result<Vgg> {
    let bytes = fs::read(path).map_err(Error::io("read the network", path))?;
    parse(&bytes, &path.display().to_string())
}

/// Reads a network from memory; `source` names it in messages.
pub fn parse(bytes: &[u8], source: &str) -> Result<Vgg> {
    let reader = Reader::open(bytes, source)?;
    let vgg = reader.vgg()?;
    // The network checks itself under its own name; the user knows the file.
    vgg.validate().map_err(|error| match error {
        Error::Weights { reason, .. } => Error::Weights { name: source.to_owned(), reason },
        other => other,
    })?;
    Ok(vgg)
}

struct Reader<'a> {
    source: &'a str,
    metadata: std::collections::HashMap<String, String>,
    tensors: SafeTensors<'a>,
}

impl<'a> Reader<'a> {
    fn open(bytes: &'a [u8], source: &'a str) -> Result<Self> {
        let damaged = |error: safetensors::SafeTensorError| Error::Weights {
            name: source.into(),
            reason: format!("it is no safetensors file, or a damaged one ({error})"),
        };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let reader = Reader { source, metadata, tensors: SafeTensors::deserialize(bytes).map_err(damaged)? };
        match reader.metadata.get("format").map(String::as_str) {
            Some(FORMAT) => Ok(reader),
            found => Err(reader.wrong(format!(
                "its metadata says format {found:?}, expected {FORMAT:?}; scripts/fetch-vgg19 converts public VGG-19 weights"
            ))),
        }
    }

    fn wrong(&self, reason: impl Into<Cow<'static, str>>) -> Error {
        Error::Weights { name: self.source.into(), reason: reason.into().into_owned() }
    }

    fn key<T: for<'de> Deserialize<'de>>(&self, key: &str) -> Result<T> {
        let text = self.metadata.get(key).ok_or_else(|| self.wrong(format!("its metadata has no key {key:?}")))?;
        serde_json::from_str(text).map_err(|error| self.wrong(format!("its metadata key {key:?} is {text}: {error}")))
    }

    fn vgg(&self) -> Result<Vgg> {
        let mut layers = Vec::new();
        for name in self.key::<Vec<String>>("layers")? {
            layers.push(if name == "pool" { Layer::Pool } else { Layer::Conv(self.conv(&name)?) });
        }
        let position = |name: &str| {
            let found = layers.iter().position(|layer| matches!(layer, Layer::Conv(conv) if conv.name == name));
            found.ok_or_else(|| self.wrong(format!("it taps {name:?}, which is not among its layers")))
        };
        let mut taps = Vec::new();
        for tap in self.key::<Vec<TapKey>>("taps")? {
            taps.push(Tap { layer: position(&tap.layer)?, lambda: tap.lambda, head: self.head(&tap.layer)? });
        }
        let content = position(&self.key::<ContentKey>("content")?.layer)?;
        let name = self.metadata.get("name").cloned().unwrap_or_else(|| self.source.to_owned());
        let mean = self.fold_input(&mut layers)?;
        Ok(Vgg { name, mean, layers, taps, content })
    }

    /// Folds the file's channel order and scale into the first convolution, so that it takes RGB in 0..1, and returns
    /// the mean to subtract in those terms. Exact at the borders too: what is padded is zero before and after.
    fn fold_input(&self, layers: &mut [Layer]) -> Result<[f32; 3]> {
        let input: InputKey = self.key("input")?;
        let order = match input.order.as_str() {
            "rgb" => [0, 1, 2],
            "bgr" => [2, 1, 0],
            other => return Err(self.wrong(format!("its input order is {other:?}, expected \"rgb\" or \"bgr\""))),
        };
        if !(input.scale.is_finite() && input.scale > 0.0 && input.mean.iter().all(|mean| mean.is_finite())) {
            return Err(self.wrong("its input scale and mean must be finite, the scale positive"));
        }
        let Some(Layer::Conv(first)) =
            layers.first_mut().filter(|layer| matches!(layer, Layer::Conv(c) if c.inputs() == 3))
        else {
            return Err(self.wrong("its first layer must be a convolution of 3 channels"));
        };
        let given = first.weight.clone();
        let mut mean = [0.0; 3];
        for (channel, &colour) in order.iter().enumerate() {
            first.weight.index_axis_mut(Axis(1), colour).assign(&(&given.index_axis(Axis(1), channel) * input.scale));
            mean[colour] = input.mean[channel] / input.scale;
        }
        Ok(mean)
    }

    fn conv(&self, name: &str) -> Result<Conv> {
        let (shape, weight) = self.tensor(&format!("{name}.weight"))?;
        let [outputs, inputs, height, width] = shape[..] else {
            return Err(self.wrong(format!("{name}.weight has shape {shape:?}, expected (out, in, 3, 3)")));
        };
        let weight =
            Array4::from_shape_vec((outputs, inputs, height, width), weight).expect("safetensors checks sizes");
        let (_, bias) = self.tensor(&format!("{name}.bias"))?;
        Ok(Conv { name: name.to_owned(), weight, bias: Array1::from_vec(bias) })
    }

    fn head(&self, layer: &str) -> Result<Option<Head>> {
        let name = format!("{layer}.head");
        if self.tensors.tensor(&name).is_err() {
            return Ok(None);
        }
        let (shape, values) = self.tensor(&name)?;
        let [rank, channels] = shape[..] else {
            return Err(self.wrong(format!("{name} has shape {shape:?}, expected (rank, channels)")));
        };
        let map = Array2::from_shape_vec((rank, channels), values).expect("safetensors checks sizes");
        Ok(Some(Head::new(map)))
    }

    /// Shape and values as f32.
    fn tensor(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let view = self.tensors.tensor(name).map_err(|_| self.wrong(format!("it has no tensor {name:?}")))?;
        let data = view.data();
        let values = match view.dtype() {
            Dtype::F16 => data.chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
            Dtype::F32 => data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
            other => return Err(self.wrong(format!("{name} is {other:?}, expected F16 or F32"))),
        };
        Ok((view.shape().to_vec(), values))
    }
}
