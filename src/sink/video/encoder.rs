//! From RGB8 frames to coded packets.

use std::{collections::VecDeque, path::Path};

use ffmpeg_next::{Codec, Packet, Rational, Rescale, codec, encoder, ffi, format::Pixel, frame::Video};

use super::{
    SinkOptions,
    choice::{Settings, is_rgb},
    muxer::Muxer,
};
use crate::{
    error::{Error, Result},
    ffmpeg::{
        is_again,
        scaler::{CHROMA_LEFT, Scaler, Side},
    },
    frame::{Frame, Size, TimeBase},
};

/// An open encoder with its conversion from RGB.
pub(super) struct Encoder {
    inner: encoder::video::Encoder,
    scaler: Scaler,
    size: Size,
    /// RGB24 of the coded size, padded rows.
    rgb: Video,
    picture: Video,
    /// The unit of incoming frames.
    frames: Rational,
    time_base: Rational,
    frame_rate: Option<Rational>,
    last: Option<i64>,
    /// Time stamp and duration of frames that are in the encoder: it does not carry durations itself.
    durations: VecDeque<(i64, i64)>,
    name: String,
}

impl Encoder {
    pub fn open(output: &Path, codec: Codec, settings: Settings, muxer: &Muxer, options: &SinkOptions) -> Result<Self> {
        let refuse = |reason: String| Error::Output { path: output.to_owned(), reason };
        let Settings { format, coded, colour, time_base, options: private, quality, reorder, keyframes } = settings;
        let context = codec::Context::new_with_codec(codec);
        let mut video = context.encoder().video().map_err(|error| refuse(error.to_string()))?;
        video.set_width(coded.width as u32);
        video.set_height(coded.height as u32);
        video.set_format(format);
        video.set_time_base(time_base);
        let frame_rate = options.frame_rate.map(|rate| Rational::from(TimeBase::per_frame(rate)).invert());
        video.set_frame_rate(frame_rate);
        video.set_aspect_ratio(options.pixel_aspect);
        if let Some(frames) = keyframes {
            video.set_gop(frames);
        }
        if !reorder {
            video.set_max_b_frames(0);
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from).div_ceil(4).min(16);
        video.set_threading(codec::threading::Config {
            count: threads,
            ..codec::threading::Config::kind(codec::threading::Type::Frame)
        });
        let mut flags = codec::Flags::empty();
        if muxer.container().wants_global_header() {
            flags |= codec::Flags::GLOBAL_HEADER;
        }
        if let Some(quality) = quality {
            flags |= codec::Flags::QSCALE;
            video.set_quality(quality * ffi::FF_QP2LAMBDA as usize);
        }
        // SAFETY: the context is not open yet; flags that the codec's defaults set (closed groups) are kept.
        unsafe { (*video.as_mut_ptr()).flags |= flags.bits() as std::ffi::c_int };
        let inner = video.open_as_with(codec, private).map_err(|error| {
            refuse(format!("the encoder {} does not take {} at these settings: {error}", codec.name(), options.size))
        })?;
        let rgb = Side::rgb(Pixel::RGB24, coded);
        let yuv =
            Side { format, size: coded, matrix: colour.matrix, full_range: colour.full_range, chroma: CHROMA_LEFT };
        Ok(Encoder {
            inner,
            scaler: Scaler::new(rgb, if is_rgb(format) { Side::rgb(format, coded) } else { yuv })?,
            size: options.size,
            rgb: Video::new(Pixel::RGB24, coded.width as u32, coded.height as u32),
            picture: Video::new(format, coded.width as u32, coded.height as u32),
            frames: options.time_base.into(),
            time_base,
            frame_rate,
            last: None,
            durations: VecDeque::new(),
            name: codec.name().to_owned(),
        })
    }

    pub fn context(&self) -> &codec::Context {
        self.inner.as_ref()
    }

    /// The unit of the packets' times.
    pub fn time_base(&self) -> Rational {
        self.time_base
    }

    pub fn frame_rate(&self) -> Option<Rational> {
        self.frame_rate
    }

    fn failed(&self, error: ffmpeg_next::Error) -> Error {
        Error::Ffmpeg { action: "encode the video", reason: format!("{}: {error}", self.name) }
    }

    pub fn send(&mut self, frame: &Frame) -> Result<()> {
        self.fill(frame);
        // SAFETY: a valid frame. The encoder may still hold the last one's pixels; then it gets new ones.
        let writable = unsafe { ffi::av_frame_make_writable(self.picture.as_mut_ptr()) };
        crate::ffmpeg::check(writable).map_err(|error| self.failed(error))?;
        self.scaler.run(&self.rgb, &mut self.picture)?;
        let mut pts = frame.pts.rescale(self.frames, self.time_base);
        if let Some(last) = self.last {
            // A coarser clock may bring two frames to one tick.
            pts = pts.max(last + 1);
        }
        let end = (frame.pts + frame.duration.max(1)).rescale(self.frames, self.time_base);
        self.last = Some(pts);
        self.durations.push_back((pts, (end - pts).max(1)));
        self.picture.set_pts(Some(pts));
        self.inner.send_frame(&self.picture).map_err(|error| self.failed(error))
    }

    /// Copies the frame's rows; a column or row that only the coded size has repeats its neighbour.
    fn fill(&mut self, frame: &Frame) {
        let row = 3 * self.size.width;
        let stride = self.rgb.stride(0);
        let rows = self.rgb.height() as usize;
        let padded = 3 * self.rgb.width() as usize;
        let target = self.rgb.data_mut(0);
        for y in 0..rows {
            let from = &frame.pixels()[y.min(self.size.height - 1) * row..][..row];
            let to = &mut target[y * stride..][..padded];
            to[..row].copy_from_slice(from);
            if padded > row {
                to[row..].copy_from_slice(&from[row - 3..]);
            }
        }
    }

    /// No more frames will come; the rest of the packets may be taken.
    pub fn send_end(&mut self) -> Result<()> {
        self.inner.send_eof().map_err(|error| self.failed(error))
    }

    /// The next finished packet, in decoding order; None if the encoder wants frames first, or at the end.
    pub fn packet(&mut self) -> Result<Option<Packet>> {
        let mut packet = Packet::empty();
        match self.inner.receive_packet(&mut packet) {
            Ok(()) => {
                let of = self.durations.iter().position(|&(pts, _)| Some(pts) == packet.pts());
                if let Some((_, duration)) = of.and_then(|index| self.durations.remove(index)) {
                    packet.set_duration(duration);
                }
                Ok(Some(packet))
            }
            Err(error) if is_again(error) || error == ffmpeg_next::Error::Eof => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }
}
