//! The keeping stage: recordings and snapshots of what is shown.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{Shown, TICK, panel::Panel};
use crate::{
    error::{Error, Result},
    frame::{Frame, Size, TimeBase},
    pipeline::link::{Closed, Receiver},
    sink::{self, FrameSink, SinkOptions},
};

pub(super) struct Record {
    pub panel: Arc<Panel>,
    pub inbox: Receiver<Arc<Shown>>,
    /// The name asked for on the command line; without it names are made of the time.
    pub name: Option<PathBuf>,
    pub overwrite: bool,
    /// What the run reads: none of it may be replaced.
    pub reads: Vec<PathBuf>,
    /// Why the recording that the command line asked for did not end well.
    pub failed: Option<Error>,
}

/// A recording under way.
struct Recording {
    sink: Box<dyn FrameSink>,
    path: PathBuf,
    /// By the command line.
    asked: bool,
    copy: Frame,
    /// pts of its first frame: a recording begins at zero.
    zero: i64,
    frames: u64,
}

impl Record {
    /// Runs until nothing more is shown. A recording that cannot begin or go on is reported, and the run goes on.
    ///
    /// # Errors
    /// Of the recording that the command line asked for: at once if it cannot begin, otherwise in the end.
    pub fn run(mut self) -> Result<()> {
        let mut recording: Option<Recording> = None;
        let mut must = self.name.is_some();
        loop {
            let shown = match self.inbox.receive_within(TICK) {
                Ok(shown) => shown,
                Err(Closed) => break,
            };
            let wanted = self.panel.controls().recording;
            // The encoder may be behind the window: each frame says itself whether it is wanted. Where none comes (a pause,
            // a silent camera) the controls do.
            if !shown.as_ref().map_or(wanted, |shown| shown.record) {
                self.finish(recording.take());
            }
            // None is begun that has been given up since.
            if let Some(shown) = shown.filter(|shown| shown.record && (recording.is_some() || wanted)) {
                recording = self.keep(recording.take(), &shown.frame, std::mem::take(&mut must))?;
            }
        }
        self.finish(recording.take());
        self.failed.map_or(Ok(()), Err)
    }

    /// Writes a frame to the recording, which is begun if need be, and begun anew if the size has changed.
    fn keep(&mut self, recording: Option<Recording>, frame: &Frame, must: bool) -> Result<Option<Recording>> {
        let mut recording = match recording {
            Some(recording) if recording.copy.size() == frame.size() => recording,
            other => {
                self.finish(other);
                match self.begin(frame) {
                    Ok(begun) => begun,
                    Err(error) if must => return Err(error),
                    Err(error) => {
                        self.give_up(&error.to_string());
                        return Ok(None);
                    }
                }
            }
        };
        if let Err(error) = recording.write(frame) {
            self.give_up(&error.to_string());
            if recording.asked {
                self.failed = Some(error);
            }
            // What was written stays; that it cannot be ended either is no news.
            let _ = recording.sink.finish();
            return Ok(None);
        }
        Ok(Some(recording))
    }

    fn begin(&mut self, frame: &Frame) -> Result<Recording> {
        // A second recording under the name of the first would replace it.
        let (asked, path) = (self.name.is_some(), self.name.take().unwrap_or_else(|| stamped("mp4")));
        let rate = if frame.duration > 0 { 1e6 / frame.duration as f64 } else { 30.0 };
        let options = SinkOptions {
            reads: self.reads.clone(),
            ..options(frame.size(), Some(rate.round().max(1.0)), self.overwrite)
        };
        let sink = sink::create(&path, &options)?;
        self.panel.notify(format!("recording {}", path.display()));
        let copy = Frame::new(frame.size(), vec![0; frame.pixels().len()], 0);
        Ok(Recording { sink, path, asked, copy, zero: frame.pts, frames: 0 })
    }

    fn finish(&mut self, recording: Option<Recording>) {
        let Some(Recording { sink, path, asked, frames, .. }) = recording else { return };
        match sink.finish() {
            Ok(()) => self.panel.notify(format!("recorded {} ({frames} frames)", path.display())),
            Err(error) => {
                log::error!("{error}");
                self.panel.notify(error.to_string());
                if asked {
                    self.failed = Some(error);
                }
            }
        }
    }

    fn give_up(&self, reason: &str) {
        log::error!("recording stopped: {reason}");
        self.panel.notify(format!("recording stopped: {reason}"));
        self.panel.change(|controls| controls.recording = false);
    }
}

/// Writes frames as pictures named by the time, until there are no more.
pub(super) fn snapshots(panel: &Panel, inbox: &Receiver<Arc<Shown>>) -> Result<()> {
    while let Some(shown) = inbox.receive() {
        let path = stamped("png");
        match save(&path, &shown.frame) {
            Ok(()) => panel.notify(format!("saved {}", path.display())),
            Err(error) => {
                log::error!("{error}");
                panel.notify(error.to_string());
            }
        }
    }
    Ok(())
}

impl Recording {
    fn write(&mut self, shown: &Frame) -> Result<()> {
        // What is shown is shared and keeps its time; the copy counts from the recording's start.
        self.copy.pixels_mut().copy_from_slice(shown.pixels());
        (self.copy.pts, self.copy.duration) = (shown.pts - self.zero, shown.duration);
        self.frames += 1;
        self.sink.write(&self.copy)
    }
}

fn save(path: &Path, frame: &Frame) -> Result<()> {
    let mut sink = sink::create(path, &options(frame.size(), None, false))?;
    sink.write(frame)?;
    sink.finish()
}

fn options(size: Size, frame_rate: Option<f64>, overwrite: bool) -> SinkOptions {
    SinkOptions { frame_rate, overwrite, live: true, ..SinkOptions::srgb(size, TimeBase::MICROSECONDS) }
}

/// `stylize-20260131-235959-123.EXTENSION`, UTC.
fn stamped(extension: &str) -> PathBuf {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    PathBuf::from(format!("stylize-{}.{extension}", stamp(now.as_secs(), now.subsec_millis())))
}

/// The date by Howard Hinnant's `civil_from_days` (chrono-compatible low-level date algorithms).
fn stamp(seconds: u64, milliseconds: u32) -> String {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + 400 * era + u64::from(month <= 2);
    let (hours, minutes) = (rest / 3600, rest / 60 % 60);
    format!("{year}{month:02}{day:02}-{hours:02}{minutes:02}{:02}-{milliseconds:03}", rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_dates() {
        assert_eq!(stamp(0, 0), "19700101-000000-000");
        assert_eq!(stamp(951_782_399, 7), "20000228-235959-007");
        assert_eq!(stamp(951_868_800, 0), "20000301-000000-000");
        assert_eq!(stamp(1_769_903_999, 999), "20260131-235959-999");
    }

    #[cfg(feature = "video")]
    #[test]
    fn frames_that_waited_are_recorded_as_was_wanted_when_they_were_seen() {
        use std::time::Instant;

        use crate::{
            pipeline::{link, live::Controls},
            settings::Balance,
            source::{self, SourceOptions},
        };

        let (sender, inbox) = link::bounded(30);
        for number in 0..30 {
            let mut frame = Frame::new(Size::new(64, 64), vec![99; 3 * 64 * 64], 40_000 * number);
            frame.duration = 40_000;
            sender.send(Arc::new(Shown { frame, captured: Instant::now(), record: number < 20 })).expect("it is open");
        }
        drop(sender);
        let controls = Controls { recording: true, ..Controls::new(Balance::Strength(0.5)) };
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out.mp4");
        let panel = Arc::new(Panel::new(controls));
        Record { panel, inbox, name: Some(path.clone()), overwrite: false, reads: Vec::new(), failed: None }
            .run()
            .expect("it is recorded");
        let mut source = source::open(&path, &SourceOptions::default()).expect("a video");
        assert_eq!(std::iter::from_fn(|| source.next().expect("no damage")).count(), 20);
    }
}
