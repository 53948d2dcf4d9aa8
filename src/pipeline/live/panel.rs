//! What the user sets while the pipeline runs, and what the pipeline has to say: shared by all stages.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde::Serialize;

use super::meter::Meter;
use crate::settings::Balance;

/// How the frame and the painting share the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum View {
    #[default]
    Painted,
    /// The frame on the left, painted on the right, each at half size.
    SideBySide,
    /// One picture: its left half as it is, its right half painted.
    Split,
    Original,
}

impl View {
    /// The next one, around.
    pub fn next(self) -> Self {
        match self {
            View::Painted => View::SideBySide,
            View::SideBySide => View::Split,
            View::Split => View::Original,
            View::Original => View::Painted,
        }
    }
}

/// What the user can change at any time.
#[derive(Clone, Debug, PartialEq)]
pub struct Controls {
    /// Index of the style among those of the run.
    pub style: usize,
    pub balance: Balance,
    /// The longer side of what is painted; None leaves it to the controller.
    pub size: Option<usize>,
    /// Steps for each frame; None leaves them to the controller.
    pub steps: Option<usize>,
    /// Every how many frames they are taken; None is in each where `steps` are given, else left to the controller.
    pub step_every: Option<usize>,
    pub keep_colours: bool,
    pub view: View,
    pub mirror: bool,
    pub paused: bool,
    pub recording: bool,
    /// Counts up with every restart of the picture that is asked for.
    pub restarts: u64,
    /// Counts up with every snapshot that is asked for.
    pub snapshots: u64,
}

impl Controls {
    /// The first style in this balance, size and steps left to the controller, everything else off.
    pub fn new(balance: Balance) -> Self {
        Controls {
            style: 0,
            balance,
            size: None,
            steps: None,
            step_every: None,
            keep_colours: false,
            view: View::default(),
            mirror: false,
            paused: false,
            recording: false,
            restarts: 0,
            snapshots: 0,
        }
    }
}

/// How the source is doing.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Health {
    /// No frame yet.
    #[default]
    Starting,
    Running,
    /// Open, but no frame comes.
    Silent,
    /// Gone: unplugged or taken, with the reason; it is looked for.
    Lost(String),
    Ended,
}

impl Health {
    pub fn name(&self) -> &'static str {
        match self {
            Health::Starting => "starting",
            Health::Running => "running",
            Health::Silent => "silent",
            Health::Lost(_) => "lost",
            Health::Ended => "ended",
        }
    }
}

/// How long a notice is shown.
const NOTICE: Duration = Duration::from_secs(3);

/// The place where the stages, the window and the program meet.
pub struct Panel {
    controls: Mutex<Controls>,
    health: Mutex<Health>,
    notice: Mutex<Option<(String, Instant)>>,
    stop: AtomicBool,
    pub meter: Meter,
}

impl Panel {
    pub fn new(controls: Controls) -> Self {
        Panel {
            controls: Mutex::new(controls),
            health: Mutex::default(),
            notice: Mutex::default(),
            stop: AtomicBool::new(false),
            meter: Meter::default(),
        }
    }

    pub fn controls(&self) -> Controls {
        lock(&self.controls).clone()
    }

    pub fn change(&self, change: impl FnOnce(&mut Controls)) {
        change(&mut lock(&self.controls));
    }

    pub fn health(&self) -> Health {
        lock(&self.health).clone()
    }

    pub fn set_health(&self, health: Health) {
        *lock(&self.health) = health;
    }

    /// Says something to the user for a few seconds.
    pub fn notify(&self, text: impl Into<String>) {
        let text = text.into();
        log::info!("{text}");
        *lock(&self.notice) = Some((text, Instant::now()));
    }

    /// What is to be said now.
    pub fn notice(&self) -> Option<String> {
        let notice = lock(&self.notice);
        notice.as_ref().filter(|(_, since)| since.elapsed() < NOTICE).map(|(text, _)| text.clone())
    }

    /// Ends the run: recordings are finished, threads joined.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// What is guarded here is plain values, each valid beside any others: a panic elsewhere leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
