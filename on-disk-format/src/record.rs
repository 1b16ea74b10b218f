//! The records of the metadata payload: bytes to fields and back, nothing about their meaning.

use core::fmt;

use crate::features::RecordFlags;
use crate::layout;

mod lv;
mod moves;
mod name;
mod part;
mod pv;
mod segment;
mod system_id;
#[cfg(test)]
mod tests;
mod vg;

pub use lv::LvRecord;
pub use moves::{MoveRecord, MoveState};
pub use name::RawName;
pub use part::PartRecord;
pub use pv::PvRecord;
pub use segment::SegmentRecord;
pub use system_id::RawSystemId;
pub use vg::VgRecord;

/// Why bytes are not a record of this version.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// Reserved bytes are not zero.
    ReservedNotZero,
    /// Flags that this version does not know.
    UnknownFlags {
        /// All flags of the record.
        flags: RecordFlags,
    },
    /// A name's length is 0 or above 127, or bytes follow after its end.
    BadName,
    /// A system id's length is above 67, or bytes follow after its end.
    BadSystemId,
    /// A move state that this version does not know.
    UnknownState {
        /// The number.
        state: u32,
    },
}

fn check_flags(flags: u32) -> Result<(), RecordError> {
    let flags = RecordFlags::from_bits_retain(flags);
    if flags.is_empty() { Ok(()) } else { Err(RecordError::UnknownFlags { flags }) }
}

/// Whether the one flag is set that a record of this kind may have.
fn one_flag(flags: u32, flag: RecordFlags) -> Result<bool, RecordError> {
    check_flags(flags & !flag.bits())
        .map_err(|_| RecordError::UnknownFlags { flags: RecordFlags::from_bits_retain(flags) })?;
    Ok(RecordFlags::from_bits_retain(flags).contains(flag))
}

/// The one flag that VGs and LVs have.
fn no_autoactivation(flags: u32) -> Result<bool, RecordError> {
    one_flag(flags, RecordFlags::NO_AUTOACTIVATION)
}

fn flags(no_autoactivation: bool) -> [u8; 4] {
    let flags =
        if no_autoactivation { RecordFlags::NO_AUTOACTIVATION } else { RecordFlags::empty() };
    flags.bits().to_le_bytes()
}

fn check_reserved(zero: bool) -> Result<(), RecordError> {
    if zero { Ok(()) } else { Err(RecordError::ReservedNotZero) }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::ReservedNotZero => write!(f, "reserved bytes are not zero"),
            RecordError::UnknownFlags { flags } => {
                write!(f, "flags {:#x} are unknown to version {}", flags.bits(), layout::VERSION)
            }
            RecordError::BadName => write!(f, "the name's length is wrong"),
            RecordError::BadSystemId => write!(f, "the system id's length is wrong"),
            RecordError::UnknownState { state } => write!(f, "move state {state} is unknown"),
        }
    }
}

impl core::error::Error for RecordError {}
