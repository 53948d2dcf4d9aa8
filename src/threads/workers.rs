//! Threads of our own for kernels and motion.
//!
//! ONNX Runtime's pool lets the calling thread spin until the last of its threads is done. Where decoding and encoding
//! want the cores too, that thread may be waiting for the very core which is spun away. Here who waits spins only as long
//! as a piece of work may take, and then sleeps, so that the core goes to whoever has work.

use std::{
    any::Any,
    hint::spin_loop,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use super::Parallel;

/// How long who waits looks for news before going to sleep: sleeping and waking take about as long.
const PATIENCE: Duration = Duration::from_micros(50);

/// A call's work, of which every thread takes piece after piece.
#[derive(Clone, Copy)]
struct Task {
    /// Of the call that waits in [`Workers::run`], with its lifetime taken away.
    work: *const (dyn Fn(usize) + Sync),
    count: usize,
    mode: FloatMode,
}

// SAFETY: what is pointed to is `Sync`, and lives as long as threads are inside the task.
unsafe impl Send for Task {}

#[derive(Default)]
struct State {
    task: Option<Task>,
    /// Threads that have taken the task.
    inside: usize,
    /// Threads that sleep until there is a task.
    asleep: usize,
    panic: Option<Box<dyn Any + Send>>,
    stop: bool,
}

#[derive(Default)]
struct Common {
    state: Mutex<State>,
    /// There is a task.
    begin: Condvar,
    /// Nobody is inside.
    done: Condvar,
    /// Counts tasks, and the end: to be looked at without the lock.
    tasks: AtomicUsize,
    /// As in [`State`], to be looked at without the lock.
    inside: AtomicUsize,
    /// The next piece.
    next: AtomicUsize,
}

/// Threads that share the work of one caller at a time.
pub struct Workers {
    common: Arc<Common>,
    threads: Vec<JoinHandle<()>>,
    /// Held by the call that is being worked on.
    turn: Mutex<()>,
}

impl Workers {
    /// So many threads of that name, the calling one included; fewer where the system gives no more.
    pub fn new(name: &str, threads: usize) -> Self {
        let common = Arc::new(Common::default());
        let spawn = |_| {
            let common = Arc::clone(&common);
            Builder::new().name(name.into()).spawn(move || common.serve()).ok()
        };
        let threads = (1..threads).map_while(spawn).collect();
        Workers { common, threads, turn: Mutex::new(()) }
    }
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Workers({})", self.threads())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.common.lock().stop = true;
        self.common.tasks.fetch_add(1, Ordering::Release);
        self.common.begin.notify_all();
        for thread in self.threads.drain(..) {
            // A worker catches the panics of its work, and has none of its own.
            let _ = thread.join();
        }
    }
}

impl Workers {
    /// None if another call has it. A panic in an earlier call left nothing half done.
    fn take_turn(&self) -> Option<MutexGuard<'_, ()>> {
        match self.turn.try_lock() {
            Ok(turn) => Some(turn),
            Err(TryLockError::Poisoned(turn)) => Some(turn.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl Parallel for Workers {
    fn threads(&self) -> usize {
        self.threads.len() + 1
    }

    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        let turn = if self.threads.is_empty() || count < 2 { None } else { self.take_turn() };
        let Some(_turn) = turn else {
            // Nobody to share with, or they are busy with another call.
            return (0..count).for_each(work);
        };
        // SAFETY: the same type but for the lifetime. `Closing` lets this call return, or unwind, only when no thread is
        // inside the task and none can come.
        let work = unsafe { std::mem::transmute::<&(dyn Fn(usize) + Sync), &'static (dyn Fn(usize) + Sync)>(work) };
        let task = Task { work, count, mode: FloatMode::present() };
        self.common.begin(task);
        let closing = Closing(&self.common);
        self.common.work(task);
        drop(closing);
        if let Some(panic) = self.common.lock().panic.take() {
            resume_unwind(panic);
        }
    }
}

/// Ends the present task when it is dropped: waits until all threads have left it.
struct Closing<'a>(&'a Common);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let common = self.0;
        common.lock().task = None;
        look_for(|| common.inside.load(Ordering::Acquire) == 0);
        let mut state = common.lock();
        while state.inside > 0 {
            state = common.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Common {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, task: Task) {
        self.next.store(0, Ordering::Relaxed);
        let mut state = self.lock();
        state.task = Some(task);
        state.panic = None;
        self.tasks.fetch_add(1, Ordering::Release);
        if state.asleep > 0 {
            drop(state);
            self.begin.notify_all();
        }
    }

    /// Takes pieces of the task until there are no more.
    fn work(&self, task: Task) {
        // SAFETY: the caller of `run` is still there, see `Closing`.
        let work = unsafe { &*task.work };
        loop {
            let piece = self.next.fetch_add(1, Ordering::Relaxed);
            if piece >= task.count {
                return;
            }
            work(piece);
        }
    }

    /// A worker's life.
    fn serve(&self) {
        let mut seen = 0;
        loop {
            look_for(|| self.tasks.load(Ordering::Acquire) != seen);
            let mut state = self.lock();
            while self.tasks.load(Ordering::Relaxed) == seen && !state.stop {
                state.asleep += 1;
                state = self.begin.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.asleep -= 1;
            }
            if state.stop {
                return;
            }
            seen = self.tasks.load(Ordering::Relaxed);
            // Gone already if this thread comes late.
            let Some(task) = state.task else { continue };
            state.inside += 1;
            self.inside.store(state.inside, Ordering::Relaxed);
            drop(state);
            task.mode.set();
            let outcome = catch_unwind(AssertUnwindSafe(|| self.work(task)));
            let mut state = self.lock();
            if let Err(panic) = outcome {
                state.panic = Some(panic);
            }
            state.inside -= 1;
            self.inside.store(state.inside, Ordering::Release);
            if state.inside == 0 && state.task.is_none() {
                self.done.notify_one();
            }
        }
    }
}

/// Looks for something to come true, for as long as [`PATIENCE`] lasts.
fn look_for(there: impl Fn() -> bool) {
    let began = Instant::now();
    loop {
        for _ in 0..16 {
            if there() {
                return;
            }
            spin_loop();
        }
        if began.elapsed() > PATIENCE {
            return;
        }
    }
}

/// How a thread treats denormal numbers: ONNX Runtime sets it for a run, and the threads here do as their caller.
///
/// Rust takes the register to be as it was at the start, and may compute constants as if denormals were kept. Where ONNX Runtime calls
/// an operator it is not: what is computed there may differ by less than the smallest normal number, and by nothing else.
#[derive(Clone, Copy)]
struct FloatMode(#[cfg(target_arch = "x86_64")] u32);

/// Flush-to-zero and denormals-are-zero, of MXCSR.
#[cfg(target_arch = "x86_64")]
const FLUSH_AND_ZERO: u32 = 0x8040;

#[cfg(target_arch = "x86_64")]
impl FloatMode {
    fn present() -> Self {
        let mut mode = 0u32;
        // SAFETY: stores the register's 32 bits, on every x86-64 processor.
        unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &mut mode, options(nostack, preserves_flags)) };
        FloatMode(mode)
    }

    fn set(self) {
        let mode = FloatMode::present().0 & !FLUSH_AND_ZERO | self.0 & FLUSH_AND_ZERO;
        // SAFETY: the value that the register has but for these two bits, which every x86-64 processor knows: no reserved bit is set, no
        // exception is unmasked, and rounding stays as it is.
        unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &mode, options(nostack, readonly)) };
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl FloatMode {
    fn present() -> Self {
        FloatMode()
    }

    fn set(self) {}
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashSet,
        sync::{Barrier, atomic::AtomicUsize},
        thread,
    };

    use super::*;

    #[test]
    fn every_piece_is_done_once_call_after_call() {
        for threads in [1, 2, 3] {
            let workers = Workers::new("test", threads);
            assert_eq!(workers.threads(), threads);
            for call in 0..2000 {
                let count = call % 7;
                let done: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
                workers.run(count, &|piece| _ = done[piece].fetch_add(1, Ordering::Relaxed));
                assert!(done.iter().all(|done| done.load(Ordering::Relaxed) == 1), "call {call} of {threads} threads");
            }
        }
    }

    #[test]
    fn workers_that_fell_asleep_come_back() {
        let (workers, ids) = (Workers::new("test", 2), Mutex::new(HashSet::new()));
        for _ in 0..3 {
            thread::sleep(10 * PATIENCE);
            // Both must be there to pass.
            let both = Barrier::new(2);
            workers.run(2, &|_| {
                both.wait();
                ids.lock().unwrap().insert(thread::current().id());
            });
        }
        assert_eq!(ids.lock().unwrap().len(), 2);
    }

    #[test]
    fn two_callers_at_once_and_calls_within_calls_are_served() {
        let workers = Workers::new("test", 2);
        let sum = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        workers.run(3, &|_| workers.run(2, &|_| _ = sum.fetch_add(1, Ordering::Relaxed)));
                    }
                });
            }
        });
        assert_eq!(sum.load(Ordering::Relaxed), 2 * 200 * 3 * 2);
    }

    #[test]
    fn a_panic_comes_back_to_the_caller_and_the_workers_go_on() {
        let workers = Workers::new("test", 2);
        let both = Barrier::new(2);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            workers.run(2, &|piece| {
                both.wait();
                assert!(piece == 0, "a piece of work fails");
            });
        }));
        assert!(outcome.is_err());
        // Each of two waits for the other: they are at work together.
        let sum = AtomicUsize::new(0);
        workers.run(2, &|piece| {
            both.wait();
            sum.fetch_add(piece + 1, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 3);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn workers_treat_denormals_as_their_caller() {
        let (workers, usual, both) = (Workers::new("test", 2), FloatMode::present(), Barrier::new(2));
        for mode in [FloatMode(usual.0 | FLUSH_AND_ZERO), usual] {
            mode.set();
            let (tiny, results) = (std::hint::black_box(f32::MIN_POSITIVE), Mutex::new(Vec::new()));
            workers.run(2, &|_| {
                both.wait();
                results.lock().unwrap().push(std::hint::black_box(tiny) * 0.5 > 0.0);
            });
            usual.set();
            let kept = mode.0 & FLUSH_AND_ZERO == 0;
            assert_eq!(results.into_inner().unwrap(), [kept; 2]);
        }
    }
}
