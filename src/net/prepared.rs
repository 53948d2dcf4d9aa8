//! A network in the form that the kernels of [`super::ops`] want, shared by all graphs that run it.

use super::{
    ops::{Conv3x3, FirstConv, Isa, LANES, LastConv, Machine, Scratch, floats_of},
    vgg::{Conv, Layer, Vgg},
};
use crate::threads::Workers;

/// The convolutions of a network, prepared for both directions, with what they run on.
///
/// A prepared convolution is eight times as large as its weights (Winograd's domain, two directions), so it is made once
/// for a network and not kept in the graphs, which would each have their own.
#[derive(Debug)]
pub struct Prepared {
    pub isa: Isa,
    workers: Workers,
    scratch: Scratch,
    first: (FirstConv, LastConv),
    /// By layer; None for pools and the first convolution.
    others: Vec<Option<(Conv3x3, Conv3x3)>>,
}

impl Prepared {
    /// Whether the kernels can run this network: it begins with a convolution of the picture, channels come in multiples
    /// of 16, and no two pools follow each other.
    pub fn supports(vgg: &Vgg) -> bool {
        let layers = &vgg.layers[..vgg.depth()];
        let widths = layers.iter().all(|layer| match layer {
            Layer::Conv(conv) => conv.outputs().is_multiple_of(LANES),
            Layer::Pool => true,
        });
        let pools = layers.windows(2).all(|pair| !matches!(pair, [Layer::Pool, Layer::Pool]));
        widths && pools && matches!(layers.first(), Some(Layer::Conv(_)))
    }

    /// # Panics
    /// If the network is not supported.
    pub fn new(vgg: &Vgg, isa: Isa, threads: usize) -> Self {
        assert!(Self::supports(vgg), "a supported network");
        let Layer::Conv(first) = &vgg.layers[0] else { unreachable!("supported networks begin with a convolution") };
        let weight = values(first);
        let first = (FirstConv::new(&weight, &first.bias.to_vec(), vgg.mean), LastConv::new(isa, &weight));
        let layers = &vgg.layers[..vgg.depth()];
        let each = |prepare: fn(Isa, &Conv) -> Conv3x3| {
            let prepare = move |(index, layer): (usize, &Layer)| match layer {
                Layer::Conv(conv) if index > 0 => Some(prepare(isa, conv)),
                _ => None,
            };
            layers.iter().enumerate().map(prepare).collect::<Vec<_>>()
        };
        let (forward, backward) = std::thread::scope(|scope| {
            let backward = std::thread::Builder::new().name("prepare".into()).spawn_scoped(scope, || each(backward));
            let forward = each(forward);
            // Where no thread can be had, or it died, the work is simply done here.
            let backward = backward.ok().and_then(|thread| thread.join().ok()).unwrap_or_else(|| each(self::backward));
            (forward, backward)
        });
        let others = forward.into_iter().zip(backward).map(|(f, b)| f.zip(b)).collect();
        Prepared { isa, workers: Workers::new("step", threads), scratch: Scratch::new(threads), first, others }
    }

    /// What the kernels run on.
    pub fn machine(&self) -> Machine<'_> {
        Machine { isa: self.isa, threads: &self.workers, scratch: &self.scratch }
    }

    /// Floats that 16 channels of a pixel take in the maps.
    pub fn floats(&self) -> usize {
        floats_of(self.isa)
    }

    /// The first convolution.
    pub fn first(&self) -> &FirstConv {
        &self.first.0
    }

    /// The transpose of the first convolution.
    pub fn last(&self) -> &LastConv {
        &self.first.1
    }

    /// The convolution at a layer (not the first) and its transpose.
    pub fn conv(&self, layer: usize) -> Option<&(Conv3x3, Conv3x3)> {
        self.others.get(layer).and_then(Option::as_ref)
    }
}

fn values(conv: &Conv) -> Vec<f32> {
    conv.weight.iter().copied().collect()
}

fn forward(isa: Isa, conv: &Conv) -> Conv3x3 {
    Conv3x3::forward(isa, &values(conv), &conv.bias.to_vec(), conv.outputs(), conv.inputs())
}

fn backward(isa: Isa, conv: &Conv) -> Conv3x3 {
    Conv3x3::backward(isa, &values(conv), conv.outputs(), conv.inputs())
}
