//! From the arguments to a run.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Result;
use stylize::{
    Error,
    frame::Size,
    motion::Sight,
    passes::Passes,
    pipeline::{self, Painter, Stages, Work, painter::PaintStage, watcher::WatchStage},
    post::Compositor,
    settings::Settings,
    sink::{self, SinkOptions},
    source::{self, SourceOptions, images},
    stylizer::Stylizer,
};

use crate::{args::Args, preview::Preview, report::Display};

/// How a run ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Complete,
    /// By the user, before everything was painted.
    Stopped,
}

/// Paints the input as asked.
pub fn run(args: &Args, stop: &Arc<AtomicBool>) -> Result<End> {
    let settings = args.settings();
    settings.validate()?;
    let passes = passes(args, &settings)?;
    let source_options = SourceOptions { start: args.start, duration: args.duration, frame_rate: args.fps };
    source_options.validate()?;
    let info = source::open(&args.input, &source_options)?.info().clone();
    let mut reads = args.style.files()?;
    reads.extend(args.network.file());
    let sink_options = SinkOptions {
        codec: args.codec.clone(),
        crf: args.crf,
        overwrite: args.overwrite,
        reads,
        ..SinkOptions::new(&info)
    }
    .with_streams_of(&args.input, &source_options);
    let paintings = args.style.paintings()?;
    let network = args.network.network()?;
    let runtime = args.network.runtime()?.inspected(args.inspect.inspection(&sink_options.reads));
    let working = info.size.fit_longer(settings.size);
    let display = Display::new(info.frames, args.quiet);
    display.line(&format!(
        "{}: {}; painted at {working} by {} on {}",
        args.input.display(),
        info.description,
        network.name,
        runtime.description()
    ));
    for word in without_effect(args) {
        display.warn(word);
    }
    let stylizer = Stylizer::new(runtime, network, paintings, settings.clone())?;
    let preview = if args.preview { Some(Preview::open(info.size)?) } else { None };
    let (monitor, inbox) = preview.as_ref().map(|_| pipeline::link::latest()).unzip();
    let middle = Middle { args, source: &source_options, passes, display: display.clone(), stop: Arc::clone(stop) };
    let stages = Stages {
        source: Box::new(|| source::open(&args.input, &source_options)),
        watcher: Box::new(|size| {
            let mut stage = WatchStage::new(&settings, size);
            Ok(Box::new(move |frame: &[u8], sight: &mut Sight| stage.watch(frame, sight)))
        }),
        painter: Box::new(|size| middle.painter(stylizer, size)),
        sink: Box::new(|| sink::create(&args.output, &sink_options)),
        working_size: settings.size,
        compositor: compositor(args, &settings),
        progress: Box::new(display.clone()),
        monitor,
    };
    let report = pipeline::run(stages, stop, || {
        if let (Some(preview), Some(inbox)) = (preview, inbox) {
            preview.run(&inbox, stop);
        }
    });
    display.close();
    let report = report?;
    report.warnings.iter().for_each(|warning| display.warn(warning));
    if report.stopped && report.frames == 0 {
        display.warn("stopped before the first frame was painted; nothing is written");
        return Ok(End::Stopped);
    }
    if report.stopped {
        display.line("stopped: what was painted so far is kept");
    }
    display.summary(&report, &args.output);
    Ok(if report.stopped { End::Stopped } else { End::Complete })
}

/// What makes the output of the paint; nothing of the frame belongs into a debug view.
fn compositor(args: &Args, settings: &Settings) -> Compositor {
    let shows_paint = args.debug_view.is_none();
    let mut compositor = Compositor::new(if shows_paint { settings.detail } else { 0.0 });
    compositor.keep_colours = args.keep_colours && shows_paint;
    compositor
}

/// What is needed to make the painting stage.
struct Middle<'a> {
    args: &'a Args,
    source: &'a SourceOptions,
    passes: usize,
    display: Display,
    stop: Arc<AtomicBool>,
}

impl<'a> Middle<'a> {
    /// Runs all passes but the last, and gives what paints that one.
    fn painter(mut self, mut stylizer: Stylizer, size: Size) -> stylize::Result<Painter<'a>> {
        let (display, stop) = (self.display.clone(), Arc::clone(&self.stop));
        stylizer.watch(Box::new(move |step, of, losses| {
            display.step(step, of, losses);
            !stop.load(Ordering::Relaxed)
        }));
        let stage = if self.passes == 1 {
            PaintStage::once(stylizer)
        } else {
            let mut passes = Passes::new(stylizer, folder_of(&self.args.output), size)?;
            let mut source = source::open(&self.args.input, self.source)?;
            passes.rehearse(&mut *source, self.passes, &mut |at| {
                self.display.rehearsed(at, self.passes);
                !self.stop.load(Ordering::Relaxed)
            })?;
            PaintStage::last(passes)
        };
        let mut stage = stage.showing(self.args.view());
        Ok(Box::new(move |work: &mut Work| stage.paint(work)))
    }
}

/// Where the output goes: there is room for pictures.
fn folder_of(output: &Path) -> &Path {
    output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What was asked for and means nothing for this input and output.
fn without_effect(args: &Args) -> Vec<&'static str> {
    let is_still = images::is_picture(&args.input);
    let writes_pictures = images::is_picture(&args.output) || images::is_sequence(&args.output);
    let checks = [
        (
            args.fps.is_some() && !images::is_sequence(&args.input),
            "--fps is for numbered pictures, and has no effect here",
        ),
        (args.keep_colours && args.debug_view.is_some(), "--keep-colours has no effect on a debug view"),
        (args.crf.is_some() && writes_pictures, "--crf is for videos, and has no effect on pictures"),
        (args.codec.is_some() && writes_pictures, "--codec is for videos, and has no effect on pictures"),
        (
            is_still && (args.start.is_some() || args.duration.is_some()),
            "--start and --duration have no effect on a picture",
        ),
    ];
    checks.into_iter().filter_map(|(asked, word)| asked.then_some(word)).collect()
}

/// How many passes a run makes: a single picture takes one, whatever the preset says.
///
/// # Errors
/// [`Error::Setting`] where more were asked for a picture.
fn passes(args: &Args, settings: &Settings) -> stylize::Result<usize> {
    if !images::is_picture(&args.input) {
        return Ok(settings.passes);
    }
    match args.multi_pass {
        Some(found) if found > 1 => {
            let expected = "1 for a picture: there is no other frame to pass to (--first-steps paints it longer)";
            Err(Error::Setting { name: "multi-pass", expected, found: found.to_string() })
        }
        _ => Ok(1),
    }
}
