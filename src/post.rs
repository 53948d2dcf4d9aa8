//! From the small painted picture to the full-size output.
//!
//! `output = up(x) + keep * (frame - up(c))`: x is the painted picture and c the frame as it was optimized, both small. The
//! second term is what the enlarging lost. All of it (keep = 1, so frame + up(x - c)) gives crisp edges, and the photo's
//! pores and leaves too, which no painter would paint. So it is cored: faint detail goes, strong edges stay.

use crate::{
    frame::{Frame, Size},
    tensor::{Filter, Resampler},
};

/// Detail of this amplitude (of 255) is kept by half at `detail` 0.5.
const HALF_KEPT: f64 = 24.0;

/// Composes full-size frames, keeping its buffers.
pub struct Compositor {
    resampler: Resampler,
    painted: Vec<u8>,
    smooth: Vec<u8>,
    /// By the luma amplitude of the detail, 0..=255: how much of it is kept, in 1/256.
    keep: [i32; 256],
}

impl Compositor {
    /// `detail` as in [`crate::settings::Settings::detail`].
    pub fn new(detail: f64) -> Self {
        let half = HALF_KEPT * (1.0 / detail.max(1e-6) - 1.0);
        let keep = std::array::from_fn(|amplitude| {
            let energy = (amplitude as f64).powi(2);
            let share = if half == 0.0 { 1.0 } else { energy / (energy + half * half) };
            (256.0 * share).round() as i32
        });
        Compositor { resampler: Resampler::new(), painted: Vec::new(), smooth: Vec::new(), keep }
    }

    /// `frame` is overwritten with the output. `painted` and `content` are RGB8 of size `small`.
    pub fn compose(&mut self, frame: &mut Frame, painted: &[u8], content: &[u8], small: Size) {
        let size = frame.size();
        if size == small {
            frame.pixels_mut().copy_from_slice(painted);
            return;
        }
        self.painted.resize(3 * size.area(), 0);
        self.smooth.resize(3 * size.area(), 0);
        self.resampler.resample(painted, small, &mut self.painted, size, Filter::Cubic);
        self.resampler.resample(content, small, &mut self.smooth, size, Filter::Cubic);
        let sources = self.painted.chunks_exact(3).zip(self.smooth.chunks_exact(3));
        for (pixel, (painted, smooth)) in frame.pixels_mut().chunks_exact_mut(3).zip(sources) {
            let detail: [i32; 3] = std::array::from_fn(|c| i32::from(pixel[c]) - i32::from(smooth[c]));
            // BT.601 luma in 1/256.
            let amplitude = (77 * detail[0] + 150 * detail[1] + 29 * detail[2]).unsigned_abs() >> 8;
            let keep = self.keep[amplitude.min(255) as usize];
            for c in 0..3 {
                pixel[c] = (i32::from(painted[c]) + ((detail[c] * keep) >> 8)).clamp(0, 255) as u8;
            }
        }
    }
}
