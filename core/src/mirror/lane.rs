//! The writer of one part's dirty log: bits zeroed before writes, set again after both legs are flushed.

use heapless::Vec;
use lvshift_on_disk_format::dirty_log::{self, BITSET_OFFSET, BLOCK_SIZE};

use super::operation::{Buffer, Buffers, Ended, Of, Operation, Tag};
use super::part::{Part, PartIndex};
use super::volume::{Moment, Volume};
use crate::chunk::{Cells, ChunkIndex, Effects, Fault, GROUP_CHUNKS, Tracker};
use crate::copier::Nanos;
use crate::table::Area;
use crate::units::{SECTOR_SIZE, Sectors};
use crate::{Leg, LegFault};

/// Bytes of the bitset that a group's chunks have.
const GROUP_BYTES: u64 = GROUP_CHUNKS as u64 / 8;
const BLOCK: u64 = BLOCK_SIZE as u64;
/// Chunks whose bits are zeroed by one write at most.
const BATCH: usize = 256;

/// The log writer of one part: one write at a time, so that writes of a block do not overtake each
/// other.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Chunks to be marked, of any block.
    marks: Vec<ChunkIndex, BATCH>,
    /// Chunks that the write under way marks.
    marking: Vec<ChunkIndex, BATCH>,
    /// Groups may have clean chunks whose bits are not set yet,
    has_stale: bool,
    /// and this one has: it was taken out of the tracker.
    stale: Option<u32>,
    /// They have to wait.
    only_dirties: bool,
    /// When the write under way was asked for.
    asked: Nanos,
    doing: Doing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Nothing,
    /// The block, and whether writes of the application wait for it.
    Write {
        block: u64,
        urgent: bool,
    },
    Again {
        block: u64,
        urgent: bool,
    },
    /// A write that was given up, and that may still land.
    Late,
}

impl Lane {
    pub(crate) const fn new() -> Lane {
        Lane {
            marks: Vec::new(),
            marking: Vec::new(),
            has_stale: false,
            stale: None,
            only_dirties: false,
            asked: Nanos(0),
            doing: Doing::Nothing,
        }
    }

    /// Whether nothing of it is waited for.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.doing, Doing::Nothing | Doing::Late)
    }

    /// Whether a write that was given up may still land.
    pub(super) fn is_late(&self) -> bool {
        self.doing == Doing::Late
    }

    /// Gives up a write that was asked for at `before` or earlier; false if there is none. What waits for a
    /// mark goes on waiting.
    pub(super) fn give_up(&mut self, before: Nanos) -> bool {
        let silent = matches!(self.doing, Doing::Write { .. }) && self.asked <= before;
        if silent {
            self.doing = Doing::Late;
        }
        silent
    }

    /// The next write of a block, if one is due and none is under way.
    pub(crate) fn next_operation<V: Volume + ?Sized>(
        &mut self,
        number: PartIndex,
        volume: &V,
        buffers: &mut impl Buffers,
        now: Nanos,
    ) -> Option<Operation> {
        let part = volume.parts().get(number.index())?;
        let (block, urgent) = match self.doing {
            Doing::Write { .. } | Doing::Late => return None,
            Doing::Again { block, urgent } => (block, urgent),
            Doing::Nothing => self.choose(part.tracker())?,
        };
        let buffer = Buffer::Log(number);
        fill(part, block, buffers.bytes_mut(buffer));
        let Area { device, offset } = part.place().log;
        let offset = offset.0.saturating_add(block.saturating_mul(BLOCK / SECTOR_SIZE));
        let at = Area { device, offset: Sectors(offset) };
        self.asked = now;
        self.doing = Doing::Write { block, urgent };
        volume.passes(Moment::LogWriting);
        let tag = Tag::new(Of::Log(number));
        Some(Operation::Write { tag, at, buffer, from: 0..BLOCK_SIZE, durable: urgent })
    }

    /// Which block is written next, and whether writes wait for that.
    fn choose<S: Cells>(&mut self, tracker: &Tracker<S>) -> Option<(u64, bool)> {
        self.collect(tracker);
        let Some(&first) = self.marks.first() else {
            return self.next_stale(tracker).map(|block| (block, false));
        };
        let block = block_of(first);
        let marking = &mut self.marking;
        marking.clear();
        self.marks.retain(|&chunk| {
            let here = block_of(chunk) == block && marking.push(chunk).is_ok();
            !here
        });
        Some((block, true))
    }

    /// Collects the chunks whose writes wait for a mark.
    fn collect<S: Cells>(&mut self, tracker: &Tracker<S>) {
        while !self.marks.is_full() {
            let Some(chunk) = tracker.next_marking() else { break };
            let _ = self.marks.push(chunk);
        }
        if tracker.marks_overflowed() {
            let mut from = ChunkIndex(0);
            while let Some(chunk) = tracker.find_marking(from).filter(|_| !self.marks.is_full()) {
                if !self.marks.contains(&chunk) {
                    let _ = self.marks.push(chunk);
                }
                from = ChunkIndex(chunk.0.saturating_add(1));
            }
        }
    }

    /// The next block with clean chunks whose bits are not set yet.
    fn next_stale<S: Cells>(&mut self, tracker: &Tracker<S>) -> Option<u64> {
        if !self.has_stale || self.only_dirties {
            return None;
        }
        let first = self.stale.take().or_else(|| tracker.take_stale_group(0));
        let Some(first) = first else {
            self.has_stale = false;
            return None;
        };
        let block = block_of_group(first);
        // One write sets the bits of every group in the block. The first one past it was taken, too.
        let mut from = first.saturating_add(1);
        while let Some(group) = tracker.take_stale_group(from) {
            if block_of_group(group) != block {
                self.stale = Some(group);
                break;
            }
            from = group.saturating_add(1);
        }
        Some(block)
    }

    /// Chunks of the part have become clean: their bits are to be set, without hurry.
    pub(crate) const fn cleaned(&mut self) {
        self.has_stale = true;
    }

    /// Whether no bit of a chunk that has become clean is set for now.
    pub(super) const fn set_only_dirties(&mut self, only: bool) {
        self.only_dirties = only;
    }

    /// The write of a block has ended; says how many chunks it has marked.
    pub(crate) fn was_written<V: Volume + ?Sized>(
        &mut self,
        number: PartIndex,
        ended: Ended,
        volume: &V,
    ) -> (u32, Effects) {
        if self.doing == Doing::Late {
            self.doing = Doing::Nothing;
        }
        let (Doing::Write { block, urgent }, Some(part)) =
            (self.doing, volume.parts().get(number.index()))
        else {
            return (0, Effects::NONE);
        };
        if ended == Ended::Again {
            self.doing = Doing::Again { block, urgent };
            return (0, Effects::NONE);
        }
        volume.passes(Moment::LogWritten);
        self.doing = Doing::Nothing;
        if ended != Ended::Done(BLOCK_SIZE) {
            // What waits for its mark goes on waiting: while the record says Copying, a bit that
            // may still be set must not meet data that only the source has.
            if let Some(device) = volume.device(part.place().log.device) {
                device.flush_has_failed();
            }
            let fault = Fault { leg: Leg::Destination, fault: LegFault::Gone };
            return (0, part.tracker().fail(fault));
        }
        let mut effects = Effects::NONE;
        for &chunk in &self.marking {
            effects = effects.and(part.tracker().marked(chunk));
        }
        let marked = u32::try_from(self.marking.len()).unwrap_or(u32::MAX);
        self.marking.clear();
        (marked, effects)
    }
}

/// The block of the image that holds a chunk's bit.
const fn block_of(chunk: ChunkIndex) -> u64 {
    (BITSET_OFFSET + chunk.0 as u64 / 8) / BLOCK
}

const fn block_of_group(group: u32) -> u64 {
    (BITSET_OFFSET + group as u64 * GROUP_BYTES) / BLOCK
}

/// A block of the image as it may stand on disk now.
fn fill<S: Cells>(part: &Part<S>, block: u64, bytes: &mut [u8]) {
    let tracker = part.tracker();
    if block == 0 {
        let chunks = tracker.geometry().chunks();
        for (byte, header) in bytes.iter_mut().zip(dirty_log::all_dirty_first_block(chunks)) {
            *byte = header;
        }
        if let Some(bits) = bytes.get_mut(BITSET_OFFSET as usize..) {
            tracker.fill_log_bits(ChunkIndex(0), bits);
        }
    } else {
        let first = block.saturating_mul(BLOCK).saturating_sub(BITSET_OFFSET).saturating_mul(8);
        tracker.fill_log_bits(ChunkIndex(u32::try_from(first).unwrap_or(u32::MAX)), bytes);
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_in_the_block_that_holds_its_bit() {
        // 3072 bytes of bits in the first block, 4096 in each further one.
        assert_eq!(block_of(ChunkIndex(3072 * 8 - 1)), 0);
        assert_eq!(block_of(ChunkIndex(3072 * 8)), 1);
        assert_eq!(block_of(ChunkIndex((3072 + 4096) * 8)), 2);
        // A group's bits never cross a block's end.
        for group in 0..100 {
            let (first, last) = (group * GROUP_CHUNKS, (group + 1) * GROUP_CHUNKS - 1);
            assert_eq!(block_of(ChunkIndex(first)), block_of_group(group));
            assert_eq!(block_of(ChunkIndex(last)), block_of_group(group));
        }
    }
}
