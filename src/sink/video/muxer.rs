//! The container being written.

use std::{
    ffi::{CStr, CString},
    path::{Path, PathBuf},
    ptr,
};

use ffmpeg_next::{Dictionary, Packet, Rational, codec, ffi, format::context::Output, media};

use super::{super::part::Part, SinkOptions, encoder::Encoder};
use crate::{
    error::{Error, Result},
    ffmpeg::{check, url, write_error},
};

/// A kind of container, by the output's name.
#[derive(Clone, Copy)]
pub(super) struct Container {
    format: *const ffi::AVOutputFormat,
}

/// The container that goes by the name's extension.
pub(super) fn container(output: &Path) -> Result<Container> {
    let refuse = |reason: String| Error::Output { path: output.to_owned(), reason };
    const KNOWN: &str = "use .mp4, .mov, .mkv, .webm, .avi or .gif (or .png, .jpg, %05d.png for pictures)";
    let Some(extension) = output.extension().map(|extension| extension.to_string_lossy().into_owned()) else {
        return Err(refuse(format!("its name has no extension that says which format it should have; {KNOWN}")));
    };
    let name = CString::new(format!("output.{extension}")).unwrap_or_default();
    // SAFETY: a valid string; the answer is null or a static description.
    let format = unsafe { ffi::av_guess_format(ptr::null(), name.as_ptr(), ptr::null()) };
    if format.is_null() {
        return Err(refuse(format!("FFmpeg writes no format with the extension .{extension}; {KNOWN}")));
    }
    let container = Container { format };
    // SAFETY: checked above.
    let (video, flags) = unsafe { ((*format).video_codec, (*format).flags) };
    if video == ffi::AVCodecID::AV_CODEC_ID_NONE || flags & ffi::AVFMT_NOFILE != 0 {
        return Err(refuse(format!("the format {} holds no video; {KNOWN}", container.name())));
    }
    Ok(container)
}

/// Sound that MPEG transport streams have a type for.
const IN_BROADCASTS: [codec::Id; 9] = [
    codec::Id::MP1,
    codec::Id::MP2,
    codec::Id::MP3,
    codec::Id::AAC,
    codec::Id::AC3,
    codec::Id::EAC3,
    codec::Id::DTS,
    codec::Id::TRUEHD,
    codec::Id::OPUS,
];

/// Sound of MPEG program streams.
const ON_DISCS: [codec::Id; 5] = [codec::Id::MP1, codec::Id::MP2, codec::Id::MP3, codec::Id::AC3, codec::Id::DTS];
/// Sound that FFmpeg writes into Ogg.
const IN_OGG: [codec::Id; 4] = [codec::Id::VORBIS, codec::Id::OPUS, codec::Id::FLAC, codec::Id::SPEEX];

impl Container {
    /// FFmpeg's short name: `mp4`, `matroska`.
    pub fn name(&self) -> &str {
        // SAFETY: a static description with a static name.
        unsafe { CStr::from_ptr((*self.format).name) }.to_str().unwrap_or_default()
    }

    /// What it usually holds.
    pub fn usual_video(&self) -> codec::Id {
        // SAFETY: a static description.
        unsafe { (*self.format).video_codec }.into()
    }

    /// Whether it can hold a coding; None if FFmpeg does not know.
    pub fn holds(&self, id: codec::Id) -> Option<bool> {
        match self.name() {
            // FFmpeg says yes, and refuses them when the header is written.
            "mov" if matches!(id, codec::Id::FLAC | codec::Id::OPUS) => return Some(false),
            // FFmpeg does not say, and writes what it does not know as data that nothing plays.
            "mpegts" if id.medium() == media::Type::Audio => return Some(IN_BROADCASTS.contains(&id)),
            "ogg" | "ogv" if id.medium() == media::Type::Audio => return Some(IN_OGG.contains(&id)),
            "mpeg" | "vob" | "svcd" | "dvd" if id.medium() == media::Type::Audio => {
                return Some(ON_DISCS.contains(&id));
            }
            _ => (),
        }
        // SAFETY: a static description.
        match unsafe { ffi::avformat_query_codec(self.format, id.into(), ffi::FF_COMPLIANCE_NORMAL as _) } {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// The coding of sound that it was made for; [`codec::Id::None`] where it was made for none.
    pub fn usual_sound(&self) -> codec::Id {
        // SAFETY: a static description.
        unsafe { (*self.format).audio_codec }.into()
    }

    fn flags(&self) -> i32 {
        // SAFETY: a static description.
        unsafe { (*self.format).flags }
    }

    /// Whether codec headers go to the container's beginning instead of every keyframe.
    pub fn wants_global_header(&self) -> bool {
        self.flags() & ffi::AVFMT_GLOBALHEADER != 0
    }

    /// Whether every frame lasts equally long, with no time stamps written (AVI).
    pub fn is_constant_rate(&self) -> bool {
        self.name() == "avi"
    }

    /// Whether packets of one stream may have equal decoding times.
    pub fn allows_equal_times(&self) -> bool {
        self.flags() & ffi::AVFMT_TS_NONSTRICT != 0
    }

    fn is_quicktime(&self) -> bool {
        matches!(self.name(), "mp4" | "mov" | "ipod" | "3gp" | "3g2" | "psp" | "f4v")
    }
}

/// An open output file with its streams.
pub(super) struct Muxer {
    output: Output,
    container: Container,
    /// The final name, for messages.
    target: PathBuf,
}

impl Muxer {
    pub fn create(part: &Part, container: Container) -> Result<Self> {
        let target = part.target().to_owned();
        let url = url(part.path()).map_err(Error::io("create", &target))?;
        let mut context = ptr::null_mut();
        // SAFETY: the pointers are valid for the calls; the context is owned by `Output` from then on, which closes the
        // file and frees it. FFmpeg declares the format as mutable in some versions and never writes to it.
        let output = unsafe {
            check(ffi::avformat_alloc_output_context2(
                &mut context,
                container.format.cast_mut(),
                ptr::null(),
                url.as_ptr(),
            ))
            .map_err(|error| write_error(&target, error))?;
            let output = Output::wrap(context);
            check(ffi::avio_open(&mut (*context).pb, url.as_ptr(), ffi::AVIO_FLAG_WRITE as _))
                .map_err(|error| write_error(&target, error))?;
            output
        };
        Ok(Muxer { output, container, target })
    }

    pub fn container(&self) -> Container {
        self.container
    }

    pub fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    pub fn failed(&self, error: ffmpeg_next::Error) -> Error {
        write_error(&self.target, error)
    }

    /// The same to be used while the muxer is borrowed.
    pub fn failure(&self) -> impl FnOnce(ffmpeg_next::Error) -> Error + use<> {
        let target = self.target.clone();
        move |error| write_error(&target, error)
    }

    /// The video stream, which is the first.
    pub fn add_video(&mut self, encoder: &Encoder, options: &SinkOptions) -> Result<()> {
        let target = self.target.clone();
        let mut stream = self.output.add_stream_with(encoder.context()).map_err(|error| write_error(&target, error))?;
        stream.set_time_base(encoder.time_base());
        if let Some(rate) = encoder.frame_rate() {
            stream.set_avg_frame_rate(rate);
        }
        let (numerator, denominator) = options.pixel_aspect;
        // SAFETY: the stream was just made. The true size goes into the container where a padded one was encoded.
        unsafe {
            let stream = stream.as_mut_ptr();
            (*(*stream).codecpar).width = options.size.width as _;
            (*(*stream).codecpar).height = options.size.height as _;
            (*stream).sample_aspect_ratio = Rational::new(numerator, denominator).into();
            (*(*stream).codecpar).sample_aspect_ratio = (*stream).sample_aspect_ratio;
        }
        Ok(())
    }

    pub fn write_header(&mut self, options: &SinkOptions) -> Result<()> {
        let mut settings = Dictionary::new();
        if self.container.is_quicktime() {
            // The index goes first, so that a browser can play while it loads; or there is one in every piece, so that
            // a file that was never finished plays too.
            let flags = if options.live { "+frag_keyframe+empty_moov+default_base_moof" } else { "+faststart" };
            settings.set("movflags", flags);
            // FLAC in MP4, which players have long known.
            settings.set("strict", "experimental");
            // A late start is written in units of the film, by default milliseconds: make it the frames' own.
            let ticks = i64::from(options.time_base.denominator.max(1));
            let fine = (1..).map(|factor| ticks * factor).find(|&ticks| ticks >= 10_000).unwrap_or(ticks);
            settings.set("movie_timescale", &fine.to_string());
        }
        let written = self.output.write_header_with(settings).map(|_| ());
        written.map_err(|error| match error {
            ffmpeg_next::Error::Other { errno: ffmpeg_next::error::EINVAL } | ffmpeg_next::Error::InvalidData => {
                let reason = format!("the format {} does not take these streams", self.container.name());
                Error::Output { path: self.target.clone(), reason }
            }
            other => self.failed(other),
        })
    }

    /// Writes a packet of the video, whose times are in `base`.
    pub fn write_video(&mut self, mut packet: Packet, base: Rational) -> Result<()> {
        packet.set_stream(0);
        packet.rescale_ts(base, self.time_base(0));
        packet.set_position(-1);
        self.write(&packet).map_err(|error| self.failed(error))
    }

    /// Writes a packet whose stream and times are set.
    pub fn write(&mut self, packet: &Packet) -> Result<(), ffmpeg_next::Error> {
        packet.write_interleaved(&mut self.output)?;
        self.file_state()
    }

    /// The unit of a stream's times, as the container chose it when the header was written.
    pub fn time_base(&self, stream: usize) -> Rational {
        self.output.stream(stream).expect("a stream that was added").time_base()
    }

    /// The trailer, and whatever the file system still has to say.
    pub fn finish(&mut self) -> Result<()> {
        self.output.write_trailer().map_err(|error| self.failed(error))?;
        self.file_state().map_err(|error| self.failed(error))?;
        // SAFETY: the file was opened by `create`; closing it sets the pointer to null, which the destructor accepts.
        let closed = unsafe { check(ffi::avio_closep(&mut (*self.output.as_mut_ptr()).pb)) };
        closed.map(|_| ()).map_err(|error| self.failed(error))
    }

    /// A write that failed in the buffered file shows here and not always in the call that caused it.
    fn file_state(&self) -> Result<(), ffmpeg_next::Error> {
        // SAFETY: the context lives as long as `output`; its file is null after `finish`.
        let code = unsafe { (*self.output.as_ptr()).pb.as_ref().map_or(0, |file| file.error) };
        check(code).map(|_| ())
    }
}
