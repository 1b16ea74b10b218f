//! One part's dirty log on disk: bits zeroed before writes, set again after both legs are flushed.

use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use lvshift_core::chunk::{ChunkIndex, Effects, Fault, GROUP_CHUNKS, SettleRound};
use lvshift_core::mover::{Leg, LegFault};
use lvshift_on_disk_format::dirty_log::{self, BITSET_OFFSET, BLOCK_SIZE};

use super::Part;
use crate::ring::{At, Memory, Ring};

/// Bytes of the bitset that a group's chunks have.
const GROUP_BYTES: u64 = GROUP_CHUNKS as u64 / 8;
/// Chunks whose bits are zeroed by one write at most.
const BATCH: usize = 256;

/// What a lane's completions are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogIo {
    Block = 0,
    FlushSource = 1,
    FlushDestination = 2,
}

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
    settle: Option<Settle>,
    /// A copy or a write may have left something to settle.
    pub(super) unsettled: bool,
}

struct Settle {
    round: SettleRound,
    waiting: u8,
    failed: Option<Leg>,
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
            settle: None,
            unsettled: true,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.writing && self.settle.is_none()
    }

    /// Starts the next write of a block, if one is due and none is under way.
    pub(super) fn write_next(
        &mut self,
        ring: &mut Ring,
        user: impl Fn(LogIo) -> u64,
    ) -> io::Result<()> {
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
        let at = At { file: place.lower.slot, offset };
        self.writing = true;
        ring.write(at, bytes, urgent, user(LogIo::Block))
    }

    /// Begins a settle round if none is under way.
    pub(super) fn settle(
        &mut self,
        ring: &mut Ring,
        user: impl Fn(LogIo) -> u64,
    ) -> io::Result<()> {
        if self.settle.is_some() {
            return Ok(());
        }
        let Some(round) = self.part.tracker.begin_settle() else { return Ok(()) };
        self.settle = Some(Settle { round, waiting: 2, failed: None });
        ring.flush(self.part.source.lower.slot, user(LogIo::FlushSource))?;
        ring.flush(self.part.destination.lower.slot, user(LogIo::FlushDestination))
    }

    /// Takes an answer.
    pub(super) fn answer(&mut self, index: usize, result: i32) -> Effects {
        if index == LogIo::Block as usize {
            return self.written(result);
        }
        let leg = if index == LogIo::FlushSource as usize { Leg::Source } else { Leg::Destination };
        let Some(mut settle) = self.settle.take() else { return Effects::NONE };
        settle.waiting -= 1;
        if result < 0 {
            // If both fail, the source's failure is the one to know.
            settle.failed =
                Some(if settle.failed == Some(Leg::Source) { Leg::Source } else { leg });
        }
        if settle.waiting > 0 {
            self.settle = Some(settle);
            return Effects::NONE;
        }
        let flushed = settle.failed.map_or(Ok(()), Err);
        let (cleaned, effects) = self.part.tracker.finish_settle(settle.round, flushed);
        self.unsettled = cleaned > 0;
        let mut from = 0;
        while let Some(group) = self.part.tracker.take_stale_group(from) {
            let block = (BITSET_OFFSET + u64::from(group) * GROUP_BYTES) / BLOCK_SIZE as u64;
            if !self.stale.contains(&block) {
                self.stale.push(block);
            }
            from = group + 1;
        }
        effects
    }

    fn written(&mut self, result: i32) -> Effects {
        self.writing = false;
        if usize::try_from(result) != Ok(BLOCK_SIZE) {
            // What waits for its mark goes on waiting: while the record says Copying, a bit that
            // may still be set must not meet data that only the source has.
            let fault = Fault { leg: Leg::Destination, fault: LegFault::Gone };
            return self.part.tracker.fail(fault);
        }
        let mut effects = Effects::NONE;
        for &chunk in &self.marking {
            effects = effects.and(self.part.tracker.marked(chunk));
            self.unsettled = true;
        }
        self.marking.clear();
        effects
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
        part.log.lower.file.read_exact_at(memory.bytes_mut(0..len), offset)?;
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
