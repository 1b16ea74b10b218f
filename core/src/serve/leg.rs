//! One leg of the piece that is on its way: what it is to do now, and what after a short or interrupted I/O.

use super::request::Failure;
use crate::device::DeviceIndex;
use crate::io::LegOp;
use crate::mirror::Ended;
use crate::table::Area;
use crate::units::{SECTOR_SIZE, Sectors};

/// How often a leg may be interrupted in a row without getting on.
pub(super) const MAX_STALLS: u8 = 16;

/// A leg's work.
#[derive(Clone, Copy, Debug)]
pub(super) struct LegWork {
    /// Where its piece begins.
    pub(super) at: Area<DeviceIndex>,
    pub(super) task: Task,
    /// Bytes of the piece that are done.
    pub(super) bytes: u64,
    /// How often it was issued again without getting on.
    stalls: u8,
    /// It is to be issued.
    pub(super) due: bool,
    /// How its I/O has ended, as long as it was not looked at.
    pub(super) ended: Option<Ended>,
}

/// What a leg is asked to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Read,
    Do(LegOp),
    /// Zero by writing: freeing the space was not possible.
    PlainZeroes {
        fua: bool,
    },
    /// After zeroes that have to be durable.
    Flush,
}

impl LegWork {
    /// Nothing.
    pub(super) const NONE: LegWork = LegWork {
        at: Area { device: DeviceIndex(0), offset: Sectors(0) },
        task: Task::Read,
        bytes: 0,
        stalls: 0,
        due: false,
        ended: None,
    };

    /// To be begun.
    pub(super) const fn new(at: Area<DeviceIndex>, task: Task) -> LegWork {
        LegWork { at, task, due: true, ..LegWork::NONE }
    }

    /// Goes on after its I/O has ended, if something is left to do; false if nothing is.
    pub(super) fn goes_on(&mut self, all: u64, ended: Ended) -> bool {
        self.due = self.next(all, ended);
        self.due
    }

    fn next(&mut self, all: u64, ended: Ended) -> bool {
        if ended == Ended::Again && self.stalls < MAX_STALLS {
            self.stalls = self.stalls.saturating_add(1);
            return true;
        }
        match (self.task, ended) {
            (Task::Read | Task::Do(LegOp::Write { .. }), Ended::Done(bytes)) => {
                // Whole sectors only: what is left must be as aligned as the rest was.
                let bytes = bytes as u64 & !(SECTOR_SIZE.wrapping_sub(1));
                self.bytes = self.bytes.saturating_add(bytes).min(all);
                self.stalls = 0;
                bytes > 0 && self.bytes < all
            }
            (Task::Do(LegOp::WriteZeroes { unmap: true, fua }), Ended::Unsupported) => {
                self.task = Task::PlainZeroes { fua };
                true
            }
            (
                Task::Do(LegOp::WriteZeroes { fua: true, .. }) | Task::PlainZeroes { fua: true },
                Ended::Done(_),
            ) => {
                self.task = Task::Flush;
                true
            }
            _ => false,
        }
    }

    /// How a leg has ended that does not go on.
    pub(super) const fn verdict(&self, all: u64, ended: Ended) -> Result<(), Failure> {
        match (self.task, ended) {
            // A device that cannot discard has done all that was asked.
            (Task::Do(LegOp::Discard), Ended::Unsupported) => Ok(()),
            (Task::Read | Task::Do(LegOp::Write { .. }), Ended::Done(_)) if self.bytes < all => {
                Err(Failure::NoProgress)
            }
            (_, Ended::Done(_)) => Ok(()),
            (_, Ended::Again) => Err(Failure::NoProgress),
            (_, Ended::Unsupported) => Err(Failure::Unsupported),
            (_, Ended::Failed(code)) => Err(Failure::Device(code)),
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    fn work(task: Task) -> LegWork {
        LegWork::new(LegWork::NONE.at, task)
    }

    #[test]
    fn a_short_write_goes_on_where_it_stopped() {
        let mut write = work(Task::Do(LegOp::Write { fua: false }));
        assert!(write.goes_on(4096, Ended::Done(1024)));
        assert_eq!(write.bytes, 1024);
        assert!(!write.goes_on(4096, Ended::Done(3072)));
        assert_eq!(write.verdict(4096, Ended::Done(3072)), Ok(()));
    }

    #[test]
    fn a_write_that_gets_nowhere_ends() {
        for bytes in [0, 511] {
            let mut write = work(Task::Do(LegOp::Write { fua: false }));
            assert!(!write.goes_on(4096, Ended::Done(bytes)));
            let verdict = write.verdict(4096, Ended::Done(bytes));
            assert_eq!(verdict, Err(Failure::NoProgress));
        }
        let mut write = work(Task::Do(LegOp::Write { fua: false }));
        let mut interrupted = 0;
        while write.goes_on(4096, Ended::Again) {
            interrupted += 1;
        }
        assert_eq!(interrupted, MAX_STALLS);
    }

    #[test]
    fn zeroes_that_cannot_free_space_are_written_and_made_durable() {
        let mut zero = work(Task::Do(LegOp::WriteZeroes { unmap: true, fua: true }));
        assert!(zero.goes_on(4096, Ended::Unsupported));
        assert_eq!(zero.task, Task::PlainZeroes { fua: true });
        assert!(zero.goes_on(4096, Ended::Done(0)));
        assert_eq!(zero.task, Task::Flush);
        assert!(!zero.goes_on(4096, Ended::Done(0)));
    }
}
