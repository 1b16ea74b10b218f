//! Pieces of a part that is being moved.

use std::io;
use std::sync::Arc;

use lvshift_core::Leg;
use lvshift_core::chunk::{
    Admission, AppResult, Authority, Content, Fallback, Parked, Piece, WriteOutcome,
};
use lvshift_core::io::{LegOp, ReadPlan, ReadStep, WriteProgress, plan_write};
use lvshift_core::mirror::PartIndex;
use lvshift_core::units::Sectors;

use super::Queue;
use super::tag::{LEGS, LegTask, LegWork, Work, index_of};
use crate::live::LiveTable;

/// How often a request's reads that failed on the source are tried again because of writes in flight.
const MAX_REREADS: u8 = 200;

impl Queue {
    /// Issues the next piece of a request in a mirrored part, or parks it.
    pub(super) fn begin_mirrored(
        &mut self,
        tag: u16,
        table: &Arc<LiveTable>,
        number: PartIndex,
        sector: u64,
        in_part: u64,
    ) -> io::Result<()> {
        let Some(part) = table.parts.get(number.index()) else {
            return self.finish(tag, -libc::EIO);
        };
        let slot = &mut self.tags[usize::from(tag)];
        let first = sector - part.place().start.0;
        let Some(op) = slot.write_op() else {
            slot.piece = in_part;
            slot.work = Work::MirrorRead { part: number, plan: ReadPlan::new() };
            self.enter_below(tag, false);
            let Some(at) = table.at(part.at(Leg::Source, Sectors(first))) else {
                return self.piece_failed(tag, -libc::EIO);
            };
            return self.issue(tag, 0, LegWork { at, op: LegTask::Read, bytes: 0, stalls: 0 });
        };
        let chunk = u64::from(part.tracker().geometry().chunk_sectors());
        let count = in_part.min(chunk - first % chunk);
        let piece = Piece { first: Sectors(first), count: Sectors(count) };
        let content = op.content(part.discards());
        if content == Content::Undefined && part.tracker().authority() != Authority::Source {
            return self.skip(tag, in_part);
        }
        let ticket = match part.tracker().admit(piece, content, self.id, part.policy()) {
            Ok(Admission::Admitted(ticket, effects)) => {
                table.pass_on(effects, &self.queues);
                ticket
            }
            Ok(Admission::Parked(Parked::ForCommit, effects)) if content == Content::Undefined => {
                table.pass_on(effects, &self.queues);
                return self.skip(tag, in_part);
            }
            Ok(Admission::Parked(_, effects)) => {
                self.waiting.push(tag);
                table.pass_on(effects, &self.queues);
                return Ok(());
            }
            Err(_) => return self.finish(tag, -libc::EIO),
        };
        let plan = plan_write(op, ticket.route(), part.discards());
        let progress = WriteProgress::new(&plan);
        slot.piece = count;
        slot.work = Work::MirrorWrite { part: number, ticket: Some(ticket), progress };
        let durable = slot.is_durable();
        self.enter_below(tag, durable);
        for leg in &plan {
            // Every leg is on one of the table's devices.
            let Some(at) = table.at(part.at(leg.leg, Sectors(first))) else { continue };
            let work = LegWork { at, op: LegTask::Do(leg.op), bytes: 0, stalls: 0 };
            self.issue(tag, index_of(leg.leg), work)?;
        }
        Ok(())
    }

    /// Does nothing for a discard that only the source could do, while it is not certain that the
    /// source is in charge: waiting for the commit would hold the application up for as long as
    /// nobody drives the move, and no byte has to change.
    fn skip(&mut self, tag: u16, sectors: u64) -> io::Result<()> {
        self.tags[usize::from(tag)].done += sectors;
        self.serve(tag)
    }

    pub(super) fn mirror_read_done(&mut self, tag: u16, result: i32) -> io::Result<()> {
        let verdict = self.verdict(tag, 0, result);
        let table = Arc::clone(&self.table);
        let slot = &mut self.tags[usize::from(tag)];
        let Work::MirrorRead { part, plan } = &mut slot.work else { return Ok(()) };
        let step = plan.leg_done(verdict == 0);
        let Some(part) = table.parts.get(part.index()) else { return Ok(()) };
        let first = slot.request.start + slot.done - part.place().start.0;
        match step {
            ReadStep::Done => self.piece_done(tag),
            ReadStep::TryDestination => {
                let piece = Piece { first: Sectors(first), count: Sectors(slot.piece) };
                match part.tracker().may_read_destination(piece) {
                    Fallback::Destination => {}
                    // The write in flight is over before long; a failed read takes its time, too.
                    Fallback::Later if slot.rereads < MAX_REREADS => {
                        slot.rereads += 1;
                        slot.work = Work::Idle;
                        self.leave_below(tag);
                        return self.serve(tag);
                    }
                    Fallback::Later | Fallback::None => return self.piece_failed(tag, verdict),
                }
                let Some(at) = table.at(part.at(Leg::Destination, Sectors(first))) else {
                    return self.piece_failed(tag, verdict);
                };
                self.issue(tag, 0, LegWork { at, op: LegTask::Read, bytes: 0, stalls: 0 })
            }
            ReadStep::Failed => self.piece_failed(tag, verdict),
        }
    }

    pub(super) fn mirror_write_done(
        &mut self,
        tag: u16,
        leg: usize,
        result: i32,
    ) -> io::Result<()> {
        let mut ok = self.verdict(tag, leg, result) == 0;
        let slot = &mut self.tags[usize::from(tag)];
        // On a mirror only the source discards as such, and then nothing depends on it.
        if matches!(slot.legs[leg].op, LegTask::Do(LegOp::Discard)) && result == -libc::EINVAL {
            ok = true;
        }
        if !ok {
            self.look_at_durable(tag, leg);
        }
        let slot = &mut self.tags[usize::from(tag)];
        let Work::MirrorWrite { part, ticket, progress } = &mut slot.work else { return Ok(()) };
        let Some(outcome) = progress.leg_done(LEGS[leg], ok) else { return Ok(()) };
        let Some(ticket) = ticket.take() else { return Ok(()) };
        let (number, table) = (*part, Arc::clone(&self.table));
        let Some(part) = table.parts.get(number.index()) else { return Ok(()) };
        let completed = ticket.complete(part.tracker(), outcome);
        table.pass_on(completed.effects, &self.queues);
        if outcome != WriteOutcome::Done {
            table.wake_copier();
        }
        match completed.app {
            AppResult::Done => self.piece_done(tag),
            AppResult::Failed => self.piece_failed(tag, -libc::EIO),
            AppResult::Held => {
                self.leave_below(tag);
                self.hold(tag, number, table);
                Ok(())
            }
        }
    }

    fn hold(&mut self, tag: u16, part: PartIndex, table: Arc<LiveTable>) {
        self.tags[usize::from(tag)].work = Work::Held { part, table };
        self.waiting.push(tag);
    }

    /// Looks again whether a held result is decided. It is not on its way below, so the table may
    /// change over it.
    pub(super) fn held_again(
        &mut self,
        tag: u16,
        part: PartIndex,
        table: Arc<LiveTable>,
    ) -> io::Result<()> {
        let held = table.parts.get(part.index()).map(|part| part.tracker().held_result());
        match held.unwrap_or(AppResult::Failed) {
            AppResult::Held => {
                self.hold(tag, part, table);
                Ok(())
            }
            AppResult::Failed => self.finish(tag, -libc::EIO),
            AppResult::Done => self.go_on(tag),
        }
    }
}
