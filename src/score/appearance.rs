//! What is measured on a network's features: style, content, ghosts, and paint on moving things.

use std::{collections::VecDeque, sync::Arc};

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, linalg::general_mat_mul};

use super::{EVERY, measures::Moment};
use crate::{
    cost::{
        content,
        style::{self, StyleTarget},
    },
    error::Result,
    frame::{Frame, Size},
    net::{
        features::Features,
        session::Runtime,
        vgg::{Layer, Vgg},
    },
    stylizer::hung,
    tensor::Resampler,
};

/// Looks this many frames back for ghosts: twice [`EVERY`], so that the maps of then are still there.
pub const BACK: usize = 2 * EVERY;
/// Distance of the content to itself [`BACK`] frames ago that counts as changed.
const CHANGED: f32 = 0.5;
/// Added to distances before they are divided by each other: an untouched picture has none at all.
const SMALL: f64 = 0.01;
/// A trace of motion (see [`super::measures::Along`]) that is moving, and one that is still.
const MOVING: f32 = 0.7;
const STILL: f32 = 0.05;
/// The least shares of a frame that has to have changed or moved, and that has to be still.
const SOME: f64 = 0.01;
const ENOUGH: f64 = 0.05;

/// Looks at frames through a network.
pub struct Eye {
    vgg: Arc<Vgg>,
    features: Features,
    /// The paintings' Grams, in the order of the taps; empty without a style.
    targets: Vec<StyleTarget>,
    /// The tap whose map shows shapes: the first at a quarter of the picture's size.
    shapes: usize,
    /// The content layer's map of the content frame.
    content: Array2<f32>,
    /// Maps of `shapes`, (channels or rank, H W): the content's of now and before, the stylized frame's.
    now: Array2<f32>,
    past: VecDeque<Array2<f32>>,
    painted: Array2<f32>,
    /// The trace of motion in the size of those maps.
    trace: Array3<f32>,
    resampler: Resampler,
    to_now: Distance,
    to_then: Distance,
    changed: Distance,
    chosen: Vec<f32>,
}

/// What [`Eye::look`] saw; None where there is nothing to measure.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seen {
    pub style: Option<f64>,
    pub content: f64,
    pub lag: Option<f64>,
    pub paint: Option<f64>,
}

impl Eye {
    /// For pictures of this size. A style picture is brought to their width.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if the size is too small for the network.
    pub fn new(runtime: &Runtime, vgg: Arc<Vgg>, size: Size, painting: Option<&Frame>) -> Result<Self> {
        let taps: Vec<usize> = vgg.taps.iter().map(|tap| tap.layer).collect();
        let mut layers = taps.clone();
        layers.push(vgg.content);
        layers.sort_unstable();
        layers.dedup();
        let features = Features::new(runtime, &vgg, size, &layers)?;
        let mut resampler = Resampler::new();
        let mut targets = Vec::new();
        if let Some(painting) = painting {
            let hung = hung(painting.size(), size.width, vgg.smallest_side());
            let picture = resampler.tensor(painting, hung);
            let mut of_painting = Features::new(runtime, &vgg, hung, &taps)?;
            of_painting.look(picture.view())?;
            let target = |tap: &crate::net::vgg::Tap| {
                StyleTarget::relative(style::gram(of_painting.map(tap.layer)), tap.head.as_ref())
            };
            targets = vgg.taps.iter().map(target).collect();
        }
        let shapes = tap_of_shapes(&vgg);
        let map = features.shape(vgg.taps[shapes].layer);
        let channels = vgg.taps[shapes].head.as_ref().map_or(map.channels, |head| head.map().nrows());
        let empty = || Array2::zeros((channels, map.size.area()));
        let content = features.shape(vgg.content);
        Ok(Eye {
            content: Array2::zeros((content.channels, content.size.area())),
            now: empty(),
            past: VecDeque::new(),
            painted: empty(),
            trace: Array3::zeros((1, map.size.height, map.size.width)),
            resampler,
            to_now: Distance::default(),
            to_then: Distance::default(),
            changed: Distance::default(),
            chosen: Vec::new(),
            vgg,
            features,
            targets,
            shapes,
        })
    }

    /// Compares a stylized frame with its content. To be shown every [`EVERY`]th frame, in order, with the trace of motion.
    pub fn look(&mut self, moment: &Moment, trace: Option<&Array3<f32>>) -> Result<Seen> {
        let grams = self.see(moment.content.rgb.view(), true)?;
        let painted = self.see(moment.stylized.rgb.view(), false)?;
        let content = content::value(
            self.features.map(self.vgg.content),
            self.content.view(),
            content::relative_scale(content::energy(self.content.iter().copied()), self.content.len()),
        );
        self.to_now.measure(self.painted.view(), self.now.view());
        let paint = trace.and_then(|trace| self.paint(trace));
        let lag = self.lag();
        self.keep();
        Ok(Seen { style: self.style(&grams, &painted), content, lag, paint })
    }

    /// Runs the network; keeps what is compared, and gives the Grams if there is a style.
    fn see(&mut self, picture: ArrayView3<f32>, is_content: bool) -> Result<Vec<Array2<f32>>> {
        self.features.look(picture)?;
        let tap = &self.vgg.taps[self.shapes];
        let (map, kept) = (self.features.map(tap.layer), if is_content { &mut self.now } else { &mut self.painted });
        match &tap.head {
            Some(head) => general_mat_mul(1.0, head.map(), &map, 0.0, kept),
            None => kept.assign(&map),
        }
        if is_content {
            self.content.assign(&self.features.map(self.vgg.content));
        }
        let taps = self.vgg.taps[..self.targets.len()].iter();
        Ok(taps.map(|tap| style::gram(self.features.map(tap.layer))).collect())
    }

    /// Mean over the taps of the squared Gram distance to the painting, relative to the content frame's own.
    fn style(&self, content: &[Array2<f32>], painted: &[Array2<f32>]) -> Option<f64> {
        if self.targets.is_empty() {
            return None;
        }
        let distance = |target: &StyleTarget, gram: &Array2<f32>| target.value_and_slope(gram.view(), 1).0;
        let taps = self.targets.iter().zip(content.iter().zip(painted));
        let ratio = |(target, (content, painted))| distance(target, painted) / distance(target, content).max(1e-9);
        Some(taps.map(ratio).sum::<f64>() / self.targets.len() as f64)
    }

    /// Distance to the content where it moved lately / where it is still.
    fn paint(&mut self, trace: &Array3<f32>) -> Option<f64> {
        self.resampler.planes(trace, &mut self.trace);
        let (trace, chosen) = (self.trace.as_slice().expect("tensors here are contiguous"), &mut self.chosen);
        let moving = median(&self.to_now.values, |i| trace[i] > MOVING, SOME, chosen)?;
        let still = median(&self.to_now.values, |i| trace[i] < STILL, ENOUGH, chosen)?;
        Some((moving + SMALL) / (still + SMALL))
    }

    /// Where the content changed: distance to it now / to what it was.
    fn lag(&mut self) -> Option<f64> {
        let then = (self.past.len() * EVERY >= BACK).then(|| &self.past[0])?;
        self.changed.measure(self.now.view(), then.view());
        self.to_then.measure(self.painted.view(), then.view());
        let changed = |i: usize| self.changed.values[i] > CHANGED;
        let to_now = median(&self.to_now.values, changed, SOME, &mut self.chosen)?;
        let to_then = median(&self.to_then.values, changed, SOME, &mut self.chosen)?;
        Some((to_now + SMALL) / (to_then + SMALL))
    }

    /// The content's map of now becomes one of the past; the oldest one's buffer is used again.
    fn keep(&mut self) {
        let oldest = if self.past.len() * EVERY >= BACK { self.past.pop_front() } else { None };
        let buffer = oldest.unwrap_or_else(|| Array2::zeros(self.now.dim()));
        self.past.push_back(std::mem::replace(&mut self.now, buffer));
    }
}

/// The first tap at a quarter of the picture's size (VGG-19's relu3_1), or the one in the middle.
fn tap_of_shapes(vgg: &Vgg) -> usize {
    let pools = |layer: usize| vgg.layers[..layer].iter().filter(|layer| matches!(layer, Layer::Pool)).count();
    vgg.taps.iter().position(|tap| pools(tap.layer) == 2).unwrap_or(vgg.taps.len() / 2)
}

/// The distance of two feature maps at each position.
#[derive(Default)]
struct Distance {
    values: Vec<f32>,
    energy: Vec<f32>,
}

impl Distance {
    /// `|a - b|^2 / ((|a|^2 + |b|^2) / 2)` over the channels, at each position: 0 if alike, 2 if unrelated, at most 4.
    fn measure(&mut self, a: ArrayView2<f32>, b: ArrayView2<f32>) {
        for sums in [&mut self.values, &mut self.energy] {
            sums.clear();
            sums.resize(a.ncols(), 0.0);
        }
        for (a, b) in a.rows().into_iter().zip(b.rows()) {
            let sums = self.values.iter_mut().zip(&mut self.energy);
            for ((value, energy), (a, b)) in sums.zip(a.iter().zip(b)) {
                *value += (a - b) * (a - b);
                *energy += 0.5 * (a * a + b * b);
            }
        }
        // Where neither has any feature, they are alike.
        let mean = self.energy.iter().sum::<f32>() / self.energy.len().max(1) as f32;
        let least = (1e-6 * mean).max(f32::MIN_POSITIVE);
        self.values.iter_mut().zip(&self.energy).for_each(|(value, energy)| *value /= energy.max(least));
    }
}

/// The median of the chosen values; None if they are not more than `share` of all. `buffer` is scratch.
fn median(values: &[f32], choose: impl Fn(usize) -> bool, share: f64, buffer: &mut Vec<f32>) -> Option<f64> {
    buffer.clear();
    buffer.extend(values.iter().enumerate().filter(|&(i, _)| choose(i)).map(|(_, value)| value));
    if buffer.len() as f64 <= share * values.len() as f64 {
        return None;
    }
    let middle = buffer.len() / 2;
    Some(f64::from(*buffer.select_nth_unstable_by(middle, f32::total_cmp).1))
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;

    #[test]
    fn distances_are_relative_to_the_energy() {
        let a = arr2(&[[1.0, 3.0, 0.0, 1.0], [0.0, 4.0, 0.0, 2.0]]);
        let b = arr2(&[[0.0, 3.0, 0.0, -1.0], [1.0, 4.0, 0.0, -2.0]]);
        let mut distance = Distance::default();
        distance.measure(a.view(), b.view());
        assert_eq!(distance.values, [2.0, 0.0, 0.0, 4.0]);
    }

    #[test]
    fn a_median_needs_enough_values() {
        let values: Vec<f32> = (0..100).map(|i| (i * 37 % 100) as f32).collect();
        let mut buffer = Vec::new();
        assert_eq!(median(&values, |_| true, 0.5, &mut buffer), Some(50.0));
        assert_eq!(median(&values, |i| values[i] < 9.0, 0.05, &mut buffer), Some(4.0));
        assert_eq!(median(&values, |i| values[i] < 5.0, 0.05, &mut buffer), None);
    }
}
