//! What a change to a chunk leaves for others to do.

use super::queue::QueueMask;

/// Which other threads have something to do now.
#[must_use]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// These queues retry what they parked in this part.
    pub wake: QueueMask,
    /// The copier looks for work.
    pub copier: bool,
    /// The log writer looks for chunks to mark.
    pub log: bool,
}

impl Effects {
    /// Nothing to do for anybody.
    pub const NONE: Effects = Effects { wake: QueueMask::NONE, copier: false, log: false };

    /// Whether there is nothing to do for anybody.
    pub fn is_none(self) -> bool {
        self == Effects::NONE
    }

    pub(crate) fn waking(wake: QueueMask) -> Effects {
        Effects { wake, ..Effects::NONE }
    }

    /// Both together.
    pub fn and(self, other: Effects) -> Effects {
        Effects {
            wake: self.wake | other.wake,
            copier: self.copier | other.copier,
            log: self.log | other.log,
        }
    }
}
