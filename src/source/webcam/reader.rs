//! A camera on a thread of its own, because nokhwa keeps its caller for ever where none sends anything.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::device::{Choice, Device, Format, gone};
use crate::{
    colour::Colour,
    error::{Error, Result},
    frame::{Frame, FramePool, TimeBase},
    source::{FrameSource, SourceInfo},
};

/// A camera that sends nothing for so long is silent.
const SILENT: Duration = Duration::from_millis(1500);
/// Opening takes longer: some cameras start their sensor first.
const OPENING: Duration = Duration::from_secs(4);
/// How long a camera that is given up may take to close. It ends with the next frame; one that sends none is left behind.
const CLOSING: Duration = Duration::from_millis(200);

/// The receiving end.
pub(super) struct Reader {
    frames: Option<Receiver<Result<Frame>>>,
    thread: Option<JoinHandle<()>>,
    info: SourceInfo,
    name: String,
}

impl Reader {
    /// Opens the camera. Time stamps are microseconds since `epoch`.
    pub fn open(choice: Choice, epoch: Instant) -> Result<Self> {
        let name = choice.name.clone();
        let (opened, opening) = sync_channel(1);
        let (sender, frames) = sync_channel(2);
        let read = move || match Device::open(&choice) {
            Err(error) => drop(opened.send(Err(error))),
            Ok((device, format)) => {
                // The opener has given up if nobody listens.
                if opened.send(Ok(format)).is_ok() {
                    read(device, format, &choice.name, epoch, &sender);
                }
            }
        };
        let thread = std::thread::Builder::new().name("camera".into()).spawn(read);
        let thread = thread.map_err(Error::io("start the thread", "camera"))?;
        let Format { coding, size, rate } = opening.recv_timeout(OPENING).map_err(|error| match error {
            RecvTimeoutError::Timeout => silent(&name, OPENING),
            RecvTimeoutError::Disconnected => gone(&name, "its driver failed"),
        })??;
        let description = format!("{name}: {coding} {size}, {} fps", (100.0 * rate).round() / 100.0);
        log::info!("{description}");
        let info = SourceInfo {
            size,
            time_base: TimeBase::MICROSECONDS,
            frame_rate: Some(rate),
            frames: None,
            pixel_aspect: (1, 1),
            // What cameras send is sRGB; BT.709 has its primaries.
            colour: Colour::srgb(size),
            description,
        };
        Ok(Reader { frames: Some(frames), thread: Some(thread), info, name })
    }
}

impl FrameSource for Reader {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn next(&mut self) -> Result<Option<Frame>> {
        let frames = self.frames.as_ref().expect("it is there until the reader is dropped");
        match frames.recv_timeout(SILENT) {
            Ok(frame) => frame.map(Some),
            Err(RecvTimeoutError::Timeout) => Err(silent(&self.name, SILENT)),
            Err(RecvTimeoutError::Disconnected) => Err(gone(&self.name, "its driver failed")),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.frames = None;
        let (Some(thread), began) = (self.thread.take(), Instant::now()) else { return };
        while !thread.is_finished() && began.elapsed() < CLOSING {
            std::thread::sleep(Duration::from_millis(5));
        }
        if thread.is_finished() {
            // A panic inside a driver's bindings is a camera that failed, which has been reported.
            let _ = thread.join();
        }
    }
}

/// Reads until the camera fails or nobody wants its frames.
fn read(mut device: Device, format: Format, name: &str, epoch: Instant, frames: &SyncSender<Result<Frame>>) {
    let (pool, size) = (FramePool::new(), format.size);
    loop {
        let (item, over) = match device.frame(name) {
            Err(error) => {
                let over = !matches!(error, Error::CameraSilent { .. });
                (Err(error), over)
            }
            Ok(bytes) => {
                let mut frame = pool.frame(size, epoch.elapsed().as_micros() as i64);
                let decoded = format.coding.decode(&bytes, size, frame.pixels_mut());
                let damaged = |reason| Error::CameraFrame { camera: name.to_owned(), reason };
                (decoded.map(|()| frame).map_err(damaged), false)
            }
        };
        if over {
            // Why it is over must arrive, however many frames wait before it; fails only if nobody wants any.
            let _ = frames.send(item);
            return;
        }
        // A frame that nobody has room for is late already.
        if matches!(frames.try_send(item), Err(TrySendError::Disconnected(_))) {
            return;
        }
    }
}

fn silent(camera: &str, time: Duration) -> Error {
    Error::CameraSilent { camera: camera.to_owned(), seconds: time.as_secs_f64() }
}
