//! Links between threads: bounded channels in order, or a single place that always holds the newest.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crossbeam::channel::{self, RecvTimeoutError, TryRecvError, TrySendError};

/// How a link behaves when the receiver is slower than the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// The sender waits once this many items are under way: nothing is lost, order is kept.
    Blocking(usize),
    /// A new item replaces the one that was not yet taken; what was replaced is counted.
    Latest,
}

impl Link {
    pub fn open<T>(self) -> (Sender<T>, Receiver<T>) {
        let capacity = match self {
            Link::Blocking(capacity) => capacity,
            Link::Latest => 1,
        };
        let (sender, receiver) = channel::bounded(capacity);
        let stale = (self == Link::Latest).then(|| receiver.clone());
        let dropped = Arc::new(AtomicU64::new(0));
        (Sender { sender, stale, dropped: Arc::clone(&dropped) }, Receiver { receiver, dropped })
    }
}

/// The other side has gone: the pipeline is ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

pub struct Sender<T> {
    sender: channel::Sender<T>,
    /// On a latest-only link: takes out what the receiver has not taken.
    stale: Option<channel::Receiver<T>>,
    dropped: Arc<AtomicU64>,
}

impl<T> Sender<T> {
    /// Hands an item on. A blocking link waits for room, and fails when the receiver has gone; a latest link never waits
    /// and never fails: what nobody takes is replaced.
    pub fn send(&self, item: T) -> Result<(), Closed> {
        let Some(stale) = &self.stale else {
            return self.sender.send(item).map_err(|_| Closed);
        };
        let mut item = item;
        loop {
            match self.sender.try_send(item) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Disconnected(_)) => return Err(Closed),
                Err(TrySendError::Full(back)) => {
                    item = back;
                    if stale.try_recv().is_ok() {
                        self.dropped.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
    }

    /// Hands an item on if there is room: false if there is none, and the item is lost. Never waits.
    pub fn offer(&self, item: T) -> Result<bool, Closed> {
        match self.sender.try_send(item) {
            Ok(()) => Ok(true),
            Err(TrySendError::Full(_)) => Ok(false),
            Err(TrySendError::Disconnected(_)) => Err(Closed),
        }
    }

    /// Items that were replaced before they were taken.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

pub struct Receiver<T> {
    receiver: channel::Receiver<T>,
    dropped: Arc<AtomicU64>,
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
    pub fn dropped_since(&self, known: &mut u64) -> u64 {
        let before = std::mem::replace(known, self.dropped());
        *known - before
    }

    /// Items that were replaced before they were taken.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocking_link_keeps_order_and_ends() {
        let (sender, receiver) = Link::Blocking(2).open();
        let sending = std::thread::spawn(move || (0..20).try_for_each(|i| sender.send(i)));
        let received: Vec<i32> = std::iter::from_fn(|| receiver.receive()).collect();
        assert_eq!(received, (0..20).collect::<Vec<_>>());
        assert_eq!(sending.join().expect("no panic"), Ok(()));
    }

    #[test]
    fn a_latest_link_gives_the_newest_and_counts_the_rest() {
        let (sender, receiver) = Link::Latest.open();
        (0..5).for_each(|i| sender.send(i).expect("open"));
        assert_eq!(receiver.try_receive(), Ok(Some(4)));
        assert_eq!(receiver.try_receive(), Ok(None));
        assert_eq!(receiver.dropped(), 4);
        drop(sender);
        assert_eq!(receiver.try_receive(), Err(Closed));
    }

    #[test]
    fn a_blocking_sender_learns_that_the_receiver_has_gone() {
        let (sender, receiver) = Link::Blocking(1).open();
        drop(receiver);
        assert_eq!(sender.send(1), Err(Closed));
    }
}
