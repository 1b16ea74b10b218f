//! One part's dirty log on disk: bits zeroed before writes, set again after both legs are flushed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use lvshift_core::chunk::{ChunkIndex, Effects, Fault, GROUP_CHUNKS};
use lvshift_core::planted;
use lvshift_core::{Leg, LegFault};
use lvshift_on_disk_format::dirty_log::{self, BITSET_OFFSET, BLOCK_SIZE};

use super::Part;
use crate::failpoint::{self, Point};
use crate::platform::{At, Memory, Ring, read_at};

/// Bytes of the bitset that a group's chunks have.
const GROUP_BYTES: u64 = GROUP_CHUNKS as u64 / 8;
/// Chunks whose bits are zeroed by one write at most.
const BATCH: usize = 256;

/// The log writer of one part.
pub(super) struct LogLane {
    part: Arc<Part>,
    /// Where its one block is in the ring's memory.
    memory: usize,
    /// Chunks to be marked, of any block.
    marks: Vec<ChunkIndex>,
    /// Chunks that the write under way marks.
    marking: Vec<ChunkIndex>,
    /// Blocks with clean chunks whose bits are not set yet.
    stale: Vec<u64>,
    writing: bool,
    /// Of a planted bug.
    early: Effects,
}

impl LogLane {
    pub(super) fn new(part: Arc<Part>, memory: usize) -> LogLane {
        LogLane {
            part,
            memory,
            marks: Vec::with_capacity(BATCH),
            marking: Vec::with_capacity(BATCH),
            stale: Vec::new(),
            writing: false,
            early: Effects::NONE,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.writing
    }

    /// Starts the next write of a block, if one is due and none is under way.
    pub(super) fn write_next(&mut self, ring: &mut Ring, user: u64) -> io::Result<()> {
        if self.writing {
            return Ok(());
        }
        let tracker = &self.part.tracker;
        while self.marks.len() < BATCH {
            let Some(chunk) = tracker.next_marking() else { break };
            self.marks.push(chunk);
        }
        if tracker.marks_overflowed() {
            let mut from = ChunkIndex(0);
            while let Some(chunk) = tracker.find_marking(from).filter(|_| self.marks.len() < BATCH)
            {
                if !self.marks.contains(&chunk) {
                    self.marks.push(chunk);
                }
                from = ChunkIndex(chunk.0 + 1);
            }
        }
        let (block, urgent) = match self.marks.first() {
            Some(&first) => (block_of(first), true),
            None => match self.stale.pop() {
                Some(block) => (block, false),
                None => return Ok(()),
            },
        };
        self.marking.clear();
        let marking = &mut self.marking;
        self.marks.retain(|&chunk| {
            let here = block_of(chunk) == block;
            if here {
                marking.push(chunk);
            }
            !here
        });
        let bytes = self.memory..self.memory + BLOCK_SIZE;
        fill(&self.part, block, ring.memory_mut().bytes_mut(bytes.clone()));
        let place = &self.part.log;
        let offset = place.sector * 512 + block * BLOCK_SIZE as u64;
        let at = At { file: place.device.slot, offset };
        self.writing = true;
        let urgent = urgent && !planted::is("log-write-not-durable");
        if planted::is("marked-before-written") {
            for &chunk in &self.marking {
                let effects = self.part.tracker.marked(chunk);
                self.early = self.early.and(effects);
            }
        }
        ring.write(at, bytes, urgent, user)?;
        failpoint::pass(Point::LogWriting);
        Ok(())
    }

    /// Chunks of the part have become clean: their bits are to be set, without hurry.
    pub(super) fn cleaned(&mut self) {
        let mut from = 0;
        while let Some(group) = self.part.tracker.take_stale_group(from) {
            let block = (BITSET_OFFSET + u64::from(group) * GROUP_BYTES) / BLOCK_SIZE as u64;
            if !self.stale.contains(&block) {
                self.stale.push(block);
            }
            from = group + 1;
        }
    }

    /// Takes the answer to the write of a block; also says how many chunks it has marked.
    pub(super) fn written(&mut self, result: i32) -> (usize, Effects) {
        failpoint::pass(Point::LogWritten);
        self.writing = false;
        if usize::try_from(result) != Ok(BLOCK_SIZE) {
            // What waits for its mark goes on waiting: while the record says Copying, a bit that
            // may still be set must not meet data that only the source has.
            self.part.log.device.flush_failures.fetch_add(1, Ordering::SeqCst);
            let fault = Fault { leg: Leg::Destination, fault: LegFault::Gone };
            return (0, self.part.tracker.fail(fault));
        }
        let mut effects = std::mem::take(&mut self.early);
        for &chunk in &self.marking {
            effects = effects.and(self.part.tracker.marked(chunk));
        }
        let marked = self.marking.len();
        self.marking.clear();
        (marked, effects)
    }
}

/// Believes what the log on disk says, if it is this part's log at all. Before the part is served.
pub(super) fn believe(part: &Part) -> io::Result<()> {
    let chunks = part.tracker.geometry().chunks();
    let mut left = dirty_log::image_size(chunks);
    let mut offset = part.log.sector * 512;
    let mut memory = Memory::new(1 << 20)?;
    let mut first = 0u32;
    let mut skip = BITSET_OFFSET as usize;
    while left > 0 {
        let len = usize::try_from(left).map_or(1 << 20, |left| left.min(1 << 20));
        read_at(&part.log.device.file, memory.bytes_mut(0..len), offset)?;
        let bytes = memory.bytes(0..len);
        if skip > 0 {
            let header = bytes.first_chunk().ok_or(io::ErrorKind::UnexpectedEof)?;
            if dirty_log::check_header(header, chunks).is_err() {
                // Not this log: everything is to be copied, and the first write puts it right.
                return Ok(());
            }
        }
        part.tracker.load_log_bits(ChunkIndex(first), &bytes[skip..]);
        first = first.saturating_add(u32::try_from((len - skip) * 8).unwrap_or(u32::MAX));
        skip = 0;
        left -= len as u64;
        offset += len as u64;
    }
    Ok(())
}

fn block_of(chunk: ChunkIndex) -> u64 {
    (BITSET_OFFSET + u64::from(chunk.0 / 8)) / BLOCK_SIZE as u64
}

/// A block of the image as it may stand on disk now.
fn fill(part: &Part, block: u64, bytes: &mut [u8]) {
    let chunks = part.tracker.geometry().chunks();
    if block == 0 {
        bytes.copy_from_slice(&dirty_log::all_dirty_first_block(chunks));
        let (_, bits) = bytes.split_at_mut(BITSET_OFFSET as usize);
        part.tracker.fill_log_bits(ChunkIndex(0), bits);
    } else {
        let first = (block * BLOCK_SIZE as u64 - BITSET_OFFSET) * 8;
        let first = u32::try_from(first).unwrap_or(u32::MAX);
        part.tracker.fill_log_bits(ChunkIndex(first), bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_in_the_block_that_holds_its_bit() {
        // 3072 bytes of bits in the first block, 4096 in each further one.
        assert_eq!(block_of(ChunkIndex(3072 * 8 - 1)), 0);
        assert_eq!(block_of(ChunkIndex(3072 * 8)), 1);
        assert_eq!(block_of(ChunkIndex((3072 + 4096) * 8)), 2);
    }
}
