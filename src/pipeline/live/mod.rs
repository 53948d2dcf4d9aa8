//! The live pipeline: a camera, or a file in its place, painted while one looks at it.
//!
//! ```text
//! capture -Latest-> compose -Latest-> window (the calling thread), virtual camera
//!    |                 ^  +-Blocking-> recordings, snapshots
//!    +----Latest-> paint <-> workshop (canvases of other sizes, other styles)
//! ```
//!
//! The newest frame wins everywhere; what is replaced is counted. Composing runs at the source's rate: where there is no
//! paint for a frame yet, the last paint is carried along the motion. Threads are named and joined, all but one: a driver
//! may keep the capture thread in a system call for ever, so it is waited for at the end, but not for long.

mod capture;
mod carry;
mod compose;
mod controller;
mod ladder;
mod meter;
mod paint;
mod panel;
mod record;
mod workshop;

use std::{
    path::PathBuf,
    sync::{Arc, mpsc},
    thread::Scope,
    time::{Duration, Instant},
};

use compose::Compose;
use paint::Paint;
use record::Record;
use workshop::Workshop;

pub use self::{
    capture::{Feed, OpenLive},
    meter::{Drops, Meter, Percentiles, Second},
    panel::{Controls, Health, Panel, View},
    workshop::Choice,
};
use super::{
    Joining, join,
    link::{self, Closed, Newest, Receiver},
    spawn,
};
use crate::{
    error::{Error, Result},
    frame::Frame,
    net::{session::Runtime, vgg::Vgg},
    settings::Settings,
};

/// A frame of the source.
struct Shot {
    frame: Frame,
    /// When it was captured.
    at: Instant,
    /// Time between frames of the source, smoothed; zero at first.
    period: Duration,
}

/// A frame as it is to be shown; pts and duration in microseconds since the start of the run.
pub struct Shown {
    pub frame: Frame,
    /// When the source's frame was captured.
    pub captured: Instant,
    /// Whether it is to be recorded: the encoder may get to it a second later, when something else is wanted.
    record: bool,
}

/// What a live run is made of.
pub struct Setup {
    pub feed: Feed,
    pub runtime: Runtime,
    pub network: Arc<Vgg>,
    /// At least one; [`Controls::style`] walks through them.
    pub styles: Vec<Choice>,
    /// Size and steps, and every how many frames they are taken, are where the controller starts.
    pub settings: Settings,
    /// The name of the first recording.
    pub record: Option<PathBuf>,
    pub overwrite: bool,
    /// Files that the run reads: no recording may replace them.
    pub reads: Vec<PathBuf>,
    /// A device that gets what is shown.
    pub virtual_camera: Option<PathBuf>,
}

/// Frames that wait for the encoder at most, a second at 30 a second: what it cannot keep up with is lost, and at the end
/// these are waited for.
const RECORD_AHEAD: usize = 30;
/// Snapshots that wait to be written.
const SNAPSHOTS_AHEAD: usize = 4;
/// Between two looks at whether the run is stopping.
const TICK: Duration = Duration::from_millis(100);
/// A capture thread that has not ended after this is left behind.
const GOODBYE: Duration = Duration::from_secs(2);

/// Runs until the source ends, [`Panel::stop`], or `watch` returns; `watch` gets what is to be shown, on the calling
/// thread. Recordings are finished whatever the reason of the end is.
///
/// # Errors
/// Of a stage that failed; of several, the capture's, or the one nearest to it.
pub fn run(setup: Setup, panel: &Arc<Panel>, watch: impl FnOnce(&Receiver<Arc<Shown>>)) -> Result<()> {
    let (to_paint, paint_inbox) = link::latest();
    let (to_compose, compose_inbox) = link::latest();
    let (to_window, window_inbox) = link::latest();
    let (to_recorder, recorder_inbox) = link::bounded(RECORD_AHEAD);
    let (to_album, album_inbox) = link::bounded(SNAPSHOTS_AHEAD);
    let (to_camera, camera_inbox) = link::latest();
    let (paint_out, painted) = link::latest();
    let (orders, orders_inbox) = link::bounded(1);
    let (made_out, made) = link::bounded(1);
    let shared = || Arc::clone(panel);
    let Setup { feed, runtime, network, styles, settings, record, overwrite, reads, virtual_camera } = setup;
    let workshop = Workshop::new(runtime, network, styles);
    let compose = Compose {
        panel: shared(),
        detail: settings.detail,
        threads: settings.flow.threads,
        began: Instant::now(),
        inbox: compose_inbox,
        painted,
        outlets: if virtual_camera.is_some() { vec![to_window, to_camera] } else { vec![to_window] },
        recorder: to_recorder,
        album: to_album,
    };
    let paint = Paint {
        panel: shared(),
        workshop: workshop.clone(),
        settings,
        inbox: paint_inbox,
        out: paint_out,
        orders,
        made,
    };
    let record = Record { panel: shared(), inbox: recorder_inbox, name: record, overwrite, reads, failed: None };
    std::thread::scope(|scope| {
        let mut stages = vec![
            stage(scope, panel, "compose", move || compose.run())?,
            stage(scope, panel, "paint", move || paint.run())?,
            stage(scope, panel, "record", move || record.run())?,
            stage(scope, panel, "snapshots", move || record::snapshots(panel, &album_inbox))?,
            stage(scope, panel, "workshop", move || workshop.run(orders_inbox, made_out))?,
        ];
        if let Some(path) = virtual_camera {
            let broadcast = move || broadcast(panel, &path, &camera_inbox);
            stages.push(stage(scope, panel, "virtual camera", broadcast)?);
        }
        let captured = start_capture(feed, panel, vec![to_paint, to_compose])?;
        watch(&window_inbox);
        panel.stop();
        let captured = goodbye(&captured);
        let stages: Vec<_> = stages.into_iter().map(join).collect();
        captured?;
        stages.into_iter().collect()
    })
}

/// How the capture thread ended, if it does so in time.
fn goodbye(captured: &mpsc::Receiver<Result<()>>) -> Result<()> {
    match captured.recv_timeout(GOODBYE) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => {
            log::warn!("the camera does not answer; it is left behind");
            Ok(())
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(Error::Panicked("capture".into())),
    }
}

/// Starts a stage; if it fails or panics, the run stops.
fn stage<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    panel: &Arc<Panel>,
    name: &'static str,
    run: impl FnOnce() -> Result<()> + Send + 'scope,
) -> Result<Joining<'scope, ()>> {
    let guard = StopOnFailure { panel: Arc::clone(panel), fine: false };
    spawn(scope, name, move || {
        let mut guard = guard;
        let result = run();
        guard.fine = result.is_ok();
        result
    })
}

struct StopOnFailure {
    panel: Arc<Panel>,
    fine: bool,
}

impl Drop for StopOnFailure {
    fn drop(&mut self) {
        if !self.fine {
            self.panel.stop();
        }
    }
}

/// Starts the capture thread outside the scope, which would wait for it; what comes back is how it ended.
fn start_capture(
    feed: Feed,
    panel: &Arc<Panel>,
    outlets: Vec<Newest<Arc<Shot>>>,
) -> Result<mpsc::Receiver<Result<()>>> {
    let (done, ended) = mpsc::channel();
    let guard = StopOnFailure { panel: Arc::clone(panel), fine: false };
    let capture = capture::Capture::new(Arc::clone(panel), outlets);
    let run = move || {
        let mut guard = guard;
        let result = capture.run(feed);
        guard.fine = result.is_ok();
        // Nobody listens any more if it was left behind.
        let _ = done.send(result);
    };
    std::thread::Builder::new().name("capture".into()).spawn(run).map_err(Error::io("start the thread", "capture"))?;
    Ok(ended)
}

/// The next item; None when there will be none, or the run stops.
fn next<T>(inbox: &Receiver<T>, panel: &Panel) -> Option<T> {
    while !panel.is_stopping() {
        match inbox.receive_within(TICK) {
            Ok(Some(item)) => return Some(item),
            Ok(None) => {}
            Err(Closed) => return None,
        }
    }
    None
}

/// Sends what is shown to a virtual camera.
#[cfg(all(target_os = "linux", feature = "camera"))]
fn broadcast(panel: &Panel, path: &std::path::Path, inbox: &Receiver<Arc<Shown>>) -> Result<()> {
    use crate::sink::virtual_camera::VirtualCamera;
    let mut camera: Option<VirtualCamera> = None;
    let mut skipped = 0;
    while let Some(shown) = next(inbox, panel) {
        let missed = inbox.replaced_since(&mut skipped);
        panel.meter.drop_count(|drops| drops.virtual_camera += missed);
        let size = shown.frame.size();
        let camera = match camera.take().filter(|camera| camera.size() == size) {
            Some(open) => camera.insert(open),
            None => camera.insert(VirtualCamera::open(path, size)?),
        };
        camera.write(&shown.frame)?;
    }
    Ok(())
}

#[cfg(not(all(target_os = "linux", feature = "camera")))]
fn broadcast(_panel: &Panel, path: &std::path::Path, _inbox: &Receiver<Arc<Shown>>) -> Result<()> {
    let reason = "virtual cameras need Linux with v4l2loopback, and the feature `camera`".to_owned();
    Err(Error::Output { path: path.to_owned(), reason })
}
