//! Suspend, swap, resume: how all queue threads of a device change to another table at once.
//!
//! An odd epoch means suspended: a queue admits nothing new, lets finish what is on the way to the
//! disks, and reports. When all have, the device is quiesced, the table is exchanged, and an even
//! epoch resumes. Per request this costs nothing; per turn of a queue's loop one load.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::platform::{Condvar, Instant, Mutex, MutexGuard};
use crate::queues::Queues;

/// How long whoever resumes waits to see that every queue has taken the table.
const TAKE_LIMIT: Duration = Duration::from_secs(1);

/// The epochs of one device, and the table `T` of the present one.
#[derive(Debug)]
pub(crate) struct Quiesce<T> {
    epoch: AtomicU64,
    /// The queues are to end as they are.
    ends: AtomicBool,
    inner: Mutex<Inner<T>>,
    changed: Condvar,
    queues: Arc<Queues>,
}

#[derive(Debug)]
struct Inner<T> {
    table: Arc<T>,
    /// The queues that have drained in the present suspended epoch.
    drained: usize,
    /// The queues that have taken the table of the present epoch, which is not suspended.
    taken: usize,
    /// The queues whose threads have ended.
    gone: usize,
}

/// The device was not quiesced in time: something below does not finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotDrained;

impl<T> Quiesce<T> {
    /// Serving by `table`.
    pub(crate) fn new(table: Arc<T>, queues: Arc<Queues>) -> Quiesce<T> {
        let inner = Inner { table, drained: 0, taken: 0, gone: 0 };
        Quiesce {
            epoch: AtomicU64::new(0),
            ends: AtomicBool::new(false),
            inner: Mutex::new(inner),
            changed: Condvar::new(),
            queues,
        }
    }

    /// The queues that take part.
    pub(crate) fn queues(&self) -> &Arc<Queues> {
        &self.queues
    }

    /// Which epoch it is; odd is suspended.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The table that is live.
    pub(crate) fn table(&self) -> Arc<T> {
        Arc::clone(&self.lock().table)
    }

    /// Suspends, and waits until nothing is on its way below. On failure it is resumed, as if nothing
    /// had been.
    pub(crate) fn suspend(&self, limit: Duration) -> Result<(), NotDrained> {
        let start = Instant::now();
        let mut inner = self.lock();
        inner.drained = 0;
        self.advance();
        while inner.drained + inner.gone < self.queues.count() {
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

    /// Resumes by `table`, or by the one of before.
    pub(crate) fn resume(&self, table: Option<Arc<T>>) {
        let mut inner = self.lock();
        if let Some(table) = table {
            inner.table = table;
        }
        inner.taken = 0;
        self.advance();
        // No queue holds the devices of the table before any more when this returns. A queue that is
        // busy beyond reason is not waited for: it serves by the new table when it looks up.
        let start = Instant::now();
        while inner.taken + inner.gone < self.queues.count() {
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

    /// A queue says that nothing of it is on its way, in the suspended epoch it has seen.
    pub(crate) fn drained(&self, epoch: u64) {
        let mut inner = self.lock();
        // A late word about an epoch that was given up does not count.
        if self.epoch() == epoch {
            inner.drained += 1;
            self.changed.notify_all();
        }
    }

    /// Ends the queues. They have been given no request yet.
    pub(crate) fn end(&self) {
        self.ends.store(true, Ordering::Release);
        self.queues.wake(u16::MAX);
    }

    /// Whether they are to end.
    pub(crate) fn ends(&self) -> bool {
        self.ends.load(Ordering::Acquire)
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
        self.queues.wake(u16::MAX);
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Wakeup;

    fn device(queues: usize) -> Quiesce<()> {
        let wakeups = (0..queues).map(|_| Arc::new(Wakeup::new().expect("an eventfd"))).collect();
        Quiesce::new(Arc::new(()), Arc::new(Queues::new(wakeups)))
    }

    #[test]
    fn a_device_is_quiesced_when_every_queue_has_drained() {
        let quiesce = Arc::new(device(2));
        let queues: Vec<_> = (0..2)
            .map(|_| {
                let quiesce = Arc::clone(&quiesce);
                std::thread::spawn(move || {
                    while quiesce.epoch().is_multiple_of(2) {
                        std::thread::yield_now();
                    }
                    quiesce.drained(quiesce.epoch());
                })
            })
            .collect();
        assert_eq!(quiesce.suspend(Duration::from_secs(5)), Ok(()));
        assert_eq!(quiesce.epoch(), 1);
        quiesce.resume(None);
        assert_eq!(quiesce.epoch(), 2);
        for queue in queues {
            queue.join().expect("no panic");
        }
    }

    #[test]
    fn a_queue_that_does_not_drain_goes_on() {
        let quiesce = device(1);
        assert_eq!(quiesce.suspend(Duration::from_millis(10)), Err(NotDrained));
        assert_eq!(quiesce.epoch() % 2, 0);
        quiesce.drained(1);
        assert_eq!(quiesce.suspend(Duration::from_millis(10)), Err(NotDrained), "late words count");
    }
}
