//! The pipeline with made-up stages: any number of frames, stops, and each stage failing in each way.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use stylize::{
    Error, Result,
    colour::Colour,
    frame::{Frame, FramePool, Size, TimeBase},
    motion::{FlowField, Seen},
    pipeline::{
        self, Report, Stages,
        link::{self, Newest},
    },
    post::Compositor,
    progress::{Progress, Silent, Status},
    sink::FrameSink,
    source::{FrameSource, SourceInfo},
    threads::Serial,
};

const SIZE: Size = Size::new(16, 12);

/// Delivers numbered frames; fails, or panics, at one of them if told so.
struct Counted {
    info: SourceInfo,
    pool: FramePool,
    next: i64,
    frames: i64,
    fault: Fault,
}

/// Where a stage goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    Open,
    FailAt(i64),
    PanicAt(i64),
    Finish,
    /// None, but the user stops the run while the stage is made.
    StopWhenMade,
}

impl Fault {
    fn strike(self, frame: i64, stage: &'static str) -> Result<()> {
        assert_ne!(self, Fault::PanicAt(frame), "a planted panic");
        if self == Fault::FailAt(frame) { failure(stage) } else { Ok(()) }
    }
}

fn failure(stage: &'static str) -> Result<()> {
    Err(Error::Runtime(format!("planted in {stage}")))
}

impl FrameSource for Counted {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn next(&mut self) -> Result<Option<Frame>> {
        if self.next == self.frames {
            return Ok(None);
        }
        self.fault.strike(self.next, "decode")?;
        let mut frame = self.pool.frame(SIZE, self.next);
        frame.pixels_mut().fill(self.next as u8);
        self.next += 1;
        Ok(Some(frame))
    }
}

/// What a sink was given, and whether it was finished.
#[derive(Default)]
struct Written {
    frames: Vec<(i64, u8)>,
    finished: bool,
}

struct Noted {
    written: Arc<Mutex<Written>>,
    fault: Fault,
}

impl FrameSink for Noted {
    fn write(&mut self, frame: &Frame) -> Result<()> {
        self.fault.strike(frame.pts, "encode")?;
        self.written.lock().expect("no panic").frames.push((frame.pts, frame.pixels()[0]));
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        if self.fault == Fault::Finish {
            return failure("finish");
        }
        self.written.lock().expect("no panic").finished = true;
        Ok(())
    }
}

/// Faults of source, watcher, painter and sink.
type Faults = [Fault; 4];

fn run(frames: i64, faults: Faults, stop: &AtomicBool, progress: Box<dyn Progress>) -> (Result<Report>, Written) {
    run_watched(frames, faults, stop, progress, None)
}

fn run_watched(
    frames: i64,
    faults: Faults,
    stop: &AtomicBool,
    progress: Box<dyn Progress>,
    monitor: Option<Newest<Frame>>,
) -> (Result<Report>, Written) {
    let written = Arc::new(Mutex::new(Written::default()));
    let [source, watcher, painter, sink] = faults;
    let opened = |fault: Fault, stage| if fault == Fault::Open { failure(stage) } else { Ok(()) };
    let info = SourceInfo {
        size: SIZE,
        time_base: TimeBase::MICROSECONDS,
        frame_rate: None,
        frames: None,
        pixel_aspect: (1, 1),
        colour: Colour::bt709(),
        description: String::new(),
    };
    let given = Arc::clone(&written);
    let stages = Stages {
        source: Box::new(move || {
            opened(source, "decode")?;
            Ok(Box::new(Counted { info, pool: FramePool::new(), next: 0, frames, fault: source }))
        }),
        watcher: Box::new(move |size| {
            opened(watcher, "watch")?;
            assert_eq!(size, Size::new(8, 6));
            let (mut count, backward) = (0, FlowField::new(size));
            Ok(Box::new(move |frame, sight| {
                watcher.strike(count, "watch")?;
                count += 1;
                let frame: Vec<f32> = frame.iter().map(|&value| f32::from(value)).collect();
                sight.keep(
                    &Serial,
                    &Seen { frame: &frame, backward: &backward, mask: &[], still: &[], cut: count == 1 },
                );
                Ok(())
            }))
        }),
        painter: Box::new(move |size| {
            opened(painter, "paint")?;
            stop.fetch_or(painter == Fault::StopWhenMade, Ordering::Relaxed);
            assert_eq!(size, Size::new(8, 6));
            let mut count = 0;
            Ok(Box::new(move |work| {
                painter.strike(count, "paint")?;
                count += 1;
                let sight = work.sight.as_ref().expect("it was looked at");
                let looked_at = sight.seen().frame.iter().map(|&value| value as u8);
                assert!(looked_at.eq(work.content.iter().copied()), "the sight of another frame");
                work.painted.copy_from_slice(&work.content);
                work.painted.iter_mut().for_each(|value| *value += 100);
                Ok(())
            }))
        }),
        sink: Box::new(move || {
            opened(sink, "encode")?;
            Ok(Box::new(Noted { written: given, fault: sink }))
        }),
        working_size: 8,
        compositor: Compositor::new(0.0),
        progress,
        monitor,
    };
    let report = pipeline::run(stages, stop, || {});
    let written = std::mem::take(&mut *written.lock().expect("no panic"));
    (report, written)
}

#[test]
fn every_frame_arrives_in_order_and_painted() {
    for frames in [1, 2, 11] {
        let (report, written) = run(frames, [Fault::None; 4], &AtomicBool::new(false), Box::new(Silent));
        let report = report.expect("a run");
        assert_eq!((report.frames, report.stopped), (frames as u64, false));
        assert_eq!(written.frames, (0..frames).map(|i| (i, i as u8 + 100)).collect::<Vec<_>>());
        assert!(written.finished);
    }
}

#[test]
fn no_frame_is_an_error_and_leaves_nothing() {
    let (report, written) = run(0, [Fault::None; 4], &AtomicBool::new(false), Box::new(Silent));
    assert!(matches!(report, Err(Error::NoFrames)), "{report:?}");
    assert!(!written.finished);
}

#[test]
fn the_stage_that_failed_is_the_one_that_reports() {
    let stages = ["decode", "watch", "paint", "encode"];
    for fault in [Fault::Open, Fault::FailAt(0), Fault::FailAt(1), Fault::FailAt(10)] {
        for (index, stage) in stages.into_iter().enumerate() {
            let mut faults = [Fault::None; 4];
            faults[index] = fault;
            let (report, written) = run(11, faults, &AtomicBool::new(false), Box::new(Silent));
            let message = report.expect_err(stage).to_string();
            assert!(message.contains(&format!("planted in {stage}")), "{fault:?} in {stage}: {message}");
            assert!(!written.finished, "{fault:?} in {stage}");
        }
    }
    let (report, written) =
        run(2, [Fault::None, Fault::None, Fault::None, Fault::Finish], &AtomicBool::new(false), Box::new(Silent));
    assert!(report.expect_err("finish").to_string().contains("planted in finish"));
    assert!(!written.finished);
}

#[test]
fn a_panic_is_an_error_and_no_hang() {
    for (index, stage) in ["decode", "watch", "paint", "encode"].into_iter().enumerate() {
        let mut faults = [Fault::None; 4];
        faults[index] = Fault::PanicAt(3);
        let (report, written) = run(11, faults, &AtomicBool::new(false), Box::new(Silent));
        assert!(matches!(&report, Err(Error::Panicked(name)) if name == stage), "{stage}: {report:?}");
        assert!(!written.finished);
    }
}

/// Sets the flag at a frame.
struct StopAt(Arc<AtomicBool>, u64);

impl Progress for StopAt {
    fn frame(&mut self, status: Status) {
        if status.frames == self.1 {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

#[test]
fn a_stop_finishes_what_is_under_way() {
    let stop = Arc::new(AtomicBool::new(false));
    let progress = Box::new(StopAt(Arc::clone(&stop), 3));
    let (report, written) = run(i64::MAX, [Fault::None; 4], &stop, progress);
    let report = report.expect("a run");
    assert!(report.stopped && written.finished);
    assert!((3..=11).contains(&report.frames), "{} frames", report.frames);
    assert_eq!(written.frames.len() as u64, report.frames);
}

#[test]
fn a_stop_before_the_first_frame_leaves_nothing() {
    let stop = AtomicBool::new(true);
    let (report, written) = run(11, [Fault::None; 4], &stop, Box::new(Silent));
    let report = report.expect("a stop is no failure");
    assert!(report.stopped && report.frames == 0);
    assert!(!written.finished && written.frames.is_empty());
}

#[test]
fn a_stop_while_the_painter_is_made_leaves_nothing() {
    let faults = [Fault::None, Fault::None, Fault::StopWhenMade, Fault::None];
    for frames in [1, 11] {
        let (report, written) = run(frames, faults, &AtomicBool::new(false), Box::new(Silent));
        let report = report.expect("a stop is no failure");
        assert_eq!((report.stopped, report.frames), (true, 0));
        assert!(!written.finished && written.frames.is_empty());
    }
}

#[test]
fn the_monitor_sees_the_newest_frame() {
    let (sender, receiver) = link::latest();
    let (report, _) = run_watched(3, [Fault::None; 4], &AtomicBool::new(false), Box::new(Silent), Some(sender));
    assert_eq!(report.expect("a run").frames, 3);
    let frame = receiver.receive_within(Duration::from_secs(1)).expect("it is there").expect("a frame");
    assert_eq!((frame.pts, frame.pixels()[0]), (2, 102), "as it was painted");
}
