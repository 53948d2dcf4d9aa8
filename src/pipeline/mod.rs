//! The stages of a file's way, each on its own thread, over bounded links: decode, watch, paint, encode.
//!
//! Painting is serial by nature (a frame starts from the last one's result); decoding, looking for motion and encoding overlap with it. The
//! pictures under way travel in a fixed number of [`Work`] items that come back when they are written, so that memory
//! does not grow with the video.

pub mod link;
pub mod live;
pub mod painter;
pub mod watcher;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread::{Scope, ScopedJoinHandle},
    time::{Duration, Instant},
};

use link::{Newest, Receiver, Sender};

use crate::{
    error::{Error, Result},
    frame::{Frame, FramePool, Size},
    motion::Sight,
    post::Compositor,
    progress::{Progress, Status},
    sink::FrameSink,
    source::FrameSource,
    tensor::{Filter, Resampler},
};

/// Pictures under way at once: one in each stage, one between each two.
const IN_FLIGHT: usize = 7;
/// Sights under way: the one that is painted, and the next. They are large.
const SIGHTS: usize = 2;

/// A frame on its way.
pub struct Work {
    /// As it was decoded, full size.
    pub frame: Option<Frame>,
    /// The frame at the working size, RGB8.
    pub content: Vec<u8>,
    /// What was seen of it; only between watcher and painter.
    pub sight: Option<Box<Sight>>,
    /// The painted picture, alike.
    pub painted: Vec<u8>,
    /// What the painter has to say of it, for the progress line.
    pub note: String,
}

/// What travels between stages. A link that closes without `End` means that the sender has failed.
enum Item {
    Work(Work),
    End,
}

/// Opens a source on the thread that will read it.
pub type OpenSource<'a> = Box<dyn FnOnce() -> Result<Box<dyn FrameSource>> + Send + 'a>;
/// Makes the watcher on the thread that will watch. It looks at frames of this size, RGB8.
pub type MakeWatcher<'a> = Box<dyn FnOnce(Size) -> Result<Watcher<'a>> + Send + 'a>;
pub type Watcher<'a> = Box<dyn FnMut(&[u8], &mut Sight) -> Result<()> + 'a>;
/// Makes the painter on the thread that will paint. The painter fills `painted`, RGB8 of this size, and `note` from `content` and `sight`.
pub type MakePainter<'a> = Box<dyn FnOnce(Size) -> Result<Painter<'a>> + Send + 'a>;
pub type Painter<'a> = Box<dyn FnMut(&mut Work) -> Result<()> + 'a>;
/// Opens a sink on the thread that will write it.
pub type OpenSink<'a> = Box<dyn FnOnce() -> Result<Box<dyn FrameSink>> + Send + 'a>;

/// The four stages of a run, and what goes with them.
pub struct Stages<'a> {
    pub source: OpenSource<'a>,
    pub watcher: MakeWatcher<'a>,
    pub painter: MakePainter<'a>,
    pub sink: OpenSink<'a>,
    /// The longer side of the pictures that are painted.
    pub working_size: usize,
    /// Makes the full-size output of what is painted.
    pub compositor: Compositor,
    pub progress: Box<dyn Progress + 'a>,
    /// Gets a copy of every output frame; the newest replaces one that was not taken.
    pub monitor: Option<Newest<Frame>>,
}

/// How a run went.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub frames: u64,
    pub elapsed: Duration,
    /// Time at work, not waiting, of decode, watch, paint and encode.
    pub busy: [Duration; 4],
    /// What could not be decoded, and what could not be carried over: one sentence each.
    pub warnings: Vec<String>,
    /// Whether the run was told to stop, as far as it had come.
    pub stopped: bool,
}

/// Runs the stages until the source ends or `stop` is set; `meanwhile` runs on the calling thread (a window, say).
///
/// A stop is a regular end: what was decoded is painted, written and finished. Without any frame the sink is dropped
/// unfinished: a stop that came too early leaves no output.
///
/// # Errors
/// That of the stage that failed first; the sink is then dropped unfinished. [`Error::NoFrames`] if the source had no frame.
pub fn run(stages: Stages, stop: &AtomicBool, meanwhile: impl FnOnce()) -> Result<Report> {
    let (to_watcher, watcher_inbox) = link::bounded(1);
    let (to_painter, painter_inbox) = link::bounded(1);
    let (to_encoder, encoder_inbox) = link::bounded(1);
    let (recycle, empties) = link::bounded(IN_FLIGHT);
    for _ in 0..IN_FLIGHT {
        let work = Work { frame: None, content: Vec::new(), sight: None, painted: Vec::new(), note: String::new() };
        recycle.send(work).expect("the link holds all of them");
    }
    let (forget, sights) = link::bounded(SIGHTS);
    for _ in 0..SIGHTS {
        forget.send(Box::new(Sight::empty())).expect("the link holds all of them");
    }
    let (size_known, size_asked) = link::bounded(1);
    let (size_passed, size_awaited) = link::bounded(1);
    let (sink_ready, may_begin) = link::bounded(1);
    let began = Instant::now();
    let Stages { source, watcher, painter, sink, working_size, compositor, progress, monitor } = stages;
    std::thread::scope(|scope| {
        let decode = Decode { working_size, may_begin, empties, next: to_watcher, size_known, stop };
        let decoding = spawn(scope, "decode", move || decode.run(source))?;
        let watch = Watch { size: size_asked, size_passed, inbox: watcher_inbox, sights, next: to_painter };
        let watching = spawn(scope, "watch", move || watch.run(watcher))?;
        let paint = Paint { stop, size: size_awaited, inbox: painter_inbox, forget, next: to_encoder };
        let painting = spawn(scope, "paint", move || paint.run(painter))?;
        let encode = Encode { working_size, compositor, sink_ready, inbox: encoder_inbox, recycle, progress, monitor };
        let encoding = spawn(scope, "encode", move || encode.run(sink))?;
        meanwhile();
        // Only a stage that failed itself has an error; its neighbours end quietly when their link closes.
        let (decoded, watched, painted, encoded) = (join(decoding), join(watching), join(painting), join(encoding));
        let (decoded, watched, painted, encoded) = (decoded?, watched?, painted?, encoded?);
        // The input may have ended before: a stop then kept it from being painted, or cut the last picture short.
        let stopped = stop.load(Ordering::Relaxed);
        if encoded.frames == 0 && !stopped {
            return Err(Error::NoFrames);
        }
        let elapsed = began.elapsed();
        let busy = [decoded.busy, watched, painted, encoded.busy];
        let warnings = decoded.damage.into_iter().chain(encoded.warnings).collect();
        Ok(Report { frames: encoded.frames, elapsed, busy, warnings, stopped })
    })
}

fn spawn<'scope, 'env, T: Send + 'scope>(
    scope: &'scope Scope<'scope, 'env>,
    name: &'static str,
    stage: impl FnOnce() -> Result<T> + Send + 'scope,
) -> Result<Joining<'scope, T>> {
    let thread = std::thread::Builder::new().name(name.into());
    let handle = thread.spawn_scoped(scope, stage).map_err(Error::io("start the thread", name))?;
    Ok(Joining { name, handle })
}

struct Joining<'scope, T> {
    name: &'static str,
    handle: ScopedJoinHandle<'scope, Result<T>>,
}

fn join<T>(thread: Joining<T>) -> Result<T> {
    thread.handle.join().unwrap_or_else(|_| Err(Error::Panicked(thread.name.to_owned())))
}

/// The first stage: reads frames and brings them to the working size.
struct Decode<'a> {
    working_size: usize,
    /// Nothing is read or painted for an output that cannot be written.
    may_begin: Receiver<()>,
    empties: Receiver<Work>,
    next: Sender<Item>,
    size_known: Sender<Size>,
    stop: &'a AtomicBool,
}

#[derive(Default)]
struct Decoded {
    busy: Duration,
    damage: Option<String>,
}

impl Decode<'_> {
    fn run(self, open: OpenSource) -> Result<Decoded> {
        if self.may_begin.receive().is_none() {
            return Ok(Decoded::default());
        }
        let mut source = open()?;
        let full = source.info().size;
        let small = full.fit_longer(self.working_size);
        if self.size_known.send(small).is_err() {
            return Ok(Decoded::default());
        }
        let mut resampler = Resampler::new();
        let mut decoded = Decoded::default();
        while let Some(mut work) = self.empties.receive() {
            let began = Instant::now();
            let frame = if self.stop.load(Ordering::Relaxed) { None } else { source.next()? };
            let Some(frame) = frame else {
                decoded.damage = source.damage();
                // A painter that has gone has its own error to report.
                let _ = self.next.send(Item::End);
                return Ok(decoded);
            };
            if frame.size() != full {
                return Err(Error::SizeMismatch { expected: full, found: frame.size() });
            }
            work.content.resize(3 * small.area(), 0);
            resampler.resample(frame.pixels(), full, &mut work.content, small, Filter::Area);
            work.frame = Some(frame);
            decoded.busy += began.elapsed();
            if self.next.send(Item::Work(work)).is_err() {
                break;
            }
        }
        Ok(decoded)
    }
}

/// The second stage: looks for what moved.
struct Watch {
    size: Receiver<Size>,
    /// For the painter.
    size_passed: Sender<Size>,
    inbox: Receiver<Item>,
    sights: Receiver<Box<Sight>>,
    next: Sender<Item>,
}

impl Watch {
    /// Returns the time at work.
    fn run(self, make: MakeWatcher) -> Result<Duration> {
        let Some(size) = self.size.receive() else { return Ok(Duration::ZERO) };
        let mut watcher = make(size)?;
        let mut busy = Duration::ZERO;
        if self.size_passed.send(size).is_err() {
            return Ok(busy);
        }
        while let Some(item) = self.inbox.receive() {
            let item = match item {
                Item::End => Item::End,
                Item::Work(mut work) => {
                    // A painter that has gone gives none back.
                    let Some(mut sight) = self.sights.receive() else { break };
                    let began = Instant::now();
                    watcher(&work.content, &mut sight)?;
                    busy += began.elapsed();
                    work.sight = Some(sight);
                    Item::Work(work)
                }
            };
            if self.next.send(item).is_err() {
                break;
            }
        }
        Ok(busy)
    }
}

/// The third stage: paints what was seen.
struct Paint<'a> {
    stop: &'a AtomicBool,
    size: Receiver<Size>,
    inbox: Receiver<Item>,
    /// For the watcher, to be filled anew.
    forget: Sender<Box<Sight>>,
    next: Sender<Item>,
}

impl Paint<'_> {
    /// Returns the time at work.
    fn run(self, make: MakePainter) -> Result<Duration> {
        let Some(size) = self.size.receive() else { return Ok(Duration::ZERO) };
        let mut painter = make(size)?;
        if self.stop.load(Ordering::Relaxed) {
            // An encoder that has gone has its own error to report.
            let _ = self.next.send(Item::End);
            return Ok(Duration::ZERO);
        }
        let mut busy = Duration::ZERO;
        while let Some(item) = self.inbox.receive() {
            let item = match item {
                Item::End => Item::End,
                Item::Work(mut work) => {
                    let began = Instant::now();
                    work.painted.resize(3 * size.area(), 0);
                    work.note.clear();
                    painter(&mut work)?;
                    busy += began.elapsed();
                    if let Some(sight) = work.sight.take() {
                        // The watcher has gone when the input has ended.
                        let _ = self.forget.send(sight);
                    }
                    Item::Work(work)
                }
            };
            if self.next.send(item).is_err() {
                break;
            }
        }
        Ok(busy)
    }
}

/// The last stage: composes the full-size output and writes it.
struct Encode<'a> {
    working_size: usize,
    compositor: Compositor,
    sink_ready: Sender<()>,
    inbox: Receiver<Item>,
    recycle: Sender<Work>,
    progress: Box<dyn Progress + 'a>,
    monitor: Option<Newest<Frame>>,
}

#[derive(Default)]
struct Encoded {
    frames: u64,
    busy: Duration,
    warnings: Vec<String>,
}

impl Encode<'_> {
    fn run(mut self, open: OpenSink) -> Result<Encoded> {
        let mut sink = open()?;
        let _ = self.sink_ready.send(());
        let copies = FramePool::new();
        let mut encoded = Encoded::default();
        let mut first = None;
        while let Some(item) = self.inbox.receive() {
            let began = Instant::now();
            let Item::Work(mut work) = item else {
                if encoded.frames == 0 {
                    return Ok(encoded);
                }
                encoded.warnings.extend_from_slice(sink.warnings());
                sink.finish()?;
                encoded.busy += began.elapsed();
                return Ok(encoded);
            };
            let mut frame = work.frame.take().expect("decode puts a frame into every work item");
            let small = frame.size().fit_longer(self.working_size);
            self.compositor.compose(&mut frame, &work.painted, &work.content, small);
            sink.write(&frame)?;
            encoded.frames += 1;
            encoded.busy += began.elapsed();
            if let Some(monitor) = &self.monitor {
                let mut copy = copies.frame(frame.size(), frame.pts);
                copy.pixels_mut().copy_from_slice(frame.pixels());
                monitor.put(copy);
            }
            let elapsed = first.get_or_insert_with(Instant::now).elapsed();
            self.progress.frame(Status { frames: encoded.frames, elapsed, note: &work.note });
            // The decoder has gone when the input has ended: nobody needs the empty item.
            let _ = self.recycle.send(work);
        }
        Ok(encoded)
    }
}
