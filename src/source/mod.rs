//! Where frames come from: [`video`] files, pictures and numbered [`images`], a webcam.

pub mod images;
pub mod picture;
#[cfg(feature = "video")]
pub mod video;
#[cfg(feature = "camera")]
pub mod webcam;

use std::path::Path;

use crate::{
    colour::Colour,
    error::{Error, Result},
    frame::{Frame, Size, TimeBase},
};

/// What is known of a source before its first frame.
#[derive(Clone, Debug)]
pub struct SourceInfo {
    /// The size at which frames are delivered and shown: rotated upright, pixels still as stored where they are not square.
    pub size: Size,
    /// The unit of every frame's `pts` and `duration`.
    pub time_base: TimeBase,
    /// Frames per second on average, where the source says.
    pub frame_rate: Option<f64>,
    /// Frames to come, exact or estimated; None for an endless source.
    pub frames: Option<u64>,
    /// Width to height of one pixel, `(1, 1)` for nearly everything.
    pub pixel_aspect: (i32, i32),
    /// What a video made of these frames should be stored as, so that the colours come back the same.
    pub colour: Colour,
    /// One line for the user: container, codec, size, rate.
    pub description: String,
}

/// What to read of a source.
#[derive(Clone, Debug, Default)]
pub struct SourceOptions {
    /// Seconds to skip at the beginning; this moment is zero in the time stamps that follow.
    pub start: Option<f64>,
    /// Seconds to read.
    pub duration: Option<f64>,
    /// Frames per second of a numbered sequence (25 if None); a video knows its own.
    pub frame_rate: Option<f64>,
}

impl SourceOptions {
    /// Checks every option against its range.
    ///
    /// # Errors
    /// [`Error::Setting`] with the name, the range and what was found.
    pub fn validate(&self) -> Result<()> {
        let given = [
            ("start", self.start, 0.0..=1e7, "a number of seconds from 0 to 1e7"),
            ("duration", self.duration, 1e-6..=1e7, "a number of seconds from 1e-6 to 1e7"),
            ("fps", self.frame_rate, 1e-3..=1e4, "between 0.001 and 10000"),
        ];
        for (name, value, range, expected) in given {
            if let Some(found) = value.filter(|value| !range.contains(value)) {
                return Err(Error::Setting { name, expected, found: format!("{found:?}") });
            }
        }
        Ok(())
    }
}

/// A stream of frames. Sources are opened by the thread that reads them and need not be `Send`.
pub trait FrameSource {
    fn info(&self) -> &SourceInfo;

    /// The next frame in presentation order; `None` is the end, `Err` is failure.
    fn next(&mut self) -> Result<Option<Frame>>;

    /// What could not be decoded so far and was skipped: one sentence for the user, None if nothing was lost.
    fn damage(&self) -> Option<String> {
        None
    }
}

/// Opens what the name stands for: a numbered sequence (`frames/%05d.png`), a picture, otherwise a video, which may be a URL
/// of any protocol that FFmpeg was built with.
///
/// # Errors
/// [`Error::Io`] if the file is missing or may not be read, [`Error::Input`] or
/// [`Error::Picture`] with the reason if it holds nothing that can be used.
pub fn open(input: &Path, options: &SourceOptions) -> Result<Box<dyn FrameSource>> {
    if !is_url(input) && (images::is_sequence(input) || images::is_picture(input)) {
        return Ok(Box::new(images::ImageSource::open(input, options)?));
    }
    #[cfg(feature = "video")]
    return Ok(Box::new(video::VideoSource::open(input, options)?));
    #[cfg(not(feature = "video"))]
    return Err(Error::Input {
        path: input.to_owned(),
        reason: "this build reads pictures only (it was made without the feature `video`)".to_owned(),
    });
}

/// Whether a name is a URL (`http://host/clip.mp4`, `rtsp://...`) and no file.
#[cfg_attr(not(feature = "video"), allow(dead_code))]
pub(crate) fn is_url(input: &Path) -> bool {
    let scheme = |(scheme, _): (&str, &str)| {
        scheme.len() > 1 && scheme.chars().all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter))
    };
    input.to_str().and_then(|text| text.split_once("://")).is_some_and(scheme)
}
