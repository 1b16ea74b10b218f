//! What the driver's requests are to core's queue, where their buffers are, and what a completion of the
//! ring is of.

use std::ops::Range;

use lvshift_core::device::DeviceIndex;
use lvshift_core::io::WriteOp;
use lvshift_core::serve::{Answer, Ended, Failure, IoTag, Kind, Request};
use lvshift_core::units::{SECTOR_SIZE, Sectors};

use crate::errors::Op;
use crate::limits::MAX_IO_BYTES;
use crate::uapi::{Descriptor, op};

/// What the thread remembers of a tag's request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    /// When it came, on the queue's clock.
    pub(super) since: u64,
    /// It has data: how long it takes is counted.
    pub(super) has_data: bool,
    /// What it is.
    pub(super) op: Option<Op>,
    /// What the kernel is told when it has gone well.
    pub(super) done: i32,
}

impl Asked {
    pub(super) fn new(descriptor: &Descriptor, since: u64) -> Asked {
        let has_data = descriptor.has_data();
        let bytes = u64::from(descriptor.sectors) * SECTOR_SIZE;
        let done = if has_data { i32::try_from(bytes).unwrap_or(i32::MAX) } else { 0 };
        Asked { since, has_data, op: Some(Op::of_driver(descriptor.op)), done }
    }
}

/// The request that the driver describes; `None`: one that is not known here.
pub(super) fn request(descriptor: &Descriptor) -> Option<Request> {
    let Descriptor { op, fua, no_unmap, sectors, start } = *descriptor;
    let kind = match op {
        op::READ => Kind::Read,
        op::WRITE => Kind::Change(WriteOp::Write { fua }),
        op::FLUSH => Kind::Flush,
        op::DISCARD => Kind::Change(WriteOp::Discard),
        op::WRITE_ZEROES => Kind::Change(WriteOp::WriteZeroes { unmap: !no_unmap, fua }),
        _ => return None,
    };
    Some(Request { kind, start: Sectors(start), count: Sectors(u64::from(sectors)) })
}

/// What the kernel is told of an answer.
pub(super) const fn result(answer: Answer, done: i32) -> i32 {
    match answer {
        Answer::Done => done,
        Answer::Failed(Failure::Device(errno)) => -errno,
        Answer::Failed(Failure::Unsupported) => -libc::EOPNOTSUPP,
        Answer::Failed(_) => -libc::EIO,
    }
}

/// How an I/O has ended. A device refuses a discard that is not aligned as it likes, and then nothing of it
/// is done, as if it could not.
pub(super) fn ended(result: i32, discard: bool) -> Ended {
    match (usize::try_from(result), -result) {
        (Ok(bytes), _) => Ended::Done(bytes),
        (_, libc::EINTR | libc::EAGAIN) => Ended::Again,
        (_, libc::EOPNOTSUPP) => Ended::Unsupported,
        (_, libc::EINVAL) if discard => Ended::Unsupported,
        (_, errno) => Ended::Failed(errno),
    }
}

/// A tag's buffer in the ring's memory.
pub(super) fn buffer(tag: u16) -> Range<usize> {
    let size = MAX_IO_BYTES as usize;
    let start = usize::from(tag) * size;
    start..start + size
}

/// Bytes of a tag's buffer, in the ring's memory.
pub(super) fn data(tag: u16, range: Range<usize>) -> Range<usize> {
    let buffer = buffer(tag);
    assert!(range.end <= buffer.len(), "a request fits its buffer");
    buffer.start + range.start..buffer.start + range.end
}

/// What a completion is the end of, packed into the ring's 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct User(pub(super) u64);

/// Its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A request was handed over for this tag, or the tag taken back.
    Fetch(u16),
    Io(IoTag),
    Discard(IoTag),
    Wakeup,
}

impl User {
    pub(super) const fn new(what: What) -> User {
        let (kind, of) = match what {
            What::Fetch(tag) => (1, tag as u32),
            What::Io(io) => (2, io.bits()),
            What::Discard(io) => (3, io.bits()),
            What::Wakeup => (4, 0),
        };
        User(kind << 32 | of as u64)
    }

    /// That of an I/O, with what is to be counted where it fails.
    pub(super) const fn below(what: What, device: DeviceIndex, op: Op) -> User {
        User(User::new(what).0 | (device.0 as u64) << 40 | (op as u64) << 48)
    }

    /// What [`User::below`] was told.
    pub(super) fn is_on(self) -> (DeviceIndex, Option<Op>) {
        (DeviceIndex((self.0 >> 40) as u8), Op::of_bits((self.0 >> 48) as u8))
    }

    pub(super) const fn what(self) -> Option<What> {
        let of = self.0 as u32;
        match self.0 >> 32 & 0xff {
            1 => Some(What::Fetch(of as u16)),
            2 => Some(What::Io(IoTag::from_bits(of))),
            3 => Some(What::Discard(IoTag::from_bits(of))),
            4 => Some(What::Wakeup),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_completion_is_of_comes_back() {
        let io = IoTag::from_bits(4095 << 16 | 1 << 15 | 63);
        for what in [What::Fetch(4095), What::Io(io), What::Discard(io), What::Wakeup] {
            assert_eq!(User::new(what).what(), Some(what));
        }
        assert_eq!(User(0).what(), None);
        let below = User::below(What::Discard(io), DeviceIndex(255), Op::Discard);
        assert_eq!(below.what(), Some(What::Discard(io)));
        assert_eq!(below.is_on(), (DeviceIndex(255), Some(Op::Discard)));
    }

    #[test]
    fn results_are_the_kernels_numbers() {
        assert_eq!(ended(4096, false), Ended::Done(4096));
        assert_eq!(ended(-libc::EAGAIN, false), Ended::Again);
        assert_eq!(ended(-libc::EINVAL, true), Ended::Unsupported);
        assert_eq!(ended(-libc::EINVAL, false), Ended::Failed(libc::EINVAL));
        assert_eq!(result(Answer::Done, 512), 512);
        assert_eq!(result(Answer::Failed(Failure::Device(libc::ENOSPC)), 512), -libc::ENOSPC);
        assert_eq!(result(Answer::Failed(Failure::NotMapped), 512), -libc::EIO);
    }
}
