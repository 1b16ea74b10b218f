//! A queue that takes whatever is put in without waiting: what is too much pushes the oldest out, counted.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug)]
struct Inside<T> {
    waiting: VecDeque<T>,
    /// Taken out, and not yet dealt with.
    busy: bool,
    lost: u64,
    /// Nothing will ever be taken out.
    closed: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Queue<T> {
    inside: Mutex<Inside<T>>,
    changed: Condvar,
    limit: usize,
}

impl<T> Queue<T> {
    pub(super) fn new(limit: usize) -> Queue<T> {
        let waiting = VecDeque::with_capacity(limit);
        let inside = Inside { waiting, busy: false, lost: 0, closed: false };
        Queue { inside: Mutex::new(inside), changed: Condvar::new(), limit }
    }

    fn lock(&self) -> MutexGuard<'_, Inside<T>> {
        // Whoever panicked in here has left nothing half done.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, item: T) {
        let mut inside = self.lock();
        if inside.closed {
            inside.lost += 1;
            return;
        }
        if inside.waiting.len() >= self.limit {
            inside.waiting.pop_front();
            inside.lost += 1;
        }
        inside.waiting.push_back(item);
        drop(inside);
        self.changed.notify_all();
    }

    /// The oldest, and how many were lost since the last; waits for one. Say [`Queue::done`] afterwards.
    pub(super) fn pop(&self) -> (T, u64) {
        let mut inside = self.lock();
        loop {
            if let Some(item) = inside.waiting.pop_front() {
                inside.busy = true;
                return (item, std::mem::take(&mut inside.lost));
            }
            inside = self.changed.wait(inside).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn done(&self) {
        self.lock().busy = false;
        self.changed.notify_all();
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
    }

    /// Waits until all is dealt with, at most so long.
    pub(super) fn drain(&self, limit: Duration) {
        let start = Instant::now();
        let mut inside = self.lock();
        while inside.busy || !inside.waiting.is_empty() {
            let Some(left) = limit.checked_sub(start.elapsed()) else { return };
            let waited = self.changed.wait_timeout(inside, left);
            inside = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn putting_in_waits_for_nothing_and_the_oldest_go_first() {
        let queue = Queue::new(2);
        (0..5).for_each(|n| queue.push(n));
        assert_eq!(queue.pop(), (3, 3), "three were pushed out");
        assert_eq!(queue.pop(), (4, 0));
    }

    #[test]
    fn the_end_waits_for_a_reader_and_not_for_ever() {
        let queue = Queue::new(2);
        queue.push(1);
        let start = Instant::now();
        queue.drain(Duration::from_millis(30));
        assert!(start.elapsed() >= Duration::from_millis(30));
        queue.pop();
        queue.done();
        queue.drain(Duration::from_secs(3600));
    }

    #[test]
    fn without_a_reader_nothing_is_kept() {
        let queue = Queue::new(2);
        queue.close();
        queue.push(1);
        queue.drain(Duration::from_secs(3600));
        assert_eq!(queue.lock().lost, 1);
    }
}
