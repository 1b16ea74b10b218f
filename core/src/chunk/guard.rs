//! The overlap guard: of two writes in flight to the same 4 KiB block, the second waits.
//!
//! A small table of words, each for 32 blocks (128 KiB; 16 where a machine changes only 32 bits in one
//! step): a bit for every block that a write in flight covers, and the queues that parked a piece because
//! of them. Places far apart share a word (every 128 MiB); that costs a needless wait now and then, never an order. A write takes
//! its words in rising order of sectors and gives back what it has when one is taken, so that a
//! piece that parks holds nothing.

use super::piece::Piece;
use super::queue::{QueueId, QueueMask};
use crate::sync::{AtomicWide, Ordering, Wide};

const BLOCK_SHIFT: u32 = 3;
/// One half of a word is of blocks, the other of queues.
const PARKED_SHIFT: u32 = Wide::BITS / 2;
const BLOCKS_PER_WORD: u64 = PARKED_SHIFT as u64;
const BLOCKS_MASK: Wide = (1 << PARKED_SHIFT) - 1;
const _: () = assert!(super::queue::MAX_QUEUES as u32 <= PARKED_SHIFT, "a bit for each queue");

#[cfg(not(any(loom, shuttle)))]
const WORDS: usize = 32_768 / BLOCKS_PER_WORD as usize;
#[cfg(any(loom, shuttle))]
const WORDS: usize = 2;

/// The longest piece that the table can hold without meeting itself, so the largest chunk.
pub(crate) const MAX_GUARDED_SECTORS: u32 = (WORDS as u32 * BLOCKS_PER_WORD as u32) << BLOCK_SHIFT;

/// The blocks that writes in flight cover.
pub(crate) struct Guard {
    words: [AtomicWide; WORDS],
}

/// What one word says to a write that wants `blocks` of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Yes,
    Parked,
}

/// The transition of one word: takes `blocks` or parks the queue there. Pure.
pub(crate) const fn take(word: Wide, blocks: u32, queue: QueueId) -> (Wide, Taken) {
    if word & blocks as Wide == 0 {
        (word | blocks as Wide, Taken::Yes)
    } else {
        (word | (queue.mask().bits() as Wide) << PARKED_SHIFT, Taken::Parked)
    }
}

/// What is left of a word when `blocks` are given back and the parked are woken. Pure.
pub(crate) const fn give_back(word: Wide, blocks: u32) -> (Wide, QueueMask) {
    (word & keep(blocks), QueueMask((word >> PARKED_SHIFT) as u16))
}

const fn keep(blocks: u32) -> Wide {
    !(blocks as Wide) & BLOCKS_MASK
}

impl Guard {
    pub(crate) fn new() -> Guard {
        Guard { words: core::array::from_fn(|_| AtomicWide::new(0)) }
    }

    /// Takes every block of `piece`, or takes none and parks `queue` where it was stopped; the
    /// mask is then of queues that were stopped meanwhile by what it had taken already.
    pub(crate) fn take(&self, piece: Piece, queue: QueueId) -> Result<(), QueueMask> {
        for (index, (word, blocks)) in Words::of(piece).enumerate() {
            if self.take_word(word, blocks, queue) == Taken::Parked {
                let mut wake = QueueMask::NONE;
                for (word, blocks) in Words::of(piece).take(index) {
                    wake |= self.give_word_back(word, blocks);
                }
                return Err(wake);
            }
        }
        Ok(())
    }

    /// Gives every block of `piece` back and says whom to wake.
    pub(crate) fn give_back(&self, piece: Piece) -> QueueMask {
        let mut wake = QueueMask::NONE;
        for (word, blocks) in Words::of(piece) {
            wake |= self.give_word_back(word, blocks);
        }
        wake
    }

    /// A compare-exchange loop, since whether to take or to park depends on what is there.
    fn take_word(&self, word: usize, blocks: u32, queue: QueueId) -> Taken {
        let Some(word) = self.words.get(word) else { return Taken::Parked };
        let mut seen = word.load(Ordering::Relaxed);
        loop {
            let (next, taken) = take(seen, blocks, queue);
            match word.compare_exchange(seen, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return taken,
                Err(now) => seen = now,
            }
        }
    }

    fn give_word_back(&self, word: usize, blocks: u32) -> QueueMask {
        let Some(word) = self.words.get(word) else { return QueueMask::NONE };
        let before = word.fetch_and(keep(blocks), Ordering::AcqRel);
        give_back(before, blocks).1
    }
}

/// The words that a piece touches, with its blocks in each.
struct Words {
    block: u64,
    end: u64,
}

impl Words {
    fn of(piece: Piece) -> Words {
        let last = piece.first.0.saturating_add(piece.count.0.saturating_sub(1));
        Words { block: piece.first.0 >> BLOCK_SHIFT, end: (last >> BLOCK_SHIFT) + 1 }
    }
}

impl Iterator for Words {
    type Item = (usize, u32);

    fn next(&mut self) -> Option<(usize, u32)> {
        if self.block >= self.end {
            return None;
        }
        let word = self.block / BLOCKS_PER_WORD;
        let from = self.block % BLOCKS_PER_WORD;
        let count = (self.end - self.block).min(BLOCKS_PER_WORD - from);
        self.block += count;
        let blocks = (((1u64 << count) - 1) << from) as u32;
        Some(((word % WORDS as u64) as usize, blocks))
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
