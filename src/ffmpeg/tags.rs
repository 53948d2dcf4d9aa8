//! Metadata: copied byte by byte, because old files hold text in any encoding.

use std::{
    ffi::{CStr, c_int},
    ptr,
};

use ffmpeg_next::ffi;

/// Copies the entries whose key `keep` accepts into `to`, over what is there.
///
/// # Safety
/// `from` must be null or a valid dictionary, `to` must point to null or to a valid dictionary of its own.
pub(crate) unsafe fn copy(
    from: *const ffi::AVDictionary,
    to: *mut *mut ffi::AVDictionary,
    keep: impl Fn(&CStr) -> bool,
) {
    let mut entry = ptr::null_mut();
    // SAFETY: the caller's promise; an entry stays valid while `from` is not changed, and keys and values are strings.
    unsafe {
        loop {
            entry = ffi::av_dict_get(from, c"".as_ptr(), entry, ffi::AV_DICT_IGNORE_SUFFIX as c_int);
            let Some(found) = entry.as_ref() else { return };
            if keep(CStr::from_ptr(found.key)) {
                ffi::av_dict_set(to, found.key, found.value, 0);
            }
        }
    }
}
