//! A camera read by V4L2 itself (the `v4l` crate, on which nokhwa stands): for intervals such as 1001/30000 s, sizes in
//! steps and grey cameras, all of which nokhwa refuses.

use std::{
    io::{self, ErrorKind},
    mem,
    time::Duration,
};

use v4l::{
    Device,
    buffer::Type,
    io::traits::{CaptureStream, Stream as _},
    prelude::MmapStream,
};

use super::{device::gone, v4l2::explain};
use crate::error::{Error, Result};

/// After so long without a frame the stream is started anew.
const TIMEOUT: Duration = Duration::from_secs(2);
const BUFFERS: u32 = 4;

pub(super) struct Stream {
    stream: MmapStream<'static>,
    /// The last wait was in vain.
    stalled: bool,
}

impl Stream {
    /// Of a device that is set up.
    pub fn open(path: &str, name: &str) -> Result<Self> {
        let open = || {
            let device = Device::with_path(path)?;
            let mut stream = MmapStream::with_buffers(&device, Type::VideoCapture, BUFFERS)?;
            stream.set_timeout(TIMEOUT);
            Ok(Stream { stream, stalled: false })
        };
        open().map_err(|error: io::Error| gone(name, &explain(&error)))
    }

    /// The next frame, coded.
    ///
    /// # Errors
    /// [`Error::CameraSilent`] after two seconds without one, [`Error::Camera`] if the camera is gone.
    pub fn frame(&mut self, name: &str) -> Result<&[u8]> {
        let failed = |error: io::Error| gone(name, &explain(&error));
        if mem::take(&mut self.stalled) {
            // The crate would queue a buffer that is queued already; after a stop it queues all of them and starts.
            self.stream.stop().map_err(failed)?;
        }
        match self.stream.next() {
            Ok((bytes, about)) => Ok(&bytes[..bytes.len().min(about.bytesused as usize)]),
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                self.stalled = true;
                Err(Error::CameraSilent { camera: name.to_owned(), seconds: TIMEOUT.as_secs_f64() })
            }
            Err(error) => Err(failed(error)),
        }
    }
}
