//! What a queue asks its caller to do.

use core::ops::Range;

use super::request::Answer;
use crate::chunk::Effects;
use crate::device::DeviceIndex;
use crate::table::Area;
use crate::units::Sectors;

/// An I/O under way: hand it back with its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IoTag(u32);

/// What an I/O is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// One of the present piece's legs.
    Leg(u8),
    /// The flush of a device, of a request that is a flush.
    Flush(DeviceIndex),
}

/// The bit that tells a flush from a leg.
const FLUSH: u32 = 1 << 15;
/// Where the round stands.
const ROUND: u32 = 8;
/// Rounds of a slot: its I/O after something was given up is told from what was.
pub(super) const ROUNDS: u8 = 1 << 7;

impl IoTag {
    pub(super) const fn new(tag: u16, round: u8, of: Of) -> IoTag {
        let of = match of {
            Of::Leg(leg) => leg as u32,
            Of::Flush(device) => FLUSH | device.0 as u32,
        };
        IoTag((tag as u32) << 16 | ((round % ROUNDS) as u32) << ROUND | of)
    }

    /// A number that [`IoTag::from_bits`] makes the same of again.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Of a number from [`IoTag::bits`].
    pub const fn from_bits(bits: u32) -> IoTag {
        IoTag(bits)
    }

    /// The tag of its request, whose buffer it reads or fills.
    pub const fn tag(self) -> u16 {
        (self.0 >> 16) as u16
    }

    pub(super) const fn round(self) -> u8 {
        (self.0 >> ROUND) as u8 % ROUNDS
    }

    pub(super) const fn of(self) -> Of {
        let low = self.0 as u8;
        if self.0 & FLUSH == 0 { Of::Leg(low) } else { Of::Flush(DeviceIndex(low)) }
    }
}

/// What the caller is to do. Ranges are bytes of the request's own buffer.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// To read into the request's buffer.
    Read {
        /// To be handed back with its end.
        io: IoTag,
        /// From where.
        at: Area<DeviceIndex>,
        /// Which bytes to fill.
        into: Range<usize>,
    },
    /// To write from the request's buffer.
    Write {
        /// To be handed back with its end.
        io: IoTag,
        /// To where.
        at: Area<DeviceIndex>,
        /// Which bytes.
        from: Range<usize>,
        /// Durable when it has ended (FUA).
        durable: bool,
    },
    /// To make sectors read as zeroes.
    WriteZeroes {
        /// To be handed back with its end.
        io: IoTag,
        /// Where.
        at: Area<DeviceIndex>,
        /// How many.
        count: Sectors,
        /// The space is to be freed: [`Ended::Unsupported`](super::Ended::Unsupported) where the device
        /// cannot.
        unmap: bool,
    },
    /// To tell the device that sectors are not needed. One that does not discard, or not these sectors, is
    /// [`Ended::Unsupported`](super::Ended::Unsupported), and nothing is lost by it.
    Discard {
        /// To be handed back with its end.
        io: IoTag,
        /// Where.
        at: Area<DeviceIndex>,
        /// How many.
        count: Sectors,
    },
    /// To make durable what the device has said to have done.
    Flush {
        /// To be handed back with its end.
        io: IoTag,
        /// Which device.
        device: DeviceIndex,
    },
    /// To answer a request. Its tag is free.
    Answer {
        /// The request's.
        tag: u16,
        /// How it ended.
        answer: Answer,
    },
    /// To wake these queues, and the copier of the volume where it has to look.
    Notify(Effects),
}

impl Operation {
    /// The request whose I/O it begins, if it begins any.
    pub const fn tag(&self) -> Option<u16> {
        match self {
            Operation::Read { io, .. }
            | Operation::Write { io, .. }
            | Operation::WriteZeroes { io, .. }
            | Operation::Discard { io, .. }
            | Operation::Flush { io, .. } => Some(io.tag()),
            Operation::Answer { .. } | Operation::Notify(_) => None,
        }
    }
}
