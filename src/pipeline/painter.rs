//! The painting stage of a file: what was seen in, RGB8 out, and the stylizer's tensors between them.

use super::Work;
use crate::{
    error::Result,
    passes::Passes,
    stylizer::{DebugView, Stylizer},
};

/// Paints frame after frame, by a stylizer or by the last of several [`Passes`].
pub struct PaintStage {
    brush: Brush,
    /// What is shown instead of the painted picture.
    view: Option<DebugView>,
}

enum Brush {
    Once(Box<Stylizer>),
    Last(Box<Passes>),
}

impl PaintStage {
    pub fn once(stylizer: Stylizer) -> Self {
        PaintStage { brush: Brush::Once(Box::new(stylizer)), view: None }
    }

    /// The last of passes that have been [rehearsed](Passes::rehearse).
    pub fn last(passes: Passes) -> Self {
        PaintStage { brush: Brush::Last(Box::new(passes)), view: None }
    }

    /// Shows what the stylizer saw instead of what it painted.
    pub fn showing(self, view: Option<DebugView>) -> Self {
        PaintStage { view, ..self }
    }

    /// Fills `painted` and `note` from what was seen.
    ///
    /// # Errors
    /// Those of the stylizer, and of the passes' store.
    ///
    /// # Panics
    /// If the frame was not looked at.
    pub fn paint(&mut self, work: &mut Work) -> Result<()> {
        let seen = work.sight.as_ref().expect("a frame that was looked at").seen();
        let painted = match &mut self.brush {
            Brush::Once(stylizer) => stylizer.paint_seen(&seen, None)?,
            Brush::Last(passes) => passes.paint(&seen)?,
        };
        painted.to_rgb8(&mut work.painted);
        work.note = painted.losses.to_string();
        if let Some(view) = self.view {
            let stylizer = match &self.brush {
                Brush::Once(stylizer) => stylizer,
                Brush::Last(passes) => passes.stylizer(),
            };
            stylizer.draw(view, &seen, &mut work.painted);
        }
        Ok(())
    }
}
