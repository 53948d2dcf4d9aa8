//! Opening a container: what a file must be, which of its streams is the video, what it says of itself.

use std::{fs, io, path::Path};

use ffmpeg_next::{
    Rational, Stream, StreamMut, codec, decoder, ffi,
    format::{context::Input, stream::Disposition},
    media,
};

use crate::{
    error::{Error, Result},
    ffmpeg,
    frame::Size,
    source::is_url,
};

/// Opens a file or URL that ought to be a video.
pub(crate) fn open(path: &Path) -> Result<Input> {
    let refuse = |reason: &str| Err(Error::Input { path: path.to_owned(), reason: reason.to_owned() });
    if !is_url(path) {
        check_file(path)?;
    }
    ffmpeg::open_input(path).or_else(|error| match error {
        ffmpeg_next::Error::InvalidData => refuse(
            "it is no video in any format that FFmpeg knows, or its beginning is damaged, or it was cut off before its \
             index was written",
        ),
        ffmpeg_next::Error::Other { errno } => Err(Error::io("read", path)(io::Error::from_raw_os_error(errno))),
        other => refuse(&other.to_string()),
    })
}

/// What can be said of a file before FFmpeg sees it, whose own words are less clear.
fn check_file(path: &Path) -> Result<()> {
    let refuse = |reason: &str| Err(Error::Input { path: path.to_owned(), reason: reason.to_owned() });
    let metadata = fs::metadata(path).map_err(Error::io("read", path))?;
    if metadata.is_dir() {
        return refuse("it is a folder; name a video file, or a numbered sequence such as FOLDER/%05d.png");
    }
    if is_pipe(&metadata) {
        return refuse("it is a pipe, which can be read only once; write it to a file first");
    }
    fs::File::open(path).map_err(Error::io("read", path))?;
    if metadata.is_file() && metadata.len() == 0 {
        return refuse("the file is empty");
    }
    Ok(())
}

/// An input is opened more than once: to look at it, to paint it, to copy its sound.
fn is_pipe(metadata: &fs::Metadata) -> bool {
    #[cfg(unix)]
    return std::os::unix::fs::FileTypeExt::is_fifo(&metadata.file_type());
    #[cfg(not(unix))]
    return !metadata.is_file();
}

/// The stream that a player would show: the best video, cover pictures left aside.
pub(crate) fn pick_video(input: &Input) -> Option<usize> {
    let is_cover = |stream: &Stream| stream.disposition().contains(Disposition::ATTACHED_PIC);
    let best = input.streams().best(media::Type::Video).filter(|stream| !is_cover(stream));
    let any = || input.streams().find(|s| s.parameters().medium() == media::Type::Video && !is_cover(s));
    best.or_else(any).map(|stream| stream.index())
}

/// Tells the demuxer that a stream's packets are not wanted.
pub(crate) fn discard(stream: &mut StreamMut) {
    // SAFETY: a stream of a live input; the field is meant to be set by the caller.
    unsafe { (*stream.as_mut_ptr()).discard = ffi::AVDiscard::AVDISCARD_ALL };
}

/// Why there is no video in a file that FFmpeg could open.
pub(super) fn no_video(path: &Path, input: &Input) -> Error {
    let of = |kind| input.streams().find(|stream| stream.parameters().medium() == kind);
    let reason = if of(media::Type::Video).is_some() {
        "it holds sound with a cover picture, but no video".to_owned()
    } else if let Some(sound) = of(media::Type::Audio) {
        format!("it holds sound only ({}), no video", sound.parameters().id().name())
    } else {
        "it holds no video stream".to_owned()
    };
    Error::Input { path: path.to_owned(), reason }
}

/// A decoder for the stream, opened.
///
/// It may use a quarter of the cores: decoding is a small part of the work, and the stylizer needs the rest.
pub(super) fn open_decoder(path: &Path, stream: &Stream) -> Result<decoder::Video> {
    let refuse = |reason: String| Error::Input { path: path.to_owned(), reason };
    let name = stream.parameters().id().name();
    let failed = |error: ffmpeg_next::Error| refuse(format!("its video ({name}) cannot be decoded: {error}"));
    let mut context = codec::Context::from_parameters(stream.parameters()).map_err(failed)?;
    if decoder::find(stream.parameters().id()).is_none() {
        return Err(refuse(format!("its video is coded as {name}, which this FFmpeg cannot decode")));
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from).div_ceil(4).min(8);
    context.set_threading(codec::threading::Config {
        kind: codec::threading::Type::Frame,
        count: threads,
        ..Default::default()
    });
    let mut decoder = context.decoder();
    decoder.set_packet_time_base(stream.time_base());
    decoder.video().map_err(failed)
}

/// Frames per second on average, where the container has a sensible idea of it.
pub(super) fn frame_rate(stream: &Stream) -> Option<f64> {
    let sane = |rate: Rational| {
        let rate = f64::from(rate.numerator()) / f64::from(rate.denominator().max(1));
        (rate.is_finite() && (0.01..=1000.0).contains(&rate)).then_some(rate)
    };
    sane(stream.avg_frame_rate()).or_else(|| sane(stream.rate()))
}

/// The stream's length in seconds, or the file's.
pub(super) fn length(input: &Input, stream: &Stream) -> Option<f64> {
    let base = stream.time_base();
    let own = (stream.duration() > 0)
        .then(|| stream.duration() as f64 * f64::from(base.numerator()) / f64::from(base.denominator().max(1)));
    own.or_else(|| (input.duration() > 0).then(|| input.duration() as f64 / 1e6))
}

/// How many frames the whole stream will show, as far as the container says.
pub(super) fn frame_count(input: &Input, stream: &Stream) -> Option<u64> {
    let counted = u64::try_from(stream.frames()).ok().filter(|&count| count > 0);
    let timed = length(input, stream).zip(frame_rate(stream)).map(|(length, rate)| (length * rate).round() as u64);
    match (counted, timed) {
        // The count knows nothing of frames that an edit list hides.
        (Some(counted), Some(timed)) if timed > 0 => Some(counted.min(timed)),
        (counted, timed) => counted.or(timed),
    }
}

/// Width to height of one stored pixel.
pub(super) fn pixel_aspect(input: &mut Input, index: usize) -> (i32, i32) {
    // SAFETY: the context and the stream belong to `input`; the frame may be null. Nothing is kept.
    let ratio = unsafe {
        let context = input.as_mut_ptr();
        let stream = *(*context).streams.add(index);
        ffi::av_guess_sample_aspect_ratio(context, stream, std::ptr::null_mut())
    };
    if ratio.num > 0 && ratio.den > 0 { (ratio.num, ratio.den) } else { (1, 1) }
}

/// One line for the user: `1280x720 h264 in mp4, 29.97 fps, 12.3 s, sound: aac`.
pub(super) fn describe(path: &Path, input: &Input, stream: &Stream, size: Size) -> String {
    let format = input.format();
    let names: Vec<&str> = format.name().split(',').collect();
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_lowercase();
    let container = names.iter().find(|name| **name == extension).or(names.first()).copied().unwrap_or("?");
    let mut line = format!("{size} {} in {container}", stream.parameters().id().name());
    if let Some(rate) = frame_rate(stream) {
        line += &format!(", {} fps", short(rate));
    }
    if let Some(length) = length(input, stream) {
        line += &format!(", {} s", short(length));
    }
    let sounds: Vec<&str> = input
        .streams()
        .filter(|stream| stream.parameters().medium() == media::Type::Audio)
        .map(|stream| stream.parameters().id().name())
        .collect();
    line + &if sounds.is_empty() { ", no sound".to_owned() } else { format!(", sound: {}", sounds.join(", ")) }
}

/// Two decimals at most, none where they say nothing.
fn short(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn numbers_are_short() {
        assert_eq!((short(25.0), short(29.97003), short(9.6)), ("25".into(), "29.97".into(), "9.6".into()));
    }
}
