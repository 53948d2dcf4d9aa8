//! How the library tells what it is doing: it never prints.

use std::time::Duration;

/// Where a run stands after a frame was written.
#[derive(Clone, Copy, Debug)]
pub struct Status<'a> {
    /// Frames written so far.
    pub frames: u64,
    /// Since the first frame was written, which takes many steps, and after whatever came before it.
    pub elapsed: Duration,
    /// What the painter says of this frame, in a few words.
    pub note: &'a str,
}

/// Is told of every frame, from the thread that writes them.
pub trait Progress: Send {
    fn frame(&mut self, status: Status);
}

/// Tells nobody.
pub struct Silent;

impl Progress for Silent {
    fn frame(&mut self, _: Status) {}
}
