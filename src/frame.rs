//! A picture in time: RGB8 pixels, size, presentation time.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    pub width: usize,
    pub height: usize,
}

impl Size {
    pub const fn new(width: usize, height: usize) -> Self {
        Size { width, height }
    }

    /// Number of pixels.
    pub const fn area(self) -> usize {
        self.width * self.height
    }

    /// This shape with its longer side brought to `longer` pixels, each side at least one; never enlarged.
    pub fn fit_longer(self, longer: usize) -> Self {
        let longest = self.width.max(self.height).max(1);
        if longer >= longest {
            return self;
        }
        let scale = |side: usize| ((side * longer + longest / 2) / longest).max(1);
        Size { width: scale(self.width), height: scale(self.height) }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// The unit of a time stamp: `numerator / denominator` seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeBase {
    pub numerator: i32,
    pub denominator: i32,
}

impl TimeBase {
    pub const MICROSECONDS: TimeBase = TimeBase { numerator: 1, denominator: 1_000_000 };

    /// One tick a frame: exact for whole rates and for those of television (29.97 = 30000/1001), else to 1/1000 Hz.
    pub fn per_frame(rate: f64) -> Self {
        let television = (rate * 1.001).round();
        let (numerator, denominator) = if (rate - rate.round()).abs() < 1e-6 {
            (1, rate.round())
        } else if (rate - television / 1.001).abs() < 0.005 {
            (1001, 1000.0 * television)
        } else {
            (1000, (rate * 1000.0).round())
        };
        TimeBase { numerator, denominator: (denominator as i32).max(1) }
    }

    /// `ticks` in seconds.
    pub fn seconds(self, ticks: i64) -> f64 {
        ticks as f64 * f64::from(self.numerator) / f64::from(self.denominator)
    }

    /// The tick nearest to `seconds`.
    pub fn ticks(self, seconds: f64) -> i64 {
        (seconds * f64::from(self.denominator) / f64::from(self.numerator)).round() as i64
    }
}

/// One picture of a stream: RGB8, row by row from the top, no padding between rows.
///
/// The pixel buffer returns to its [`FramePool`] when the frame is dropped, so that a running pipeline allocates
/// nothing of a frame's size.
pub struct Frame {
    size: Size,
    /// Presentation time, in ticks of the source's time base.
    pub pts: i64,
    /// How long the frame is shown, in the same ticks; 0 where the source does not say.
    pub duration: i64,
    pixels: Vec<u8>,
    home: Option<Arc<Mutex<Vec<Vec<u8>>>>>,
}

impl Frame {
    /// A frame outside any pool; `pixels` holds `3 * width * height` bytes.
    ///
    /// # Panics
    /// If the buffer's length does not fit the size.
    pub fn new(size: Size, pixels: Vec<u8>, pts: i64) -> Self {
        assert_eq!(pixels.len(), 3 * size.area(), "RGB8 pixels of {size}");
        Frame { size, pts, duration: 0, pixels, home: None }
    }

    pub fn size(&self) -> Size {
        self.size
    }

    /// RGB8, `3 * width * height` bytes.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    pub fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            // A poisoned pool belongs to a pipeline that is already going down: the buffer is then simply freed.
            if let Ok(mut free) = home.lock() {
                free.push(std::mem::take(&mut self.pixels));
            }
        }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({} at {})", self.size, self.pts)
    }
}

/// Pixel buffers that are used again: as many as are in flight at once, no more.
#[derive(Clone, Default)]
pub struct FramePool {
    free: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl FramePool {
    pub fn new() -> Self {
        Self::default()
    }

    /// A frame of this size with unspecified content.
    pub fn frame(&self, size: Size, pts: i64) -> Frame {
        let recycled = self.free.lock().map(|mut free| free.pop()).unwrap_or_default();
        let mut pixels = recycled.unwrap_or_default();
        pixels.resize(3 * size.area(), 0);
        Frame { size, pts, duration: 0, pixels, home: Some(Arc::clone(&self.free)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fit_longer_keeps_the_shape_and_never_enlarges() {
        assert_eq!(Size::new(1280, 720).fit_longer(320), Size::new(320, 180));
        assert_eq!(Size::new(720, 1280).fit_longer(320), Size::new(180, 320));
        assert_eq!(Size::new(100, 50).fit_longer(320), Size::new(100, 50));
        assert_eq!(Size::new(1000, 1).fit_longer(10), Size::new(10, 1));
    }

    #[test]
    fn rates_become_exact_ticks() {
        let ticks = |rate| (TimeBase::per_frame(rate).numerator, TimeBase::per_frame(rate).denominator);
        assert_eq!(ticks(25.0), (1, 25));
        assert_eq!(ticks(30000.0 / 1001.0), (1001, 30000));
        assert_eq!(ticks(23.976), (1001, 24000));
        assert_eq!(ticks(12.5), (1000, 12500));
        assert_eq!(ticks(0.5), (1000, 500));
    }

    #[test]
    fn a_pool_gives_the_same_buffer_again() {
        let pool = FramePool::new();
        let first = pool.frame(Size::new(4, 2), 0);
        let address = first.pixels().as_ptr();
        drop(first);
        let second = pool.frame(Size::new(2, 2), 1);
        assert_eq!(second.pixels().as_ptr(), address);
        assert_eq!(second.pixels().len(), 12);
    }
}
