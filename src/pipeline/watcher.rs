//! The watching stage of a file: RGB8 in, what was seen out. It looks ahead while the frame before is painted.

use ndarray::Array3;

use crate::{
    error::Result,
    frame::Size,
    motion::{Observer, Sight},
    settings::Settings,
    tensor,
};

/// Looks at frame after frame.
pub struct WatchStage {
    observer: Observer,
    content: Array3<f32>,
}

impl WatchStage {
    /// For frames of this size.
    pub fn new(settings: &Settings, size: Size) -> Self {
        WatchStage { observer: settings.observer(size), content: tensor::zeros(size) }
    }

    /// Keeps what it sees of the next frame, RGB8.
    ///
    /// # Errors
    /// Those of the observer.
    ///
    /// # Panics
    /// If the frame is not of the stage's size.
    pub fn watch(&mut self, frame: &[u8], sight: &mut Sight) -> Result<()> {
        tensor::from_rgb8_on(self.observer.threads(), frame, &mut self.content);
        self.observer.observe(self.content.as_slice().expect("tensors here are contiguous"))?;
        self.observer.tell(sight);
        Ok(())
    }
}
