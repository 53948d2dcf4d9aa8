//! Copying what is not video: sound, subtitles, fonts, chapters and metadata, packet by packet, as the video advances. Sound that
//! the container does not hold goes through a [`Recoder`].

use std::{ffi::CStr, path::Path};

use ffmpeg_next::{Packet, Rational, StreamMut, codec, ffi, format::context::Input, media};

use super::{SinkOptions, muxer::Muxer, sound::Recoder};
use crate::{
    error::{Error, Result},
    ffmpeg::{tags, timeline::Timeline},
    source::{images, video::container},
};

/// If the input's video goes on for so long after the last frame written, the user stopped the run: what is copied ends
/// with the frames. (Less may be a last packet that could not be decoded.)
const STOPPED: f64 = 0.5;

/// So many unreadable packets in a row are the end of the file.
const HOPELESS: u32 = 10_000;

/// Where a stream's packets go.
struct Route {
    to: usize,
    subtitle: bool,
    last: Option<i64>,
    recoder: Option<Box<Recoder>>,
}

/// Reads the input a second time, beside the source that decodes it.
pub(super) struct Copier {
    input: Input,
    /// By the input's stream index.
    routes: Vec<Option<Route>>,
    video: usize,
    timeline: Timeline,
    /// A packet that is read but lies behind what is written of the video, with its stream.
    pending: Option<(usize, Packet)>,
    ended: bool,
}

/// What reading the input brought.
enum Next {
    /// A packet to copy, in the output's time but in the input's units.
    Copy(usize, Packet),
    /// A packet of the video that is being replaced: its time.
    Video(i64),
    End,
}

impl Copier {
    /// Adds the streams to the output. None if the input is nothing to copy from (a picture, a URL).
    pub fn open(
        path: &Path,
        options: &SinkOptions,
        muxer: &mut Muxer,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Self>> {
        if images::is_picture(path) || images::is_sequence(path) {
            return Ok(None);
        }
        if !path.is_file() {
            warnings.push("the sound of a URL is left out; fetch the file first to keep it".to_owned());
            return Ok(None);
        }
        let mut input = container::open(path)?;
        let Some(video) = container::pick_video(&input) else { return Ok(None) };
        let timeline = Timeline::new(&input, options.start, options.duration);
        let mut routes = Vec::new();
        for mut stream in input.streams_mut() {
            let index = stream.index();
            let route = if index == video { None } else { add_stream(&stream, muxer, warnings)? };
            if route.is_none() && index != video {
                container::discard(&mut stream);
            }
            routes.push(route);
        }
        copy_tags(&input, video, muxer);
        if let Some(target) = timeline.seek_target() {
            // Without an index reading starts at the beginning, which only takes longer.
            let _ = input.seek(target, ..target);
        }
        Ok(Some(Copier { input, routes, video, timeline, pending: None, ended: false }))
    }

    /// Writes everything that comes before the video's `time` (in `base`).
    pub fn write_until(&mut self, time: i64, base: Rational, muxer: &mut Muxer) -> Result<()> {
        if self.routes.iter().all(Option::is_none) {
            return Ok(());
        }
        while !self.ended {
            let (stream, packet) = match self.pending.take() {
                Some(pending) => pending,
                None => match self.read() {
                    Next::Copy(stream, packet) => (stream, packet),
                    Next::Video(_) => continue,
                    Next::End => break,
                },
            };
            let from = self.base(stream);
            if is_later(packet.dts().unwrap_or(i64::MIN), from, time, base) {
                self.pending = Some((stream, packet));
                break;
            }
            self.write(stream, packet, muxer)?;
        }
        Ok(())
    }

    /// Writes the rest; only up to `end` (in `base`) if the input's video goes on behind it. Then the chapters.
    pub fn finish(mut self, end: i64, base: Rational, muxer: &mut Muxer) -> Result<()> {
        let margin = (STOPPED * f64::from(base.denominator()) / f64::from(base.numerator())) as i64;
        let mut held: Vec<(usize, Packet)> = self.pending.take().into_iter().collect();
        let mut stopped = false;
        let video_base = self.base(self.video);
        while !self.ended && !stopped {
            match self.read() {
                Next::Copy(stream, packet) => held.push((stream, packet)),
                Next::Video(time) => stopped = is_later(time, video_base, end + margin, base),
                Next::End => break,
            }
        }
        let wanted = |copier: &Self, stream, packet: &Packet| {
            !stopped || !is_later(packet.pts().unwrap_or(0), copier.base(stream), end - 1, base)
        };
        for (stream, packet) in held {
            if wanted(&self, stream, &packet) {
                self.write(stream, packet, muxer)?;
            }
        }
        // Streams are interleaved loosely: a little behind the video there may still be sound that belongs before it.
        while stopped && !self.ended {
            match self.read() {
                Next::Copy(stream, packet) if wanted(&self, stream, &packet) => self.write(stream, packet, muxer)?,
                Next::Copy(stream, packet) => {
                    self.ended = is_later(packet.pts().unwrap_or(0), self.base(stream), end + 4 * margin, base);
                }
                Next::Video(time) => self.ended = is_later(time, video_base, end + 4 * margin, base),
                Next::End => (),
            }
        }
        self.finish_recoding(muxer)?;
        let seconds = end as f64 * f64::from(base.numerator()) / f64::from(base.denominator());
        self.copy_chapters(stopped.then_some(seconds), muxer)
    }

    fn base(&self, stream: usize) -> Rational {
        self.input.stream(stream).expect("the index of a stream of this input").time_base()
    }

    /// The next packet that lies in the wanted part, with its times shifted to the output's.
    fn read(&mut self) -> Next {
        let mut unreadable = 0;
        while unreadable < HOPELESS {
            let mut packet = Packet::empty();
            match packet.read(&mut self.input) {
                Ok(()) => unreadable = 0,
                Err(ffmpeg_next::Error::Eof) => break,
                Err(_) => {
                    unreadable += 1;
                    continue;
                }
            }
            let stream = packet.stream();
            let Some(time) = packet.pts().or(packet.dts()) else { continue };
            // A stream that shows up only in the middle has no route.
            let Some(route) = self.routes.get(stream) else { continue };
            let base = self.base(stream);
            if self.timeline.is_long_after(time, base) {
                break;
            }
            let shift = self.timeline.shift(base);
            match route {
                None if stream == self.video => return Next::Video(time - shift),
                None => continue,
                Some(_) if self.timeline.is_after(time, base) => continue,
                Some(route) if self.timeline.is_before(time, base) => {
                    // Words that are on the screen when the part begins stay on it.
                    let end = time + packet.duration();
                    if !route.subtitle || packet.duration() <= 0 || self.timeline.is_before(end - 1, base) {
                        continue;
                    }
                    packet.set_duration(self.timeline.until(base).map_or(end, |until| end.min(until)) - shift);
                    packet.set_pts(Some(0));
                    packet.set_dts(Some(0));
                }
                Some(route) => {
                    if route.subtitle
                        && let Some(end) = self.timeline.until(base)
                    {
                        packet.set_duration(packet.duration().min(end - time));
                    }
                    packet.set_pts(Some(time - shift));
                    packet.set_dts(Some(packet.dts().unwrap_or(time) - shift));
                }
            }
            return Next::Copy(stream, packet);
        }
        self.ended = true;
        Next::End
    }

    fn write(&mut self, stream: usize, packet: Packet, muxer: &mut Muxer) -> Result<()> {
        let base = self.base(stream);
        let Some(route) = &mut self.routes[stream] else { return Ok(()) };
        match &mut route.recoder {
            None => route.write(packet, base, muxer),
            Some(recoder) => {
                recoder.send(&packet, base).map_err(recoding_failed)?;
                route.write_recoded(muxer)
            }
        }
    }

    /// What recoders still hold.
    fn finish_recoding(&mut self, muxer: &mut Muxer) -> Result<()> {
        for (stream, route) in self.routes.iter_mut().enumerate() {
            let Some(Route { recoder: Some(recoder), .. }) = route else { continue };
            let base = self.input.stream(stream).expect("routes are by the input's streams").time_base();
            recoder.send_end(base).map_err(recoding_failed)?;
            route.iter_mut().try_for_each(|route| route.write_recoded(muxer))?;
        }
        Ok(())
    }

    /// Chapters, cut to the part. They are written with the trailer, so the end is known: a chapter that lasted longer
    /// than the pictures would stretch the file.
    fn copy_chapters(&self, stopped: Option<f64>, muxer: &mut Muxer) -> Result<()> {
        let (from, until) = self.timeline.bounds();
        let until = until.into_iter().chain(stopped).reduce(f64::min);
        for chapter in self.input.chapters() {
            let base = chapter.time_base();
            let shift = self.timeline.shift(base);
            let ticks = |seconds: f64| (seconds * f64::from(base.denominator()) / f64::from(base.numerator())) as i64;
            let start = (chapter.start() - shift).max(from.map_or(i64::MIN, |_| 0));
            let end = (chapter.end() - shift).min(until.map_or(i64::MAX, ticks));
            if start >= end {
                continue;
            }
            let metadata = chapter.metadata();
            let title = metadata.get("title").unwrap_or_default();
            let added = muxer.output().add_chapter(chapter.id(), base, start, end, title);
            added
                .map(|_| ())
                .map_err(|error| Error::Ffmpeg { action: "copy the chapters", reason: error.to_string() })?;
        }
        Ok(())
    }
}

impl Route {
    /// Writes a packet whose times are in `from`.
    fn write(&mut self, mut packet: Packet, from: Rational, muxer: &mut Muxer) -> Result<()> {
        packet.set_stream(self.to);
        packet.rescale_ts(from, muxer.time_base(self.to));
        packet.set_position(-1);
        let least = if muxer.container().allows_equal_times() { 0 } else { 1 };
        if let (Some(last), Some(dts)) = (self.last, packet.dts())
            && dts < last + least
        {
            // Damaged files step back in time, and no container takes that.
            packet.set_dts(Some(last + least));
            packet.set_pts(packet.pts().map(|pts| pts.max(last + least)));
        }
        self.last = packet.dts();
        match muxer.write(&packet) {
            Ok(()) => Ok(()),
            // One packet that the container does not take is no reason to lose the film.
            Err(error) if is_refusal(error) => {
                log::warn!("a packet for stream {} does not fit the output and is left out: {error}", self.to);
                Ok(())
            }
            Err(error) => Err(muxer.failed(error)),
        }
    }

    /// Writes what the recoder has ready.
    fn write_recoded(&mut self, muxer: &mut Muxer) -> Result<()> {
        while let Some(recoder) = &mut self.recoder
            && let Some(packet) = recoder.packet()
        {
            let base = recoder.time_base();
            self.write(packet, base, muxer)?;
        }
        Ok(())
    }
}

fn recoding_failed(error: ffmpeg_next::Error) -> Error {
    Error::Ffmpeg { action: "encode the sound", reason: error.to_string() }
}

/// The muxer does not like the packet, as opposed to the disk being full.
fn is_refusal(error: ffmpeg_next::Error) -> bool {
    use ffmpeg_next::Error::{InvalidData, Other};
    matches!(error, InvalidData | Other { errno: ffmpeg_next::error::EINVAL })
}

/// Whether `a` (in `a_base`) lies behind `b` (in `b_base`).
fn is_later(a: i64, a_base: Rational, b: i64, b_base: Rational) -> bool {
    // SAFETY: plain arithmetic.
    unsafe { ffi::av_compare_ts(a, a_base.into(), b, b_base.into()) > 0 }
}

/// Gives the output a stream like the input's, if it is worth copying: as it is if the container can hold it, sound in another
/// coding otherwise.
fn add_stream(stream: &StreamMut, muxer: &mut Muxer, warnings: &mut Vec<String>) -> Result<Option<Route>> {
    let parameters = stream.parameters();
    let (kind, what, are) = match parameters.medium() {
        media::Type::Audio => (media::Type::Audio, "sound", "is"),
        media::Type::Subtitle => (media::Type::Subtitle, "subtitles", "are"),
        media::Type::Attachment => (media::Type::Attachment, "", ""),
        // Further videos would show the unpainted picture; data tracks belong to the camera that wrote them.
        _ => return Ok(None),
    };
    let container = muxer.container();
    let guess = kind == media::Type::Audio && container.usual_sound() != codec::Id::None;
    let (format, name) = (container.name().to_owned(), parameters.id().name());
    let held = container.holds(parameters.id()).unwrap_or(guess);
    let recoder = if held || kind != media::Type::Audio { None } else { Recoder::open(stream, container) };
    if !held && kind != media::Type::Attachment {
        let fate = match &recoder {
            Some(recoder) => format!("encoded anew ({})", recoder.name()),
            None if format == "gif" => "left out".to_owned(),
            None => "left out; .mkv holds nearly everything".to_owned(),
        };
        warnings.push(format!("the {what} ({name}) cannot be stored in {format} and {are} {fate}"));
    }
    if !held && recoder.is_none() {
        return Ok(None);
    }
    let failed = muxer.failure();
    let mut added = match &recoder {
        Some(recoder) => muxer.output().add_stream_with(recoder.context()),
        None => muxer.output().add_stream(codec::Id::None),
    }
    .map_err(failed)?;
    match &recoder {
        Some(recoder) => added.set_time_base(recoder.time_base()),
        None => {
            added.set_parameters(parameters);
            added.set_time_base(stream.time_base());
        }
    }
    let to = added.index();
    // SAFETY: both streams are alive. A tag is the input container's own name of the codec: the muxer knows its own.
    unsafe {
        let (from, to) = (stream.as_ptr(), added.as_mut_ptr());
        (*(*to).codecpar).codec_tag = 0;
        (*to).disposition = (*from).disposition;
        tags::copy((*from).metadata, &mut (*to).metadata, |key| !is_stale(key));
    }
    Ok(Some(Route { to, subtitle: kind == media::Type::Subtitle, last: None, recoder: recoder.map(Box::new) }))
}

/// Tags of the file and of its video stream.
fn copy_tags(input: &Input, video: usize, muxer: &mut Muxer) {
    // What describes the old file and not its content.
    const OF_THE_FILE: [&CStr; 4] = [c"major_brand", c"minor_version", c"compatible_brands", c"encoder"];
    const OF_THE_CODING: [&CStr; 3] = [c"encoder", c"rotate", c"vendor_id"];
    let output = muxer.output();
    let (Some(from), Some(mut to)) = (input.stream(video), output.stream_mut(0)) else { return };
    // SAFETY: both containers and their streams are alive, and own their dictionaries.
    unsafe {
        let (from, to) = (from.as_ptr(), to.as_mut_ptr());
        (*to).disposition = (*from).disposition;
        tags::copy((*from).metadata, &mut (*to).metadata, |key| !OF_THE_CODING.contains(&key) && !is_stale(key));
        let (from, to) = (input.as_ptr(), output.as_mut_ptr());
        tags::copy((*from).metadata, &mut (*to).metadata, |key| !OF_THE_FILE.contains(&key));
    }
}

/// Statistics that Matroska writers leave in the tags hold for the old packets only.
fn is_stale(key: &CStr) -> bool {
    let key = key.to_bytes();
    [&b"_STATISTICS"[..], b"NUMBER_OF_", b"BPS", b"DURATION"].iter().any(|stale| key.starts_with(stale))
}
