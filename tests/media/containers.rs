//! Other containers and codings than H.264 in MP4.

use std::path::Path;

use stylize::{
    sink::{self, SinkOptions},
    source::{self, SourceOptions},
};

use crate::{clip, ffmpeg, pass, probe, sample, text};

#[test]
fn containers_by_their_extension() {
    let Some(input) = sample() else { return };
    let folder = tempfile::tempdir().unwrap();
    let wanted = [
        ("mov", "h264", 1e-5),
        ("mkv", "h264", 0.001),
        ("webm", "vp9", 0.001),
        ("avi", "h264", 0.042),
        ("gif", "gif", 0.011),
    ];
    for (extension, coding, tolerance) in wanted {
        let output = folder.path().join(format!("out.{extension}"));
        let options = SourceOptions { duration: Some(0.6), ..SourceOptions::default() };
        let outcome = pass(&input, &output, &options, u64::MAX).unwrap();
        let after = probe::video(&output);
        assert_eq!((after.text("codec_name"), after.size()), (coding, (640, 360)), "{extension}");
        let mut times = probe::video(&input).frames(&input).0;
        times.retain(|&time| time < 0.6);
        let mut kept = after.frames(&output).0;
        if matches!(extension, "mkv" | "webm") {
            // The sound begins before zero, which Matroska does not know: everything is moved by as much.
            let moved = kept[0] - times[0];
            assert!((0.0..0.03).contains(&moved), "moved by {moved}");
            kept.iter_mut().for_each(|time| *time -= moved);
        }
        let difference = probe::largest_difference(&times, &kept);
        assert!(difference <= tolerance, "{extension}: times differ by {difference}");
        let sounds = probe::of_kind(&output, "audio").len();
        match extension {
            "mov" | "mkv" | "avi" => assert_eq!((sounds, outcome.warnings.len()), (1, 0), "{extension}"),
            // AAC does not fit, and GIF holds no sound at all: the user is told.
            "webm" => {
                assert!(sounds == 1 && outcome.warnings[0].contains("aac"), "{extension}: {:?}", outcome.warnings)
            }
            _ => {
                assert!(sounds == 0 && outcome.warnings[0].contains("left out"), "{extension}: {:?}", outcome.warnings)
            }
        }
    }
}

#[test]
fn odd_sizes_in_other_containers() {
    let Some(input) = clip("torchcodec_testsrc2_odd_height_and_width_444.mp4") else { return };
    let folder = tempfile::tempdir().unwrap();
    for extension in ["mov", "mkv", "webm"] {
        let output = folder.path().join(format!("out.{extension}"));
        let options = SourceOptions { duration: Some(0.2), ..SourceOptions::default() };
        pass(&input, &output, &options, u64::MAX).unwrap();
        let after = probe::video(&output);
        assert_eq!((after.size(), after.frames(&output).1), ((321, 241), (321, 241)), "{extension}");
    }
}

#[test]
fn broadcast_streams_begin_at_zero_and_keep_their_sound() {
    let Some(input) = sample() else { return };
    let folder = tempfile::tempdir().unwrap();
    let stream = folder.path().join("in.ts");
    ffmpeg(&["-i", text(&input), "-c", "copy", "-output_ts_offset", "5000", text(&stream)]);
    let output = folder.path().join("out.mp4");
    pass(&stream, &output, &SourceOptions::default(), u64::MAX).unwrap();
    let times = probe::video(&output).frames(&output).0;
    assert_eq!(times.len(), 84);
    assert!((0.0..0.1).contains(&times[0]), "begins at {}", times[0]);
    let sound = &probe::of_kind(&output, "audio")[0];
    assert_eq!(sound.packets(&output).len(), 152);
}

#[test]
fn sound_that_a_container_takes_on_trial_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.mkv");
    let Some(sample) = sample() else { return };
    ffmpeg(&["-i", text(&sample), "-c:v", "copy", "-c:a", "flac", "-t", "0.5", text(&input)]);
    for (extension, coding) in [("mp4", "flac"), ("mov", "aac"), ("ts", "mp2"), ("mpg", "mp2"), ("ogv", "flac")] {
        let output = folder.path().join(format!("out.{extension}"));
        let outcome = pass(&input, &output, &SourceOptions::default(), u64::MAX)
            .unwrap_or_else(|error| panic!("{extension}: {error}"));
        let sounds = probe::of_kind(&output, "audio");
        assert_eq!((sounds.len(), sounds[0].text("codec_name")), (1, coding), "{extension}");
        let told = outcome.warnings.iter().any(|warning| warning.contains("flac") && warning.contains(coding));
        assert_eq!(told, coding != "flac", "{extension}: {:?}", outcome.warnings);
        if !matches!(extension, "mpg" | "ogv") {
            assert_eq!(probe::video(&output).text("codec_name"), "h264", "{extension}");
        }
    }
}

/// Writes three frames with a codec.
fn with_codec(output: &Path, codec: &str, crf: Option<u8>) -> stylize::Result<()> {
    let input = sample().expect("checked by the caller");
    let mut source = source::open(&input, &SourceOptions::default())?;
    let options = SinkOptions { codec: Some(codec.to_owned()), crf, ..SinkOptions::new(source.info()) };
    let mut sink = sink::create(output, &options)?;
    for _ in 0..3 {
        sink.write(&source.next()?.expect("84 frames"))?;
    }
    sink.finish()
}

#[test]
fn codecs_by_name() {
    if sample().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (codec, extension, coding) in [
        ("h264", "mp4", "h264"),
        ("libx264", "mkv", "h264"),
        ("hevc", "mp4", "hevc"),
        ("mpeg4", "mp4", "mpeg4"),
        ("mjpeg", "avi", "mjpeg"),
        ("ffv1", "mkv", "ffv1"),
    ] {
        let output = folder.path().join(format!("{codec}.{extension}"));
        with_codec(&output, codec, None).unwrap_or_else(|error| panic!("{codec}: {error}"));
        let video = probe::video(&output);
        assert_eq!((video.text("codec_name"), video.frames(&output).0.len()), (coding, 3), "{codec}");
    }
    let output = folder.path().join("refused.mp4");
    let error = with_codec(&output, "h265x", None).unwrap_err().to_string();
    assert!(error.contains("h265x") && error.contains("libx264"), "{error}");
    let error = with_codec(&output, "aac", None).unwrap_err().to_string();
    assert!(error.contains("no video encoder aac"), "{error}");
    let error = with_codec(&folder.path().join("refused.webm"), "libx264", None).unwrap_err().to_string();
    assert!(error.contains("webm cannot hold h264"), "{error}");
    let error = with_codec(&output, "mpeg4", Some(20)).unwrap_err().to_string();
    assert!(error.contains("takes no --crf"), "{error}");
}
