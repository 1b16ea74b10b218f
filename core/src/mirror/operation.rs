//! What the copier asks for, and how it is told what became of it.

use core::ops::Range;

use super::part::PartIndex;
use crate::chunk::QueueMask;
use crate::device::DeviceIndex;
use crate::table::Area;
use crate::units::Sectors;

/// Copies in flight at most, and so many blocks of memory.
pub const COPY_SLOTS: usize = 8;
/// Bytes that one read or write of a copy moves at most.
pub const COPY_BLOCK: usize = 1 << 20;

/// A piece of the caller's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Buffer {
    /// A block of a copy in flight: one of [`COPY_SLOTS`], [`COPY_BLOCK`] bytes long.
    Copy(u8),
    /// A block of a part's dirty log,
    /// [`BLOCK_SIZE`](lvshift_on_disk_format::dirty_log::BLOCK_SIZE) bytes long.
    Log(PartIndex),
}

/// The caller's memory, while no operation has it.
pub trait Buffers {
    /// What is in a buffer; shorter or empty where there is no such buffer.
    fn bytes(&self, buffer: Buffer) -> &[u8];

    /// The same, to be filled.
    fn bytes_mut(&mut self, buffer: Buffer) -> &mut [u8];
}

/// Which operation it is: goes out with it and comes back with its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tag(u32);

/// What a tag is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    CopyRead {
        slot: u8,
    },
    CopyWrite {
        slot: u8,
        run: u8,
    },
    Log(PartIndex),
    Flush(DeviceIndex),
    /// 0 reads the source, 1 the destination, 2 writes there.
    Compare {
        number: u8,
        what: u8,
    },
}

impl Tag {
    /// The tag as a number, for a field of the host's.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The tag of a number. Any number may come: one that no operation in flight has is ignored.
    pub const fn from_bits(bits: u32) -> Tag {
        Tag(bits)
    }

    pub(super) const fn new(of: Of) -> Tag {
        Tag(match of {
            Of::CopyRead { slot } => slot as u32,
            Of::CopyWrite { slot, run } => 1 << 24 | (run as u32) << 8 | slot as u32,
            Of::Log(part) => 2 << 24 | part.0 as u32,
            Of::Flush(device) => 3 << 24 | device.0 as u32,
            Of::Compare { number, what } => 4 << 24 | (what as u32) << 8 | number as u32,
        })
    }

    pub(super) const fn of(self) -> Option<Of> {
        let low = self.0 as u8;
        match self.0 >> 24 {
            0 => Some(Of::CopyRead { slot: low }),
            1 => Some(Of::CopyWrite { slot: low, run: (self.0 >> 8) as u8 }),
            2 => Some(Of::Log(PartIndex(self.0 as u16))),
            3 => Some(Of::Flush(DeviceIndex(low))),
            4 => Some(Of::Compare { number: low, what: (self.0 >> 8) as u8 }),
            _ => None,
        }
    }
}

/// Something for the caller to do.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Read into the bytes `into` of a buffer.
    Read {
        /// For its end.
        tag: Tag,
        /// From where.
        at: Area<DeviceIndex>,
        /// The buffer.
        buffer: Buffer,
        /// Its bytes, whole sectors of the device.
        into: Range<usize>,
    },
    /// Write the bytes `from` of a buffer.
    Write {
        /// For its end.
        tag: Tag,
        /// To where.
        at: Area<DeviceIndex>,
        /// The buffer.
        buffer: Buffer,
        /// Its bytes, whole sectors of the device.
        from: Range<usize>,
        /// Durable before it has ended: the device's FUA, or a flush after it.
        durable: bool,
    },
    /// Make sectors read as zeroes and free their space, of a device that can.
    WriteZeroes {
        /// For its end.
        tag: Tag,
        /// From where on.
        at: Area<DeviceIndex>,
        /// How many.
        count: Sectors,
    },
    /// Make durable what was written on a device before.
    Flush {
        /// For its end.
        tag: Tag,
        /// The device.
        device: DeviceIndex,
    },
    /// Wake these queues: they retry what they have parked. It has no end.
    Wake(QueueMask),
    /// Sectors of a part's source, counted from the part's start, could not be read one by one. Comes
    /// before the part's tracker knows that the copy has failed. It has no end.
    Unreadable {
        /// The part.
        part: PartIndex,
        /// The sectors.
        sectors: Range<u64>,
        /// The error number of the last failure.
        error: i32,
    },
    /// Both legs were compared and differ in sectors of a part, counted from the part's start: these are copied
    /// again; or (`again`) they still differ after that, and the part fails. Comes before the part's tracker
    /// knows. It has no end.
    Differs {
        /// The part.
        part: PartIndex,
        /// The sectors.
        sectors: Range<u64>,
        /// They had been copied again.
        again: bool,
    },
    /// Count the latencies of the volume's requests together, for
    /// [`Copier::latencies`](super::Copier::latencies).
    CountLatencies,
    /// The last look of this number is done: see [`Copier::confirm`](super::Copier::confirm). It has no
    /// end.
    Confirmed(u64),
    /// Tell whoever waits for the copy: it has failed, or become equal, or is not equal any more. It has
    /// no end.
    Tell,
}

/// What the copier does next.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// This; then ask again.
    Do(Operation),
    /// Nothing until an operation ends, the host wakes it, or it is this late.
    WaitUntil(crate::copier::Nanos),
    /// It was stopped, and nothing of it is in flight: it never does anything again.
    Stopped,
}

/// How an operation has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Well: of a read or a write, so many bytes of it.
    Done(usize),
    /// It was interrupted before it did anything.
    Again,
    /// The device cannot do this; of zeroes it is made good by writing them.
    Unsupported,
    /// It has failed, with this error number.
    Failed(i32),
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_tag_says_what_it_is_of() {
        for of in [
            Of::CopyRead { slot: 7 },
            Of::CopyWrite { slot: 7, run: 15 },
            Of::Log(PartIndex(u16::MAX)),
            Of::Flush(DeviceIndex(63)),
            Of::Compare { number: 2, what: 2 },
        ] {
            assert_eq!(Tag::from_bits(Tag::new(of).bits()).of(), Some(of));
        }
        assert_eq!(Tag::from_bits(u32::MAX).of(), None);
    }
}
