//! The painting stage of a file: RGB8 in, RGB8 out, and the stylizer's tensors between them.

use ndarray::Array3;

use super::Work;
use crate::{
    error::Result,
    frame::Size,
    passes::Passes,
    stylizer::{DebugView, Stylizer},
    tensor,
};

/// Paints frame after frame, by a stylizer or by the last of several [`Passes`].
pub struct PaintStage {
    brush: Brush,
    /// What is shown instead of the painted picture.
    view: Option<DebugView>,
    content: Array3<f32>,
}

enum Brush {
    Once(Box<Stylizer>),
    Last(Box<Passes>),
}

impl PaintStage {
    /// For frames of this size.
    pub fn once(stylizer: Stylizer, size: Size) -> Self {
        PaintStage { brush: Brush::Once(Box::new(stylizer)), view: None, content: tensor::zeros(size) }
    }

    /// The last of passes that have been [rehearsed](Passes::rehearse), for frames of this size.
    pub fn last(passes: Passes, size: Size) -> Self {
        PaintStage { brush: Brush::Last(Box::new(passes)), view: None, content: tensor::zeros(size) }
    }

    /// Shows what the stylizer saw instead of what it painted.
    pub fn showing(self, view: Option<DebugView>) -> Self {
        PaintStage { view, ..self }
    }

    /// Fills `painted` and `note` from `content`.
    ///
    /// # Errors
    /// Those of the stylizer, and of the passes' store.
    ///
    /// # Panics
    /// If the work is not of the stage's size.
    pub fn paint(&mut self, work: &mut Work) -> Result<()> {
        tensor::from_rgb8(&work.content, &mut self.content);
        let painted = match &mut self.brush {
            Brush::Once(stylizer) => stylizer.paint(self.content.view())?,
            Brush::Last(passes) => passes.paint(self.content.view())?,
        };
        tensor::to_rgb8(painted.picture, &mut work.painted);
        work.note = painted.losses.to_string();
        if let Some(view) = self.view {
            let stylizer = match &self.brush {
                Brush::Once(stylizer) => stylizer,
                Brush::Last(passes) => passes.stylizer(),
            };
            stylizer.draw(view, &mut work.painted);
        }
        Ok(())
    }
}
