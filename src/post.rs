//! From the small painted picture to the full-size output.
//!
//! `output = up(x) + keep * (frame - up(c))`: x is the painted picture and c the frame as it was optimized, both small. The
//! second term is what the enlarging lost. All of it (keep = 1, so frame + up(x - c)) gives crisp edges, and the photo's
//! pores and leaves too, which no painter would paint. So it is cored: faint detail goes, strong edges stay.

use crate::{
    dispatch::wide,
    frame::{Frame, Size},
    tensor::{Filter, Resampler},
};

/// Detail of this amplitude (of 255) is kept by half at `detail` 0.5.
const HALF_KEPT: f64 = 24.0;

/// Composes full-size frames, keeping its buffers.
pub struct Compositor {
    /// Whether the output has the frame's own colours, and the paint's brightness.
    pub keep_colours: bool,
    /// The frame, for its colours.
    original: Vec<u8>,
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
        let [painted, smooth, original] = [const { Vec::new() }; 3];
        Compositor { keep_colours: false, original, resampler: Resampler::new(), painted, smooth, keep }
    }

    /// `frame` is overwritten with the output. `painted` and `content` are RGB8 of size `small`.
    pub fn compose(&mut self, frame: &mut Frame, painted: &[u8], content: &[u8], small: Size) {
        if self.keep_colours {
            self.original.clear();
            self.original.extend_from_slice(frame.pixels());
        }
        self.paint(frame, painted, content, small);
        if self.keep_colours {
            recolour(&self.original, frame.pixels_mut());
        }
    }

    fn paint(&mut self, frame: &mut Frame, painted: &[u8], content: &[u8], small: Size) {
        let size = frame.size();
        if size == small {
            frame.pixels_mut().copy_from_slice(painted);
            return;
        }
        self.painted.resize(3 * size.area(), 0);
        self.smooth.resize(3 * size.area(), 0);
        self.resampler.resample(painted, small, &mut self.painted, size, Filter::Cubic);
        self.resampler.resample(content, small, &mut self.smooth, size, Filter::Cubic);
        blend(frame.pixels_mut(), &self.painted, &self.smooth, &self.keep);
    }
}

/// Pixels that are blended together: what is the same for all channels is looked up between two passes over all values.
const TOGETHER: usize = 64;

wide! {
    /// `frame = painted + keep[|luma(frame - smooth)|] / 256 * (frame - smooth)`, pixel by pixel; all RGB8, of one size.
    fn blend(frame: &mut [u8], painted: &[u8], smooth: &[u8], keep: &[i32; 256]) {
        let (mut details, mut shares) = ([0i32; 3 * TOGETHER], [0i32; 3 * TOGETHER]);
        let sources = painted.chunks(3 * TOGETHER).zip(smooth.chunks(3 * TOGETHER));
        for (frame, (painted, smooth)) in frame.chunks_mut(3 * TOGETHER).zip(sources) {
            for ((detail, frame), smooth) in details.iter_mut().zip(&*frame).zip(smooth) {
                *detail = i32::from(*frame) - i32::from(*smooth);
            }
            for (detail, share) in details.chunks_exact(3).zip(shares.chunks_exact_mut(3)) {
                // BT.601 luma in 1/256.
                let amplitude = (77 * detail[0] + 150 * detail[1] + 29 * detail[2]).unsigned_abs() >> 8;
                share.fill(keep[amplitude.min(255) as usize]);
            }
            let parts = details.iter().zip(&shares).zip(painted);
            for (value, ((detail, share), painted)) in frame.iter_mut().zip(parts) {
                *value = (i32::from(*painted) + ((detail * share) >> 8)).clamp(0, 255) as u8;
            }
        }
    }
}

wide! {
    /// Gives the painted picture the colours of the frame and leaves it its brightness: luma is shifted, chroma is the frame's
    /// (Gatys et al., "Preserving Color in Neural Artistic Style Transfer", 2016, luminance-only transfer; here after painting).
    fn recolour(frame: &[u8], painted: &mut [u8]) {
        for (out, frame) in painted.chunks_exact_mut(3).zip(frame.chunks_exact(3)) {
            // BT.601 luma in 1/256.
            let luma = |rgb: &[u8]| 77 * i32::from(rgb[0]) + 150 * i32::from(rgb[1]) + 29 * i32::from(rgb[2]);
            let shift = (luma(out) - luma(frame)) / 256;
            for (out, &frame) in out.iter_mut().zip(frame) {
                *out = (i32::from(frame) + shift).clamp(0, 255) as u8;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dark frame with one brighter line, painted gray.
    fn composed(detail: f64) -> Frame {
        let (size, small) = (Size::new(32, 24), Size::new(8, 6));
        let pixels: Vec<u8> = (0..3 * size.area()).map(|i| if i / 3 % 32 == 16 { 60 } else { 20 }).collect();
        let mut content = vec![0; 3 * small.area()];
        Resampler::new().resample(&pixels, size, &mut content, small, Filter::Area);
        let mut frame = Frame::new(size, pixels, 0);
        Compositor::new(detail).compose(&mut frame, &vec![100; 3 * small.area()], &content, small);
        frame
    }

    #[test]
    fn detail_comes_back_as_asked() {
        let line = |frame: &Frame| (i32::from(frame.pixels()[3 * 16]), i32::from(frame.pixels()[3 * 14]));
        let (none, some, all) = (line(&composed(0.0)), line(&composed(0.5)), line(&composed(1.0)));
        assert_eq!(none, (100, 100), "the enlarged paint alone");
        assert!(all.0 > 115 && all.1 <= 100, "the line and its dark neighbours: {all:?}");
        assert!(some.0 > 100 && some.0 < all.0, "an edge stays, weaker: {some:?} {all:?}");
    }

    #[test]
    fn kept_colours_have_the_paint_s_brightness() {
        let luma = |rgb: &[u8]| 0.299 * f32::from(rgb[0]) + 0.587 * f32::from(rgb[1]) + 0.114 * f32::from(rgb[2]);
        let (size, small) = (Size::new(32, 24), Size::new(8, 6));
        let mut compositor = Compositor::new(0.5);
        compositor.keep_colours = true;
        for small in [size, small] {
            let mut frame = Frame::new(size, [100, 50, 50].repeat(size.area()), 0);
            let (painted, content) = ([80, 120, 90].repeat(small.area()), [100, 50, 50].repeat(small.area()));
            compositor.compose(&mut frame, &painted, &content, small);
            for pixel in frame.pixels().chunks_exact(3) {
                assert!((luma(pixel) - luma(&[80, 120, 90])).abs() < 1.5, "{pixel:?}");
                assert_eq!((pixel[0] - pixel[1], pixel[1] - pixel[2]), (50, 0));
            }
        }
    }

    #[test]
    fn a_frame_of_the_working_size_is_the_paint() {
        let size = Size::new(4, 4);
        let mut frame = Frame::new(size, vec![7; 48], 0);
        let painted: Vec<u8> = (0..48).collect();
        Compositor::new(1.0).compose(&mut frame, &painted, &[7; 48], size);
        assert_eq!(frame.pixels(), painted);
    }
}
