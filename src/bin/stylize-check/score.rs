//! Two videos compared, as text, JSON and a plot.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use stylize::{
    cli::NetworkArgs,
    score::{
        self, Judge, ScoreOptions, plot,
        report::{MEASURES, Score, number},
    },
    source::picture,
};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// The video as it was before: a video, a picture, or a numbered sequence (frames/%05d.png)
    pub content: PathBuf,

    /// What was painted of it, frame for frame
    pub stylized: PathBuf,

    /// The style picture, for the distance to it
    #[arg(long, value_name = "FILE")]
    pub style: Option<PathBuf>,

    /// Compare at most this many frames, from the beginning [default: all]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub frames: Option<usize>,

    /// The width at which the two are compared; a narrower content video is compared at its own
    #[arg(long, value_name = "W", default_value_t = 320, allow_negative_numbers = true)]
    pub width: usize,

    /// Print JSON, with the values over time
    #[arg(long)]
    pub json: bool,

    /// Draw the values over time; a plot of that name is replaced
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,

    #[command(flatten)]
    pub network: NetworkArgs,
}

/// Compares, prints, plots.
pub fn run(args: &Args) -> Result<()> {
    let options = ScoreOptions { frames: args.frames, width: args.width };
    options.validate()?;
    args.plot.as_deref().map_or(Ok(()), check_plot)?;
    let style = args.style.as_deref().map(picture::load).transpose()?;
    let vgg = args.network.network()?;
    let judge = Judge { runtime: args.network.runtime()?, vgg, style };
    // Shown only where standard error is a terminal.
    let bar = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("{pos} frames compared, {per_sec}")?);
    let score =
        score::compare(&args.content, &args.stylized, &judge, &options, |frames| bar.set_position(frames as u64));
    bar.finish_and_clear();
    let score = score?;
    let title = format!("{} against {}", args.stylized.display(), args.content.display());
    if let Some(path) = &args.plot {
        let page = plot::svg(&score, &title);
        fs::write(path, page).with_context(|| format!("cannot write {}", path.display()))?;
    }
    for note in &score.notes {
        eprintln!("warning: {note}");
    }
    let text = if args.json { serde_json::to_string_pretty(&score)? + "\n" } else { text(&score, &title) };
    match io::stdout().write_all(text.as_bytes()) {
        // The reader has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}

/// Before the work, not after it.
fn check_plot(path: &Path) -> Result<()> {
    if !path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("svg")) {
        bail!("--plot is {}; the plot is an SVG: give it a name that ends in .svg", path.display());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        bail!("cannot write {}: the folder {} does not exist; make it first", path.display(), folder.display());
    }
    Ok(())
}

/// A line for each measure.
fn text(score: &Score, title: &str) -> String {
    let Score { frames, width, height, model, summary, .. } = score;
    let mut text = format!("{title}\n{frames} frames at {width}x{height}, judged by {model}\n\n");
    for measure in &MEASURES {
        let own = measure.of_content.as_ref().and_then(|of_content| (of_content.value)(summary));
        let own = own.map(|value| format!(" (content's own: {})", number(value))).unwrap_or_default();
        text += &match (measure.value)(summary) {
            Some(value) => format!("{:8} {:>8}  {}{own}\n", measure.name, number(value), measure.meaning),
            None => format!("{:8} {:>8}  not measured: {}\n", measure.name, "-", measure.absent),
        };
    }
    if !score.cuts.is_empty() {
        let cuts: Vec<String> = score.cuts.iter().map(usize::to_string).collect();
        text += &format!("\nscene cuts at frames {}\n", cuts.join(", "));
    }
    text
}
