//! Suspend, swap, resume: how all queue threads of a device change to another table at once.
//!
//! An odd epoch means closed: a queue admits nothing new, lets finish what is on the way to the
//! disks, and reports. When all have, the table is exchanged and an even epoch opens the gate.
//! Per request the gate costs nothing; per turn of a queue's loop one load.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

pub(crate) use crate::bell::Bell;
use crate::live::LiveTable;
use crate::os::{Condvar, Instant, Mutex, MutexGuard};
use crate::queue::QueueLatencies;

/// How long an opened gate waits to see every queue gone through it.
const TAKE_LIMIT: Duration = Duration::from_secs(1);

/// The gate of one device.
#[derive(Debug)]
pub(crate) struct Gate {
    epoch: AtomicU64,
    inner: Mutex<Inner>,
    changed: Condvar,
    bells: Vec<Arc<Bell>>,
    /// What each queue counts.
    latencies: Box<[QueueLatencies]>,
}

#[derive(Debug)]
struct Inner {
    table: Arc<LiveTable>,
    /// The queues that have drained in the present closed epoch.
    drained: usize,
    /// The queues that have taken the table of the present open epoch.
    taken: usize,
    /// The queues whose threads have ended.
    gone: usize,
}

/// The gate did not close in time: something below does not finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotDrained;

impl Gate {
    /// An open gate before `table`, with a bell for each queue.
    pub(crate) fn new(table: Arc<LiveTable>, bells: Vec<Arc<Bell>>) -> Gate {
        let latencies = bells.iter().map(|_| QueueLatencies::new()).collect();
        let inner = Inner { table, drained: 0, taken: 0, gone: 0 };
        Gate {
            epoch: AtomicU64::new(0),
            inner: Mutex::new(inner),
            changed: Condvar::new(),
            bells,
            latencies,
        }
    }

    /// How long requests took, queue by queue.
    pub(crate) fn latencies(&self) -> &[QueueLatencies] {
        &self.latencies
    }

    /// Which epoch it is; odd is closed.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The table of an open epoch.
    pub(crate) fn table(&self) -> Arc<LiveTable> {
        Arc::clone(&self.lock().table)
    }

    /// Wakes these queues (bit n is queue n).
    pub(crate) fn wake(&self, queues: u16) {
        for (n, bell) in self.bells.iter().enumerate() {
            if queues >> n & 1 == 1 {
                bell.ring();
            }
        }
    }

    /// Closes the gate and waits until nothing is on its way below. On failure it is open again,
    /// as if nothing had been.
    pub(crate) fn close(&self, limit: Duration) -> Result<(), NotDrained> {
        let start = Instant::now();
        let mut inner = self.lock();
        inner.drained = 0;
        self.advance();
        if lvshift_core::planted::is("swap-without-drain") {
            return Ok(());
        }
        while inner.drained + inner.gone < self.bells.len() {
            let left = limit.saturating_sub(start.elapsed());
            if left.is_zero() {
                self.advance();
                return Err(NotDrained);
            }
            let waited = self.changed.wait_timeout(inner, left);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// Opens the closed gate before `table`, or before the one of before.
    pub(crate) fn open(&self, table: Option<Arc<LiveTable>>) {
        let mut inner = self.lock();
        if let Some(table) = table {
            inner.table = table;
        }
        inner.taken = 0;
        self.advance();
        // Nobody holds the devices of the table before any more when this returns. A queue that is
        // busy beyond reason is not waited for: it serves by the new table when it looks up.
        let start = Instant::now();
        while inner.taken + inner.gone < self.bells.len() {
            let left = TAKE_LIMIT.saturating_sub(start.elapsed());
            if left.is_zero() {
                return;
            }
            let waited = self.changed.wait_timeout(inner, left);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A queue says that it has taken the table of this epoch.
    pub(crate) fn taken(&self, epoch: u64) {
        let mut inner = self.lock();
        if self.epoch() == epoch {
            inner.taken += 1;
            self.changed.notify_all();
        }
    }

    /// A queue says that nothing of it is on its way, in the closed epoch it has seen.
    pub(crate) fn drained(&self, epoch: u64) {
        let mut inner = self.lock();
        // A late word about an epoch that was given up does not count.
        if self.epoch() == epoch {
            inner.drained += 1;
            self.changed.notify_all();
        }
    }

    /// A queue's thread ends.
    pub(crate) fn left(&self) {
        self.lock().gone += 1;
        self.changed.notify_all();
    }

    /// How many queues have ended.
    pub(crate) fn gone(&self) -> usize {
        self.lock().gone
    }

    fn advance(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.wake(u16::MAX);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(queues: usize) -> Gate {
        let bells = (0..queues).map(|_| Arc::new(Bell::new().expect("an eventfd"))).collect();
        Gate::new(Arc::new(LiveTable::default()), bells)
    }

    #[test]
    fn a_gate_closes_when_every_queue_has_drained() {
        let gate = Arc::new(gate(2));
        let queues: Vec<_> = (0..2)
            .map(|_| {
                let gate = Arc::clone(&gate);
                std::thread::spawn(move || {
                    while gate.epoch().is_multiple_of(2) {
                        std::thread::yield_now();
                    }
                    gate.drained(gate.epoch());
                })
            })
            .collect();
        assert_eq!(gate.close(Duration::from_secs(5)), Ok(()));
        assert_eq!(gate.epoch(), 1);
        gate.open(None);
        assert_eq!(gate.epoch(), 2);
        for queue in queues {
            queue.join().expect("no panic");
        }
    }

    #[test]
    fn a_queue_that_does_not_drain_leaves_the_gate_open() {
        let gate = gate(1);
        assert_eq!(gate.close(Duration::from_millis(10)), Err(NotDrained));
        assert_eq!(gate.epoch() % 2, 0);
        gate.drained(1);
        assert_eq!(gate.close(Duration::from_millis(10)), Err(NotDrained), "late words count");
    }
}
