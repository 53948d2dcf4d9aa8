//! Video files, through FFmpeg: every container and codec it reads.

pub(crate) mod container;
mod convert;
mod decode;
mod hdr;
mod orientation;

use std::path::Path;

use ffmpeg_next::{Rational, codec::packet, frame as av};

use self::{convert::Converter, decode::Decoding, orientation::Orientation};
use super::{FrameSource, SourceInfo, SourceOptions};
use crate::{
    error::{Error, Result},
    ffmpeg::timeline::Timeline,
    frame::Frame,
};

/// Frames of a video file: upright, RGB8, with the file's own time stamps.
///
/// - Time stamps are those of the stream, in its time base; a variable rate stays variable, a late start stays late
///   (see [`SourceOptions::start`] for the one exception, broadcast streams for the other: they begin at zero). Each
///   frame lasts until the next; the last one as long as the file says.
/// - Colours follow the file's matrix and range; where it says nothing, BT.601 is assumed up to 576 lines and BT.709
///   above. Ten and twelve bits are rounded to eight. Primaries and transfer are not converted but reported
///   ([`SourceInfo::colour`]), so that a sink can pass them on.
/// - High dynamic range (PQ, HLG) is brought to the standard one, BT.709: white at 203 nits, highlights compressed up to
///   1000 nits. Static and dynamic metadata of the mastering display are not looked at.
/// - Damaged packets are skipped and counted ([`FrameSource::damage`]).
pub struct VideoSource {
    info: SourceInfo,
    decoding: Decoding,
    converter: Converter,
    timeline: Timeline,
    /// The next frame to deliver, whose duration shows only when the one after it is known.
    ahead: Option<Frame>,
    /// Used again for every decoded picture.
    decoded: av::Video,
    /// Duration in ticks that the container states for `ahead`.
    stated_duration: i64,
    last_duration: i64,
    /// Where the stream ends, in ticks of the delivered time stamps, if the container says.
    end: Option<i64>,
    delivered: u64,
}

impl VideoSource {
    /// Opens the file and decodes the first frame, so that whatever is wrong with it shows here.
    ///
    /// # Errors
    /// [`Error::Io`] if the file is missing or may not be read; [`Error::Input`] if it is a folder, empty, no video, has
    /// no video stream, or nothing in the wanted part can be decoded.
    pub fn open(path: &Path, options: &SourceOptions) -> Result<Self> {
        let mut input = container::open(path)?;
        let index = container::pick_video(&input).ok_or_else(|| container::no_video(path, &input))?;
        for mut stream in input.streams_mut() {
            if stream.index() != index {
                container::discard(&mut stream);
            }
        }
        let pixel_aspect = container::pixel_aspect(&mut input, index);
        let timeline = Timeline::new(&input, options.start, options.duration);
        let stream = input.stream(index).expect("the index of a stream of this input");
        let decoder = container::open_decoder(path, &stream)?;
        let rate = container::frame_rate(&stream);
        let mut decoding = Decoding::new(input, index, decoder, rate);

        let mut decoded = av::Video::empty();
        if !seek_and_decode(&mut decoding, &timeline, &mut decoded)? {
            return Err(nothing(path, &decoding, options));
        }
        let stream = decoding.stream();
        let orientation = orientation(&stream, &decoded);
        let converter = Converter::new(&decoded, orientation);
        let base = stream.time_base();
        let (width, height) = pixel_aspect;
        let end = (stream.duration() > 0 && stream.start_time() != ffmpeg_next::ffi::AV_NOPTS_VALUE)
            .then(|| stream.start_time() + stream.duration() - timeline.shift(base));
        let info = SourceInfo {
            size: converter.size(),
            time_base: base.into(),
            frame_rate: rate,
            frames: frames_in_part(&decoding, options),
            pixel_aspect: if orientation.is_transposed() { (height, width) } else { pixel_aspect },
            colour: converter.colour_of_result(&decoded),
            description: container::describe(path, decoding.input(), &stream, converter.size()),
        };
        let mut source = VideoSource {
            info,
            decoding,
            converter,
            timeline,
            ahead: None,
            decoded,
            stated_duration: 0,
            last_duration: 0,
            end,
            delivered: 0,
        };
        source.ahead = Some(source.convert()?);
        Ok(source)
    }

    /// The picture in `decoded` as a frame.
    fn convert(&mut self) -> Result<Frame> {
        self.stated_duration = self.decoded.packet().duration;
        let pts = self.decoding.time() - self.timeline.shift(self.base());
        self.converter.convert(&self.decoded, pts)
    }

    fn base(&self) -> Rational {
        self.info.time_base.into()
    }

    /// How long the stream's last frame is shown: what its packet says, else until the stream's end, else as long as
    /// the frame before.
    fn last_frame_duration(&self, pts: i64) -> i64 {
        let nominal = self.decoding.nominal_duration();
        let until_end = self.end.map(|end| end - pts);
        // With reordered frames of varying length a packet's duration can be that of its neighbour in coding order; the
        // container's end is exact, unless it counts something else than this stream's frames.
        let plausible =
            |&ticks: &i64| ticks > 0 && ticks <= 4 * nominal.max(self.stated_duration).max(self.last_duration);
        until_end
            .filter(plausible)
            .or((self.stated_duration > 0).then_some(self.stated_duration))
            .or((self.last_duration > 0).then_some(self.last_duration))
            .unwrap_or(nominal)
    }
}

impl FrameSource for VideoSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn next(&mut self) -> Result<Option<Frame>> {
        let Some(mut frame) = self.ahead.take() else { return Ok(None) };
        let more = self.decoding.next(&mut self.decoded)?;
        if more {
            let pts = self.decoding.time() - self.timeline.shift(self.base());
            frame.duration = pts - frame.pts;
            if !self.timeline.is_after(self.decoding.time(), self.base()) {
                self.ahead = Some(self.convert()?);
            }
        } else {
            frame.duration = self.last_frame_duration(frame.pts);
        }
        self.last_duration = frame.duration;
        self.delivered += 1;
        Ok(Some(frame))
    }

    fn damage(&self) -> Option<String> {
        let whole = self.timeline.seek_target().is_none() && !self.timeline.has_end();
        self.decoding.damage(whole && self.ahead.is_none())
    }
}

/// Brings the first wanted frame into `decoded`. False if there is none.
///
/// A container's index leads to the keyframe before the moment; where there is no index, a seek may land behind it, and
/// is then repeated from further back.
fn seek_and_decode(decoding: &mut Decoding, timeline: &Timeline, decoded: &mut av::Video) -> Result<bool> {
    let base = decoding.stream().time_base();
    let mut attempts = vec![None];
    if let Some(target) = timeline.seek_target() {
        attempts.extend([30_000_000, 5_000_000, 0].map(|back| Some(target - back)));
    }
    while let Some(target) = attempts.pop() {
        match target {
            Some(target) if decoding.seek(target).is_err() => continue,
            None if timeline.seek_target().is_some() => decoding.rewind(timeline.begin())?,
            _ => (),
        }
        let mut skipped = false;
        while decoding.next(decoded)? {
            if timeline.is_before(decoding.time(), base) {
                skipped = true;
            } else if skipped || attempts.is_empty() || timeline.begins_at(decoding.time(), base) {
                return Ok(!timeline.is_after(decoding.time(), base));
            } else {
                break;
            }
        }
    }
    Ok(false)
}

fn nothing(path: &Path, decoding: &Decoding, options: &SourceOptions) -> Error {
    let reason = match options.start {
        Some(start) if decoding.frames() > 0 => match container::length(decoding.input(), &decoding.stream()) {
            Some(length) => format!("no frame lies at or after --start {start}; the video is {length:.2} s long"),
            None => format!("no frame lies at or after --start {start}"),
        },
        _ => match decoding.packets() {
            0 => "its video stream holds no picture".to_owned(),
            packets => format!("none of the {packets} packets of its video could be decoded"),
        },
    };
    Error::Input { path: path.to_owned(), reason }
}

fn orientation(stream: &ffmpeg_next::Stream, decoded: &av::Video) -> Orientation {
    let of_container = stream
        .side_data()
        .find(|data| data.kind() == packet::side_data::Type::DisplayMatrix)
        .and_then(|data| Orientation::from_display_matrix(data.data()));
    let of_picture = || {
        let data = decoded.side_data(av::side_data::Type::DisplayMatrix)?;
        Orientation::from_display_matrix(data.data())
    };
    of_container.or_else(of_picture).unwrap_or_default()
}

/// How many frames the wanted part will have.
fn frames_in_part(decoding: &Decoding, options: &SourceOptions) -> Option<u64> {
    let stream = decoding.stream();
    let all = container::frame_count(decoding.input(), &stream)?;
    let (Some(rate), Some(length)) = (container::frame_rate(&stream), container::length(decoding.input(), &stream))
    else {
        return Some(all);
    };
    if options.start.is_none() && options.duration.is_none() {
        return Some(all);
    }
    let rest = (length - options.start.unwrap_or(0.0)).max(0.0);
    let part = options.duration.map_or(rest, |duration| duration.min(rest));
    Some(((part * rate - 1e-6).ceil() as u64).clamp(1, all.max(1)))
}
