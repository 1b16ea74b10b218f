//! The tracker's side of the dirty log: which bits are to be written, and when a chunk is clean.
//!
//! One log writer per part. Two rules keep the bits on disk honest:
//!
//! * a chunk is [`Marking`](Phase::Marking), and no writer is in it, from the moment one wants
//!   to until its zero is durable;
//! * a chunk becomes [`Clean`](Phase::Clean) only through a [`SettleRound`]: no write was in flight
//!   when the round began, none was admitted until it ended, and in between both legs were flushed.
//!   An application's flush that was in flight meanwhile has been answered and has not failed
//!   ([`FlushEpochs`](super::FlushEpochs)).

use core::cell::Cell;

use super::cell::ChunkCell;
use super::effects::Effects;
use super::geometry::ChunkIndex;
use super::group::{GROUP_CHUNKS, Group};
use super::health::{Authority, Fault};
use super::step::{Event, Outcome};
use super::tracker::{Cells, Tracker};
use super::word::{Phase, Word};
use crate::sync::Ordering;
use crate::{Leg, LegFault};

/// A settle round under way; both legs are to be flushed now, and then it ends.
#[must_use = "no chunk becomes clean until the round is finished"]
#[derive(Debug)]
pub struct SettleRound(());

impl<S: Cells> Tracker<S> {
    /// Takes a piece of the log on disk over, before the part is served: bit 1 is clean, bit 0
    /// pending. `first` is a multiple of 8; bits past the last chunk do not count.
    pub fn load_log_bits(&self, first: ChunkIndex, bytes: &[u8]) {
        for (byte, chunk) in bytes.iter().zip((first.0..self.geometry.chunks()).step_by(8)) {
            for bit in (0..8).filter(|bit| byte & (1 << bit) != 0) {
                let Some(chunk) = chunk.checked_add(bit).map(ChunkIndex) else { return };
                let Some(cell) = self.cell(chunk) else { return };
                if cell.load().phase() == Phase::Pending {
                    cell.reset(Word::new(Phase::Clean));
                    if let Some(group) = self.group_of(chunk) {
                        group.one_mirrored();
                    }
                }
            }
        }
    }

    /// Fills `bytes` with what the log on disk may say now, from the chunk `first` on, a multiple
    /// of 8. Writes of one block of the log must not overtake each other.
    pub fn fill_log_bits(&self, first: ChunkIndex, bytes: &mut [u8]) {
        let mut chunk = first.0;
        for byte in bytes {
            *byte = (0..8).fold(0, |bits, bit| {
                let cell = chunk.checked_add(bit).and_then(|chunk| self.cell(ChunkIndex(chunk)));
                let clean = cell.is_some_and(|cell| cell.load().phase() == Phase::Clean);
                bits | u8::from(clean) << bit
            });
            chunk = chunk.saturating_add(8);
        }
    }

    /// The next chunk whose log bit is wanted to be zero. Take a batch, fill and write the blocks,
    /// flush, then say [`Tracker::marked`] for each of the batch.
    pub fn next_marking(&self) -> Option<ChunkIndex> {
        self.marks.take()
    }

    /// Whether [`Tracker::next_marking`] may have missed some since the last call, because too
    /// many were wanted at once: then look with [`Tracker::find_marking`].
    pub fn marks_overflowed(&self) -> bool {
        self.marks.take_overflow()
    }

    /// The first chunk at or after `from` that waits for its log bit.
    pub fn find_marking(&self, from: ChunkIndex) -> Option<ChunkIndex> {
        self.find(from, |_| true, |word| word.phase() == Phase::Marking)
    }

    /// The chunk's log bit is durably zero: writes may go on.
    pub fn marked(&self, chunk: ChunkIndex) -> Effects {
        let Some(cell) = self.cell(chunk) else { return Effects::NONE };
        let step = cell.apply(Event::Marked);
        if step.outcome != Outcome::Rejected
            && let Some(group) = self.group_of(chunk)
        {
            group.has_dirty_now();
        }
        Effects::waking(step.wake)
    }

    /// Begins a settle round. Issue the flushes of both legs after this has returned. `None` where
    /// no chunk could become clean by it, while another round is under way, or where no leg can be
    /// believed any more.
    pub fn begin_settle(&self) -> Option<SettleRound> {
        if self.may_not_settle() || self.settling.swap(1, Ordering::AcqRel) != 0 {
            return None;
        }
        let found = Cell::new(false);
        self.sweep(false, |cell| {
            // One may be left over from a round that made nothing clean.
            let settles = match cell.load().phase() {
                Phase::Dirty => cell.apply(Event::BeginSettle).word.phase() == Phase::Settling,
                phase => phase == Phase::Settling,
            };
            found.set(found.get() || settles);
            None
        });
        if found.get() {
            return Some(SettleRound(()));
        }
        self.settling.store(0, Ordering::Release);
        None
    }

    /// Nothing becomes clean where a leg has failed, nor while the hand-over is undecided: the mover
    /// flushes the destination then, and if that fails it may have dropped what a later flush is
    /// told to be durable. Until the mover has voided the log, no one but the mover knows of it.
    fn may_not_settle(&self) -> bool {
        self.is_abandoned() || self.authority() != Authority::Source
    }

    /// Whether a chunk may be dirty, so that another round may have something to do.
    pub fn has_dirty(&self) -> bool {
        self.groups().iter().any(Group::has_dirty)
    }

    /// Ends a settle round after both legs have answered its flush. Returns how many chunks have
    /// become clean; their groups are then given by [`Tracker::take_stale_group`].
    pub fn finish_settle(&self, round: SettleRound, flushed: Result<(), Leg>) -> (u32, Effects) {
        let SettleRound(()) = round;
        let mut cleaned = 0;
        let mut effects = Effects::NONE;
        match flushed {
            Err(leg) => effects = self.flush_failed(leg),
            // Another flush may have failed meanwhile and told only its own caller.
            Ok(()) if self.may_not_settle() => {}
            Ok(()) => {
                cleaned = self.sweep(true, |cell| {
                    (cell.load().phase() == Phase::Settling).then_some(Event::EndSettle)
                });
            }
        }
        self.settling.store(0, Ordering::Release);
        (cleaned, effects)
    }

    /// A flush of a leg has failed, the settle round's or an application's: the leg is never
    /// believed again. What the destination had not flushed is to be copied again.
    pub fn flush_failed(&self, leg: Leg) -> Effects {
        let effects = self.fail(Fault { leg, fault: LegFault::Flush });
        if leg == Leg::Destination {
            self.sweep(false, |_| Some(Event::Distrust));
        }
        effects
    }

    /// A group at or after `from` with clean chunks whose bits are not written yet; it counts as
    /// written from now on. Its bits are the 512 bytes from byte `group * 512` of the bitset.
    pub fn take_stale_group(&self, from: u32) -> Option<u32> {
        let groups = self.groups().iter().enumerate().skip(from as usize);
        groups.into_iter().find(|(_, group)| group.take_log_stale()).map(|(at, _)| at as u32)
    }

    /// Applies an event to the cells of every group that may have a dirty chunk; `clear` lets go
    /// of groups in which none is left. Returns how many chunks were cleaned.
    fn sweep(&self, clear: bool, event: impl Fn(&ChunkCell) -> Option<Event>) -> u32 {
        let mut cleaned = 0;
        for (index, group) in self.groups().iter().enumerate() {
            let look = if clear { group.take_has_dirty() } else { group.has_dirty() };
            if !look {
                continue;
            }
            let first = index as u32 * GROUP_CHUNKS;
            let end = first.saturating_add(GROUP_CHUNKS).min(self.geometry.chunks());
            let mut still_dirty = false;
            for chunk in (first..end).map(ChunkIndex) {
                let Some(cell) = self.cell(chunk) else { break };
                if let Some(event) = event(cell) {
                    match cell.apply(event).outcome {
                        Outcome::Cleaned => {
                            cleaned += 1;
                            group.log_is_stale();
                        }
                        Outcome::Demoted => group.one_demoted(),
                        _ => {}
                    }
                }
                still_dirty |= matches!(cell.load().phase(), Phase::Dirty | Phase::Settling);
            }
            if clear && still_dirty {
                group.has_dirty_now();
            }
        }
        cleaned
    }
}
