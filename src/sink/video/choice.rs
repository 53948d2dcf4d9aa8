//! Which encoder an output gets, and how it is set up.

use std::path::Path;

use ffmpeg_next::{Codec, Dictionary, Rational, codec, encoder, ffi, format::Pixel};

use super::{SinkOptions, muxer::Container};
use crate::{
    colour::Colour,
    error::{Error, Result},
    frame::{Size, TimeBase},
};

/// x264's preset and what is put back of the next better one: encoding shares the cores with painting. `superfast` decides fast;
/// its files are large because it lacks this look ahead at what later blocks are predicted from. With it, painted clips (720p,
/// 640x640) take 4 and 7 % more room than with `veryfast`, 0.2 and 0.0 dB further from the original, in half the time or less.
const FAST_X264: [(&str, &str); 3] = [("preset", "superfast"), ("mbtree", "1"), ("rc-lookahead", "10")];
/// Constant rate factor of x264 that is hard to tell from the original.
const CRF_X264: u8 = 17;

/// Encoders that are preferred for a coding, the first that this FFmpeg has.
const PREFERRED: [(codec::Id, &[&str]); 4] = [
    (codec::Id::H264, &["libx264", "libopenh264", "h264_videotoolbox", "h264_mf"]),
    (codec::Id::HEVC, &["libx265"]),
    (codec::Id::VP9, &["libvpx-vp9"]),
    (codec::Id::AV1, &["libsvtav1", "libaom-av1", "librav1e"]),
];

/// How an encoder is to be run, decided before anything is opened.
pub(super) struct Settings {
    pub format: Pixel,
    /// What is encoded: the frames' size, made even where the coding knows no odd one.
    pub coded: Size,
    pub colour: Colour,
    pub time_base: Rational,
    /// Private options of the codec.
    pub options: Dictionary<'static>,
    /// A fixed quantizer, for encoders without a rate factor.
    pub quality: Option<usize>,
    /// Whether frames may be coded out of order.
    pub reorder: bool,
    /// Frames from one keyframe to the next; None leaves it to the encoder.
    pub keyframes: Option<u32>,
}

/// The encoder for an output and its settings.
pub(super) fn choose(output: &Path, container: &Container, options: &SinkOptions) -> Result<(Codec, Settings)> {
    let refuse = |reason: String| Error::Output { path: output.to_owned(), reason };
    let codec = match &options.codec {
        Some(name) => by_name(name).ok_or_else(|| refuse(unknown_codec(name, container)))?,
        None => by_default(container).ok_or_else(|| refuse(unknown_codec("its usual codec", container)))?,
    };
    if container.holds(codec.id()) == Some(false) {
        return Err(refuse(format!(
            "the format {} cannot hold {}; choose another name or --codec",
            container.name(),
            codec.id().name()
        )));
    }
    let format = pixel_format(codec, options.size);
    let odd = options.size.width % 2 + options.size.height % 2 > 0;
    let even = |side: usize| side + side % 2;
    let coded = if odd && codec.id() == codec::Id::H264 && format == Pixel::YUV420P {
        Size::new(even(options.size.width), even(options.size.height))
    } else {
        options.size
    };
    let (crf, mut settings) = quality_settings(codec, options.crf).map_err(refuse)?;
    if options.live && codec.name() == "libx265" {
        settings.set("preset", "veryfast");
    }
    let mut colour = options.colour;
    if codec.id() == codec::Id::MJPEG {
        colour.full_range = true;
    }
    for (key, value) in colour_settings(colour, format) {
        settings.set(key, &value);
    }
    Ok((
        codec,
        Settings {
            format,
            coded,
            colour,
            time_base: time_base(codec.id(), container, options).into(),
            options: settings,
            quality: crf,
            reorder: !container.is_constant_rate() && !options.live,
            keyframes: options.live.then(|| (2.0 * options.frame_rate.unwrap_or(30.0)).ceil() as u32),
        },
    ))
}

fn by_name(name: &str) -> Option<Codec> {
    let is_video_encoder = |codec: &Codec| codec.is_encoder() && codec.medium() == ffmpeg_next::media::Type::Video;
    if let Some(codec) = encoder::find_by_name(name).filter(is_video_encoder) {
        return Some(codec);
    }
    let name = std::ffi::CString::new(name).ok()?;
    // SAFETY: a valid string; the answer is null or a static description.
    let id = unsafe { ffi::avcodec_descriptor_get_by_name(name.as_ptr()).as_ref()?.id };
    by_id(id.into()).filter(is_video_encoder)
}

fn by_id(id: codec::Id) -> Option<Codec> {
    let preferred = PREFERRED.iter().find(|(of, _)| *of == id).map_or(&[][..], |(_, names)| names);
    preferred.iter().find_map(|name| encoder::find_by_name(name)).or_else(|| encoder::find(id))
}

/// H.264 wherever the container takes it, otherwise what the container was made for.
fn by_default(container: &Container) -> Option<Codec> {
    let h264 = || container.holds(codec::Id::H264).unwrap_or(false).then(|| by_id(codec::Id::H264)).flatten();
    match container.name() {
        "gif" => by_id(codec::Id::GIF),
        "webm" => by_id(codec::Id::VP9),
        // FFmpeg does not say what it holds.
        "mpegts" => by_id(codec::Id::H264),
        _ => h264().or_else(|| by_id(container.usual_video())),
    }
}

fn unknown_codec(name: &str, container: &Container) -> String {
    let mut names = Vec::new();
    let mut state = std::ptr::null_mut();
    // SAFETY: the iteration state belongs to the library's list, which is static.
    while let Some(codec) = unsafe { ffi::av_codec_iterate(&mut state).as_ref() } {
        // SAFETY: an entry of the static list.
        let codec = unsafe { Codec::wrap(std::ptr::from_ref(codec)) };
        let video = codec.is_encoder() && codec.medium() == ffmpeg_next::media::Type::Video;
        if video && container.holds(codec.id()) == Some(true) {
            names.push(codec.name().to_owned());
        }
    }
    names.sort();
    let names = names.join(", ");
    format!("this FFmpeg has no video encoder {name}; for {} it has {names}", container.name())
}

/// YCbCr 4:2:0 with eight bits if the encoder takes it: it plays everywhere.
fn pixel_format(codec: Codec, size: Size) -> Pixel {
    let formats: Vec<Pixel> = codec.video().ok().and_then(|video| video.formats()).into_iter().flatten().collect();
    let odd = size.width % 2 + size.height % 2 > 0;
    let wanted = match codec.id() {
        codec::Id::MJPEG => [Pixel::YUVJ420P, Pixel::YUVJ444P],
        // As H.264 it knows no odd size in 4:2:0, and its decoders do not crop to the container's.
        codec::Id::HEVC if odd => [Pixel::YUV444P, Pixel::YUV420P],
        _ => [Pixel::YUV420P, Pixel::YUV422P],
    };
    if formats.is_empty() {
        return wanted[0];
    }
    if let Some(&format) = wanted.iter().find(|format| formats.contains(format)) {
        return format;
    }
    let list: Vec<ffi::AVPixelFormat> =
        formats.into_iter().map(Into::into).chain([ffi::AVPixelFormat::AV_PIX_FMT_NONE]).collect();
    // SAFETY: a list that ends with NONE; no loss is asked for.
    unsafe {
        ffi::avcodec_find_best_pix_fmt_of_list(
            list.as_ptr(),
            ffi::AVPixelFormat::AV_PIX_FMT_RGB24,
            0,
            std::ptr::null_mut(),
        )
    }
    .into()
}

/// Quality as private options, or as a quantizer for encoders that know no constant rate factor.
fn quality_settings(codec: Codec, crf: Option<u8>) -> Result<(Option<usize>, Dictionary<'static>), String> {
    let mut settings = Dictionary::new();
    let rate_factor = match codec.name() {
        "libx264" => {
            FAST_X264.into_iter().for_each(|(key, value)| settings.set(key, value));
            Some(CRF_X264)
        }
        "libx265" => {
            settings.set("preset", "fast");
            settings.set("x265-params", "log-level=none");
            Some(20)
        }
        "libvpx-vp9" => {
            settings.set("deadline", "good");
            settings.set("cpu-used", "4");
            settings.set("row-mt", "1");
            Some(24)
        }
        "libvpx" => {
            settings.set("deadline", "good");
            settings.set("cpu-used", "4");
            settings.set("b", "20M");
            Some(8)
        }
        "libsvtav1" => {
            settings.set("preset", "8");
            Some(24)
        }
        "libaom-av1" => {
            settings.set("cpu-used", "6");
            Some(24)
        }
        _ => None,
    };
    match (rate_factor, crf) {
        (Some(usual), crf) => {
            settings.set("crf", &crf.unwrap_or(usual).to_string());
            Ok((None, settings))
        }
        (None, Some(_)) => Err(format!("the encoder {} takes no --crf; leave it out", codec.name())),
        // Quantizer 3 of 31 is very good in every encoder of the MPEG-1..4 and JPEG families; others ignore it.
        (None, None) => Ok((Some(3), settings)),
    }
}

/// The colour properties as codec options; RGB formats have none.
fn colour_settings(colour: Colour, format: Pixel) -> Vec<(&'static str, String)> {
    if is_rgb(format) {
        return Vec::new();
    }
    let range = if colour.full_range { "pc" } else { "tv" };
    vec![
        ("colorspace", colour.matrix.to_string()),
        ("color_primaries", colour.primaries.to_string()),
        ("color_trc", colour.transfer.to_string()),
        ("color_range", range.to_owned()),
        ("chroma_sample_location", "left".to_owned()),
    ]
}

pub(super) fn is_rgb(format: Pixel) -> bool {
    // SAFETY: the descriptor table is static; an unknown format gives null.
    unsafe {
        let descriptor = ffi::av_pix_fmt_desc_get(format.into()).as_ref();
        descriptor.is_some_and(|descriptor| {
            descriptor.flags & (ffi::AV_PIX_FMT_FLAG_RGB | ffi::AV_PIX_FMT_FLAG_PAL) as u64 != 0
        })
    }
}

/// The clock that frames are encoded with: their own, unless the coding or the container knows only coarser ones.
fn time_base(id: codec::Id, container: &Container, options: &SinkOptions) -> TimeBase {
    let per_frame = TimeBase::per_frame(options.frame_rate.unwrap_or(25.0));
    match id {
        _ if container.is_constant_rate() => per_frame,
        codec::Id::MPEG1VIDEO | codec::Id::MPEG2VIDEO => per_frame,
        // MPEG-4 part 2 has 16 bits for the ticks of a second.
        codec::Id::MPEG4 if options.time_base.denominator > 65_535 => TimeBase { numerator: 1, denominator: 60_000 },
        _ => options.time_base,
    }
}
