//! The preview: a window with the newest painted frame.

use std::sync::atomic::AtomicBool;
#[cfg(feature = "window")]
use std::{sync::atomic::Ordering, time::Duration};

use stylize::{
    Result,
    frame::{Frame, Size},
    pipeline::link::Receiver,
};
#[cfg(feature = "window")]
use stylize::{
    pipeline::link::Closed,
    sink::window::{Key, Window},
};

/// Between two looks at the window's events.
#[cfg(feature = "window")]
const TICK: Duration = Duration::from_millis(20);

#[cfg(feature = "window")]
pub struct Preview {
    window: Window,
}

#[cfg(feature = "window")]
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

/// There is none in a build without windows.
#[cfg(not(feature = "window"))]
pub enum Preview {}

#[cfg(not(feature = "window"))]
impl Preview {
    /// # Errors
    /// [`stylize::Error::Window`].
    pub fn open(_size: Size) -> Result<Self> {
        let reason = "this build has none (it was made without the feature `window`)".to_owned();
        Err(stylize::Error::Window { reason })
    }

    pub fn run(self, _inbox: &Receiver<Frame>, _stop: &AtomicBool) {
        match self {}
    }
}
