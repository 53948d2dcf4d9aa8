//! What frames of one size are painted with: canvases of that size and smaller ones, each measured against
//! the paintings.

use std::sync::Arc;

use ndarray::{Array2, Array3};

use super::{
    Style, Stylizer,
    canvas::{Canvas, Partly, Solver},
    margin::{self, Surroundings},
    rhythm::{FEW, Rhythm},
};
use crate::{
    cost::style::StyleTarget,
    engine::{Units, Weights},
    error::Result,
    frame::Size,
    net::vgg::Tap,
    settings::{Balance, Settings},
    tensor::{self, Resampler},
    threads::{self, Parallel, Workers},
    warm_start::{Carrier, LongTerm},
};

/// No level of the pyramid has a shorter side than this many pixels.
const COARSEST: usize = 64;
/// Where the canvas's longer side, margin included, has more pixels than this, few steps in full are taken on half of the picture.
pub(crate) const LARGE: usize = 520;
/// Levels of the first frame's pyramid, each half as large as the one after it.
const LEVELS: usize = 3;

/// All that is made for frames of one size.
pub(super) struct Studio {
    pub surroundings: Surroundings,
    pub canvases: Canvases,
    /// The picture without its margin.
    pub shown: Array3<f32>,
    /// Share what is done pixel by pixel.
    pub threads: Arc<dyn Parallel>,
}

/// Where pictures are painted, and what goes from frame to frame.
pub(super) struct Canvases {
    /// For first frames, the coarsest first.
    pub coarser: Vec<Canvas>,
    /// The one that every frame is painted on.
    pub finest: Canvas,
    pub carrier: Carrier,
    pub rhythm: Rhythm,
    /// What an earlier pass painted, with a margin.
    pub earlier: Array3<f32>,
    pub resampler: Resampler,
}

impl Stylizer {
    /// Makes the studio for frames of this size, and measures the paintings for it.
    pub(super) fn furnish(&mut self, size: Size) -> Result<Studio> {
        let Settings { flow, reliability, fresh_detail, long_term, .. } = self.settings;
        let pace = self.settings.pace_for(&self.vgg);
        self.style = Style::measure(&self.runtime, &self.vgg, &self.paintings, size)?;
        let sizes = pyramid(size);
        let coarser = (0..sizes.len() - 1).map(|level| self.canvas(&sizes, level)).collect::<Result<_>>()?;
        let canvas = margin::around(size);
        let threads: Arc<dyn Parallel> = Arc::new(Workers::new("carry", threads::for_pictures(flow.threads)));
        let long_term = long_term.then(|| LongTerm::new(canvas, flow, reliability));
        let canvases = Canvases {
            coarser,
            finest: self.canvas(&sizes, sizes.len() - 1)?,
            carrier: Carrier::new(canvas, pace, fresh_detail, long_term, Arc::clone(&threads)),
            rhythm: Rhythm::new(),
            earlier: tensor::zeros(canvas),
            resampler: Resampler::new(),
        };
        Ok(Studio {
            surroundings: Surroundings::new(size, Arc::clone(&threads)),
            canvases,
            shown: tensor::zeros(size),
            threads,
        })
    }

    /// The canvas of a level of the pyramid.
    fn canvas(&self, sizes: &[Size], level: usize) -> Result<Canvas> {
        let units = match self.settings.balance {
            Balance::Strength(_) => Units::Relative,
            Balance::Course { .. } => Units::Course,
        };
        let size = margin::around(sizes[level]);
        let partly = if level + 1 == sizes.len() { self.partly(size, sizes.len()) } else { Partly::Never };
        let mut solver = Solver::new(&self.engines, size, units, &self.settings, partly)?;
        solver.set_style(self.targets(level), level.checked_sub(1).map(|half| self.targets(half)))?;
        solver.set_weights(self.weights());
        Ok(Canvas::new(solver, size))
    }

    /// Which steps on the finest canvas, of this size and with so many levels, may be down a part of the objective.
    fn partly(&self, size: Size, levels: usize) -> Partly {
        let large = size.width.max(size.height) > LARGE && levels > 1;
        if large && self.settings.steps <= FEW { Partly::Reduced } else { Partly::Shallow }
    }

    pub(super) fn weights(&self) -> Weights {
        let (content, style) = match self.settings.balance {
            Balance::Strength(strength) => (1.0, Balance::style_weight(strength)),
            Balance::Course { content, style } => (content, style),
        };
        Weights { content, style, tv: self.settings.tv_for(&self.vgg) }
    }

    /// The paintings' Grams at a level of the pyramid, as targets.
    pub(super) fn targets(&self, level: usize) -> Vec<StyleTarget> {
        let target = |(gram, tap): (&Array2<f32>, &Tap)| match self.settings.balance {
            Balance::Strength(_) => StyleTarget::relative(gram.clone(), tap.head.as_ref()),
            Balance::Course { .. } => StyleTarget::course(gram.clone(), tap.head.as_ref()),
        };
        self.style.levels[level].iter().zip(&self.vgg.taps).map(target).collect()
    }
}

/// The sizes of the frame in the pyramid, from coarse to fine.
pub(super) fn pyramid(size: Size) -> Vec<Size> {
    let level = |halvings: usize| Size::new(size.width >> halvings, size.height >> halvings);
    let fits = |size: &Size| size.width.min(size.height) >= COARSEST;
    let mut sizes: Vec<Size> = (1..LEVELS).map(level).take_while(fits).collect();
    sizes.reverse();
    sizes.push(size);
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pyramid_ends_at_the_full_size_and_stays_large_enough() {
        let size = Size::new;
        assert_eq!(pyramid(size(320, 180)), [size(160, 90), size(320, 180)]);
        assert_eq!(pyramid(size(640, 361)), [size(160, 90), size(320, 180), size(640, 361)]);
        assert_eq!(pyramid(size(40, 33)), [size(40, 33)]);
    }
}
