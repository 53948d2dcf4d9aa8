//! Reading and writing real files, judged by FFmpeg's command line tools: what `ffprobe` and `ffmpeg` see in a file that
//! went through our source and sink must be what they see in the original.

#![cfg(feature = "video")]

mod clips;
mod colour;
mod containers;
mod cuts;
mod damage;
mod probe;
mod refusals;
mod sound;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use stylize::{
    Result,
    sink::{self, SinkOptions},
    source::{self, SourceOptions},
};

/// What went through.
pub struct Outcome {
    pub frames: u64,
    pub damage: Option<String>,
    pub warnings: Vec<String>,
}

/// Input to output without painting, at most `limit` frames.
pub fn pass(input: &Path, output: &Path, options: &SourceOptions, limit: u64) -> Result<Outcome> {
    let mut source = source::open(input, options)?;
    let settings = SinkOptions::new(source.info()).with_streams_of(input, options);
    let mut sink = sink::create(output, &settings)?;
    let mut frames = 0;
    while frames < limit
        && let Some(frame) = source.next()?
    {
        sink.write(&frame)?;
        frames += 1;
    }
    let outcome = Outcome { frames, damage: source.damage(), warnings: sink.warnings().to_vec() };
    sink.finish()?;
    Ok(outcome)
}

pub fn pass_all(input: &Path, output: &Path) -> Result<Outcome> {
    pass(input, output, &SourceOptions::default(), u64::MAX)
}

/// A clip of the assets. None, with a visible word, where they or the judges are absent.
pub fn clip(name: &str) -> Option<PathBuf> {
    let assets = std::env::var_os("STYLIZE_ASSETS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/assets"), PathBuf::from);
    let path = assets.join("clips").join(name);
    if !path.exists() {
        eprintln!("skipped: {} is absent", path.display());
        return None;
    }
    tools().then_some(path)
}

/// The clip in `samples/`: 640x360, 84 frames at 24 a second, AAC. None, with a visible word, where the judges are absent.
pub fn sample() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/clip.mp4");
    tools().then_some(path)
}

/// Whether FFmpeg's tools are there.
pub fn tools() -> bool {
    let there = |tool: &str| Command::new(tool).arg("-version").output().is_ok_and(|output| output.status.success());
    let there = there("ffprobe") && there("ffmpeg");
    if !there {
        eprintln!("skipped: ffmpeg and ffprobe are not installed");
    }
    there
}

/// Runs the `ffmpeg` tool and gives what it wrote to its standard output.
pub fn ffmpeg(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("ffmpeg").args(["-v", "error", "-nostdin", "-y"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "ffmpeg {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("temporary names are plain")
}
