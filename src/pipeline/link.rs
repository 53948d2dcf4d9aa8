//! Links between threads: bounded channels in order, or a single place that always holds the newest.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crossbeam::channel::{self, RecvTimeoutError, TryRecvError, TrySendError};

/// A link whose sender waits once `capacity` items are under way: nothing is lost, order is kept.
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = channel::bounded(capacity);
    (Sender { sender }, Receiver { receiver, replaced: Arc::default() })
}

/// A link that holds one item, the newest: it replaces the one that was not yet taken, and what was replaced is counted.
pub fn latest<T>() -> (Newest<T>, Receiver<T>) {
    let (sender, receiver) = channel::bounded(1);
    let replaced = Arc::<AtomicU64>::default();
    let newest = Newest { sender, stale: receiver.clone(), replaced: Arc::clone(&replaced) };
    (newest, Receiver { receiver, replaced })
}

/// The other side has gone: the pipeline is ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// The sending end of a [`bounded`] link.
pub struct Sender<T> {
    sender: channel::Sender<T>,
}

impl<T> Sender<T> {
    /// Hands an item on; waits for room, and fails when the receiver has gone.
    pub fn send(&self, item: T) -> Result<(), Closed> {
        self.sender.send(item).map_err(|_| Closed)
    }

    /// Hands an item on if there is room: false if there is none, and the item is lost. Never waits.
    pub fn offer(&self, item: T) -> Result<bool, Closed> {
        match self.sender.try_send(item) {
            Ok(()) => Ok(true),
            Err(TrySendError::Full(_)) => Ok(false),
            Err(TrySendError::Disconnected(_)) => Err(Closed),
        }
    }
}

/// The sending end of a [`latest`] link.
pub struct Newest<T> {
    sender: channel::Sender<T>,
    /// Takes out what the receiver has not taken.
    stale: channel::Receiver<T>,
    replaced: Arc<AtomicU64>,
}

impl<T> Newest<T> {
    /// Puts an item in the place of the one before. Never waits, and does not tell whether anybody looks.
    pub fn put(&self, mut item: T) {
        // The link is open as long as `stale` is: the only failure is that it is full.
        while let Err(error) = self.sender.try_send(item) {
            item = error.into_inner();
            if self.stale.try_recv().is_ok() {
                self.replaced.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

pub struct Receiver<T> {
    receiver: channel::Receiver<T>,
    replaced: Arc<AtomicU64>,
}

impl<T> Receiver<T> {
    /// Waits for the next item; None once the sender has gone and everything was taken.
    pub fn receive(&self) -> Option<T> {
        self.receiver.recv().ok()
    }

    /// Waits for at most this long: `Ok(None)` if nothing came.
    pub fn receive_within(&self, timeout: Duration) -> Result<Option<T>, Closed> {
        match self.receiver.recv_timeout(timeout) {
            Ok(item) => Ok(Some(item)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Closed),
        }
    }

    /// What is there now: `Ok(None)` if nothing is.
    pub fn try_receive(&self) -> Result<Option<T>, Closed> {
        match self.receiver.try_recv() {
            Ok(item) => Ok(Some(item)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(Closed),
        }
    }

    /// Items that were replaced before they were taken, since `known` was last updated by this.
    pub fn replaced_since(&self, known: &mut u64) -> u64 {
        let before = std::mem::replace(known, self.replaced());
        *known - before
    }

    /// Items that were replaced before they were taken.
    pub fn replaced(&self) -> u64 {
        self.replaced.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_link_keeps_order_and_ends() {
        let (sender, receiver) = bounded(2);
        let sending = std::thread::spawn(move || (0..20).try_for_each(|i| sender.send(i)));
        let received: Vec<i32> = std::iter::from_fn(|| receiver.receive()).collect();
        assert_eq!(received, (0..20).collect::<Vec<_>>());
        assert_eq!(sending.join().expect("no panic"), Ok(()));
    }

    #[test]
    fn a_latest_link_gives_the_newest_and_counts_the_rest() {
        let (newest, receiver) = latest();
        (0..5).for_each(|i| newest.put(i));
        assert_eq!(receiver.try_receive(), Ok(Some(4)));
        assert_eq!(receiver.try_receive(), Ok(None));
        assert_eq!(receiver.replaced(), 4);
        drop(newest);
        assert_eq!(receiver.try_receive(), Err(Closed));
    }

    #[test]
    fn a_bounded_sender_learns_that_the_receiver_has_gone() {
        let (sender, receiver) = bounded(1);
        drop(receiver);
        assert_eq!(sender.send(1), Err(Closed));
    }
}
