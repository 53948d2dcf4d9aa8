//! Webcams, through nokhwa.
//!
//! nokhwa waits for ever for a camera that sends nothing, so it reads on a thread of its own that is watched
//! ([`open`]). On Linux the device is set up before nokhwa opens it, which fails on formats that another program left behind;
//! and where nokhwa refuses a camera for what it is (intervals that are not 1/N s, sizes in steps, grey), V4L2 is read directly.

mod decode;
mod device;
mod mode;
#[cfg(not(target_os = "linux"))]
mod other;
mod reader;
#[cfg(target_os = "linux")]
mod stream;
#[cfg(target_os = "linux")]
mod v4l2;

use std::{fmt, time::Instant};

#[cfg(not(target_os = "linux"))]
use other as system;
#[cfg(target_os = "linux")]
use v4l2 as system;

use super::FrameSource;
use crate::{
    error::{Error, Result},
    frame::Size,
};

/// What is asked of a camera.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// A number, a part of the name in any case, or a path; None is the first camera that there is.
    pub camera: Option<String>,
    pub size: Size,
    /// Frames per second.
    pub rate: f64,
}

impl Wanted {
    /// Of any camera; by default 640x360 at 30 frames a second: what is painted is smaller still.
    ///
    /// # Errors
    /// [`Error::Setting`] for a rate that no camera has.
    pub fn new(size: Option<Size>, rate: Option<f64>) -> Result<Self> {
        let rate = rate.unwrap_or(30.0);
        if !(0.1..=1000.0).contains(&rate) {
            return Err(Error::Setting { name: "fps", expected: "between 0.1 and 1000", found: rate.to_string() });
        }
        Ok(Wanted { camera: None, size: size.unwrap_or(Size::new(640, 360)), rate })
    }
}

/// A camera and what it offers.
#[derive(Clone, Debug)]
pub struct Listing {
    pub number: usize,
    pub name: String,
    pub path: String,
    /// A line for each format and size.
    pub modes: Vec<String>,
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.number, self.name, self.path)?;
        self.modes.iter().try_for_each(|mode| write!(f, "\n    {mode}"))
    }
}

/// The cameras that there are, in the order of their numbers.
pub fn list() -> Result<Vec<Listing>> {
    system::list()
}

/// Opens a camera in the mode nearest to what is wanted. Time stamps are microseconds since this call.
///
/// The source never ends. It fails with [`Error::CameraSilent`] after a second and a half without a frame, with
/// [`Error::CameraFrame`] for a frame that cannot be decoded; the next may be fine after either. It fails with
/// [`Error::Camera`] when it is gone; then it has to be opened again. The thread that reads a silent camera ends with its next
/// frame; until then it cannot be joined, so it is left behind when the source is dropped.
///
/// # Errors
/// [`Error::Camera`] with cause and cure if it is absent, busy, may not be used, or offers no format that can be decoded.
pub fn open(wanted: &Wanted) -> Result<Box<dyn FrameSource>> {
    let epoch = Instant::now();
    Ok(Box::new(reader::Reader::open(system::choose(wanted)?, epoch)?))
}

/// Why a camera cannot be used, and what helps.
const TAKEN: &str = "another program is using it; close that one first";
const UNPLUGGED: &str = "it was unplugged";
const FORBIDDEN: &str = "you may not use it; add yourself to its group (sudo usermod -aG video $USER) and log in again";

/// Which of the cameras is meant.
fn select<'a>(cameras: &'a [Listing], wanted: Option<&str>) -> Result<&'a Listing> {
    let refuse = |camera: &str, reason: String| Error::Camera { camera: camera.to_owned(), reason };
    let Some(first) = cameras.first() else {
        let reason = "no camera was found; plug one in, or use --input FILE";
        return Err(refuse(wanted.unwrap_or("(any)"), reason.to_owned()));
    };
    let Some(wanted) = wanted else { return Ok(first) };
    let number = wanted.parse::<usize>().ok();
    let named = |camera: &&Listing| camera.name.to_lowercase().contains(&wanted.to_lowercase());
    let found = cameras.iter().find(|camera| camera.path == wanted || Some(camera.number) == number);
    found.or_else(|| cameras.iter().find(named)).ok_or_else(|| {
        let known = cameras.iter().map(|camera| format!("{} ({}, {})", camera.number, camera.name, camera.path));
        refuse(wanted, format!("there is no such camera; there are {}", known.collect::<Vec<_>>().join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cameras_go_by_number_name_and_path() {
        let camera = |number: usize, name: &str| Listing {
            number,
            name: name.into(),
            path: format!("/dev/video{number}"),
            modes: Vec::new(),
        };
        let cameras = [camera(0, "Integrated Camera"), camera(2, "HD Pro Webcam C920")];
        let chosen = |wanted| select(&cameras, wanted).map(|camera| camera.number);
        assert_eq!(chosen(None).ok(), Some(0));
        assert_eq!(chosen(Some("2")).ok(), Some(2));
        assert_eq!(chosen(Some("c920")).ok(), Some(2));
        assert_eq!(chosen(Some("/dev/video2")).ok(), Some(2));
        let message = chosen(Some("1")).expect_err("there is none").to_string();
        assert!(message.contains("2 (HD Pro Webcam C920, /dev/video2)"), "{message}");
        assert!(select(&[], None).expect_err("there is none").to_string().contains("no camera was found"));
    }
}
