//! What kernels run on: threads, work buffers, and the output that pieces of work share.

use std::{
    marker::PhantomData,
    sync::{Mutex, MutexGuard, PoisonError, TryLockError},
};

use super::{blocked::Aligned, isa::Isa};
use crate::threads::Parallel;

/// A slice that several pieces of work write, each its own part.
#[derive(Clone, Copy)]
pub(super) struct Shared<'a, T> {
    start: *mut T,
    len: usize,
    borrowed: PhantomData<&'a mut [T]>,
}

// SAFETY: access goes through `at`, whose callers promise that pieces do not overlap.
unsafe impl<T: Send> Send for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub fn new(slice: &'a mut [T]) -> Self {
        Shared { start: slice.as_mut_ptr(), len: slice.len(), borrowed: PhantomData }
    }

    /// The address of element `index`.
    ///
    /// # Safety
    /// `index` is inside the slice, and what is written from there on is inside it too and nobody else's.
    #[inline(always)]
    pub unsafe fn at(&self, index: usize) -> *mut T {
        debug_assert!(index < self.len);
        // SAFETY: the caller's promise.
        unsafe { self.start.add(index) }
    }
}

/// Work buffers, one for each thread, kept from call to call and shared by all kernels.
#[derive(Debug)]
pub struct Scratch(Vec<Mutex<Aligned>>);

impl Scratch {
    pub fn new(threads: usize) -> Self {
        Scratch((0..threads.max(1)).map(|_| Mutex::default()).collect())
    }

    /// A buffer nobody else uses, of at least `len` floats of unspecified (finite) content. It grows on first use.
    pub(super) fn take(&self, len: usize) -> MutexGuard<'_, Aligned> {
        let free = self.0.iter().find_map(|buffer| match buffer.try_lock() {
            Ok(free) => Some(free),
            Err(TryLockError::Poisoned(free)) => Some(free.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        });
        // More threads at once than buffers: wait for one (it is held by a piece of work that waits for nobody).
        let mut buffer = free.unwrap_or_else(|| self.0[0].lock().unwrap_or_else(PoisonError::into_inner));
        buffer.grow(len);
        buffer
    }
}

/// What kernels run on: the instruction set, the threads, and their work buffers.
#[derive(Clone, Copy)]
pub struct Machine<'a> {
    pub isa: Isa,
    pub threads: &'a dyn Parallel,
    pub scratch: &'a Scratch,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratch_is_exclusive_and_kept() {
        let scratch = Scratch::new(2);
        let (first, second) = (scratch.take(16), scratch.take(32));
        assert_ne!(first.as_ptr(), second.as_ptr());
        assert!(second.len() >= 32);
        let address = first.as_ptr();
        drop(first);
        assert_eq!(scratch.take(8).as_ptr(), address);
    }
}
