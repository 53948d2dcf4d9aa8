//! From what cameras send to RGB8.

use std::fmt;

use nokhwa::utils::FrameFormat;
use zune_jpeg::{
    JpegDecoder,
    zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions},
};

use crate::frame::Size;

/// How a camera codes its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Yuyv,
    Nv12,
    Rgb,
    Bgr,
    Grey,
    Mjpg,
}

impl Coding {
    /// All of them, from the least work to the most.
    const ALL: [Coding; 6] = [Coding::Yuyv, Coding::Nv12, Coding::Rgb, Coding::Bgr, Coding::Grey, Coding::Mjpg];

    /// By V4L2's name; None if it cannot be decoded.
    pub fn from_fourcc(code: &[u8; 4]) -> Option<Self> {
        Self::ALL.into_iter().find(|coding| coding.fourcc() == code)
    }

    /// V4L2's name.
    pub fn fourcc(self) -> &'static [u8; 4] {
        match self {
            Coding::Yuyv => b"YUYV",
            Coding::Nv12 => b"NV12",
            Coding::Rgb => b"RGB3",
            Coding::Bgr => b"BGR3",
            Coding::Grey => b"GREY",
            Coding::Mjpg => b"MJPG",
        }
    }

    pub fn from_nokhwa(format: FrameFormat) -> Self {
        match format {
            FrameFormat::MJPEG => Coding::Mjpg,
            FrameFormat::YUYV => Coding::Yuyv,
            FrameFormat::NV12 => Coding::Nv12,
            FrameFormat::GRAY => Coding::Grey,
            FrameFormat::RAWRGB => Coding::Rgb,
            FrameFormat::RAWBGR => Coding::Bgr,
        }
    }

    pub fn to_nokhwa(self) -> FrameFormat {
        match self {
            Coding::Mjpg => FrameFormat::MJPEG,
            Coding::Yuyv => FrameFormat::YUYV,
            Coding::Nv12 => FrameFormat::NV12,
            Coding::Grey => FrameFormat::GRAY,
            Coding::Rgb => FrameFormat::RAWRGB,
            Coding::Bgr => FrameFormat::RAWBGR,
        }
    }

    /// The order of preference where size and rate are equal. Grey has little work and no colour.
    pub fn work(self) -> usize {
        Self::ALL.iter().position(|&coding| coding == self).unwrap_or_default()
    }

    /// Bytes of a row of the first plane; 0 for compressed frames.
    fn row(self, width: usize) -> usize {
        match self {
            Coding::Yuyv => 2 * width.next_multiple_of(2),
            Coding::Nv12 | Coding::Grey => width,
            Coding::Rgb | Coding::Bgr => 3 * width,
            Coding::Mjpg => 0,
        }
    }

    /// Decodes a frame into `out`, RGB8 of this size. Rows are not padded. What follows the frame in `bytes` is ignored:
    /// drivers round buffers up to pages (nokhwa's own decoder fails on such NV12).
    ///
    /// YCbCr is taken as BT.601 in limited range, as webcams send it; JPEG as JFIF has it.
    ///
    /// # Errors
    /// Why the frame is no good, for a message.
    pub fn decode(self, bytes: &[u8], size: Size, out: &mut [u8]) -> Result<(), String> {
        assert_eq!(out.len(), 3 * size.area(), "RGB8 of {size}");
        if self == Coding::Mjpg {
            return jpeg(bytes, size, out);
        }
        let row = self.row(size.width);
        // Pairs of chroma for two rows each, as wide as the luma, or one wider.
        let pairs = if self == Coding::Nv12 { size.width.next_multiple_of(2) } else { 0 };
        let needed = row * size.height + pairs * size.height.div_ceil(2);
        if bytes.len() < needed {
            return Err(format!("{} bytes where {self} at {size} has {needed}", bytes.len()));
        }
        let (luma, rest) = bytes.split_at(row * size.height);
        for (y, (out, row)) in out.chunks_exact_mut(3 * size.width).zip(luma.chunks_exact(row)).enumerate() {
            match self {
                Coding::Yuyv => packed(row, out),
                Coding::Nv12 => half_chroma(row, &rest[y / 2 * pairs..][..pairs], out),
                Coding::Rgb => out.copy_from_slice(row),
                Coding::Bgr => {
                    let pixels = out.chunks_exact_mut(3).zip(row.chunks_exact(3));
                    pixels.for_each(|(out, bgr)| out.copy_from_slice(&[bgr[2], bgr[1], bgr[0]]));
                }
                Coding::Grey => out.chunks_exact_mut(3).zip(row).for_each(|(out, &grey)| out.fill(grey)),
                Coding::Mjpg => unreachable!("it was decoded above"),
            }
        }
        Ok(())
    }
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Coding::Yuyv => "YUYV",
            Coding::Nv12 => "NV12",
            Coding::Rgb => "RGB",
            Coding::Bgr => "BGR",
            Coding::Grey => "grey",
            Coding::Mjpg => "MJPEG",
        })
    }
}

/// A row of pixel pairs, Y0 U Y1 V.
fn packed(row: &[u8], out: &mut [u8]) {
    for (pair, out) in row.chunks_exact(4).zip(out.chunks_mut(6)) {
        for (pixel, out) in out.chunks_exact_mut(3).enumerate() {
            out.copy_from_slice(&rgb(pair[2 * pixel], pair[1], pair[3]));
        }
    }
}

/// A row of luma, and U V for every two pixels.
fn half_chroma(row: &[u8], chroma: &[u8], out: &mut [u8]) {
    for (x, (&y, out)) in row.iter().zip(out.chunks_exact_mut(3)).enumerate() {
        out.copy_from_slice(&rgb(y, chroma[x & !1], chroma[x | 1]));
    }
}

/// BT.601, limited range, in 1/256.
fn rgb(y: u8, u: u8, v: u8) -> [u8; 3] {
    let (y, u, v) = (298 * (i32::from(y) - 16) + 128, i32::from(u) - 128, i32::from(v) - 128);
    let channels = [y + 409 * v, y - 100 * u - 208 * v, y + 516 * u];
    channels.map(|value| (value >> 8).clamp(0, 255) as u8)
}

/// Motion JPEG: frames may come without Huffman tables, which the decoder then takes from the standard.
fn jpeg(bytes: &[u8], size: Size, out: &mut [u8]) -> Result<(), String> {
    let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|error| error.to_string())?;
    let found = decoder.dimensions().map(|(width, height)| Size { width, height });
    if found != Some(size) {
        let found = found.map_or("no size".to_owned(), |size| size.to_string());
        return Err(format!("a JPEG of {found} where {size} was set"));
    }
    decoder.decode_into(out).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RED: [u8; 3] = [82, 90, 240];

    fn is_red(pixels: &[u8]) -> bool {
        pixels.chunks_exact(3).all(|pixel| pixel[0] > 250 && pixel[1] < 6 && pixel[2] < 6)
    }

    #[test]
    fn every_layout_gives_the_same_red() {
        let size = Size::new(6, 4);
        let [y, u, v] = RED;
        let all = |pattern: &[u8], times: usize| pattern.repeat(times);
        let nv12 = [all(&[y], 24), all(&[u, v], 6)].concat();
        let frames = [
            (Coding::Yuyv, all(&[y, u, y, v], 12)),
            (Coding::Nv12, nv12),
            (Coding::Rgb, all(&[255, 0, 0], 24)),
            (Coding::Bgr, all(&[0, 0, 255], 24)),
        ];
        for (coding, mut bytes) in frames {
            let mut out = vec![7; 3 * size.area()];
            coding.decode(&bytes, size, &mut out).expect("whole");
            assert!(is_red(&out), "{coding}: {out:?}");
            // Rounded up to a page, as some drivers hand it over.
            bytes.resize(4096, 99);
            coding.decode(&bytes, size, &mut out).expect("padded");
            assert!(is_red(&out), "{coding} in a page");
            assert!(coding.decode(&bytes[..20], size, &mut out).is_err(), "{coding} cut off");
        }
    }

    #[test]
    fn widths_may_be_odd() {
        let [y, u, v] = RED;
        let size = Size::new(3, 2);
        let mut out = vec![0; 3 * size.area()];
        Coding::Yuyv.decode(&[y, u, y, v, y, u, y, v].repeat(2), size, &mut out).expect("two pairs a row");
        assert!(is_red(&out));
        Coding::Nv12.decode(&[y, y, y, y, y, y, u, v, u, v], size, &mut out).expect("two pairs of chroma");
        assert!(is_red(&out));
    }

    #[test]
    fn a_jpeg_is_checked_and_decoded() {
        let size = Size::new(16, 8);
        let mut bytes = Vec::new();
        let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 95);
        let pixels = [255, 0, 0].repeat(size.area());
        image::ImageEncoder::write_image(encoder, &pixels, 16, 8, image::ExtendedColorType::Rgb8).expect("encodes");
        let mut out = vec![0; 3 * size.area()];
        Coding::Mjpg.decode(&bytes, size, &mut out).expect("whole");
        assert!(is_red(&out), "{:?}", &out[..3]);
        bytes.resize(bytes.len() + 100, 0);
        Coding::Mjpg.decode(&bytes, size, &mut out).expect("padded");
        let mut other = vec![0; 3 * 8 * 8];
        assert!(Coding::Mjpg.decode(&bytes, Size::new(8, 8), &mut other).expect_err("another size").contains("16x8"));
        assert!(Coding::Mjpg.decode(&bytes[..10], size, &mut out).is_err());
        assert!(Coding::Mjpg.decode(&[], size, &mut out).is_err());
    }
}
