//! Letting write pieces in, and what their ends lead to.

use core::mem;

use super::cell::ChunkCell;
use super::effects::Effects;
use super::geometry::{ChunkIndex, RangeError};
use super::health::Authority;
use super::piece::Piece;
use super::queue::{QueueId, QueueMask};
use super::step::{Event, Intent, Outcome, Route, Want, WritePolicy};
use super::ticket::{AppResult, Completed, WriteOutcome, WriteTicket};
use super::tracker::{Admission, AdmitError, Cells, Content, Parked, Tracker};
use crate::{Leg, LegFault};

/// Where else a read may go that has failed on the source.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fallback {
    /// To the destination, which holds the same.
    Destination,
    /// There too, but for a write in flight: what it leaves on one leg and not yet on the other must
    /// not be seen. Try again, the source first.
    Later,
    /// Nowhere.
    None,
}

impl WriteTicket {
    /// Ends the write. `tracker` is the one that gave the ticket.
    pub fn complete<S: Cells>(self, tracker: &Tracker<S>, outcome: WriteOutcome) -> Completed {
        let completed = tracker.end_write(&self, outcome);
        mem::forget(self);
        completed
    }
}

impl<S: Cells> Tracker<S> {
    /// Asks for a write piece to be let in. It must lie in one chunk.
    ///
    /// # Errors
    /// [`AdmitError`]; the piece then holds nothing and is not parked.
    pub fn admit(
        &self,
        piece: Piece,
        content: Content,
        queue: QueueId,
        policy: WritePolicy,
    ) -> Result<Admission, AdmitError> {
        let (chunk, whole) = self.geometry.locate(piece).map_err(AdmitError::Range)?;
        let cell = self.cell(chunk).ok_or(AdmitError::Range(RangeError::PastEnd))?;
        let policy = self.policy_now(policy);
        // An abandoned part keeps nothing equal: there a write does not wait for one that is stuck.
        let guarded = policy != WritePolicy::Abandoned;
        if guarded && let Err(wake) = self.guard.take(piece, queue) {
            return Ok(Admission::Parked(Parked::ForOverlap, Effects::waking(wake)));
        }
        let intent = match (content, whole) {
            (Content::Undefined, _) => Intent::SourceOnly,
            (Content::Known, true) => Intent::Whole,
            (Content::Known, false) => Intent::Partial,
        };
        let step = cell.apply(Event::Admit { intent, policy, queue });
        let wake = step.wake;
        let ticket = |route| WriteTicket { chunk, piece, route, guarded };
        match step.outcome {
            Outcome::Admitted(Route::Source) => {
                Ok(self.to_source(ticket(Route::Source), Effects::waking(wake)))
            }
            Outcome::AdmittedDemoting => {
                self.count_demoted(chunk);
                // It may have found nothing to copy and gone to sleep.
                let effects = Effects { wake, copier: true, log: false };
                Ok(self.to_source(ticket(Route::Source), effects))
            }
            Outcome::Admitted(route) => {
                Ok(Admission::Admitted(ticket(route), Effects::waking(wake)))
            }
            Outcome::Parked(want) => {
                let mut effects = Effects::waking(self.give_back(piece, guarded));
                match want {
                    Want::Copy => {
                        self.wanted.put(chunk);
                        effects.copier = true;
                    }
                    Want::Mark => {
                        self.marks.put(chunk);
                        effects.log = true;
                    }
                    Want::Nothing => {}
                }
                Ok(Admission::Parked(Parked::ForChunk, effects))
            }
            _ => Err(AdmitError::TooManyWriters { wake: self.give_back(piece, guarded) }),
        }
    }

    /// The policy as the part's health and authority leave it.
    fn policy_now(&self, configured: WritePolicy) -> WritePolicy {
        match (self.authority(), self.is_abandoned()) {
            // Nothing may go to the source alone.
            (Authority::Undecided | Authority::Destination, _) => WritePolicy::CopyFirst,
            (Authority::Source, true) => WritePolicy::Abandoned,
            (Authority::Source, false) => configured,
        }
    }

    /// The last look before a write goes to the source alone: the source must be in charge. The
    /// chunk is not mirrored and counted so, therefore a seal that this does not see sees the chunk.
    fn to_source(&self, ticket: WriteTicket, effects: Effects) -> Admission {
        if self.health.authority_after() == Authority::Source {
            return Admission::Admitted(ticket, effects);
        }
        let undone = ticket.complete(self, WriteOutcome::Done).effects;
        Admission::Parked(Parked::ForCommit, effects.and(undone))
    }

    fn give_back(&self, piece: Piece, guarded: bool) -> QueueMask {
        if guarded { self.guard.give_back(piece) } else { QueueMask::NONE }
    }

    pub(super) fn end_write(&self, ticket: &WriteTicket, outcome: WriteOutcome) -> Completed {
        // The fault is known before the write is acknowledged, and before its chunk is let go.
        match (outcome, ticket.route) {
            (WriteOutcome::Done, _) | (WriteOutcome::SourceFailed, Route::Source) => {}
            (WriteOutcome::SourceFailed, _) => self.fail_quietly(Leg::Source, LegFault::Write),
            (WriteOutcome::DestinationFailed, _) => {
                self.fail_quietly(Leg::Destination, LegFault::Write);
            }
        }
        let mut effects = Effects::NONE;
        if let Some(cell) = self.cell(ticket.chunk) {
            let step = match (ticket.route, outcome == WriteOutcome::Done) {
                (Route::WholeChunk, true) => cell.apply(Event::CopyDone),
                (Route::WholeChunk, false) => cell.apply(Event::CopyFailed),
                (_, true) => cell.write_done(),
                (_, false) => cell.apply(Event::WriteFailed),
            };
            effects.wake = step.wake;
            effects.copier = self.follow_up(ticket.chunk, step.outcome);
        }
        effects.wake |= self.give_back(ticket.piece, ticket.guarded);
        if outcome != WriteOutcome::Done && self.is_abandoned() {
            // Everybody retries: nothing waits for a copy any more.
            effects = effects.and(Effects { wake: QueueMask::ALL, copier: true, log: false });
        }
        let app = match outcome {
            WriteOutcome::Done => AppResult::Done,
            WriteOutcome::SourceFailed => AppResult::Failed,
            WriteOutcome::DestinationFailed => self.held_result(),
        };
        Completed { app, effects }
    }

    /// What a write is told that the source took and the destination did not: it succeeded while
    /// the source is in charge, and failed once the destination is.
    pub fn held_result(&self) -> AppResult {
        match self.health.authority_after() {
            Authority::Source => AppResult::Done,
            Authority::Undecided => AppResult::Held,
            Authority::Destination => AppResult::Failed,
        }
    }

    /// Whether a read that failed on the source may be served from the destination: every chunk of
    /// the piece is mirrored, no write is in flight in it, and the destination has not failed at
    /// anything. The piece may span chunks.
    pub fn may_read_destination(&self, piece: Piece) -> Fallback {
        let Some(end) = piece.first.0.checked_add(piece.count.0) else { return Fallback::None };
        if piece.count.0 == 0 || end > self.geometry.length().0 {
            return Fallback::None;
        }
        if self.fault().is_some_and(|fault| fault.leg == Leg::Destination) {
            return Fallback::None;
        }
        let size = u64::from(self.geometry.chunk_sectors());
        let mut answer = Fallback::Destination;
        for chunk in piece.first.0 / size..=(end - 1) / size {
            let cell = u32::try_from(chunk).ok().and_then(|chunk| self.cell(ChunkIndex(chunk)));
            match cell.map(ChunkCell::load) {
                Some(word) if word.phase().is_mirrored() && word.writers() == 0 => {}
                Some(word) if word.phase().is_mirrored() => answer = Fallback::Later,
                _ => return Fallback::None,
            }
        }
        answer
    }
}
