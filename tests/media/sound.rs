//! Sound that an output does not hold as it is: encoded anew it must be the same sound at the same time.

use std::path::Path;

use stylize::source::SourceOptions;

use crate::{ffmpeg, pass, pass_all, probe, sample, text};

/// Samples a second at which sounds are compared.
const RATE: usize = 8_000;
/// How far they are moved against each other, in samples: 50 ms.
const MOVED: usize = RATE / 20;

/// The sound, mono, with the silence that a late start or a gap means.
fn heard(path: &Path) -> Vec<f32> {
    let filter = format!("aresample={RATE}:async=1:first_pts=0");
    let bytes = ffmpeg(&["-i", text(path), "-map", "0:a:0", "-ac", "1", "-af", &filter, "-f", "f32le", "-"]);
    bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

/// How alike two sounds are at best, 0 to 1, and how many milliseconds `b` then is behind `a`.
fn compared(a: &[f32], b: &[f32]) -> (f64, f64) {
    let length = a.len().min(b.len()) - 2 * MOVED;
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let a = &a[MOVED..][..length];
    let alike = |by: usize| {
        let b = &b[by..][..length];
        product(a, b) / (product(a, a) * product(b, b)).sqrt()
    };
    let all: Vec<f64> = (0..=2 * MOVED).map(alike).collect();
    let best = (0..all.len()).max_by(|&x, &y| all[x].total_cmp(&all[y])).unwrap();
    (all[best], (best as f64 - MOVED as f64) * 1e3 / RATE as f64)
}

/// Sound of `input` in `output`, relative to the pictures there.
fn check(input: &Path, output: &Path, coding: &str, channels: i64) {
    let sound = &probe::of_kind(output, "audio")[0];
    assert_eq!((sound.text("codec_name"), sound.number("channels")), (coding, channels), "{}", output.display());
    // Matroska has no time before zero, so everything is moved where the sound begins there.
    let begins = |path: &Path| probe::video(path).frames(path).0[0];
    let moved = ((begins(output) - begins(input)) * RATE as f64).round() as usize;
    let (before, after) = (heard(input), heard(output));
    let lengths = before.len() as f64 / RATE as f64 - (after.len() - moved) as f64 / RATE as f64;
    assert!(lengths.abs() < 0.2, "{}: {lengths} s are missing", output.display());
    let (alike, behind) = compared(&before, &after[moved..]);
    assert!(alike > 0.95 && behind.abs() < 2.0, "{}: {alike:.3} alike, {behind:.1} ms behind", output.display());
}

#[test]
fn sound_is_encoded_anew_where_the_container_does_not_hold_it() {
    let Some(sample) = sample() else { return };
    let folder = tempfile::tempdir().unwrap();
    let of = |name: &str| folder.path().join(name);
    // An old camera's file, a telephone's, and six channels.
    let (camera, telephone, cinema) = (of("camera.avi"), of("telephone.mov"), of("cinema.mkv"));
    ffmpeg(&["-i", text(&sample), "-c:v", "mjpeg", "-q:v", "5", "-c:a", "pcm_s16le", text(&camera)]);
    ffmpeg(&["-i", text(&sample), "-c:v", "copy", "-c:a", "pcm_mulaw", "-ar", "8000", "-ac", "1", text(&telephone)]);
    ffmpeg(&["-i", text(&sample), "-c:v", "copy", "-c:a", "ac3", "-ac", "6", text(&cinema)]);
    for (input, output, coding, channels) in [
        (&sample, "sample.webm", "opus", 2),
        (&camera, "camera.mp4", "aac", 2),
        (&telephone, "telephone.mkv", "aac", 1),
        (&cinema, "cinema.webm", "opus", 6),
    ] {
        let output = of(output);
        let outcome = pass_all(input, &output).unwrap_or_else(|error| panic!("{}: {error}", output.display()));
        assert!(outcome.warnings.iter().any(|warning| warning.contains(coding)), "{:?}", outcome.warnings);
        check(input, &output, coding, channels);
    }
}

#[test]
fn a_part_takes_along_its_own_sound() {
    let Some(sample) = sample() else { return };
    let folder = tempfile::tempdir().unwrap();
    let options = SourceOptions { start: Some(1.3), duration: Some(1.5), ..SourceOptions::default() };
    let [copied, anew] = ["part.mp4", "part.webm"].map(|name| folder.path().join(name));
    for output in [&copied, &anew] {
        pass(&sample, output, &options, u64::MAX).unwrap();
    }
    check(&copied, &anew, "opus", 2);
}

#[test]
fn a_gap_stays_a_gap_and_damage_does_not_end_the_sound() {
    let Some(sample) = sample() else { return };
    let folder = tempfile::tempdir().unwrap();
    let noisy = |name: &str, filter: &str| {
        let (input, output) = (folder.path().join(format!("{name}.mkv")), folder.path().join(format!("{name}.webm")));
        ffmpeg(&["-i", text(&sample), "-c", "copy", "-bsf:a", filter, text(&input)]);
        pass_all(&input, &output).unwrap();
        (input, output)
    };
    let (input, output) = noisy("gap", r"noise=drop=between(n\,50\,80):amount=0");
    check(&input, &output, "opus", 2);
    let (_, output) = noisy("damage", r"noise=amount=between(n\,50\,60)*9");
    let heard = heard(&output).len() as f64 / RATE as f64;
    assert!((heard - probe::length(&sample)).abs() < 0.2, "{heard} s are left");
}
