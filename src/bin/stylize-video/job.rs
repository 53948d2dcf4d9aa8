//! From the arguments to a run.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Result, bail};
use stylize::{
    pipeline::{self, Painter, Stages, Work},
    sink::{self, SinkOptions},
    source::{self, SourceOptions},
    stylizer::Stylizer,
    tensor,
};

use crate::{
    args::Args,
    preview::Preview,
    report::{self, Display},
};

/// Paints the input as asked.
pub fn run(args: &Args, stop: &Arc<AtomicBool>) -> Result<()> {
    let settings = args.settings();
    settings.validate()?;
    let source_options = SourceOptions { start: args.start, duration: args.duration, frame_rate: args.fps };
    source_options.validate()?;
    let info = source::open(&args.input, &source_options)?.info().clone();
    let sink_options =
        SinkOptions { codec: args.codec.clone(), crf: args.crf, overwrite: args.overwrite, ..SinkOptions::new(&info) }
            .with_streams_of(&args.input, &source_options);
    let paintings = args.style.paintings()?;
    let network = args.network.network()?;
    let runtime = args.network.runtime()?.inspected(args.inspect.inspection());
    let working = info.size.fit_longer(settings.size);
    let display = Display::new(info.frames, args.quiet);
    display.line(&format!(
        "{}: {}; painted at {working} by {} on {}",
        args.input.display(),
        info.description,
        network.name,
        runtime.description()
    ));
    let stylizer = Stylizer::new(runtime, network, paintings, settings.clone())?;
    let preview = if args.preview { Some(Preview::open(info.size)?) } else { None };
    let (monitor, inbox) = preview.as_ref().map(|_| pipeline::link::Link::Latest.open()).unzip();
    let stages = Stages {
        source: Box::new(|| source::open(&args.input, &source_options)),
        painter: Box::new(|size| painter(stylizer, size, display.clone(), Arc::clone(stop))),
        sink: Box::new(|| sink::create(&args.output, &sink_options)),
        working_size: settings.size,
        detail: settings.detail,
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
        bail!("stopped before the first frame was painted; nothing is written");
    }
    if report.stopped {
        display.line("stopped: what was painted so far is kept");
    }
    display.summary(&report, &args.output);
    Ok(())
}

/// The middle stage: RGB8 in, RGB8 out, the stylizer's tensors between them.
fn painter<'a>(
    mut stylizer: Stylizer,
    size: stylize::frame::Size,
    display: Display,
    stop: Arc<AtomicBool>,
) -> stylize::Result<Painter<'a>> {
    let mut content = tensor::zeros(size);
    stylizer.watch(Box::new(move |step, of, losses| {
        display.step(step, of, losses);
        !stop.load(Ordering::Relaxed)
    }));
    Ok(Box::new(move |work: &mut Work| {
        tensor::from_rgb8(&work.content, &mut content);
        let painted = stylizer.paint(content.view())?;
        tensor::to_rgb8(painted.picture, &mut work.painted);
        work.note.push_str(&report::note(painted.losses));
        Ok(())
    }))
}
