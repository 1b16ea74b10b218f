//! Pieces of a part that is being moved.

use std::io;
use std::sync::Arc;

use lvshift_core::Leg;
use lvshift_core::chunk::{
    Admission, AppResult, Authority, Content, Fallback, Parked, Piece, WriteOutcome,
};
use lvshift_core::io::{LegOp, ReadPlan, ReadStep, WriteProgress, plan_write};
use lvshift_core::units::Sectors;

use super::Queue;
use super::tag::{LEGS, LegTask, LegWork, Work, index_of};
use crate::mirror::Part;

/// How often a request's reads that failed on the source are tried again because of writes in flight.
const MAX_REREADS: u8 = 200;

impl Queue {
    /// Issues the next piece of a request in a mirrored part, or parks it.
    pub(super) fn begin_mirrored(
        &mut self,
        tag: u16,
        part: &Arc<Part>,
        sector: u64,
        in_part: u64,
    ) -> io::Result<()> {
        let slot = &mut self.tags[usize::from(tag)];
        let first = sector - part.start;
        let Some(op) = slot.write_op() else {
            slot.piece = in_part;
            slot.work = Work::MirrorRead { part: Arc::clone(part), plan: ReadPlan::new() };
            self.enter_below(tag, false);
            let at = part.at(Leg::Source, first);
            return self.issue(tag, 0, LegWork { at, op: LegTask::Read, bytes: 0, stalls: 0 });
        };
        let chunk = u64::from(part.tracker.geometry().chunk_sectors());
        let count = in_part.min(chunk - first % chunk);
        let piece = Piece { first: Sectors(first), count: Sectors(count) };
        let content = op.content(part.discards);
        if content == Content::Undefined && part.tracker.authority() != Authority::Source {
            return self.skip(tag, in_part);
        }
        let ticket = match part.tracker.admit(piece, content, self.id, part.policy()) {
            Ok(Admission::Admitted(ticket, effects)) => {
                part.pass_on(effects, &self.queues);
                ticket
            }
            Ok(Admission::Parked(Parked::ForCommit, effects)) if content == Content::Undefined => {
                part.pass_on(effects, &self.queues);
                return self.skip(tag, in_part);
            }
            Ok(Admission::Parked(_, effects)) => {
                self.waiting.push(tag);
                part.pass_on(effects, &self.queues);
                return Ok(());
            }
            Err(_) => return self.finish(tag, -libc::EIO),
        };
        let plan = plan_write(op, ticket.route(), part.discards);
        let progress = WriteProgress::new(&plan);
        slot.piece = count;
        slot.work = Work::MirrorWrite { part: Arc::clone(part), ticket: Some(ticket), progress };
        let durable = slot.is_durable();
        self.enter_below(tag, durable);
        for leg in &plan {
            let at = part.at(leg.leg, first);
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
        let slot = &mut self.tags[usize::from(tag)];
        let Work::MirrorRead { part, plan } = &mut slot.work else { return Ok(()) };
        let step = plan.leg_done(verdict == 0);
        let first = slot.request.start + slot.done - part.start;
        match step {
            ReadStep::Done => self.piece_done(tag),
            ReadStep::TryDestination => {
                let piece = Piece { first: Sectors(first), count: Sectors(slot.piece) };
                match part.tracker.may_read_destination(piece) {
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
                let at = part.at(Leg::Destination, first);
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
        let part = Arc::clone(part);
        let completed = ticket.complete(&part.tracker, outcome);
        part.pass_on(completed.effects, &self.queues);
        if outcome != WriteOutcome::Done {
            part.wakeup.wake();
        }
        match completed.app {
            AppResult::Done => self.piece_done(tag),
            AppResult::Failed => self.piece_failed(tag, -libc::EIO),
            AppResult::Held => {
                self.leave_below(tag);
                self.hold(tag, part);
                Ok(())
            }
        }
    }

    fn hold(&mut self, tag: u16, part: Arc<Part>) {
        self.tags[usize::from(tag)].work = Work::Held { part };
        self.waiting.push(tag);
    }

    /// Looks again whether a held result is decided. It is not on its way below, so the table may
    /// change over it.
    pub(super) fn held_again(&mut self, tag: u16, part: Arc<Part>) -> io::Result<()> {
        match part.tracker.held_result() {
            AppResult::Held => {
                self.hold(tag, part);
                Ok(())
            }
            AppResult::Failed => self.finish(tag, -libc::EIO),
            AppResult::Done => self.go_on(tag),
        }
    }
}
