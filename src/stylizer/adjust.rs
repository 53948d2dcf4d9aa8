//! Changing a running stylizer: its style, strength, steps and size, without starting the picture over.

use ndarray::Array2;

use super::{
    Painting, Stylizer,
    canvas::Canvas,
    margin,
    studio::{Canvases, pyramid},
};
use crate::{
    cost::style,
    engine::host,
    error::Result,
    frame::Size,
    net::{session::Runtime, vgg::Vgg},
    settings::Balance,
    tensor::{self, Resampler},
};

/// What paintings are reduced to: their Grams, by level of the pyramid for one frame size, and by tap.
#[derive(Clone, Default)]
pub struct Style {
    pub(super) levels: Vec<Vec<Array2<f32>>>,
}

impl Style {
    /// Measures paintings for frames of this size. A painting is brought to the canvas's width: it hangs as wide as the
    /// frame, so that brush strokes have the same share of the picture at any size.
    pub fn measure(runtime: &Runtime, vgg: &Vgg, paintings: &[Painting], frame: Size) -> Result<Self> {
        let mut resampler = Resampler::new();
        let mut levels = Vec::new();
        for canvas in pyramid(frame) {
            let mut by_tap: Vec<Vec<(Array2<f32>, f32)>> = vgg.taps.iter().map(|_| Vec::new()).collect();
            for painting in paintings {
                let size = hung(painting.picture.size(), canvas.width, vgg.smallest_side());
                let picture = resampler.tensor(&painting.picture, size);
                let grams = host::grams(runtime, vgg, picture.view())?;
                for (tap, gram) in by_tap.iter_mut().zip(grams) {
                    tap.push((gram, painting.weight));
                }
            }
            levels.push(by_tap.iter().map(|grams| style::blend(grams)).collect());
        }
        Ok(Style { levels })
    }

    /// The style at `t` on the way from this one (0) to another (1) that was measured for the same size. Grams are means
    /// of products, so a weighted mean of two is the Gram of a picture that is partly one, partly the other.
    pub fn toward(&self, other: &Style, t: f32) -> Style {
        let mix = |(a, b): (&Array2<f32>, &Array2<f32>)| a * (1.0 - t) + b * t;
        let level = |(a, b): (&Vec<Array2<f32>>, &Vec<Array2<f32>>)| a.iter().zip(b).map(mix).collect();
        Style { levels: self.levels.iter().zip(&other.levels).map(level).collect() }
    }
}

impl Stylizer {
    /// Builds what frames of this size need now, not at the first frame.
    pub fn prepare(&mut self, size: Size) -> Result<()> {
        if self.studio.is_none() {
            self.studio = Some(self.furnish(size)?);
        }
        Ok(())
    }

    /// The style that is painted.
    pub fn style(&self) -> &Style {
        &self.style
    }

    /// Paints in another style, measured for the same frame size and network, from the next step on.
    ///
    /// # Errors
    /// [`Error::Runtime`](crate::Error::Runtime) if ONNX Runtime fails.
    ///
    /// # Panics
    /// If nothing is [prepared](Self::prepare) yet, or it was measured for another number of levels.
    pub fn set_style(&mut self, style: Style) -> Result<()> {
        assert_eq!(style.levels.len(), self.style.levels.len(), "a style measured for the frame size that is prepared");
        self.style = style;
        let mut targets: Vec<_> = (0..self.style.levels.len()).map(|level| self.targets(level)).collect();
        if let Some(studio) = &mut self.studio {
            // From the finest on: each takes its own away, and looks at those of half its size.
            for canvas in studio.canvases.all_mut().rev() {
                let own = targets.pop().expect("a level for each canvas");
                canvas.solver.set_style(own, targets.last().cloned())?;
            }
            studio.canvases.soften();
        }
        Ok(())
    }

    /// How content and style are weighed.
    pub fn balance(&self) -> Balance {
        self.settings.balance
    }

    /// Weighs content and style otherwise, within the same kind of [`Balance`].
    pub fn set_balance(&mut self, balance: Balance) {
        self.settings.balance = balance;
        let weights = self.weights();
        if let Some(studio) = &mut self.studio {
            studio.canvases.all_mut().for_each(|canvas| canvas.solver.set_weights(weights));
            studio.canvases.soften();
        }
    }

    /// Takes this many steps, every so many frames.
    pub fn set_steps(&mut self, steps: usize, every: usize) {
        (self.settings.steps, self.settings.step_every) = (steps, every);
    }

    /// Goes on with another stylizer's picture, resampled to this one's size. Both must be [prepared](Self::prepare);
    /// nothing is taken over from one that has not painted yet.
    pub fn take_over(&mut self, from: &Stylizer) -> Result<()> {
        let Some(seer) = from.observer.as_ref().filter(|observer| observer.has_begun()) else { return Ok(()) };
        let (Some(from), Some(to)) = (&from.studio, &mut self.studio) else { return Ok(()) };
        let Canvases { finest, carrier, rhythm, resampler, .. } = &mut to.canvases;
        let old = &from.canvases.finest;
        let mut frame = tensor::zeros(tensor::size_of(to.shown.view()));
        for (from, to) in [(&old.content, &mut finest.content), (&old.picture, &mut finest.picture)] {
            resampler.planes(&margin::within(from).to_owned(), &mut frame);
            margin::mirror(frame.view(), to);
        }
        finest.clamp();
        finest.solver.state().reset();
        // The motion of the next frame is looked for against the frame that was painted last.
        let content = margin::within(&finest.content).to_owned();
        let size = tensor::size_of(content.view());
        let observer = self.observer.get_or_insert_with(|| self.settings.observer(size));
        observer.restart();
        observer.expect_noise_of(seer);
        observer.observe(content.as_slice().expect("tensors here are contiguous"))?;
        carrier.begin(self.settings.first_steps);
        rhythm.resume();
        Ok(())
    }
}

impl Canvases {
    /// The coarsest first.
    fn all_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut Canvas> {
        self.coarser.iter_mut().chain([&mut self.finest])
    }

    /// Old paint changes slowly, and not in every frame; what it was painted for is no longer wanted.
    fn soften(&mut self) {
        self.rhythm.hurry();
        self.carrier.begin(0);
    }
}

/// A painting gets at most so many squares of the canvas's width: a scroll hangs smaller, with finer strokes.
const MOST_SQUARES: usize = 8;

/// A painting's size on a canvas of this width, no side under `smallest`.
pub(crate) fn hung(painting: Size, width: usize, smallest: usize) -> Size {
    let height = (painting.height * width + painting.width / 2) / painting.width;
    let room = MOST_SQUARES * width * width;
    let shrink = (room as f64 / (width * height).max(1) as f64).sqrt().min(1.0);
    let reduced = |side: usize| ((side as f64 * shrink).round() as usize).max(smallest);
    Size::new(reduced(width), reduced(height).min((room / reduced(width)).max(smallest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_painting_hangs_as_wide_as_the_frame() {
        assert_eq!(hung(Size::new(1000, 500), 320, 16), Size::new(320, 160));
        assert_eq!(hung(Size::new(1000, 5), 320, 16), Size::new(320, 16));
        // As many pixels as eight squares of 320; where the width is the least there is, what is left of them.
        assert_eq!(hung(Size::new(40, 2000), 320, 16), Size::new(128, 6400));
        assert_eq!(hung(Size::new(1, 3000), 320, 16), Size::new(17, 48188));
    }

    #[test]
    fn a_style_on_the_way_is_a_weighted_mean() {
        let style = |value: f32| Style { levels: vec![vec![Array2::from_elem((2, 2), value)]] };
        let half = style(1.0).toward(&style(3.0), 0.25);
        assert_eq!(half.levels[0][0], Array2::from_elem((2, 2), 1.5));
    }
}
