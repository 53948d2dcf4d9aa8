//! How the programs end before their work does: Ctrl-C in two steps, and with whoever reads what they print.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::error::{Error, Result};

/// The shell's code for a program ended by Ctrl-C.
pub const INTERRUPTED: u8 = 130;

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
            unsafe { libc::_exit(i32::from(INTERRUPTED)) }
        }
        eprintln!("{told}");
    });
    listening.map_err(io::Error::other).map_err(Error::io("listen for", "Ctrl-C"))?;
    Ok(stop)
}

/// A program that only prints ends quietly when nobody reads on (`stylize-check doctor | head`), as programs of the system do. Rust's
/// own default is a panic at the next line.
pub fn end_with_the_reader() {
    #[cfg(unix)]
    // SAFETY: the default action is a valid one for this signal, and no other thread runs yet that could set another.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
}
