//! A camera on a thread of its own (nokhwa), because one that sends nothing keeps its caller for ever.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use nokhwa::{
    Camera,
    utils::{CameraFormat, CameraIndex, RequestedFormat, RequestedFormatType, frame_formats},
};

use super::decode::Coding;
use crate::{
    colour::Colour,
    error::{Error, Result},
    frame::{Frame, FramePool, Size, TimeBase},
    source::{FrameSource, SourceInfo},
};

/// A camera that sends nothing for so long is silent.
const SILENT: Duration = Duration::from_millis(1500);
/// Opening takes longer: some cameras start their sensor first.
const OPENING: Duration = Duration::from_secs(4);
/// How long a camera that is given up may take to close. It ends with the next frame; one that sends none is left behind.
const CLOSING: Duration = Duration::from_millis(200);

/// What to open.
pub(super) struct Choice {
    pub index: CameraIndex,
    pub name: String,
    pub format: CameraFormat,
    /// Whether it must be exactly this format: the device is set to it already.
    pub exact: bool,
}

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
        let read = move || match open(&choice) {
            Err(error) => drop(opened.send(Err(error))),
            Ok((camera, coding)) => {
                let format = camera.camera_format();
                // The opener has given up if nobody listens.
                if opened.send(Ok((coding, format))).is_ok() {
                    read(camera, coding, &choice.name, epoch, &sender);
                }
            }
        };
        let thread = std::thread::Builder::new().name("camera".into()).spawn(read);
        let thread = thread.map_err(Error::io("start the thread", "camera"))?;
        let (coding, format) = opening.recv_timeout(OPENING).map_err(|error| match error {
            RecvTimeoutError::Timeout => silent(&name, OPENING),
            RecvTimeoutError::Disconnected => gone(&name, "its driver failed"),
        })??;
        let size = size(format);
        let rate = f64::from(format.frame_rate());
        let description = format!("{name}: {coding} {size}, {rate} fps");
        log::info!("{description}");
        let info = SourceInfo {
            size,
            time_base: TimeBase::MICROSECONDS,
            frame_rate: Some(rate),
            frames: None,
            pixel_aspect: (1, 1),
            // What cameras send is sRGB; BT.709 has its primaries.
            colour: Colour { primaries: 1, transfer: 1, ..Colour::guess(size) },
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

fn open(choice: &Choice) -> Result<(Camera, Coding)> {
    let failed = |error: nokhwa::NokhwaError| gone(&choice.name, &explain(&error.to_string()));
    let kind = match choice.exact {
        true => RequestedFormatType::Exact(choice.format),
        false => RequestedFormatType::Closest(choice.format),
    };
    let request = RequestedFormat::with_formats(kind, frame_formats());
    let mut camera = Camera::new(choice.index.clone(), request).map_err(failed)?;
    camera.open_stream().map_err(failed)?;
    let coding = Coding::from_nokhwa(camera.camera_format().format());
    Ok((camera, coding))
}

/// Reads until the camera fails or nobody wants its frames.
fn read(mut camera: Camera, coding: Coding, name: &str, epoch: Instant, frames: &SyncSender<Result<Frame>>) {
    let (pool, size) = (FramePool::new(), size(camera.camera_format()));
    loop {
        let (item, over) = match camera.frame_raw() {
            Err(error) => (Err(gone(name, &explain(&error.to_string()))), true),
            Ok(bytes) => {
                let mut frame = pool.frame(size, epoch.elapsed().as_micros() as i64);
                let decoded = coding.decode(&bytes, size, frame.pixels_mut());
                let damaged = |reason| Error::CameraFrame { camera: name.to_owned(), reason };
                (decoded.map(|()| frame).map_err(damaged), false)
            }
        };
        // A frame that nobody has room for is late already.
        if matches!(frames.try_send(item), Err(TrySendError::Disconnected(_))) || over {
            return;
        }
    }
}

fn size(format: CameraFormat) -> Size {
    Size::new(format.width() as usize, format.height() as usize)
}

fn silent(camera: &str, time: Duration) -> Error {
    Error::CameraSilent { camera: camera.to_owned(), seconds: time.as_secs_f64() }
}

fn gone(camera: &str, reason: &str) -> Error {
    Error::Camera { camera: camera.to_owned(), reason: reason.to_owned() }
}

/// Cause and cure, from what the system's error says: nokhwa passes it on as text.
fn explain(error: &str) -> String {
    match error {
        _ if error.contains("os error 16") => "another program is using it; close that one first".to_owned(),
        _ if error.contains("os error 13") => super::FORBIDDEN.to_owned(),
        _ if error.contains("os error 19") || error.contains("os error 6)") => "it was unplugged".to_owned(),
        _ => format!("its driver failed: {error}"),
    }
}
