//! From the command line to a running pipeline.

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use stylize::{
    Error,
    frame::Size,
    pipeline::live::{self, Choice, Controls, Feed, Panel, Setup},
    reads,
    sink::Lines,
    source::{self, SourceOptions},
};

use crate::{args::Args, screen::Screen, statistics::Statistics};

pub fn run(args: &Args, stop: &AtomicBool) -> anyhow::Result<()> {
    if args.list_cameras {
        return list_cameras();
    }
    let settings = args.settings();
    settings.validate()?;
    if let Some(seconds) = args.duration.filter(|seconds| !(seconds.is_finite() && *seconds > 0.0)) {
        bail!("--duration is {seconds}; it must be a positive number of seconds");
    }
    let network = args.network.network()?;
    let names = style_names(args);
    let paintings = args.style.paintings()?.into_iter().zip(&names);
    let styles = paintings.map(|(painting, name)| Choice { name: name.clone(), picture: painting.picture }).collect();
    let mut read = args.style.files()?;
    read.extend(args.input.as_deref().map(reads::files).unwrap_or_default());
    read.extend(args.network.file());
    if args.stats.is_some() && args.stats == args.record {
        bail!("--stats and --record name the same file");
    }
    let statistics = args.stats.as_deref().map(|file| Lines::create(file, &read, args.overwrite)).transpose()?;
    let statistics = Statistics::new(statistics);
    let panel = Arc::new(Panel::new(Controls {
        size: args.work_size,
        steps: args.steps,
        step_every: args.step_every,
        keep_colours: args.keep_colours,
        mirror: args.mirror,
        recording: args.record.is_some(),
        ..Controls::new(settings.balance)
    }));
    let setup = Setup {
        feed: feed(args)?,
        runtime: args.network.runtime()?.inspected(args.inspect.inspection(&read)),
        network,
        styles,
        settings,
        record: args.record.clone(),
        overwrite: args.overwrite,
        reads: read,
        virtual_camera: args.virtual_camera.clone(),
    };
    let screen = Screen {
        panel: &panel,
        styles: &names,
        statistics,
        headless: args.headless,
        size: args.size.unwrap_or(Size::new(640, 360)),
        until: args.duration.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds)),
        stop,
    };
    let mut watched = Ok(());
    live::run(setup, &panel, |inbox| watched = screen.watch(inbox))?;
    watched.map_err(|error| match error.downcast_ref() {
        Some(Error::Window { .. }) => error.context("(--headless runs without a window)"),
        _ => error,
    })
}

/// What the styles are called in the window.
fn style_names(args: &Args) -> Vec<String> {
    if args.style.styles.is_empty() {
        return vec!["built-in".to_owned()];
    }
    let name = |style: &String| Path::new(style).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    args.style.styles.iter().map(name).collect()
}

fn feed(args: &Args) -> anyhow::Result<Feed> {
    let Some(input) = args.input.clone() else { return camera(args) };
    let repeat = args.repeat;
    Ok(Feed::File { open: Box::new(move || source::open(&input, &SourceOptions::default())), repeat })
}

#[cfg(feature = "camera")]
fn camera(args: &Args) -> anyhow::Result<Feed> {
    use stylize::source::webcam::{self, Wanted};
    let wanted = Wanted { camera: args.camera.clone(), ..Wanted::new(args.size, args.fps)? };
    Ok(Feed::Camera(Box::new(move || webcam::open(&wanted))))
}

#[cfg(feature = "camera")]
fn list_cameras() -> anyhow::Result<()> {
    let cameras = stylize::source::webcam::list().context("cannot look for cameras")?;
    if cameras.is_empty() {
        bail!("no camera found; plug one in, or use --input FILE");
    }
    for camera in &cameras {
        println!("{camera}");
    }
    Ok(())
}

#[cfg(not(feature = "camera"))]
fn camera(_args: &Args) -> anyhow::Result<Feed> {
    bail!("this build knows no cameras (it was made without the feature `camera`); use --input FILE")
}

#[cfg(not(feature = "camera"))]
fn list_cameras() -> anyhow::Result<()> {
    bail!("this build knows no cameras (it was made without the feature `camera`)")
}
