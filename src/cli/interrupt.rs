//! Ctrl-C in two steps.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::error::{Error, Result};

/// The shell's code for a program ended by Ctrl-C.
const INTERRUPTED: i32 = 130;

/// A flag that the first Ctrl-C sets, for a clean end; `told` is printed then. The second ends the program at once, in the
/// middle of whatever it does: nothing is cleaned up.
///
/// # Errors
/// [`Error::Io`] if signals cannot be listened for, or already are.
pub fn stop_on_interrupt(told: &'static str) -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let listening = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            // Not `std::process::exit`: that runs the libraries' own clean-up (ONNX Runtime's type registry, say) under threads
            // that are still at work, which then crash.
            // SAFETY: `_exit` takes any code, touches no memory of the process, and does not return.
            unsafe { libc::_exit(INTERRUPTED) }
        }
        eprintln!("{told}");
    });
    listening.map_err(io::Error::other).map_err(Error::io("listen for", "Ctrl-C"))?;
    Ok(stop)
}
