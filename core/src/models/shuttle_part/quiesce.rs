//! The quiesce of all queues, as the ublk front end has it: closed, drained, another table, open.

use shuttle::sync::atomic::{AtomicU32, Ordering};
use shuttle::sync::{Condvar, Mutex};

use super::{QUEUES, Wakeup};
use crate::Leg;

/// What the LV is served from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Mirror,
    Plain(Leg),
}

pub(super) struct Quiesce {
    /// Odd: closed.
    epoch: AtomicU32,
    inner: Mutex<Inner>,
    changed: Condvar,
}

struct Inner {
    table: Table,
    drained: u8,
    gone: u8,
}

impl Quiesce {
    pub(super) fn new() -> Quiesce {
        let inner = Inner { table: Table::Mirror, drained: 0, gone: 0 };
        Quiesce { epoch: AtomicU32::new(0), inner: Mutex::new(inner), changed: Condvar::new() }
    }

    pub(super) fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(super) fn table(&self) -> Table {
        self.inner.lock().expect("no panic").table
    }

    /// Closes it and waits until nothing is on its way; `then` is done while it is closed.
    pub(super) fn swap(&self, wakeups: &[Wakeup], table: Table, then: impl FnOnce()) {
        let mut inner = self.inner.lock().expect("no panic");
        inner.drained = 0;
        self.epoch.fetch_add(1, Ordering::AcqRel);
        wakeups.iter().for_each(Wakeup::ring);
        while inner.drained + inner.gone < QUEUES {
            inner = self.changed.wait(inner).expect("no panic");
        }
        then();
        inner.table = table;
        self.epoch.fetch_add(1, Ordering::AcqRel);
        wakeups.iter().for_each(Wakeup::ring);
    }

    /// Waits until no queue has anything to do any more.
    pub(super) fn wait_for_all_to_leave(&self) {
        let mut inner = self.inner.lock().expect("no panic");
        while inner.gone < QUEUES {
            inner = self.changed.wait(inner).expect("no panic");
        }
    }

    pub(super) fn drained(&self) {
        self.inner.lock().expect("no panic").drained += 1;
        self.changed.notify_all();
    }

    /// A queue has nothing more to do, ever. It counts once, though it may have said already that
    /// it has drained in the epoch it has seen.
    pub(super) fn left(&self, seen: u32) {
        let mut inner = self.inner.lock().expect("no panic");
        if !seen.is_multiple_of(2) && seen == self.epoch() {
            inner.drained -= 1;
        }
        inner.gone += 1;
        drop(inner);
        self.changed.notify_all();
    }
}
