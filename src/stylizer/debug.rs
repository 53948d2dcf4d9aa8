//! What the stylizer saw, as pictures of the working size.

use super::{Stylizer, margin, studio::Studio};
use crate::motion::{Seen, view};

/// What is shown instead of the painted picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DebugView {
    /// Where each pixel's paint was fetched from, as colours (see [`view::flow`]).
    Flow,
    /// How far the motion is believed, white fully.
    Reliability,
    /// The painted difference between picture and frame around a middle grey, at half its contrast.
    Difference,
}

impl Stylizer {
    /// Draws what was `seen` at the frame that was painted last: RGB8 of its size. At a first frame, and one after a cut, there
    /// is no motion (white) and nothing to believe (black).
    ///
    /// # Panics
    /// If no frame was painted yet, or `pixels` are not RGB8 of its size.
    pub fn draw(&self, what: DebugView, seen: &Seen, pixels: &mut [u8]) {
        let Studio { canvases, shown, .. } = self.studio.as_ref().expect("a frame was painted");
        match what {
            DebugView::Flow if seen.cut => pixels.fill(255),
            DebugView::Flow => view::flow(seen.backward, pixels),
            DebugView::Reliability if seen.cut => pixels.fill(0),
            DebugView::Reliability => view::plane(seen.mask, pixels),
            DebugView::Difference => {
                let area = shown.len() / 3;
                assert_eq!(pixels.len(), 3 * area, "RGB8 of the working size");
                let planes = shown.iter().zip(margin::within(&canvases.finest.content));
                for (i, (x, c)) in planes.enumerate() {
                    // `as` saturates.
                    pixels[i % area * 3 + i / area] = (127.5 + 127.5 * (x - c)).round() as u8;
                }
            }
        }
    }
}
