//! The costs at one layer, and the gradient that they and the layers above give its convolution.
//!
//! With F the layer's activations, G = F F^T / (H W), A and P the painting's Gram and the frame's features, L the head
//! and M = L^T L:
//!
//! ```text
//! D         = G - A
//! J_style   = style.scale * |L D L^T|^2
//!           = style.scale * <M D M, D>            dJ/dF = 4 style.scale / (H W) * M D M F
//! J_content = content.scale * |F - P|^2           dJ/dF = 2 content.scale * (F - P)
//! gradient  = [F > 0] * (upstream + style.weight * dJ_style/dF + content.weight * dJ_content/dF)
//! ```
//!
//! (Gatys et al. 2016, equations 1 to 6; heads: `models/FORMAT.md`.) F is read twice, for G and for the gradient; it is
//! never reordered or copied.

use super::{
    blocked::{Aligned, FeatureShape},
    gram::GramSums,
    lanes::LANES,
    last_conv::LastConv,
    map,
    matrix::{Matrix, View},
    parallel::{Machine, Shared},
    product::PairUp,
    tap_gradient::{Part, Sources},
};

/// Rows of a strip whose gradient is passed on while it is in the cache.
const STRIP: usize = 16;

/// What the value of a term is multiplied with, and what its gradient is multiplied with beyond that.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Factors {
    pub scale: f32,
    pub weight: f32,
}

/// The painting at this layer.
#[derive(Clone, Copy, Debug)]
pub struct StyleTarget<'a> {
    /// A, (C, C).
    pub gram: View<'a>,
    /// M, (C, C), symmetric; None is the identity.
    pub metric: Option<View<'a>>,
}

/// The gradient from the layers above.
#[derive(Clone, Copy, Debug)]
pub enum Upstream<'a> {
    /// This is the last layer.
    None,
    /// Of the layer's own size, blocked.
    Full(&'a [f32]),
    /// Of the 2x2 average pool after the layer, blocked.
    Pooled(&'a [f32]),
}

/// The terms measured at this layer.
#[derive(Clone, Copy, Default)]
pub struct Terms<'a> {
    pub style: Option<(StyleTarget<'a>, Factors)>,
    /// P, blocked like the activations.
    pub content: Option<(&'a [f32], Factors)>,
}

/// Values of the terms; 0 where a term is not measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Values {
    pub style: f64,
    pub content: f64,
}

/// Work matrices of one layer, kept from call to call.
#[derive(Debug)]
pub struct Tap {
    shape: FeatureShape,
    sums: GramSums,
    /// D.
    difference: Matrix,
    /// M D.
    half: Option<Matrix>,
    /// `dJ/dF = slope * F`.
    slope: Matrix,
    /// The same in pairs of rows, where the set rounds.
    slope_pairs: Aligned,
    /// Squared distance of the content in each row of pixels.
    content: Vec<f64>,
}

impl Tap {
    pub fn new(shape: FeatureShape) -> Self {
        let [difference, slope] = [(); 2].map(|()| Matrix::zeros(shape.channels, shape.channels));
        let (sums, slope_pairs) = (GramSums::default(), Aligned::default());
        Tap { shape, sums, difference, half: None, slope, slope_pairs, content: vec![0.0; shape.height] }
    }

    /// Measures the terms and writes the gradient, blocked like `activations`.
    ///
    /// # Panics
    /// If a buffer's length does not fit.
    pub fn run(
        &mut self,
        machine: Machine<'_>,
        activations: &[f32],
        upstream: Upstream<'_>,
        terms: Terms<'_>,
        gradient: &mut [f32],
    ) -> Values {
        let shape = self.shape;
        assert_eq!(gradient.len(), map::len(machine.isa, shape));
        let (style, row) = self.measure(machine, activations, upstream, terms);
        let to = Part { values: Shared::new(gradient), shape, first: 0 };
        let (distances, slope) = (Shared::new(&mut self.content), (&self.slope, &self.slope_pairs));
        machine.threads.run(shape.height, &|y| {
            // SAFETY: the buffers fit the shape; row y and its distance belong to this piece alone.
            unsafe { *distances.at(y) = machine.isa.run(row.at(slope, y, to)) };
        });
        Values { style, content: self.content_value(terms) }
    }

    /// As [`Tap::run`] at the first layer, whose gradient goes on to the picture through the transposed convolution `last`
    /// while it is in the cache: `picture` is `[3][height][width]`.
    ///
    /// # Panics
    /// As [`Tap::run`].
    pub fn run_to_picture(
        &mut self,
        machine: Machine<'_>,
        activations: &[f32],
        upstream: Upstream<'_>,
        terms: Terms<'_>,
        last: &LastConv,
        picture: &mut [f32],
    ) -> Values {
        let shape = self.shape;
        assert_eq!((picture.len(), last.inputs()), (3 * shape.area(), shape.channels));
        let (style, row) = self.measure(machine, activations, upstream, terms);
        let (picture, distances) = (Shared::new(picture), Shared::new(&mut self.content));
        let slope = (&self.slope, &self.slope_pairs);
        machine.threads.run(shape.height.div_ceil(STRIP), &|piece| {
            let rows = piece * STRIP..((piece + 1) * STRIP).min(shape.height);
            // The convolution sees one row more on either side, which the neighbouring strips compute again.
            let seen = rows.start.saturating_sub(1)..(rows.end + 1).min(shape.height);
            let strip = FeatureShape { height: seen.len(), ..shape };
            let mut work = machine.scratch.take(map::len(machine.isa, strip));
            let to = Part { values: Shared::new(&mut work), shape: strip, first: seen.start };
            for y in seen.clone() {
                // SAFETY: the buffers fit their shapes; the strip's own rows and their distances belong to this piece alone.
                unsafe {
                    let distance = machine.isa.run(row.at(slope, y, to));
                    if rows.contains(&y) {
                        *distances.at(y) = distance;
                    }
                }
            }
            for y in rows {
                // SAFETY: as above; the strip holds the row's neighbours or ends where the picture does.
                unsafe { last.row(machine.isa, &work, strip, y - seen.start, picture, (shape.height, y)) }
            }
        });
        Values { style, content: self.content_value(terms) }
    }

    fn content_value(&self, terms: Terms<'_>) -> f64 {
        terms.content.map_or(0.0, |(_, factors)| f64::from(factors.scale) * self.content.iter().sum::<f64>())
    }

    /// The value of the style term, and what the gradient of a row is made of; leaves the slope in `self.slope`.
    fn measure<'a>(
        &mut self,
        machine: Machine<'_>,
        activations: &'a [f32],
        upstream: Upstream<'a>,
        terms: Terms<'a>,
    ) -> (f64, Sources<'a>) {
        let shape = self.shape;
        let fits = |map: &[f32], shape: FeatureShape| map.len() == map::len(machine.isa, shape);
        assert!(fits(activations, shape) && terms.content.is_none_or(|(target, _)| fits(target, shape)));
        assert!(match upstream {
            Upstream::None => true,
            Upstream::Full(values) => fits(values, shape),
            Upstream::Pooled(values) => fits(values, shape.halved()),
        });
        let style = terms.style.map_or(0.0, |(target, factors)| self.compare(machine, activations, target, factors));
        self.content.resize(shape.height, 0.0);
        let content = terms.content.map(|(target, factors)| (target, 2.0 * factors.scale * factors.weight));
        (style, Sources { activations, upstream, content, has_slope: terms.style.is_some(), shape })
    }

    /// The value of the style term; leaves `4 scale weight / (H W) * M D M` in `self.slope`.
    fn compare(&mut self, machine: Machine<'_>, activations: &[f32], target: StyleTarget<'_>, factors: Factors) -> f64 {
        let Tap { shape, sums, difference, half, slope, slope_pairs, .. } = self;
        sums.difference(machine, activations, *shape, target.gram, difference);
        match target.metric {
            None => slope.values_mut().copy_from_slice(difference.view().values()),
            Some(metric) => {
                let half = half.get_or_insert_with(|| Matrix::zeros(shape.channels, shape.channels));
                half.set_product(machine, metric, difference.view());
                slope.set_product(machine, half.view(), metric);
            }
        }
        let factor = 4.0 * factors.scale * factors.weight / shape.area() as f32;
        // A sum for each lane: one alone would wait for each addition.
        let mut distance = [0.0; LANES];
        let rows = slope.values_mut().chunks_exact_mut(LANES).zip(difference.view().values().chunks_exact(LANES));
        for (slope, difference) in rows {
            for lane in 0..LANES {
                distance[lane] += f64::from(slope[lane]) * f64::from(difference[lane]);
                slope[lane] *= factor;
            }
        }
        if machine.isa.rounds() {
            slope_pairs.grow(slope.view().values().len() / 2);
            // SAFETY: the kernel reads and writes inside its slices.
            unsafe { machine.isa.run(PairUp { from: slope.view().values(), to: slope_pairs }) };
        }
        f64::from(factors.scale) * distance.iter().sum::<f64>()
    }
}

#[cfg(test)]
#[path = "tap_tests.rs"]
mod tests;
