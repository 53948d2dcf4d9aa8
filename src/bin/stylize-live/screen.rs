//! The main thread of a run: the window with its keys and texts, or nothing to look at.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use stylize::{
    frame::Size,
    pipeline::{
        link::{Closed, Receiver},
        live::{Health, Panel, Shown},
    },
    sink::{text::Corner, window::Window},
};

use crate::{
    keys::{self, Own},
    statistics::Statistics,
};

/// Between two looks at the window's events.
const TICK: Duration = Duration::from_millis(10);
/// A source that sends nothing for so long is called silent in the window, whatever its thread says or cannot say.
const SILENT: Duration = Duration::from_millis(1500);
/// The first lines of help are shown for so long.
const HINT: Duration = Duration::from_secs(4);

pub struct Screen<'a> {
    pub panel: &'a Panel,
    pub styles: &'a [String],
    pub statistics: Statistics,
    pub headless: bool,
    /// Of the window where no frame has come yet that could tell.
    pub size: Size,
    pub until: Option<Instant>,
    pub stop: &'a AtomicBool,
}

/// What is laid over the picture.
#[derive(Default)]
struct Texts {
    help: bool,
    statistics: bool,
}

impl Screen<'_> {
    /// Shows frames until there are no more, or the user has enough.
    pub fn watch(mut self, inbox: &Receiver<Arc<Shown>>) -> anyhow::Result<()> {
        let (mut window, mut texts, mut skipped) = (None::<Window>, Texts::default(), 0);
        let (began, mut last_frame) = (Instant::now(), Instant::now());
        loop {
            let shown = match inbox.receive_within(TICK) {
                Err(Closed) => return Ok(()),
                Ok(shown) => shown,
            };
            self.panel.meter.window_dropped(inbox.replaced_since(&mut skipped));
            last_frame = if shown.is_some() { Instant::now() } else { last_frame };
            // A source that is silent from the start gets a window too, to be told in.
            if !self.headless && window.is_none() && (shown.is_some() || last_frame.elapsed() > SILENT) {
                let size = shown.as_ref().map_or(self.size, |shown| shown.frame.size());
                window = Some(Window::open("stylize-live", size)?);
            }
            if let (Some(window), Some(shown)) = (&mut window, &shown) {
                window.show(&shown.frame);
            }
            if let Some(window) = &mut window {
                window.overlay(self.overlays(&texts, began, last_frame));
                if !window.update() {
                    return Ok(());
                }
                for key in window.keys() {
                    match keys::press(key, self.panel, self.styles) {
                        Some(Own::Help) => texts.help = !texts.help,
                        Some(Own::Statistics) => texts.statistics = !texts.statistics,
                        Some(Own::Quit) => return Ok(()),
                        None => {}
                    }
                }
            }
            if let Some(shown) = shown {
                self.panel.meter.shown(shown.captured);
            }
            self.statistics.tick(self.panel, self.styles)?;
            let over = self.until.is_some_and(|until| Instant::now() >= until);
            if over || self.stop.load(Ordering::Relaxed) || self.panel.is_stopping() {
                return Ok(());
            }
        }
    }

    fn overlays(&self, texts: &Texts, began: Instant, last_frame: Instant) -> Vec<(Corner, Vec<String>)> {
        let mut overlays = Vec::new();
        if texts.statistics {
            overlays.push((Corner::TopLeft, self.statistics.lines(self.panel, self.styles)));
        }
        if texts.help {
            // It needs all of a small window.
            overlays.push((Corner::Centre, keys::lines()));
            return overlays;
        }
        overlays.extend(self.trouble(last_frame).map(|trouble| (Corner::Centre, trouble)));
        let mut bottom: Vec<String> = self.panel.notice().into_iter().collect();
        if bottom.is_empty() && began.elapsed() < HINT {
            bottom.push("H shows the keys".to_owned());
        }
        let controls = self.panel.controls();
        if controls.paused {
            bottom.push("paused".to_owned());
        }
        if controls.recording {
            bottom.push("recording".to_owned());
        }
        if !bottom.is_empty() {
            overlays.push((Corner::BottomLeft, bottom));
        }
        overlays
    }

    /// Why nothing moves.
    fn trouble(&self, last_frame: Instant) -> Option<Vec<String>> {
        let since = last_frame.elapsed();
        if since < SILENT || self.panel.controls().paused {
            return None;
        }
        let (what, then) = match self.panel.health() {
            Health::Lost(_) => ("the camera is gone", "reconnecting"),
            Health::Silent => ("the camera is silent", "waiting for it"),
            _ => ("no frame comes", "waiting for one"),
        };
        Some(vec![format!("{what} for {} s", since.as_secs()), then.to_owned()])
    }
}
