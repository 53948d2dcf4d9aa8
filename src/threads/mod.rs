//! Work shared among threads.

mod each;
mod strips;
mod workers;

pub use each::{bands, each};
pub use strips::{STRIP, strips, strips_of};
pub use workers::Workers;

/// Threads that take pieces of work.
pub trait Parallel: Send + Sync {
    /// How many pieces run at once, at most.
    fn threads(&self) -> usize;

    /// Calls `work(0)`, ..., `work(count - 1)`, each once, on any thread; returns when all are done. They begin in
    /// this order, so that a piece may wait for what an earlier one does.
    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync));
}

/// The calling thread alone.
pub struct Serial;

impl Parallel for Serial {
    fn threads(&self) -> usize {
        1
    }
    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        (0..count).for_each(work);
    }
}

/// More threads would be at work on pieces too small.
const MOST: usize = 16;

/// How many threads share the work on pictures: as many as are asked for, one for each of the machine's cores if that is 0; not more than
/// pictures have pieces for.
pub fn for_pictures(asked: usize) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    if asked == 0 { cores() } else { asked }.min(MOST)
}

/// Piece `k` of `count` pieces of `total` things, as even as can be.
pub(crate) fn share(total: usize, k: usize, count: usize) -> std::ops::Range<usize> {
    total * k / count..total * (k + 1) / count
}

/// Threads made for each call: for tests of what the pieces share.
#[cfg(test)]
pub(crate) struct Scoped(pub usize);

#[cfg(test)]
impl Parallel for Scoped {
    fn threads(&self) -> usize {
        self.0
    }
    fn run(&self, count: usize, work: &(dyn Fn(usize) + Sync)) {
        let next = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.0 {
                scope.spawn(|| {
                    loop {
                        let piece = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        if piece >= count {
                            break;
                        }
                        work(piece);
                    }
                });
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_everything_once() {
        for (total, count) in [(10, 3), (2, 5), (0, 4), (7, 7)] {
            let all: Vec<usize> = (0..count).flat_map(|k| share(total, k, count)).collect();
            assert_eq!(all, (0..total).collect::<Vec<_>>());
        }
    }
}
