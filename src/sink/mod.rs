//! Where frames go: a [`video`] file, pictures and numbered [`images`], a window, a virtual camera.

pub mod images;
mod part;
#[cfg(feature = "window")]
pub mod text;
#[cfg(feature = "video")]
pub mod video;
#[cfg(all(feature = "camera", target_os = "linux"))]
pub mod virtual_camera;
#[cfg(feature = "window")]
pub mod window;

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use crate::{
    colour::Colour,
    error::{Error, Result},
    frame::{Frame, Size, TimeBase},
    reads,
    source::{self, SourceInfo, SourceOptions},
};

/// How to write frames.
#[derive(Clone, Debug)]
pub struct SinkOptions {
    /// Size of every frame that will come.
    pub size: Size,
    /// The unit of every frame's `pts` and `duration`.
    pub time_base: TimeBase,
    /// Frames per second on average, if known.
    pub frame_rate: Option<f64>,
    /// Frames to come, if known: a single picture takes no more than one.
    pub frames: Option<u64>,
    /// Width to height of one pixel.
    pub pixel_aspect: (i32, i32),
    /// Matrix, range, primaries and transfer that the file is written in.
    pub colour: Colour,
    /// FFmpeg's name of an encoder (`libx265`) or of a coding (`hevc`); None for the container's usual one.
    pub codec: Option<String>,
    /// Quality for encoders with a constant rate factor: lower is better and larger.
    pub crf: Option<u8>,
    /// Files that the run reads ([`reads::files`]): the output must not be, or replace, any of them.
    pub reads: Vec<PathBuf>,
    /// The file whose sound, subtitles, chapters and metadata are copied, packet by packet.
    pub copy_from: Option<PathBuf>,
    /// The part of `copy_from` that the frames are from, as it was given to the source.
    pub start: Option<f64>,
    pub duration: Option<f64>,
    /// Replace an existing output. Until the new one is complete the old one stays.
    pub overwrite: bool,
    /// A recording of something that happens once: encoded fast, in pieces of two seconds that are whole on disk, written
    /// under its final name from the start. If the program is killed, what was recorded plays.
    pub live: bool,
}

impl SinkOptions {
    /// To write frames of a source as they are, without copying anything else.
    pub fn new(info: &SourceInfo) -> Self {
        SinkOptions {
            frame_rate: info.frame_rate,
            frames: info.frames,
            pixel_aspect: info.pixel_aspect,
            colour: info.colour,
            ..Self::srgb(info.size, info.time_base)
        }
    }

    /// To write sRGB frames of this size, any number of them at any rate.
    pub fn srgb(size: Size, time_base: TimeBase) -> Self {
        SinkOptions {
            size,
            time_base,
            frame_rate: None,
            frames: None,
            pixel_aspect: (1, 1),
            colour: Colour::srgb(size),
            codec: None,
            crf: None,
            reads: Vec::new(),
            copy_from: None,
            start: None,
            duration: None,
            overwrite: false,
            live: false,
        }
    }

    /// Copies sound, subtitles, chapters and metadata of the file that the frames are from, cut as the frames were.
    pub fn with_streams_of(mut self, input: &Path, options: &SourceOptions) -> Self {
        self.copy_from = Some(input.to_owned());
        self.reads.extend(reads::files(input));
        self.start = options.start;
        self.duration = options.duration;
        self
    }
}

/// Takes frames in order. Sinks are opened by the thread that writes them and need not be `Send`.
pub trait FrameSink {
    fn write(&mut self, frame: &Frame) -> Result<()>;

    /// Writes what is still held back (delayed packets, a trailer) and puts the result under its final name.
    /// A sink that is dropped without `finish` leaves nothing behind under the final name, but the pictures of a sequence and
    /// what was recorded live.
    fn finish(self: Box<Self>) -> Result<()>;

    /// What of the input could not be carried over, one sentence each: a sound track that the container cannot hold.
    fn warnings(&self) -> &[String] {
        &[]
    }
}

/// Creates what the name stands for: a numbered sequence (`frames/%05d.png`), a picture, otherwise a video.
///
/// # Errors
/// [`Error::Output`] with the reason if the output cannot be made as asked: it exists, it is the
/// input, its container is unknown or cannot hold the video; [`Error::Io`] if its folder is missing or
/// cannot be written.
pub fn create(output: &Path, options: &SinkOptions) -> Result<Box<dyn FrameSink>> {
    if source::images::is_sequence(output) || source::images::is_picture(output) {
        return Ok(Box::new(images::ImageSink::create(output, options)?));
    }
    #[cfg(feature = "video")]
    return Ok(Box::new(video::VideoSink::create(output, options)?));
    #[cfg(not(feature = "video"))]
    return Err(Error::Output {
        path: output.to_owned(),
        reason: "this build writes pictures only (it was made without the feature `video`)".to_owned(),
    });
}

/// A file that lines are written to as they come, and that stays whatever comes of the run. Until the first line nothing is
/// replaced.
pub struct Lines {
    file: File,
    /// Not in its place yet; none for a terminal, a pipe, or what standard output goes to: there is nothing to replace.
    part: Option<part::Part>,
}

impl Lines {
    /// `reads` as in [`SinkOptions`].
    ///
    /// # Errors
    /// As of [`create`].
    pub fn create(output: &Path, reads: &[PathBuf], overwrite: bool) -> Result<Self> {
        let is_stream = std::fs::metadata(output).is_ok_and(|file| !file.is_file() && !file.is_dir());
        let is_standard = ["/dev/stdout", "/dev/stderr", "/dev/fd"].iter().any(|name| output.starts_with(name));
        if is_stream || is_standard {
            reads::expect_unread(output, reads)?;
            let file = File::options().append(true).open(output).map_err(Error::io("write", output))?;
            return Ok(Lines { file, part: None });
        }
        let part = part::Part::create(output, reads, overwrite)?;
        let file = File::create(part.path()).map_err(Error::io("write", output))?;
        Ok(Lines { file, part: Some(part) })
    }

    /// Writes one.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&mut self, line: &str) -> Result<()> {
        if let Some(part) = self.part.take() {
            part.complete()?;
        }
        writeln!(self.file, "{line}").map_err(Error::io("write", "the lines asked for"))
    }
}
