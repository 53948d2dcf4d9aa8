//! Video files, through FFmpeg: every container and codec it writes.

mod choice;
mod copy;
mod encoder;
mod muxer;
mod sound;

use std::path::Path;

use self::{copy::Copier, encoder::Encoder, muxer::Muxer};
use super::{FrameSink, SinkOptions, part::Part};
use crate::{
    error::{Error, Result},
    frame::Frame,
};

/// Encodes frames into a video file, and copies the input's sound, subtitles, chapters and metadata beside them. Sound whose
/// coding the container does not hold is encoded anew.
///
/// - The container follows the name; H.264 (yuv420p) unless the container asks for something else or a codec is named.
/// - Time stamps come out as they went in, as far as the container's clock allows: exact in MP4 and MOV, to the
///   millisecond in Matroska and WebM, to the frame in AVI. (Matroska has no times before zero: where sound begins
///   there, as AAC in MP4 often does by some milliseconds, everything is moved by as much.)
/// - H.264 with 4:2:0 chroma stores even sizes only. An odd one is coded with its last column or row repeated, and the
///   container states the true size; FFmpeg's decoder crops to it. (4:4:4 would be exact by itself, but hardware decoders
///   and browsers do not play it.)
/// - Copied packets are read as the video advances, so memory does not grow with length, but for what follows the last frame.
/// - If the frames end before the input's video does (the user stopped), what is copied is cut there too.
pub struct VideoSink {
    encoder: Encoder,
    copier: Option<Copier>,
    muxer: Muxer,
    warnings: Vec<String>,
    /// The end of the last frame, in ticks of the frames' time base.
    end: i64,
    written: u64,
    options: SinkOptions,
    // Last: the file must be closed before it is renamed or removed.
    part: Part,
}

impl VideoSink {
    /// # Errors
    /// [`Error::Output`] if the output exists and may not be replaced, is the input, or if its container or codec is
    /// unknown or they do not go together; [`Error::Io`] if its folder cannot be written.
    pub fn create(output: &Path, options: &SinkOptions) -> Result<Self> {
        crate::ffmpeg::silence();
        let container = muxer::container(output)?;
        let (codec, settings) = choice::choose(output, &container, options)?;
        let mut part = match options.live {
            true => Part::in_place(output, &options.reads, options.overwrite)?,
            false => Part::create(output, &options.reads, options.overwrite)?,
        };
        let mut muxer = Muxer::create(&part, container)?;
        let encoder = Encoder::open(output, codec, settings, &muxer, options)?;
        muxer.add_video(&encoder, options)?;
        let mut warnings = Vec::new();
        let copier = match &options.copy_from {
            Some(input) => Copier::open(input, options, &mut muxer, &mut warnings)?,
            None => None,
        };
        muxer.write_header(options)?;
        if options.live {
            part.stay();
        }
        Ok(VideoSink { encoder, copier, muxer, warnings, end: 0, written: 0, options: options.clone(), part })
    }

    /// Writes the packets that the encoder has ready, each after what is copied and comes before it.
    fn drain(&mut self) -> Result<()> {
        while let Some(packet) = self.encoder.packet()? {
            if let Some(copier) = &mut self.copier {
                let (time, base) = (packet.dts().or(packet.pts()).unwrap_or(0), self.encoder.time_base());
                copier.write_until(time, base, &mut self.muxer)?;
            }
            self.muxer.write_video(packet, self.encoder.time_base())?;
        }
        Ok(())
    }
}

impl FrameSink for VideoSink {
    fn write(&mut self, frame: &Frame) -> Result<()> {
        if frame.size() != self.options.size {
            return Err(Error::SizeMismatch { expected: self.options.size, found: frame.size() });
        }
        self.encoder.send(frame)?;
        self.end = frame.pts + frame.duration.max(1);
        self.written += 1;
        self.drain()
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        if self.written == 0 {
            let path = self.part.target().to_owned();
            return Err(Error::Output { path, reason: "there was no frame to write".to_owned() });
        }
        self.encoder.send_end()?;
        self.drain()?;
        if let Some(copier) = self.copier.take() {
            copier.finish(self.end, self.options.time_base.into(), &mut self.muxer)?;
        }
        self.muxer.finish()?;
        let VideoSink { muxer, part, .. } = *self;
        drop(muxer);
        part.complete()
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }
}
