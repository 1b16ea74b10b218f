//! Copying chunks, and finding the next one.

use core::mem;

use super::effects::Effects;
use super::geometry::ChunkIndex;
use super::group::{GROUP_CHUNKS, Group};
use super::queue::QueueMask;
use super::step::{Event, Outcome};
use super::ticket::{CopyOutcome, CopyTicket};
use super::tracker::{Cells, Tracker};
use super::word::{Phase, Word};
use crate::{Leg, LegFault};

impl CopyTicket {
    /// Ends the copy, when nothing of it is in flight any more. `tracker` is the one that gave the
    /// ticket.
    pub fn complete<S: Cells>(self, tracker: &Tracker<S>, outcome: CopyOutcome) -> Effects {
        let effects = tracker.end_copy(&self, outcome);
        mem::forget(self);
        effects
    }
}

impl<S: Cells> Tracker<S> {
    /// Takes a chunk for copying. `None` where it is not to be copied or writers are still in;
    /// then the last of them brings it back as wanted.
    pub fn begin_copy(&self, chunk: ChunkIndex, wanted: bool) -> Option<CopyTicket> {
        if self.is_abandoned() {
            return None;
        }
        let piece = self.geometry.piece_of(chunk)?;
        match self.cell(chunk)?.apply(Event::BeginCopy).outcome {
            Outcome::CopyStarted => Some(CopyTicket { chunk, piece, wanted }),
            _ => None,
        }
    }

    pub(super) fn end_copy(&self, ticket: &CopyTicket, outcome: CopyOutcome) -> Effects {
        // The part is abandoned before the parked are woken, so that they do not ask again.
        match outcome {
            CopyOutcome::Copied | CopyOutcome::NotTried => {}
            CopyOutcome::SourceFailed => self.fail_quietly(Leg::Source, LegFault::Read),
            CopyOutcome::DestinationFailed => self.fail_quietly(Leg::Destination, LegFault::Write),
        }
        let Some(cell) = self.cell(ticket.chunk) else { return Effects::NONE };
        let done = outcome == CopyOutcome::Copied;
        let step = cell.apply(if done { Event::CopyDone } else { Event::CopyFailed });
        // Whoever copies sees by itself what it has made equal.
        let copier =
            self.follow_up(ticket.chunk, step.outcome) && step.outcome != Outcome::Mirrored;
        let failed = matches!(outcome, CopyOutcome::SourceFailed | CopyOutcome::DestinationFailed);
        let wake = if failed { QueueMask::ALL } else { step.wake };
        Effects { wake, copier, log: false }
    }

    /// Counts and lists what the end of a copy or of a write has led to; whether the copier has to look.
    pub(super) fn follow_up(&self, chunk: ChunkIndex, outcome: Outcome) -> bool {
        match outcome {
            Outcome::CopyWanted => self.wanted.put(chunk),
            Outcome::Mirrored => self.count_mirrored(chunk),
            Outcome::Demoted => self.count_demoted(chunk),
            _ => return false,
        }
        true
    }

    /// The next chunk that a request waits for.
    pub fn next_wanted(&self) -> Option<ChunkIndex> {
        self.wanted.take()
    }

    /// Whether [`Tracker::next_wanted`] may have missed some since the last call, because too many
    /// were wanted at once: then look with [`Tracker::find_drained`].
    pub fn wanted_overflowed(&self) -> bool {
        self.wanted.take_overflow()
    }

    /// The first chunk at or after `from` that a request waits for and no writer is in.
    pub fn find_drained(&self, from: ChunkIndex) -> Option<ChunkIndex> {
        self.find(
            from,
            |group| group.left() > 0,
            |word| word.phase() == Phase::Draining && word.is_drained(),
        )
    }

    /// The first chunk at or after `from` that is not mirrored and not being copied: with no writer
    /// in, or `busy`, also with writers in. A search for busy ones alone would miss the chunk whose
    /// last writer has left since the search for the others.
    pub fn next_unmirrored(&self, from: ChunkIndex, busy: bool) -> Option<ChunkIndex> {
        self.find(
            from,
            |group| group.left() > 0,
            |word| match word.phase() {
                Phase::Pending => busy || word.is_drained(),
                Phase::Draining => word.is_drained(),
                _ => false,
            },
        )
    }

    /// The first chunk at or after `from` whose word is `right`, skipping groups that are not
    /// `worth` the look.
    pub(super) fn find(
        &self,
        from: ChunkIndex,
        worth: impl Fn(&Group) -> bool,
        right: impl Fn(Word) -> bool,
    ) -> Option<ChunkIndex> {
        let cells = self.storage.cells();
        let mut first = from.0;
        while first < self.geometry.chunks() {
            let group = first / GROUP_CHUNKS;
            let end = (group + 1).saturating_mul(GROUP_CHUNKS).min(self.geometry.chunks());
            if self.groups().get(group as usize).is_some_and(&worth) {
                let some = cells.get(first as usize..end as usize).unwrap_or(&[]);
                if let Some(at) = some.iter().position(|cell| right(cell.load())) {
                    return Some(ChunkIndex(first + at as u32));
                }
            }
            first = end;
        }
        None
    }
}
