//! Pieces of a part that is being moved.

use super::leg::{LegWork, Task};
use super::request::{Failure, Kind};
use super::slot::{Common, Slot, Turn, Work};
use super::volume::{Served, part_at};
use crate::Leg;
use crate::chunk::{
    Admission, AdmitError, AppResult, Authority, Cells, Content, Effects, Fallback, Parked, Piece,
    WriteOutcome,
};
use crate::device::DeviceIndex;
use crate::io::{ReadPlan, ReadStep, WriteProgress, plan_write};
use crate::mirror::{Part, PartIndex};
use crate::table::{Area, Target};
use crate::units::Sectors;

/// How often a request's reads that failed on the source are tried again because of writes in flight.
const MAX_REREADS: u8 = 200;

impl Slot {
    /// Begins the next piece of a request in a mirrored part, `into` it, or parks it. A piece of a change
    /// lies in one chunk.
    pub(super) fn begin_mirrored<V: Served + ?Sized>(
        &mut self,
        (number, part): (PartIndex, &Part<V::Cells>),
        into: Sectors,
        count: Sectors,
        common: &mut Common,
        volume: &V,
    ) -> Turn {
        let Kind::Change(op) = self.request.kind else {
            self.piece = count.0;
            self.work = Work::Read { part: number, plan: ReadPlan::new() };
            self.enter_below(false, common, volume);
            self.put(Leg::Source, LegWork::new(part.at(Leg::Source, into), Task::Read));
            return Turn::Again;
        };
        let content = op.content(part.discards());
        if content == Content::Undefined && part.tracker().authority() != Authority::Source {
            return self.skip(count);
        }
        let piece = Piece { first: into, count };
        let ticket = match part.tracker().admit(piece, content, common.id, part.policy()) {
            Ok(Admission::Admitted(ticket, effects)) => {
                common.tell(effects);
                ticket
            }
            Ok(Admission::Parked(Parked::ForCommit, effects)) if content == Content::Undefined => {
                common.tell(effects);
                return self.skip(count);
            }
            Ok(Admission::Parked(_, effects)) => {
                common.tell(effects);
                self.work = Work::Parked;
                return Turn::Wait;
            }
            Err(AdmitError::TooManyWriters { wake }) => {
                common.tell(Effects::waking(wake));
                return self.fail(Failure::Mirror);
            }
            Err(AdmitError::Range(_)) => return self.fail(Failure::NotMapped),
        };
        let plan = plan_write(op, ticket.route(), part.discards());
        let progress = WriteProgress::new(&plan);
        self.piece = count.0;
        self.work = Work::Write { part: number, ticket: Some(ticket), progress };
        self.enter_below(self.request.kind.is_durable(), common, volume);
        for leg in &plan {
            self.put(leg.leg, LegWork::new(part.at(leg.leg, into), Task::Do(leg.op)));
        }
        Turn::Again
    }

    /// Does nothing for a discard that only the source could do, while it is not certain that the
    /// source is in charge: waiting for the commit would hold the application up for as long as
    /// no mover drives the move, and no byte has to change.
    fn skip(&mut self, count: Sectors) -> Turn {
        self.done = self.done.saturating_add(count.0);
        Turn::Again
    }

    pub(super) fn mirror_read_ended<V: Served + ?Sized>(
        &mut self,
        verdict: Result<(), Failure>,
        common: &mut Common,
        volume: &V,
    ) -> Turn {
        let Work::Read { part, plan } = &mut self.work else { return Turn::Again };
        let part = volume.parts().get(part.index());
        let (Some(part), step) = (part, plan.leg_done(verdict.is_ok())) else {
            return self.piece_failed(Failure::NotMapped, common, volume);
        };
        let failure = match verdict {
            Ok(()) => return self.piece_done(common, volume),
            Err(failure) => failure,
        };
        if step != ReadStep::TryDestination {
            return self.piece_failed(failure, common, volume);
        }
        let Some(first) = self.in_part(part) else {
            return self.piece_failed(failure, common, volume);
        };
        let piece = Piece { first, count: Sectors(self.piece) };
        match part.tracker().may_read_destination(piece) {
            Fallback::Destination => {
                let at = part.at(Leg::Destination, first);
                self.put(Leg::Source, LegWork::new(at, Task::Read));
                Turn::Again
            }
            // The write in flight is over before long; a failed read takes its time, too.
            Fallback::Later if self.rereads < MAX_REREADS => {
                self.rereads = self.rereads.saturating_add(1);
                self.work = Work::Serve;
                self.leave_below(common, volume);
                Turn::Again
            }
            Fallback::Later | Fallback::None => self.piece_failed(failure, common, volume),
        }
    }

    pub(super) fn mirror_write_ended<V: Served + ?Sized>(
        &mut self,
        leg: Leg,
        ok: bool,
        common: &mut Common,
        volume: &V,
    ) -> Turn {
        let Work::Write { part, ticket, progress } = &mut self.work else { return Turn::Again };
        let Some(outcome) = progress.leg_done(leg, ok) else { return Turn::Again };
        let (Some(ticket), Some(part)) = (ticket.take(), volume.parts().get(part.index())) else {
            return self.piece_failed(Failure::Mirror, common, volume);
        };
        let completed = ticket.complete(part.tracker(), outcome);
        common.tell(completed.effects);
        if outcome != WriteOutcome::Done {
            common.tell(Effects { copier: true, ..Effects::NONE });
        }
        match completed.app {
            AppResult::Done => self.piece_done(common, volume),
            AppResult::Failed => self.piece_failed(Failure::Mirror, common, volume),
            AppResult::Held => {
                let first = self.in_part(part).unwrap_or_default();
                self.work = Work::Held { source: part.at(Leg::Source, first) };
                self.leave_below(common, volume);
                Turn::Wait
            }
        }
    }

    /// Looks again whether a held result is decided, by the table as it is now. The piece is not on its way
    /// below, so the table may have changed over it: then it was done if it is where its source was, since
    /// the source has taken it.
    pub(super) fn held_again<V: Served + ?Sized>(
        &mut self,
        source: Area<DeviceIndex>,
        volume: &V,
    ) -> Turn {
        match self.held_result(source, volume) {
            AppResult::Held => Turn::Wait,
            AppResult::Failed => self.fail(Failure::Mirror),
            AppResult::Done => self.go_on(),
        }
    }

    fn held_result<V: Served + ?Sized>(&self, source: Area<DeviceIndex>, volume: &V) -> AppResult {
        let sector = Sectors(self.request.start.0.saturating_add(self.done));
        let table = volume.table();
        let Some(segment) = table.lookup(sector) else { return AppResult::Failed };
        let into = Sectors(sector.0.saturating_sub(segment.start.0));
        match segment.target {
            Target::Mirror(_) => match part_at(volume.parts(), segment.start) {
                Some((_, part)) if part.at(Leg::Source, into) == source => {
                    part.tracker().held_result()
                }
                _ => AppResult::Failed,
            },
            Target::Linear(area) if area.after(into) == Some(source) => AppResult::Done,
            Target::Linear(_) | Target::Error => AppResult::Failed,
        }
    }

    /// The first sector of the present piece, counted from the start of the part that it is in.
    fn in_part<S: Cells>(&self, part: &Part<S>) -> Option<Sectors> {
        let sector = self.request.start.0.checked_add(self.done)?;
        sector.checked_sub(part.place().start.0).map(Sectors)
    }
}
