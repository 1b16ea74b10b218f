//! A request's slot: how far it is, and what its completions mean.

use std::ops::Range;
use std::sync::Arc;

use lvshift_core::Leg;
use lvshift_core::chunk::{FlushTicket, WriteTicket};
use lvshift_core::io::{FlushProgress, FlushResult, LegOp, ReadPlan, WriteOp, WriteProgress};
use lvshift_core::mirror::PartIndex;

use crate::limits::{DEVICE, MAX_IO_BYTES};
use crate::live::LiveTable;
use crate::platform::At;
use crate::uapi::{Descriptor, op};

/// Legs of a piece; a plain one uses the first.
pub(super) const LEGS: [Leg; 2] = [Leg::Source, Leg::Destination];

/// The position of a leg in [`LEGS`].
pub(super) const fn index_of(leg: Leg) -> usize {
    match leg {
        Leg::Source => 0,
        Leg::Destination => 1,
    }
}

/// A request's slot.
#[derive(Debug)]
pub(super) struct Tag {
    pub(super) request: Descriptor,
    /// When it came, on the queue's clock.
    pub(super) since: u64,
    /// Sectors of it that are done.
    pub(super) done: u64,
    /// Sectors of the piece that is on its way.
    pub(super) piece: u64,
    pub(super) legs: [LegWork; 2],
    pub(super) work: Work,
    /// How often it was read again from the source.
    pub(super) rereads: u8,
    /// While a flush of a device may be on its way for it: neither settle rounds nor the seal
    /// overtake it.
    pub(super) flush: Option<FlushTicket>,
}

/// What one leg of the present piece is doing.
#[derive(Clone, Copy, Debug)]
pub(super) struct LegWork {
    pub(super) at: At,
    pub(super) op: LegTask,
    /// Bytes of the piece that are done.
    pub(super) bytes: u64,
    /// How often it was issued again without getting on.
    pub(super) stalls: u8,
}

/// What a leg is asked to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LegTask {
    Read,
    Do(LegOp),
    /// Zero by writing: freeing the space was not possible.
    PlainZeroes {
        fua: bool,
    },
    /// After zeroes that have to be durable.
    Flush,
}

/// What the request's I/O is for.
#[derive(Debug, Default)]
pub(super) enum Work {
    #[default]
    Idle,
    Plain,
    MirrorRead {
        part: PartIndex,
        plan: ReadPlan,
    },
    MirrorWrite {
        part: PartIndex,
        ticket: Option<WriteTicket>,
        progress: WriteProgress,
    },
    Flush {
        progress: FlushProgress,
    },
    /// Waiting for the commit that decides what it is told; the part is of the table that was written.
    Held {
        part: PartIndex,
        table: Arc<LiveTable>,
    },
    /// A flush that waits for it; the parts are those of the table that was flushed.
    HeldFlush {
        result: FlushResult,
        table: Arc<LiveTable>,
    },
}

impl Default for Tag {
    fn default() -> Tag {
        let request =
            Descriptor { op: op::FLUSH, fua: false, no_unmap: false, sectors: 0, start: 0 };
        let legs = [LegWork::default(); 2];
        Tag {
            request,
            since: 0,
            done: 0,
            piece: 0,
            legs,
            work: Work::Idle,
            rereads: 0,
            flush: None,
        }
    }
}

impl Default for LegWork {
    fn default() -> LegWork {
        let at = At { file: DEVICE, offset: 0 };
        LegWork { at, op: LegTask::Read, bytes: 0, stalls: 0 }
    }
}

impl Tag {
    /// What it changes, if it does.
    pub(super) fn write_op(&self) -> Option<WriteOp> {
        let Descriptor { fua, no_unmap, .. } = self.request;
        match self.request.op {
            op::WRITE => Some(WriteOp::Write { fua }),
            op::WRITE_ZEROES => Some(WriteOp::WriteZeroes { unmap: !no_unmap, fua }),
            op::DISCARD => Some(WriteOp::Discard),
            _ => None,
        }
    }

    /// Whether it is to be durable when it is answered.
    pub(super) fn is_durable(&self) -> bool {
        matches!(
            self.write_op(),
            Some(WriteOp::Write { fua: true } | WriteOp::WriteZeroes { fua: true, .. })
        )
    }

    /// Whether it is an operation that is served, with data that fits the buffer.
    pub(super) fn makes_sense(&self) -> bool {
        let has_data = self.request.has_data();
        let fits = u64::from(self.request.sectors) * 512 <= u64::from(MAX_IO_BYTES);
        if has_data { fits } else { self.write_op().is_some() }
    }

    /// What the kernel is told when it has gone well.
    pub(super) fn result(&self) -> i32 {
        match self.request.op {
            op::READ | op::WRITE => i32::try_from(self.done * 512).unwrap_or(i32::MAX),
            _ => 0,
        }
    }
}

/// A tag's buffer in the ring's memory.
pub(super) fn buffer(tag: u16) -> Range<usize> {
    let size = MAX_IO_BYTES as usize;
    let start = usize::from(tag) * size;
    start..start + size
}

/// What a completion is the end of, packed into the ring's 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct User(pub(super) u64);

/// Its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Fetch = 1,
    Leg = 2,
    Flush = 3,
    Wakeup = 4,
}

impl User {
    pub(super) const fn new(what: What, tag: u16, index: u8) -> User {
        User((what as u64) << 32 | (index as u64) << 16 | tag as u64)
    }

    pub(super) const fn what(self) -> Option<What> {
        match self.0 >> 32 {
            1 => Some(What::Fetch),
            2 => Some(What::Leg),
            3 => Some(What::Flush),
            4 => Some(What::Wakeup),
            _ => None,
        }
    }

    pub(super) const fn tag(self) -> u16 {
        self.0 as u16
    }

    pub(super) const fn index(self) -> usize {
        (self.0 >> 16) as usize & 0xFF
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_completion_is_of_comes_back() {
        for what in [What::Fetch, What::Leg, What::Flush, What::Wakeup] {
            let user = User::new(what, 4095, 63);
            assert_eq!((user.what(), user.tag(), user.index()), (Some(what), 4095, 63));
        }
        assert_eq!(User(0).what(), None);
    }
}
