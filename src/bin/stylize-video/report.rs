//! What the user sees of a run: the start line, progress, the summary.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use stylize::{
    engine::Losses,
    passes::Rehearsed,
    pipeline::Report,
    progress::{Progress, Status},
};

/// Between two lines where the output is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Progress on a terminal, in plain lines, or not at all. Clones show on the same line.
#[derive(Clone)]
pub struct Display {
    bar: ProgressBar,
    total: Option<u64>,
    plain: bool,
    last_line: Option<Instant>,
    quiet: bool,
}

impl Display {
    pub fn new(total: Option<u64>, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target =
            if quiet || !terminal { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr_with_hz(8) };
        let bar = ProgressBar::with_draw_target(total, target);
        let template =
            if total.is_some() { "{bar:24} {pos}/{len} {percent}% {msg}" } else { "{spinner} {pos} frames {msg}" };
        bar.set_style(ProgressStyle::with_template(template).expect("a valid template"));
        Display { bar, total, plain: !quiet && !terminal, last_line: None, quiet }
    }

    /// Steps on a first frame, which can take as long as many frames after it.
    pub fn step(&self, step: usize, of: usize, losses: &Losses) {
        self.bar.set_message(format!("first frame, step {step}/{of}, {losses}"));
    }

    /// Frames of the passes before the last.
    pub fn rehearsed(&mut self, at: Rehearsed, passes: usize) {
        let Rehearsed { pass, frames, of } = at;
        let text = if pass == 0 {
            format!("reading, frame {frames}")
        } else {
            format!("pass {pass} of {passes}, frame {frames}/{of}")
        };
        if self.due() {
            eprintln!("{text}");
        }
        self.bar.set_message(text);
    }

    /// Whether it is time for a line, where the output is no terminal.
    fn due(&mut self) -> bool {
        let due = self.plain && self.last_line.is_none_or(|last| last.elapsed() >= LINE_EVERY);
        if due {
            self.last_line = Some(Instant::now());
        }
        due
    }

    /// A line that stays, above the progress.
    pub fn line(&self, text: &str) {
        if !self.quiet {
            self.bar.suspend(|| eprintln!("{text}"));
        }
    }

    /// Errors and warnings are shown even when quiet.
    pub fn warn(&self, text: &str) {
        self.bar.suspend(|| eprintln!("warning: {text}"));
    }

    pub fn close(&self) {
        self.bar.finish_and_clear();
    }

    pub fn summary(&self, report: &Report, output: &std::path::Path) {
        let seconds = report.elapsed.as_secs_f64();
        let [decode, watch, paint, encode] = report.busy.map(|busy| busy.as_secs_f64());
        let frames = if report.frames == 1 { "1 frame" } else { &format!("{} frames", report.frames) };
        let rate = report.frames as f64 / seconds.max(1e-9);
        self.line(&format!(
            "{}: {frames} in {seconds:.1} s, {rate:.1} fps (decode {decode:.1} s, watch {watch:.1} s, paint {paint:.1} s, encode \
             {encode:.1} s)",
            output.display()
        ));
    }
}

impl Progress for Display {
    fn frame(&mut self, status: Status) {
        // Of the first frame alone one cannot tell.
        let rate = (status.frames > 1).then(|| (status.frames - 1) as f64 / status.elapsed.as_secs_f64().max(1e-9));
        let pace = rate.map(|rate| format!("{rate:.1} fps, ")).unwrap_or_default();
        let left = rate.zip(self.total).map(|(rate, total)| total.saturating_sub(status.frames) as f64 / rate);
        let left = left.map(|left| format!("{} left, ", HumanDuration(Duration::from_secs_f64(left.round()))));
        let left = left.unwrap_or_default();
        self.bar.set_message(format!("{pace}{left}{}", status.note));
        self.bar.set_position(status.frames);
        if self.due() {
            let of = self.total.map(|total| format!("/{total}")).unwrap_or_default();
            eprintln!("frame {}{of}, {pace}{left}{}", status.frames, status.note);
        }
    }
}
