//! An open camera: through nokhwa, or on Linux by V4L2 itself where nokhwa refuses what the driver offers.

use std::borrow::Cow;

use nokhwa::{
    Camera, NokhwaError,
    utils::{CameraFormat, CameraIndex, RequestedFormat, RequestedFormatType, Resolution, frame_formats},
};

use super::decode::Coding;
#[cfg(target_os = "linux")]
use super::stream::Stream;
use crate::{
    error::{Error, Result},
    frame::Size,
};

/// What a camera sends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Format {
    pub coding: Coding,
    pub size: Size,
    /// Frames per second.
    pub rate: f64,
}

/// What to open.
pub(super) struct Choice {
    pub name: String,
    pub format: Format,
    pub way: Way,
}

/// How to open it.
pub(super) enum Way {
    /// The system's number of the camera; `exact` if the device is set to the format already.
    Nokhwa { index: CameraIndex, exact: bool },
    /// The path of the device, which is set to the format already.
    #[cfg(target_os = "linux")]
    V4l(String),
}

/// An open camera that sends frames. Belongs to the thread that opened it.
pub(super) enum Device {
    Nokhwa(Camera),
    #[cfg(target_os = "linux")]
    V4l(Stream),
}

impl Device {
    /// Opens the camera and starts its stream; tells the format it really has.
    ///
    /// # Errors
    /// [`Error::Camera`] with cause and cure.
    pub fn open(choice: &Choice) -> Result<(Self, Format)> {
        match &choice.way {
            Way::Nokhwa { index, exact } => {
                let (camera, format) = open_nokhwa(index, choice.format, *exact)
                    .map_err(|error| gone(&choice.name, &explain(&error.to_string())))?;
                Ok((Device::Nokhwa(camera), format))
            }
            #[cfg(target_os = "linux")]
            Way::V4l(path) => {
                let stream = Stream::open(path, &choice.name)?;
                Ok((Device::V4l(stream), choice.format))
            }
        }
    }

    /// Waits for the next frame, coded. nokhwa waits for ever.
    ///
    /// # Errors
    /// [`Error::CameraSilent`] if none came (the next may), [`Error::Camera`] if the camera is gone.
    pub fn frame(&mut self, name: &str) -> Result<Cow<'_, [u8]>> {
        match self {
            Device::Nokhwa(camera) => camera.frame_raw().map_err(|error| gone(name, &explain(&error.to_string()))),
            #[cfg(target_os = "linux")]
            Device::V4l(stream) => stream.frame(name).map(Cow::Borrowed),
        }
    }
}

fn open_nokhwa(index: &CameraIndex, wanted: Format, exact: bool) -> Result<(Camera, Format), NokhwaError> {
    let resolution = Resolution::new(wanted.size.width as u32, wanted.size.height as u32);
    let format = CameraFormat::new(resolution, wanted.coding.to_nokhwa(), wanted.rate.round().max(1.0) as u32);
    let kind = if exact { RequestedFormatType::Exact(format) } else { RequestedFormatType::Closest(format) };
    let mut camera = Camera::new(index.clone(), RequestedFormat::with_formats(kind, frame_formats()))?;
    camera.open_stream()?;
    let taken = camera.camera_format();
    let size = Size::new(taken.width() as usize, taken.height() as usize);
    let coding = Coding::from_nokhwa(taken.format());
    Ok((camera, Format { coding, size, rate: f64::from(taken.frame_rate()) }))
}

pub(super) fn gone(camera: &str, reason: &str) -> Error {
    Error::Camera { camera: camera.to_owned(), reason: reason.to_owned() }
}

/// Cause and cure, from what the system's error says: nokhwa passes it on as text.
fn explain(error: &str) -> String {
    match error {
        _ if error.contains("os error 16") => super::TAKEN.to_owned(),
        _ if error.contains("os error 13") => super::FORBIDDEN.to_owned(),
        _ if error.contains("os error 19") || error.contains("os error 6)") => super::UNPLUGGED.to_owned(),
        _ => format!("its driver failed: {error}"),
    }
}
