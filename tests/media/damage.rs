//! Files that are cut off or damaged: what can be decoded is delivered, and what was lost is said.

use std::{
    fs,
    path::{Path, PathBuf},
};

use stylize::source::{self, SourceOptions};

use crate::{ffmpeg, pass_all, sample, text};

/// A clip with its index at the beginning, as a cut-off download has it, in a container of this kind.
fn whole(folder: &Path, extension: &str) -> Option<PathBuf> {
    let input = sample()?;
    let path = folder.join(format!("whole.{extension}"));
    ffmpeg(&["-i", text(&input), "-c", "copy", "-movflags", "+faststart", text(&path)]);
    Some(path)
}

/// Frames that can be decoded and the word on what cannot.
fn decode(path: &Path) -> (u64, Option<String>) {
    let mut source = source::open(path, &SourceOptions::default()).unwrap();
    let mut frames = 0;
    while source.next().unwrap().is_some() {
        frames += 1;
    }
    (frames, source.damage())
}

#[test]
fn a_file_cut_off_in_the_middle_gives_its_first_half() {
    let folder = tempfile::tempdir().unwrap();
    for extension in ["mp4", "mkv"] {
        let Some(path) = whole(folder.path(), extension) else { return };
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let (frames, damage) = decode(&path);
        assert!((10..75).contains(&frames), "{extension}: {frames} frames");
        let damage = damage.expect("a word on what is missing");
        assert!(damage.contains("ends after"), "{extension}: {damage}");
        let lost: u64 = damage.split(' ').next().unwrap().parse().expect("begins with a count");
        assert!((lost + frames).abs_diff(84) <= 2, "{extension}: {frames} frames, {damage}");
        // The whole way, too: the sink finishes a file.
        let outcome = pass_all(&path, &folder.path().join(format!("out-{extension}.mp4"))).unwrap();
        assert_eq!(outcome.frames, frames);
    }
}

#[test]
fn damage_in_the_middle_is_passed_over_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = whole(folder.path(), "mp4") else { return };
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    for (index, byte) in bytes[middle..][..20_000].iter_mut().enumerate() {
        *byte = (index * 37 % 251) as u8;
    }
    fs::write(&path, &bytes).unwrap();
    let (frames, damage) = decode(&path);
    assert!(frames > 42, "{frames} of 84 frames");
    let damage = damage.expect("a word on the damage");
    assert!(damage.chars().any(|character| character.is_ascii_digit()), "counted: {damage}");
}

#[test]
fn nothing_but_damage_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = whole(folder.path(), "mp4") else { return };
    let mut bytes = fs::read(&path).unwrap();
    let data = bytes.windows(4).position(|window| window == b"mdat").unwrap() + 4;
    bytes[data..].fill(0x55);
    fs::write(&path, &bytes).unwrap();
    let error = source::open(&path, &SourceOptions::default()).err().expect("nothing can be decoded").to_string();
    assert!(error.contains("could be decoded"), "{error}");
}

#[test]
fn a_file_without_its_index_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = whole(folder.path(), "mp4") else { return };
    let input = folder.path().join("late.mp4");
    ffmpeg(&["-i", text(&path), "-c", "copy", text(&input)]);
    let bytes = fs::read(&input).unwrap();
    fs::write(&input, &bytes[..bytes.len() / 2]).unwrap();
    let error = source::open(&input, &SourceOptions::default()).err().unwrap().to_string();
    assert!(error.contains("cut off"), "{error}");
}
