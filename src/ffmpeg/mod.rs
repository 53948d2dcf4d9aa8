//! The doorway to FFmpeg for [`source`](crate::source) and [`sink`](crate::sink): opening files by any name, its
//! scaler, and which part of a file's time is wanted.

pub(crate) mod scaler;
pub(crate) mod tags;
pub(crate) mod timeline;

use std::{
    ffi::{CString, c_int},
    io,
    path::Path,
    ptr,
    sync::Once,
};

use ffmpeg_next::{Rational, ffi, format::context};

use crate::{
    error::{Error, Result},
    frame::TimeBase,
    source::is_url,
};

/// FFmpeg's version as it names itself, for `doctor` and bug reports.
pub fn version() -> String {
    // SAFETY: returns a static string of the library.
    let version = unsafe { std::ffi::CStr::from_ptr(ffi::av_version_info()) };
    version.to_string_lossy().into_owned()
}

/// FFmpeg prints to stderr from within; the library never prints. What matters comes back as an error or is counted as
/// damage, so its own log is only let through where somebody debugs. Errors need their texts filled in once.
pub(crate) fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let level = if log::log_enabled!(log::Level::Debug) {
            ffmpeg_next::log::Level::Info
        } else {
            ffmpeg_next::log::Level::Quiet
        };
        ffmpeg_next::log::set_level(level);
        ffmpeg_next::error::register_all();
    });
}

/// The path as FFmpeg wants it: with its protocol, so that a colon in a name does not become one; any bytes. A URL has one.
pub(crate) fn url(path: &Path) -> io::Result<CString> {
    let mut bytes = if is_url(path) { Vec::new() } else { b"file:".to_vec() };
    bytes.extend_from_slice(path.as_os_str().as_encoded_bytes());
    CString::new(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "the name holds a zero byte"))
}

/// FFmpeg's return code as a result.
pub(crate) fn check(code: c_int) -> Result<c_int, ffmpeg_next::Error> {
    if code < 0 { Err(ffmpeg_next::Error::from(code)) } else { Ok(code) }
}

/// Opens a container for reading and looks into its streams.
pub(crate) fn open_input(path: &Path) -> Result<context::Input, ffmpeg_next::Error> {
    silence();
    let url = url(path).map_err(|_| ffmpeg_next::Error::from(ffi::AVERROR(ffmpeg_next::error::EINVAL)))?;
    let mut context = ptr::null_mut();
    // SAFETY: the pointers are valid for the calls; a failed open leaves the context null, an opened one is owned by
    // `Input` from then on, which closes it.
    unsafe {
        check(ffi::avformat_open_input(&mut context, url.as_ptr(), ptr::null_mut(), ptr::null_mut()))?;
        let input = context::Input::wrap(context);
        check(ffi::avformat_find_stream_info(context, ptr::null_mut()))?;
        Ok(input)
    }
}

/// Whether a call only says "not now": more input is needed, or output must be taken first.
pub(crate) fn is_again(error: ffmpeg_next::Error) -> bool {
    error == ffmpeg_next::Error::Other { errno: ffmpeg_next::error::EAGAIN }
}

/// An error while writing `path`: the system's own words where the system caused it (disk full, no permission).
pub(crate) fn write_error(path: &Path, error: ffmpeg_next::Error) -> Error {
    match error {
        ffmpeg_next::Error::Other { errno } if errno != ffmpeg_next::error::EINVAL => {
            Error::io("write", path)(io::Error::from_raw_os_error(errno))
        }
        other => Error::Output { path: path.to_owned(), reason: other.to_string() },
    }
}

impl From<Rational> for TimeBase {
    fn from(rational: Rational) -> Self {
        TimeBase { numerator: rational.numerator(), denominator: rational.denominator() }
    }
}

impl From<TimeBase> for Rational {
    fn from(base: TimeBase) -> Self {
        Rational::new(base.numerator, base.denominator)
    }
}
