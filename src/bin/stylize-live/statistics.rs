//! Statistics once a second: a line of JSON, and the text in the window.

use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use stylize::{
    machine::resident_memory,
    pipeline::live::{Panel, Second, View},
    settings::Balance,
    sink::Lines,
};

/// A line of --stats.
#[derive(Serialize)]
struct Line<'a> {
    /// Seconds since the start.
    t: f64,
    #[serde(flatten)]
    second: &'a Second,
    /// How the source is doing.
    source: &'a str,
    style: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    strength: Option<f64>,
    /// Whether size or steps are chosen by the program.
    automatic: bool,
    view: View,
    keep_colours: bool,
    mirror: bool,
    paused: bool,
    recording: bool,
    /// Resident memory of the program, MiB (0 where the system does not say).
    memory: f64,
}

pub struct Statistics {
    file: Option<Lines>,
    began: Instant,
    next: Instant,
    last: Option<Second>,
}

impl Statistics {
    /// Written to a file, if there is one.
    pub fn new(file: Option<Lines>) -> Self {
        let now = Instant::now();
        Statistics { file, began: now, next: now + SECOND, last: None }
    }

    /// Once a second: takes the measurements and writes them down.
    pub fn tick(&mut self, panel: &Panel, styles: &[String]) -> anyhow::Result<()> {
        let now = Instant::now();
        if now < self.next {
            return Ok(());
        }
        self.next = (self.next + SECOND).max(now);
        let second = panel.meter.take();
        if let Some(file) = &mut self.file {
            let controls = panel.controls();
            let line = Line {
                t: (1000.0 * (now - self.began).as_secs_f64()).round() / 1000.0,
                second: &second,
                source: panel.health().name(),
                style: &styles[controls.style],
                strength: match controls.balance {
                    Balance::Strength(strength) => Some(strength),
                    Balance::Course { .. } => None,
                },
                automatic: controls.size.is_none() || controls.steps.is_none(),
                view: controls.view,
                keep_colours: controls.keep_colours,
                mirror: controls.mirror,
                paused: controls.paused,
                recording: controls.recording,
                memory: resident_memory().map_or(0.0, |memory| (10.0 * memory).round() / 10.0),
            };
            let line = serde_json::to_string(&line)?;
            file.write(&line).context("cannot write the statistics")?;
        }
        self.last = Some(second);
        Ok(())
    }

    /// For the window.
    pub fn lines(&self, panel: &Panel, styles: &[String]) -> Vec<String> {
        let Some(second) = &self.last else { return vec!["measuring".to_owned()] };
        let controls = panel.controls();
        let dropped = second.dropped;
        vec![
            format!("{:.0} fps in, {:.0} shown, {:.0} painted", second.fps_in, second.fps_out, second.fps_painted),
            format!(
                "{} pixels, {} steps, {:.0} ms",
                second.size,
                (10.0 * second.steps).round() / 10.0,
                second.paint.p50
            ),
            format!("latency {:.0} ms, paint {:.0} ms old", second.latency.p50, second.paint_age.p50),
            format!("{}, {}", styles[controls.style], crate::keys::balance(controls.balance)),
            format!("not painted {}, not shown {}", dropped.paint, dropped.compose + dropped.window),
        ]
    }
}

const SECOND: Duration = Duration::from_secs(1);
