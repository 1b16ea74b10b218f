//! Queue threads by number, and sets of them.

use core::fmt;
use core::ops::{BitOr, BitOrAssign};

/// Queue threads of one LV at most.
pub const MAX_QUEUES: u8 = 16;

/// One queue thread of the LV.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(u8);

impl QueueId {
    /// The queue of this number if it is below [`MAX_QUEUES`].
    pub const fn new(number: u8) -> Option<QueueId> {
        if number < MAX_QUEUES { Some(QueueId(number)) } else { None }
    }

    /// The queue's number.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The set of just this queue.
    pub const fn mask(self) -> QueueMask {
        QueueMask(1 << self.0)
    }
}

/// A set of queue threads: whom to wake.
#[must_use]
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueMask(pub(super) u16);

impl QueueMask {
    /// No queue.
    pub const NONE: QueueMask = QueueMask(0);
    /// Every queue there can be; a front end ignores the ones it has not.
    pub const ALL: QueueMask = QueueMask(u16::MAX);

    /// Whether it is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this queue is in it.
    pub const fn contains(self, queue: QueueId) -> bool {
        self.0 & (1 << queue.0) != 0
    }

    /// Each queue in it, in rising order.
    pub fn iter(self) -> impl Iterator<Item = QueueId> {
        (0..MAX_QUEUES).map(QueueId).filter(move |&queue| self.contains(queue))
    }

    /// The set as bits: bit n is queue n.
    pub const fn bits(self) -> u16 {
        self.0
    }
}

impl BitOr for QueueMask {
    type Output = QueueMask;

    fn bitor(self, other: QueueMask) -> QueueMask {
        QueueMask(self.0 | other.0)
    }
}

impl BitOrAssign for QueueMask {
    fn bitor_assign(&mut self, other: QueueMask) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for QueueMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(QueueId::number)).finish()
    }
}
