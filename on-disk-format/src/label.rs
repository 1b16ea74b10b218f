//! The label: first thing on a PV, and again at the end of the first MiB.

use core::fmt;

use crate::Uuid;
use crate::checksum::crc32c;
use crate::features::{Compat, Features, Incompat, RoCompat};
use crate::layout::{self, label as at};
use crate::slot::SlotIndex;

mod geometry;
#[cfg(test)]
mod tests;

pub use geometry::{Area, Geometry, GeometryError};

/// What a PV says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    features: Features,
    copy: LabelCopy,
    pv: Uuid,
    geometry: Geometry,
}

/// Which of the two copies of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelCopy {
    /// At byte 0.
    First,
    /// In the last 4 KiB of the first MiB.
    Second,
}

impl LabelCopy {
    /// Both copies, in the order in which they are tried.
    pub const ALL: [LabelCopy; 2] = [LabelCopy::First, LabelCopy::Second];

    /// Where this copy starts on the device, in sectors.
    pub const fn start(self) -> u64 {
        match self {
            LabelCopy::First => at::FIRST_SECTOR,
            LabelCopy::Second => at::SECOND_SECTOR,
        }
    }

    const fn number(self) -> u32 {
        match self {
            LabelCopy::First => 0,
            LabelCopy::Second => 1,
        }
    }
}

/// Why bytes are not a label that this program may use.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelError {
    /// Only zeros: no label was ever written, or it was wiped.
    Blank,
    /// Something else, not a label.
    NotALabel,
    /// A label with damage.
    BadChecksum {
        /// The checksum that the bytes have.
        expected: u32,
        /// The checksum that the label states.
        found: u32,
    },
    /// Written by a newer program.
    UnsupportedVersion {
        /// The version that the label states.
        found: u32,
    },
    /// Uses features that this program does not know.
    UnsupportedFeatures {
        /// The unknown incompatible bits.
        bits: Incompat,
    },
    /// The copy number is neither 0 nor 1.
    BadCopy {
        /// The number that the label states.
        found: u32,
    },
    /// The PV's UUID is zero.
    NilUuid,
    /// Reserved bytes are not zero.
    ReservedNotZero,
    /// The areas make no sense.
    Geometry(GeometryError),
}

impl Label {
    /// The bytes of a label.
    pub const SIZE: usize = at::SIZE;

    /// The label of a new PV. `None` for the nil UUID.
    pub fn new(pv: Uuid, geometry: Geometry) -> Option<Label> {
        let features = Features::KNOWN;
        (!pv.is_nil()).then_some(Label { features, copy: LabelCopy::First, pv, geometry })
    }

    /// The PV's name for ever.
    pub fn pv(&self) -> Uuid {
        self.pv
    }

    /// Where the areas of the PV are.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Which copy these bytes claim to be. One found at the other's place was moved there.
    pub fn copy(&self) -> LabelCopy {
        self.copy
    }

    /// The same label as that copy.
    pub fn as_copy(self, copy: LabelCopy) -> Label {
        Label { copy, ..self }
    }

    /// Whether this program knows enough to write to the PV.
    pub fn is_writable(&self) -> bool {
        self.features.writable()
    }

    /// Reads a label.
    ///
    /// # Errors
    /// [`LabelError`] says what keeps the bytes from being a label that this program may use.
    pub fn decode(bytes: &[u8; at::SIZE]) -> Result<Label, LabelError> {
        if at::MAGIC.get(bytes) != at::MAGIC_BYTES {
            let blank = bytes.iter().all(|&byte| byte == 0);
            return Err(if blank { LabelError::Blank } else { LabelError::NotALabel });
        }
        let expected = checksum(bytes);
        let found = u32::from_le_bytes(at::CRC.get(bytes));
        if expected != found {
            return Err(LabelError::BadChecksum { expected, found });
        }
        let version = u32::from_le_bytes(at::VERSION.get(bytes));
        if version != layout::VERSION {
            return Err(LabelError::UnsupportedVersion { found: version });
        }
        let features = Features {
            compat: Compat::from_bits_retain(u64::from_le_bytes(at::COMPAT.get(bytes))),
            ro_compat: RoCompat::from_bits_retain(u64::from_le_bytes(at::RO_COMPAT.get(bytes))),
            incompat: Incompat::from_bits_retain(u64::from_le_bytes(at::INCOMPAT.get(bytes))),
        };
        if !features.unsupported().is_empty() {
            return Err(LabelError::UnsupportedFeatures { bits: features.unsupported() });
        }
        let copy = match u32::from_le_bytes(at::COPY.get(bytes)) {
            0 => LabelCopy::First,
            1 => LabelCopy::Second,
            found => return Err(LabelError::BadCopy { found }),
        };
        let pv = Uuid(at::PV_UUID.get(bytes));
        if pv.is_nil() {
            return Err(LabelError::NilUuid);
        }
        if !at::RESERVED.is_zero(bytes) {
            return Err(LabelError::ReservedNotZero);
        }
        let geometry = Geometry::new(
            u64::from_le_bytes(at::DEVICE_SIZE.get(bytes)),
            [
                u64::from_le_bytes(at::SLOT_0_START.get(bytes)),
                u64::from_le_bytes(at::SLOT_1_START.get(bytes)),
            ],
            u64::from_le_bytes(at::SLOT_SIZE.get(bytes)),
            Area {
                start: u64::from_le_bytes(at::LOG_START.get(bytes)),
                size: u64::from_le_bytes(at::LOG_SIZE.get(bytes)),
            },
            u64::from_le_bytes(at::DATA_START.get(bytes)),
        )
        .map_err(LabelError::Geometry)?;
        Ok(Label { features, copy, pv, geometry })
    }

    /// Writes the label over all of `bytes`.
    pub fn encode(&self, bytes: &mut [u8; at::SIZE]) {
        bytes.fill(0);
        at::MAGIC.put(bytes, at::MAGIC_BYTES);
        at::VERSION.put(bytes, layout::VERSION.to_le_bytes());
        at::COPY.put(bytes, self.copy.number().to_le_bytes());
        at::COMPAT.put(bytes, self.features.compat.bits().to_le_bytes());
        at::RO_COMPAT.put(bytes, self.features.ro_compat.bits().to_le_bytes());
        at::INCOMPAT.put(bytes, self.features.incompat.bits().to_le_bytes());
        at::PV_UUID.put(bytes, self.pv.0);
        let geometry = &self.geometry;
        at::DEVICE_SIZE.put(bytes, geometry.device_size().to_le_bytes());
        at::SLOT_0_START.put(bytes, geometry.slot(SlotIndex::Zero).start.to_le_bytes());
        at::SLOT_1_START.put(bytes, geometry.slot(SlotIndex::One).start.to_le_bytes());
        at::SLOT_SIZE.put(bytes, geometry.slot(SlotIndex::Zero).size.to_le_bytes());
        at::LOG_START.put(bytes, geometry.log().start.to_le_bytes());
        at::LOG_SIZE.put(bytes, geometry.log().size.to_le_bytes());
        at::DATA_START.put(bytes, geometry.data_start().to_le_bytes());
        at::CRC.put(bytes, checksum(bytes).to_le_bytes());
    }
}

fn checksum(bytes: &[u8; at::SIZE]) -> u32 {
    crc32c(bytes.get(..at::CRC.start()).unwrap_or_default())
}

impl fmt::Display for LabelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LabelError::Blank => write!(f, "no label: only zeros"),
            LabelError::NotALabel => write!(f, "no label: other contents"),
            LabelError::BadChecksum { expected, found } => write!(
                f,
                "the label is damaged: it states checksum {found:08x}, its bytes have {expected:08x}"
            ),
            LabelError::UnsupportedVersion { found } => write!(
                f,
                "the label has format version {found}, this program knows {}",
                layout::VERSION
            ),
            LabelError::UnsupportedFeatures { bits } => {
                write!(
                    f,
                    "the label needs features that this program does not know: {:#x}",
                    bits.bits()
                )
            }
            LabelError::BadCopy { found } => {
                write!(f, "the label says that it is copy {found}; there are only 0 and 1")
            }
            LabelError::NilUuid => write!(f, "the label has no PV UUID"),
            LabelError::ReservedNotZero => write!(f, "reserved bytes of the label are not zero"),
            LabelError::Geometry(error) => write!(f, "the label makes no sense: {error}"),
        }
    }
}

impl core::error::Error for LabelError {}
