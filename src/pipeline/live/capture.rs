//! The first stage: frames from a camera or a file, as they come, to whoever wants the newest.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Shot,
    panel::{Health, Panel},
};
use crate::{
    error::{Error, Result},
    frame::Frame,
    pipeline::link::Newest,
    source::FrameSource,
};

/// Opens the source; a camera that was lost is opened again.
pub type OpenLive = Box<dyn FnMut() -> Result<Box<dyn FrameSource>> + Send>;

/// Where live frames come from.
pub enum Feed {
    /// Delivers at its own pace; pts are microseconds since it was opened.
    Camera(OpenLive),
    /// Is read at the pace of its time stamps, again and again if `repeat`.
    File { open: OpenLive, repeat: bool },
}

/// Between two attempts to get a lost camera back.
const RETRY: Duration = Duration::from_millis(500);
/// While waiting: how often a stop is looked for.
const TICK: Duration = Duration::from_millis(20);
/// A file that is later than this goes on from where it is.
const PATIENCE: Duration = Duration::from_secs(1);

/// Of the measured frame period.
const SMOOTHING: f64 = 0.1;
/// A longer gap between two frames, in seconds, is a pause of the source and not its rate.
const GAP: f64 = 0.5;

/// Runs until the feed ends, fails for good, or the run is stopped.
pub(super) struct Capture {
    panel: Arc<Panel>,
    outlets: Vec<Newest<Arc<Shot>>>,
    period: Period,
}

impl Capture {
    pub fn new(panel: Arc<Panel>, outlets: Vec<Newest<Arc<Shot>>>) -> Self {
        Capture { panel, outlets, period: Period::default() }
    }

    pub fn run(mut self, feed: Feed) -> Result<()> {
        match feed {
            Feed::Camera(open) => self.camera(open),
            Feed::File { open, repeat } => self.file(open, repeat),
        }
    }

    fn hand_on(&mut self, frame: Frame, at: Instant) {
        let shot = Arc::new(Shot { frame, at, period: self.period.after(at) });
        self.panel.meter.captured();
        self.outlets.iter().for_each(|outlet| outlet.put(Arc::clone(&shot)));
    }

    /// A camera that cannot be opened at first is an error; one that is lost later is waited for.
    fn camera(&mut self, mut open: OpenLive) -> Result<()> {
        let mut known = false;
        while !self.panel.is_stopping() {
            let opened = Instant::now();
            let lost = match open() {
                Err(error) if !known => return Err(error),
                Err(error) => error,
                Ok(camera) => {
                    known = true;
                    match self.follow(camera, opened) {
                        Some(error) => error,
                        None => break,
                    }
                }
            };
            let health = match &lost {
                Error::CameraSilent { .. } => Health::Silent,
                other => Health::Lost(other.to_string()),
            };
            if self.panel.health() != health {
                log::warn!("{lost}; reconnecting");
            }
            self.panel.set_health(health);
            self.rest(Instant::now() + RETRY);
        }
        self.panel.set_health(Health::Ended);
        Ok(())
    }

    /// Hands on frames until the camera fails (why) or the run ends (None).
    fn follow(&mut self, mut camera: Box<dyn FrameSource>, opened: Instant) -> Option<Error> {
        let base = camera.info().time_base;
        let mut damaged = 0;
        loop {
            if self.panel.is_stopping() {
                return None;
            }
            match camera.next() {
                Ok(Some(frame)) => {
                    if self.panel.health() != Health::Running {
                        self.panel.set_health(Health::Running);
                    }
                    damaged = 0;
                    let at = opened + Duration::from_secs_f64(base.seconds(frame.pts).max(0.0));
                    self.hand_on(frame, at.min(Instant::now()));
                }
                Ok(None) => return None,
                // A broken JPEG now and then is usual on a bad cable; a camera that sends nothing else is lost.
                Err(Error::CameraFrame { .. }) if damaged < 60 => {
                    damaged += 1;
                    self.panel.meter.drop_count(|drops| drops.damaged += 1);
                }
                // It may wake up. It is not opened a second time: nokhwa shares one device among all that it opens, and
                // the reader that still waits would end the stream of the next.
                Err(error @ Error::CameraSilent { .. }) => {
                    if self.panel.health() != Health::Silent {
                        log::warn!("{error}");
                        self.panel.set_health(Health::Silent);
                    }
                }
                Err(error) => return Some(error),
            }
        }
    }

    fn file(&mut self, mut open: OpenLive, repeat: bool) -> Result<()> {
        loop {
            let mut source = open()?;
            let base = source.info().time_base;
            let seconds = |ticks: i64| Duration::from_secs_f64(base.seconds(ticks).max(0.0));
            let mut zero: Option<Instant> = None;
            let (mut end, mut frames) = (None, 0);
            while let Some(frame) = source.next()? {
                frames += 1;
                self.panel.set_health(Health::Running);
                let time = seconds(frame.pts);
                let mut due = *zero.get_or_insert_with(|| Instant::now() - time) + time;
                self.rest(due);
                due += self.pause();
                // A source that cannot keep its own pace (a slow network) sets the clock back.
                let late = Instant::now().saturating_duration_since(due);
                if late > PATIENCE {
                    due += late;
                }
                zero = due.checked_sub(time);
                end = Some(due + seconds(frame.duration).min(PATIENCE));
                if self.panel.is_stopping() {
                    return Ok(());
                }
                self.hand_on(frame, Instant::now());
            }
            // The last frame lasts as long as it should, whether the file begins again or the run ends.
            self.rest(end.ok_or(Error::NoFrames)?);
            // A still picture stays until the run is stopped.
            if !repeat && frames > 1 {
                self.panel.set_health(Health::Ended);
                return Ok(());
            }
        }
    }

    fn rest(&self, until: Instant) {
        while !self.panel.is_stopping() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(TICK));
        }
    }

    /// Waits while the user pauses: how long.
    fn pause(&self) -> Duration {
        let began = Instant::now();
        while self.panel.controls().paused && !self.panel.is_stopping() {
            std::thread::sleep(TICK);
        }
        began.elapsed()
    }
}

/// The time between frames of the source, smoothed.
#[derive(Default)]
struct Period {
    last: Option<Instant>,
    seconds: f64,
}

impl Period {
    /// The period after one more frame.
    fn after(&mut self, at: Instant) -> Duration {
        if let Some(last) = self.last.replace(at) {
            let gap = (at - last).as_secs_f64();
            if gap < GAP {
                let share = if self.seconds == 0.0 { 1.0 } else { SMOOTHING };
                self.seconds += share * (gap - self.seconds);
            }
        }
        Duration::from_secs_f64(self.seconds)
    }
}
