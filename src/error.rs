//! The one error type of the library: a variant per cause, each message says what happened and how to mend it.

use std::path::PathBuf;

use crate::frame::Size;

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong in the library.
///
/// The end of a stream and a stop asked for by the user are values, not errors.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is outside its range.
    #[error("--{name} is {found}; it must be {expected}")]
    Setting { name: &'static str, expected: &'static str, found: String },

    /// A file or folder could not be opened, read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: std::io::Error },

    /// The input is no video (or picture) that can be read.
    #[error("cannot read {}: {reason}", path.display())]
    Input { path: PathBuf, reason: String },

    /// The output cannot be made as asked.
    #[error("cannot write {}: {reason}", path.display())]
    Output { path: PathBuf, reason: String },

    /// There is nothing to paint.
    #[error("the input has no frame in the part that was asked for; check --start and --duration")]
    NoFrames,

    /// A picture (style or content) cannot be decoded.
    #[error("{} is not a picture that can be read: {reason}", path.display())]
    Picture { path: PathBuf, reason: String },

    /// A network file is damaged, of another format, or of the wrong shape.
    #[error("the network {name} cannot be used: {reason}")]
    Weights { name: String, reason: String },

    /// ONNX Runtime itself cannot be loaded.
    #[error("ONNX Runtime cannot be loaded: {reason}")]
    RuntimeMissing { reason: String },

    /// A device that was asked for cannot be used.
    #[error("the device {device} was asked for and cannot be used: {reason}")]
    Device { device: String, reason: String },

    /// A camera cannot be opened or stopped delivering.
    #[error("camera {camera}: {reason}")]
    Camera { camera: String, reason: String },

    /// A camera is open and sends nothing.
    #[error("camera {camera} has sent nothing for {seconds:.0} s")]
    CameraSilent { camera: String, seconds: f64 },

    /// A camera sent a frame that cannot be decoded; the next one may be fine.
    #[error("camera {camera} sent a damaged frame: {reason}")]
    CameraFrame { camera: String, reason: String },

    /// A window cannot be opened.
    #[error("no window can be opened: {reason}")]
    Window { reason: String },

    /// Two images that must be alike in size are not.
    #[error("size {found} where {expected} was expected")]
    SizeMismatch { expected: Size, found: Size },

    /// ONNX Runtime failed while building or running a graph.
    #[error("ONNX Runtime failed: {0}")]
    Runtime(String),

    /// FFmpeg failed while doing something that is not the fault of one file.
    #[error("FFmpeg failed to {action}: {reason}")]
    Ffmpeg { action: &'static str, reason: String },

    /// A thread of the pipeline panicked: a defect of this program.
    #[error("the {0} thread panicked; this is a defect of stylize-video, please report it")]
    Panicked(String),
}

impl<R> From<ort::Error<R>> for Error {
    fn from(error: ort::Error<R>) -> Self {
        Error::Runtime(error.to_string())
    }
}

impl Error {
    /// For `map_err` on file operations: `fs::File::open(p).map_err(Error::io("open", p))`.
    pub fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Error::Io { action, path, source }
    }
}
