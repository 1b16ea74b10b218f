//! One chunk's word in shared memory: applies the transition atomically.

use super::step::{Event, Step, step};
use super::word::Word;
use crate::sync::{AtomicU32, Ordering};

/// The shared state of one chunk. Zeroed memory is a pending chunk.
#[derive(Debug, Default)]
pub struct ChunkCell(AtomicU32);

impl ChunkCell {
    /// A pending chunk.
    pub fn new() -> ChunkCell {
        ChunkCell(AtomicU32::new(0))
    }

    /// Its state at some moment between the call and the return.
    pub fn load(&self) -> Word {
        Word::from_bits(self.0.load(Ordering::Acquire))
    }

    /// Puts a state there, whatever was before: for a part that is not served yet.
    pub(crate) fn reset(&self, word: Word) {
        self.0.store(word.bits(), Ordering::Release);
    }

    /// Applies `event`.
    ///
    /// A compare-exchange loop, since what most events do depends on the phase: whether to let in
    /// or to park has to be decided and done in one step. A round fails only when another thread
    /// has changed this very chunk in between, so some thread always gets on. The one event that
    /// every write needs and that never changes more than the count has a single instruction of
    /// its own: `write_done`.
    pub fn apply(&self, event: Event) -> Step {
        self.apply_from(self.0.load(Ordering::Relaxed), event)
    }

    /// Applies `event`, beginning with a guess at what is there: a wrong one costs a round and
    /// changes nothing.
    pub(crate) fn apply_from(&self, guess: u32, event: Event) -> Step {
        let mut seen = guess;
        loop {
            let next = step(Word::from_bits(seen), event);
            let stored = self.0.compare_exchange(
                seen,
                next.word.bits(),
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
            match stored {
                Ok(_) => return next,
                Err(now) => seen = now,
            }
        }
    }

    /// Applies [`Event::WriteDone`] as one subtraction. The caller has an admitted write, so the
    /// count is not 0, and then the transition is exactly this (a test compares them over the
    /// whole small world).
    pub(crate) fn write_done(&self) -> Step {
        let before = Word::from_bits(self.0.fetch_sub(Word::ONE_WRITER, Ordering::AcqRel));
        debug_assert!(before.writers() > 0, "a write ended that was not admitted");
        step(before, Event::WriteDone)
    }
}
