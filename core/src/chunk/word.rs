//! How one chunk's state is packed into 32 bits: there are millions of them.
//!
//! ```text
//!   31  30        15 14           3 2    0
//! +------+------------+--------------+------+
//! | late | parked     | writers      | phase|
//! |  1   | queues, 16 | count, 12    |  3   |
//! +------+------------+--------------+------+
//! ```

use core::fmt;

use super::queue::{QueueId, QueueMask};

const PHASE_BITS: u32 = 3;
const WRITER_BITS: u32 = 12;
const WRITERS_SHIFT: u32 = PHASE_BITS;
const PARKED_SHIFT: u32 = PHASE_BITS + WRITER_BITS;
/// The copy that owned this chunk is still out, though a write on an abandoned part has taken it.
const LATE: u32 = 1 << (PARKED_SHIFT + 16);
const PHASE_MASK: u32 = (1 << PHASE_BITS) - 1;
const WRITERS_MASK: u32 = (1 << WRITER_BITS) - 1;

/// Writers that one chunk can have admitted at once. A front end that has no more requests than this in
/// flight never meets the limit (16 queues of 255); one that does gets
/// [`TooManyWriters`](super::AdmitError::TooManyWriters) and keeps the rest back.
pub const MAX_WRITERS: u32 = WRITERS_MASK;

const _: () = assert!(PARKED_SHIFT + 16 + 1 == u32::BITS, "every bit has one meaning");

/// What a chunk is in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// The legs may differ; the source is right. Log bit 0.
    Pending,
    /// It is to be copied: admitted writers finish, newcomers park. Log bit 0.
    Draining,
    /// One owner, the copier or a write of the whole chunk, makes the legs equal. Log bit 0.
    Copying,
    /// Writes go to both legs, which are equal but for them. Log bit 0.
    Dirty,
    /// Dirty, and no write since the flush under way was begun. Log bit 0.
    Settling,
    /// Equal and flushed on both legs. Log bit 1, or about to be.
    Clean,
    /// Clean, and a writer waits: the log bit is being zeroed. No writer is in yet.
    Marking,
}

impl Phase {
    /// Every phase, in the order of their numbers.
    pub const ALL: [Phase; 7] = [
        Phase::Pending,
        Phase::Draining,
        Phase::Copying,
        Phase::Dirty,
        Phase::Settling,
        Phase::Clean,
        Phase::Marking,
    ];

    /// Whether the destination holds what the source holds, writes in flight apart.
    pub const fn is_mirrored(self) -> bool {
        matches!(self, Phase::Dirty | Phase::Settling | Phase::Clean | Phase::Marking)
    }

    const fn from_bits(bits: u32) -> Phase {
        match bits & PHASE_MASK {
            1 => Phase::Draining,
            2 => Phase::Copying,
            3 => Phase::Dirty,
            4 => Phase::Settling,
            5 => Phase::Clean,
            6 => Phase::Marking,
            // 7 is never stored; the phase that trusts the destination least stands for it.
            _ => Phase::Pending,
        }
    }
}

/// One chunk's state at one moment.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word(u32);

impl Word {
    /// One writer, as it is added to and taken from the word's bits.
    pub(crate) const ONE_WRITER: u32 = 1 << WRITERS_SHIFT;

    /// A word of this phase with no writer, in or parked.
    pub const fn new(phase: Phase) -> Word {
        Word(phase as u32)
    }

    pub(crate) const fn from_bits(bits: u32) -> Word {
        Word(bits)
    }

    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    /// The phase.
    pub const fn phase(self) -> Phase {
        Phase::from_bits(self.0)
    }

    /// How many writers are admitted and not done.
    pub const fn writers(self) -> u32 {
        (self.0 >> WRITERS_SHIFT) & WRITERS_MASK
    }

    /// The queues that parked something here.
    pub const fn parked(self) -> QueueMask {
        QueueMask((self.0 >> PARKED_SHIFT) as u16)
    }

    /// Whether a copy is still out that has lost this chunk to a write on an abandoned part. Until it
    /// ends no other begins, so that its end is never taken for that of another.
    pub const fn is_late(self) -> bool {
        self.0 & LATE != 0
    }

    /// Whether nothing is in flight that a copy would have to wait for: no writer and no late copy.
    pub const fn is_drained(self) -> bool {
        self.writers() == 0 && !self.is_late()
    }

    pub(crate) const fn with_late(self) -> Word {
        Word(self.0 | LATE)
    }

    pub(crate) const fn without_late(self) -> Word {
        Word(self.0 & !LATE)
    }

    pub(crate) const fn with_phase(self, phase: Phase) -> Word {
        Word(self.0 & !PHASE_MASK | phase as u32)
    }

    /// One writer more; the caller has looked at [`MAX_WRITERS`].
    pub(crate) const fn plus_writer(self) -> Word {
        Word(self.0.wrapping_add(Word::ONE_WRITER))
    }

    /// One writer less; the caller has seen that there is one.
    pub(crate) const fn minus_writer(self) -> Word {
        Word(self.0.wrapping_sub(Word::ONE_WRITER))
    }

    pub(crate) const fn with_parked(self, queue: QueueId) -> Word {
        Word(self.0 | (queue.mask().0 as u32) << PARKED_SHIFT)
    }

    pub(crate) const fn with_none_parked(self) -> Word {
        Word(self.0 & !((u16::MAX as u32) << PARKED_SHIFT))
    }

    /// Whether a chunk can be in this state at all. [`step`](super::step()) never leaves them.
    pub const fn is_legal(self) -> bool {
        let writes = matches!(self.phase(), Phase::Pending | Phase::Draining | Phase::Dirty);
        let parks = matches!(self.phase(), Phase::Draining | Phase::Copying | Phase::Marking);
        let differs = matches!(self.phase(), Phase::Pending | Phase::Draining);
        (writes || self.writers() == 0)
            && (parks || self.parked().is_empty())
            && (differs || !self.is_late())
            && self.0 & PHASE_MASK != PHASE_MASK
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let late = if self.is_late() { "+late" } else { "" };
        write!(f, "{:?}+{}w{:?}{late}", self.phase(), self.writers(), self.parked())
    }
}
