//! The application: a few requests at a time on the LV's device, of every kind.

use lvshift_ublk::platform::sim::op;

use super::oracle::Moment;

/// What a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Read.
    Read,
    /// Write, durable with its end or not.
    Write {
        /// Forced unit access.
        fua: bool,
    },
    /// Zero.
    Zero,
    /// Discard.
    Discard,
    /// Flush.
    Flush,
}

impl Kind {
    /// As the ublk driver numbers it.
    #[must_use]
    pub fn op(self) -> u8 {
        match self {
            Kind::Read => op::READ,
            Kind::Write { .. } => op::WRITE,
            Kind::Zero => op::WRITE_ZEROES,
            Kind::Discard => op::DISCARD,
            Kind::Flush => op::FLUSH,
        }
    }
}

/// A request under way.
#[derive(Clone, Debug)]
pub struct Op {
    /// Its number, from 1, for ever.
    pub id: u32,
    /// What it is.
    pub kind: Kind,
    /// The LV.
    pub lv: usize,
    /// Its sectors, as the world counts them.
    pub first: u32,
    /// How many.
    pub count: u32,
    /// When it was issued.
    pub issued: Moment,
    /// The queue that it takes.
    pub queue: u16,
    /// The front end has it.
    pub delivered: bool,
    /// It may fail: it was under way while the side in charge was bad.
    pub excused: bool,
}

impl Op {
    /// What it writes to a sector.
    #[must_use]
    pub fn value(&self, sector: u32) -> u64 {
        match self.kind {
            Kind::Write { .. } => (u64::from(self.id) << 32) | (u64::from(sector) + 1),
            _ => 0,
        }
    }

    /// The bytes of a write.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.count as usize * 512];
        for (sector, place) in (self.first..).zip(bytes.chunks_mut(512)) {
            place[..8].copy_from_slice(&self.value(sector).to_le_bytes());
        }
        bytes
    }
}
