//! Two pieces of one frame's work at once.

use std::thread;

/// Runs both and returns when both are done: the first on a thread of this name, the second on the caller's.
///
/// # Panics
/// If either panics, and as [`thread::spawn`] if the system has no thread left.
pub(crate) fn beside(name: &str, first: impl FnOnce() + Send, second: impl FnOnce()) {
    thread::scope(|scope| {
        let first = thread::Builder::new().name(name.into()).spawn_scoped(scope, first);
        second();
        if let Err(panic) = first.expect("the system has threads left").join() {
            std::panic::resume_unwind(panic);
        }
    });
}
