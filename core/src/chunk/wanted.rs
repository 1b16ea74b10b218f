//! A small shared set of chunk indices: what requests wait for.
//!
//! Any thread puts in, one thread takes out. When it is full, a flag says so, and the taker looks
//! at the chunks themselves: nothing is forgotten, it only takes longer.

use super::geometry::ChunkIndex;
use crate::sync::{AtomicU32, Ordering};

#[cfg(not(any(loom, shuttle)))]
const SLOTS: usize = 256;
#[cfg(any(loom, shuttle))]
const SLOTS: usize = 2;

const EMPTY: u32 = u32::MAX;

pub(crate) struct Wanted {
    /// A chunk's index, or `EMPTY`, which no chunk has ([`Geometry`](super::Geometry)).
    slots: [AtomicU32; SLOTS],
    /// Where the next put looks first.
    put_hint: AtomicU32,
    /// Where the next take looks first: in turn, so that none waits for ever.
    take_hint: AtomicU32,
    /// How many are in, or are being put in: 0 spares the taker the look.
    count: AtomicU32,
    overflow: AtomicU32,
}

impl Wanted {
    pub(crate) fn new() -> Wanted {
        Wanted {
            slots: core::array::from_fn(|_| AtomicU32::new(EMPTY)),
            put_hint: AtomicU32::new(0),
            take_hint: AtomicU32::new(0),
            count: AtomicU32::new(0),
            overflow: AtomicU32::new(0),
        }
    }

    pub(crate) fn put(&self, chunk: ChunkIndex) {
        let hint = self.put_hint.fetch_add(1, Ordering::Relaxed) as usize;
        self.count.fetch_add(1, Ordering::AcqRel);
        for offset in 0..SLOTS {
            let Some(slot) = self.slots.get(hint.wrapping_add(offset) % SLOTS) else { continue };
            let put = slot.compare_exchange(EMPTY, chunk.0, Ordering::AcqRel, Ordering::Relaxed);
            if put.is_ok() {
                return;
            }
        }
        self.count.fetch_sub(1, Ordering::AcqRel);
        self.overflow.store(1, Ordering::Release);
    }

    pub(crate) fn take(&self) -> Option<ChunkIndex> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let hint = self.take_hint.load(Ordering::Relaxed) as usize;
        for offset in 0..SLOTS {
            let at = hint.wrapping_add(offset) % SLOTS;
            let Some(slot) = self.slots.get(at) else { continue };
            if slot.load(Ordering::Relaxed) == EMPTY {
                continue;
            }
            let found = slot.swap(EMPTY, Ordering::AcqRel);
            if found != EMPTY {
                self.count.fetch_sub(1, Ordering::AcqRel);
                self.take_hint.store((at as u32).wrapping_add(1), Ordering::Relaxed);
                return Some(ChunkIndex(found));
            }
        }
        None
    }

    /// Whether something did not fit since the last call: then look at the chunks themselves.
    pub(crate) fn take_overflow(&self) -> bool {
        self.overflow.load(Ordering::Acquire) != 0 && self.overflow.swap(0, Ordering::AcqRel) != 0
    }
}
