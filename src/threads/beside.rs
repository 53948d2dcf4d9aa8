//! Two pieces of one frame's work at once.

use std::thread;

/// Runs both and returns when both are done: the first on a thread of this name, the second on the caller's. Where the system has
/// no thread left, one after the other.
///
/// # Panics
/// If either panics.
pub(crate) fn beside(name: &str, first: impl FnOnce() + Send, second: impl FnOnce()) {
    let mut waiting = Some(first);
    thread::scope(|scope| {
        let lent = &mut waiting;
        let work = move || lent.take().into_iter().for_each(|first| first());
        let thread = thread::Builder::new().name(name.into()).spawn_scoped(scope, work);
        second();
        if let Ok(Err(panic)) = thread.map(|thread| thread.join()) {
            std::panic::resume_unwind(panic);
        }
    });
    // Nobody took it.
    waiting.into_iter().for_each(|first| first());
}
