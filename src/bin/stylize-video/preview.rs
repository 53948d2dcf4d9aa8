//! The preview: a window with the newest painted frame.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use stylize::{
    Result,
    frame::{Frame, Size},
    pipeline::link::{Closed, Receiver},
    sink::window::{Key, Window},
};

/// Between two looks at the window's events.
const TICK: Duration = Duration::from_millis(20);

pub struct Preview {
    window: Window,
}

impl Preview {
    /// # Errors
    /// [`stylize::Error::Window`] where there is no display.
    pub fn open(size: Size) -> Result<Self> {
        Ok(Preview { window: Window::open("stylize-video", size)? })
    }

    /// Shows frames until the run is over. Closing the window sets `stop`; the window stays gone.
    pub fn run(mut self, inbox: &Receiver<Frame>, stop: &AtomicBool) {
        loop {
            match inbox.receive_within(TICK) {
                Err(Closed) => return,
                Ok(Some(frame)) => self.window.show(&frame),
                Ok(None) => {}
            }
            if !self.window.update() || self.window.keys().contains(&Key::Escape) {
                stop.store(true, Ordering::Relaxed);
                return;
            }
        }
    }
}
