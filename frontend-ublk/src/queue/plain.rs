//! Pieces on one device, and what all legs have in common: issuing, short I/O, second tries.

use std::io;

use lvshift_core::Leg;
use lvshift_core::io::{LegOp, WriteOp};

use super::Queue;
use super::tag::{LegTask, LegWork, User, What, Work, buffer};
use crate::platform::At;
use crate::uapi::op;

/// How often a leg may be interrupted in a row without getting on.
const MAX_STALLS: u8 = 16;

impl Queue {
    /// Issues a piece that lies on one device.
    pub(super) fn begin_plain(&mut self, tag: u16, at: At, sectors: u64) -> io::Result<()> {
        let slot = &mut self.tags[usize::from(tag)];
        let task = match slot.write_op() {
            None => LegTask::Read,
            Some(WriteOp::Write { fua }) => LegTask::Do(LegOp::Write { fua }),
            Some(WriteOp::WriteZeroes { unmap, fua }) => {
                LegTask::Do(LegOp::WriteZeroes { unmap, fua })
            }
            Some(WriteOp::Discard) => LegTask::Do(LegOp::Discard),
        };
        debug_assert!(slot.request.op != op::FLUSH, "flushes have no pieces");
        slot.piece = sectors;
        slot.work = Work::Plain;
        let durable = slot.is_durable();
        self.enter_below(tag, durable);
        self.issue(tag, 0, LegWork { at, op: task, bytes: 0, stalls: 0 })
    }

    pub(super) fn plain_done(&mut self, tag: u16, result: i32) -> io::Result<()> {
        match self.verdict(tag, 0, result) {
            0 => self.piece_done(tag),
            error => {
                self.look_at_durable(tag, 0);
                self.piece_failed(tag, error)
            }
        }
    }

    /// Issues what a leg has still to do.
    pub(super) fn issue(&mut self, tag: u16, leg: usize, work: LegWork) -> io::Result<()> {
        let slot = &mut self.tags[usize::from(tag)];
        slot.legs[leg] = work;
        let all = slot.piece * 512;
        let left = all - work.bytes;
        let at = At { file: work.at.file, offset: work.at.offset + work.bytes };
        let from = buffer(tag).start + to_usize(slot.done * 512 + work.bytes);
        let data = from..from + to_usize(left);
        let user = User::new(What::Leg, tag, leg as u8).0;
        match work.op {
            LegTask::Read => self.ring.read(at, data, user),
            LegTask::Do(LegOp::Write { fua }) => self.ring.write(at, data, fua, user),
            LegTask::Do(LegOp::WriteZeroes { unmap, .. }) => {
                self.ring.zero(work.at, all, unmap, user)
            }
            LegTask::PlainZeroes { .. } => self.ring.zero(work.at, all, false, user),
            LegTask::Do(LegOp::Discard) => self.ring.discard(work.at, all, user),
            LegTask::Flush => self.ring.flush(work.at.file, user),
        }
    }

    /// After a failure of a leg: if it was to be durable, the failure may be that of a flush, and
    /// the device may have dropped what it held of a copy. Of a source that is only assumed where a
    /// flush says so by itself: a bad sector elsewhere must not end the move that saves the rest.
    pub(super) fn look_at_durable(&self, tag: u16, leg: usize) {
        let slot = &self.tags[usize::from(tag)];
        let file = slot.legs[leg].at.file;
        if slot.is_durable()
            && let Some(device) = self.table.devices.iter().position(|device| device.slot == file)
        {
            self.table.flush_failed(device, &[Leg::Destination], &self.queues);
        }
    }

    /// Looks at how a leg's I/O ended; true if it was issued again and is not done yet.
    pub(super) fn go_on_with_leg(&mut self, tag: u16, leg: usize, result: i32) -> io::Result<bool> {
        let slot = &self.tags[usize::from(tag)];
        let mut work = slot.legs[leg];
        let all = slot.piece * 512;
        match next(&mut work, all, result) {
            true => self.issue(tag, leg, work).map(|()| true),
            false => Ok(false),
        }
    }

    /// How a leg that is done has ended: 0 or a negative error.
    pub(super) fn verdict(&self, tag: u16, leg: usize, result: i32) -> i32 {
        match self.tags[usize::from(tag)].legs[leg].op {
            // A device that cannot discard has done all that was asked.
            LegTask::Do(LegOp::Discard) if result == -libc::EOPNOTSUPP => 0,
            LegTask::Read | LegTask::Do(LegOp::Write { .. }) if result == 0 => -libc::EIO,
            _ => result.min(0),
        }
    }
}

/// Changes `work` to what comes next after `result`; false if nothing does.
fn next(work: &mut LegWork, all: u64, result: i32) -> bool {
    if matches!(-result, libc::EINTR | libc::EAGAIN) && work.stalls < MAX_STALLS {
        work.stalls += 1;
        return true;
    }
    match work.op {
        LegTask::Read | LegTask::Do(LegOp::Write { .. }) => {
            let Ok(bytes) = u64::try_from(result) else { return false };
            // Whole sectors only: what is left must be as aligned as the rest was.
            work.bytes += bytes / 512 * 512;
            work.stalls = 0;
            bytes >= 512 && work.bytes < all
        }
        LegTask::Do(LegOp::WriteZeroes { unmap: true, fua }) if result == -libc::EOPNOTSUPP => {
            work.op = LegTask::PlainZeroes { fua };
            true
        }
        LegTask::Do(LegOp::WriteZeroes { fua: true, .. }) | LegTask::PlainZeroes { fua: true }
            if result >= 0 =>
        {
            work.op = LegTask::Flush;
            true
        }
        _ => false,
    }
}

fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a request fits its buffer")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Slot;

    fn work(op: LegTask) -> LegWork {
        LegWork { at: At { file: Slot(2), offset: 0 }, op, bytes: 0, stalls: 0 }
    }

    #[test]
    fn a_short_write_goes_on_where_it_stopped() {
        let mut write = work(LegTask::Do(LegOp::Write { fua: false }));
        assert!(next(&mut write, 4096, 1024));
        assert_eq!(write.bytes, 1024);
        assert!(!next(&mut write, 4096, 3072));
    }

    #[test]
    fn a_write_that_gets_nowhere_ends() {
        let mut write = work(LegTask::Do(LegOp::Write { fua: false }));
        assert!(!next(&mut write, 4096, 0));
        let mut interrupted = 0;
        while next(&mut write, 4096, -libc::EAGAIN) {
            interrupted += 1;
        }
        assert_eq!(interrupted, MAX_STALLS);
    }

    #[test]
    fn zeroes_that_cannot_free_space_are_written_and_made_durable() {
        let mut zero = work(LegTask::Do(LegOp::WriteZeroes { unmap: true, fua: true }));
        assert!(next(&mut zero, 4096, -libc::EOPNOTSUPP));
        assert_eq!(zero.op, LegTask::PlainZeroes { fua: true });
        assert!(next(&mut zero, 4096, 0));
        assert_eq!(zero.op, LegTask::Flush);
        assert!(!next(&mut zero, 4096, 0));
    }
}
