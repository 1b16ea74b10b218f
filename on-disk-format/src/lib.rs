//! The on-disk format of lvshift, version 1: bytes only.
//!
//! Every offset is in [`layout`]; `docs/on-disk-format.md` describes the same for readers. A decode
//! function takes bytes that anybody may have written: it never panics, and what it returns holds
//! only values that this format allows. What the values mean together (do segments overlap?) is
//! the business of `lvshift-core`. An encode function of a fixed-size record cannot fail.
#![no_std]
#![forbid(unsafe_code)]

pub mod checksum;
pub mod dirty_log;
pub mod features;
pub mod label;
pub mod layout;
pub mod payload;
pub mod record;
pub mod slot;

pub use features::Features;
pub use label::{Geometry, GeometryError, Label, LabelCopy, LabelError};
pub use slot::{SlotError, SlotHeader, SlotIndex};

/// 128 random bits that name a PV, VG, LV or move for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// No UUID at all: never the name of anything.
    pub const NIL: Uuid = Uuid([0; 16]);

    /// Whether this is [`Uuid::NIL`].
    pub fn is_nil(self) -> bool {
        self == Uuid::NIL
    }
}

/// As RFC 9562 writes it: `01234567-89ab-cdef-0123-456789abcdef`.
impl core::fmt::Display for Uuid {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}
