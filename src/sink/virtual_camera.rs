//! A virtual camera (Linux, v4l2loopback): other programs see what is painted as a webcam.

use std::{io::Write, path::Path};

use v4l::{Device, Format, FourCC, capability::Flags, video::Output};

use crate::{
    error::{Error, Result},
    frame::{Frame, Size},
};

/// An open v4l2loopback device that takes YUYV pictures of one size.
pub struct VirtualCamera {
    device: Device,
    size: Size,
    /// The size that is sent: YUYV holds pixels in pairs.
    sent: Size,
    pixels: Vec<u8>,
    name: std::path::PathBuf,
}

impl VirtualCamera {
    /// # Errors
    /// [`Error::Output`] if the device is missing, is no output, is used by another program, or takes no YUYV.
    pub fn open(path: &Path, size: Size) -> Result<Self> {
        let refuse = |reason: String| Error::Output { path: path.to_owned(), reason };
        const CURE: &str = "a v4l2loopback device is needed: sudo modprobe v4l2loopback exclusive_caps=1";
        let device = Device::with_path(path).map_err(|error| refuse(format!("{error}; {CURE}")))?;
        let capabilities = device.query_caps().map_err(|error| refuse(format!("it is no video device: {error}")))?;
        if !capabilities.capabilities.contains(Flags::VIDEO_OUTPUT) {
            return Err(refuse(format!("{} takes no video; {CURE}", capabilities.card)));
        }
        let sent = Size::new(size.width & !1, size.height);
        let wanted = Format::new(sent.width as u32, sent.height as u32, FourCC::new(b"YUYV"));
        let taken = Output::set_format(&device, &wanted).map_err(|error| match error.kind() {
            std::io::ErrorKind::ResourceBusy => refuse("another program is sending to it; end that one first".into()),
            _ => refuse(format!("it does not take YUYV at {sent}: {error}")),
        })?;
        if (taken.width, taken.height, taken.fourcc) != (wanted.width, wanted.height, wanted.fourcc) {
            let found = format!("{}x{} {}", taken.width, taken.height, taken.fourcc);
            return Err(refuse(format!(
                "it takes {found} only; end the programs that use it, or give {sent} with --size"
            )));
        }
        let pixels = vec![0; 2 * sent.area()];
        Ok(VirtualCamera { device, size, sent, pixels, name: path.to_owned() })
    }

    pub fn size(&self) -> Size {
        self.size
    }

    /// Sends a frame of the size it was opened for.
    pub fn write(&mut self, frame: &Frame) -> Result<()> {
        if frame.size() != self.size {
            return Err(Error::SizeMismatch { expected: self.size, found: frame.size() });
        }
        let rows = frame.pixels().chunks_exact(3 * self.size.width);
        for (row, out) in rows.zip(self.pixels.chunks_exact_mut(2 * self.sent.width)) {
            yuyv(row, out);
        }
        self.device.write_all(&self.pixels).map_err(Error::io("send a frame to", &self.name))
    }
}

/// RGB8 to YUYV, BT.601, limited range, as webcams have it. Two pixels share their mean chroma.
fn yuyv(rgb: &[u8], out: &mut [u8]) {
    for (pair, out) in rgb.chunks_exact(6).zip(out.chunks_exact_mut(4)) {
        let value = |i: usize| i32::from(pair[i]);
        let luma = |i: usize| (66 * value(i) + 129 * value(i + 1) + 25 * value(i + 2) + 128) >> 8;
        let [r, g, b] = [value(0) + value(3), value(1) + value(4), value(2) + value(5)];
        out[0] = (luma(0) + 16) as u8;
        out[1] = (((-38 * r - 74 * g + 112 * b + 256) >> 9) + 128) as u8;
        out[2] = (luma(3) + 16) as u8;
        out[3] = (((112 * r - 94 * g - 18 * b + 256) >> 9) + 128) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_colours() {
        let convert = |rgb: [u8; 3]| {
            let mut out = [0; 4];
            yuyv(&[rgb, rgb].concat(), &mut out);
            out
        };
        assert_eq!(convert([0, 0, 0]), [16, 128, 16, 128]);
        assert_eq!(convert([255, 255, 255]), [235, 128, 235, 128]);
        // BT.601: red is Y 81, Cb 90, Cr 240.
        let red = convert([255, 0, 0]);
        assert!(red.iter().zip([82, 90, 82, 240]).all(|(&a, b): (&u8, i32)| (i32::from(a) - b).abs() <= 1), "{red:?}");
    }
}
