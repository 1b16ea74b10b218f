//! What is asked of a volume, and what is answered.

use crate::io::WriteOp;
use crate::units::Sectors;

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What it asks for.
    pub kind: Kind,
    /// Its first sector on the volume; of no meaning for a flush.
    pub start: Sectors,
    /// How many sectors.
    pub count: Sectors,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// To fill its buffer.
    Read,
    /// To change sectors, by the bytes of its buffer or without any.
    Change(WriteOp),
    /// That all that was acknowledged before is durable.
    Flush,
}

/// How a request ended.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// All of it was done.
    Done,
    /// It failed; a part of it may have been done.
    Failed(Failure),
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// A device says so, by this code of the caller's.
    Device(i32),
    /// A device gets nowhere with it.
    NoProgress,
    /// It cannot be done here: its data are longer than a buffer, or a device knows no such operation.
    Unsupported,
    /// Some of its sectors are mapped to nothing.
    NotMapped,
    /// A leg of the mirror that must have it did not take it.
    Mirror,
}

impl Kind {
    /// Whether it has bytes in the buffer.
    pub const fn has_data(self) -> bool {
        matches!(self, Kind::Read | Kind::Change(WriteOp::Write { .. }))
    }

    /// Whether it is to be durable when it is answered.
    pub const fn is_durable(self) -> bool {
        matches!(
            self,
            Kind::Change(WriteOp::Write { fua: true } | WriteOp::WriteZeroes { fua: true, .. })
        )
    }
}
