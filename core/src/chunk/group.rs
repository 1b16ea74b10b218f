//! What is known of 4096 chunks together, so that searches skip what has nothing for them.

use crate::sync::{AtomicU32, Ordering};

/// Chunks in a group: their log bits are just 512 bytes.
pub const GROUP_CHUNKS: u32 = 4096;

const HAS_DIRTY: u32 = 1;
const LOG_STALE: u32 = 2;

/// The shared summary of [`GROUP_CHUNKS`] consecutive chunks.
#[derive(Debug, Default)]
pub struct Group {
    /// Chunks not mirrored. Raised after the chunk is demoted, lowered after it is mirrored.
    left: AtomicU32,
    flags: AtomicU32,
}

impl Group {
    /// A group of which nothing is known yet.
    pub fn new() -> Group {
        Group { left: AtomicU32::new(0), flags: AtomicU32::new(0) }
    }

    pub(crate) fn reset(&self, left: u32) {
        self.left.store(left, Ordering::Release);
        self.flags.store(0, Ordering::Release);
    }

    pub(crate) fn left(&self) -> u32 {
        // A demotion may be counted after the copy that follows it: then it is below 0 for a moment.
        (self.left.load(Ordering::SeqCst) as i32).max(0) as u32
    }

    pub(crate) fn one_mirrored(&self) {
        self.left.fetch_sub(1, Ordering::SeqCst);
    }

    pub(crate) fn one_demoted(&self) {
        self.left.fetch_add(1, Ordering::SeqCst);
    }

    /// Says that a chunk has become dirty. Always a read-modify-write: a sweep that clears the flag
    /// after this one sees the chunk's new phase.
    pub(crate) fn has_dirty_now(&self) {
        self.flags.fetch_or(HAS_DIRTY, Ordering::AcqRel);
    }

    pub(crate) fn has_dirty(&self) -> bool {
        self.flags.load(Ordering::Acquire) & HAS_DIRTY != 0
    }

    pub(crate) fn take_has_dirty(&self) -> bool {
        self.flags.fetch_and(!HAS_DIRTY, Ordering::AcqRel) & HAS_DIRTY != 0
    }

    pub(crate) fn log_is_stale(&self) {
        self.flags.fetch_or(LOG_STALE, Ordering::AcqRel);
    }

    pub(crate) fn take_log_stale(&self) -> bool {
        self.flags.fetch_and(!LOG_STALE, Ordering::AcqRel) & LOG_STALE != 0
    }
}
