//! A metadata slot: a header that proves whose metadata it is and that it is whole, then the
//! payload.

use core::fmt;

use crate::Uuid;
use crate::checksum::crc32c;
use crate::features::{Compat, Features, Incompat, RoCompat};
use crate::layout::{self, slot as at};

#[cfg(test)]
mod tests;

/// Which of the two slots of a PV.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SlotIndex {
    /// The first.
    Zero,
    /// The second.
    One,
}

impl SlotIndex {
    /// Both, in order.
    pub const ALL: [SlotIndex; 2] = [SlotIndex::Zero, SlotIndex::One];

    /// The slot that the next commit writes when this one holds the newest metadata.
    pub const fn other(self) -> SlotIndex {
        match self {
            SlotIndex::Zero => SlotIndex::One,
            SlotIndex::One => SlotIndex::Zero,
        }
    }
}

/// The slot with the higher sequence number, out of what the two slots of one PV hold (`None`:
/// empty or not valid). Equal numbers: the first; whether they may be equal is not decided here.
pub fn newest(sequences: [Option<u64>; 2]) -> Option<SlotIndex> {
    match sequences {
        [None, None] => None,
        [Some(_), None] => Some(SlotIndex::Zero),
        [None, Some(_)] => Some(SlotIndex::One),
        [Some(zero), Some(one)] => Some(if one > zero { SlotIndex::One } else { SlotIndex::Zero }),
    }
}

/// The header of a slot that holds metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotHeader {
    features: Features,
    /// The VG whose metadata this is.
    pub vg: Uuid,
    /// The PV that it was written to. A slot on another PV was copied there by foreign hands.
    pub pv: Uuid,
    /// Rises by one with every commit; never 0.
    pub sequence: u64,
    /// Bytes of payload after the header.
    pub payload_size: u32,
    /// The payload's CRC32C; two payloads are taken as equal when size and this are.
    pub payload_crc: u32,
}

/// Why a slot does not hold metadata that this program may use.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotError {
    /// Not a slot and not blank.
    NotASlot,
    /// The header is damaged.
    BadHeaderChecksum {
        /// The checksum that the bytes have.
        expected: u32,
        /// The checksum that the header states.
        found: u32,
    },
    /// The payload is damaged.
    BadPayloadChecksum {
        /// The checksum that the bytes have.
        expected: u32,
        /// The checksum that the header states.
        found: u32,
    },
    /// Written by a newer program.
    UnsupportedVersion {
        /// The version that the header states.
        found: u32,
    },
    /// Uses features that this program does not know.
    UnsupportedFeatures {
        /// The unknown incompatible bits.
        bits: Incompat,
    },
    /// Reserved bytes are not zero.
    ReservedNotZero,
    /// A UUID is zero.
    NilUuid,
    /// The sequence number is 0.
    NoSequence,
    /// The slot is shorter than a header and the stated payload.
    TooShort {
        /// Bytes needed.
        needed: u64,
        /// Bytes there.
        found: u64,
    },
}

impl SlotHeader {
    /// The bytes of a header.
    pub const SIZE: usize = at::HEADER_SIZE;

    /// Whether this program knows enough to write metadata after this.
    pub fn is_writable(&self) -> bool {
        self.features.writable()
    }

    /// Reads a header; `Ok(None)` where it is blank.
    ///
    /// # Errors
    /// [`SlotError`], without the ones about the payload.
    pub fn decode(bytes: &[u8; at::HEADER_SIZE]) -> Result<Option<SlotHeader>, SlotError> {
        if at::MAGIC.get(bytes) != at::MAGIC_BYTES {
            let blank = bytes.iter().all(|&byte| byte == 0);
            return if blank { Ok(None) } else { Err(SlotError::NotASlot) };
        }
        let expected = checksum(bytes);
        let found = u32::from_le_bytes(at::CRC.get(bytes));
        if expected != found {
            return Err(SlotError::BadHeaderChecksum { expected, found });
        }
        let version = u32::from_le_bytes(at::VERSION.get(bytes));
        if version != layout::VERSION {
            return Err(SlotError::UnsupportedVersion { found: version });
        }
        let features = Features {
            compat: Compat::from_bits_retain(u64::from_le_bytes(at::COMPAT.get(bytes))),
            ro_compat: RoCompat::from_bits_retain(u64::from_le_bytes(at::RO_COMPAT.get(bytes))),
            incompat: Incompat::from_bits_retain(u64::from_le_bytes(at::INCOMPAT.get(bytes))),
        };
        if !features.unsupported().is_empty() {
            return Err(SlotError::UnsupportedFeatures { bits: features.unsupported() });
        }
        if !at::RESERVED.is_zero(bytes) {
            return Err(SlotError::ReservedNotZero);
        }
        let header = SlotHeader {
            features,
            vg: Uuid(at::VG_UUID.get(bytes)),
            pv: Uuid(at::PV_UUID.get(bytes)),
            sequence: u64::from_le_bytes(at::SEQUENCE.get(bytes)),
            payload_size: u32::from_le_bytes(at::PAYLOAD_SIZE.get(bytes)),
            payload_crc: u32::from_le_bytes(at::PAYLOAD_CRC.get(bytes)),
        };
        if header.vg.is_nil() || header.pv.is_nil() {
            return Err(SlotError::NilUuid);
        }
        if header.sequence == 0 {
            return Err(SlotError::NoSequence);
        }
        Ok(Some(header))
    }

    fn encode(&self, bytes: &mut [u8; at::HEADER_SIZE]) {
        bytes.fill(0);
        at::MAGIC.put(bytes, at::MAGIC_BYTES);
        at::VERSION.put(bytes, layout::VERSION.to_le_bytes());
        at::PAYLOAD_SIZE.put(bytes, self.payload_size.to_le_bytes());
        at::COMPAT.put(bytes, self.features.compat.bits().to_le_bytes());
        at::RO_COMPAT.put(bytes, self.features.ro_compat.bits().to_le_bytes());
        at::INCOMPAT.put(bytes, self.features.incompat.bits().to_le_bytes());
        at::VG_UUID.put(bytes, self.vg.0);
        at::PV_UUID.put(bytes, self.pv.0);
        at::SEQUENCE.put(bytes, self.sequence.to_le_bytes());
        at::PAYLOAD_CRC.put(bytes, self.payload_crc.to_le_bytes());
        at::CRC.put(bytes, checksum(bytes).to_le_bytes());
    }
}

/// Reads a slot from its first bytes on: header, then payload. `Ok(None)` where it is blank.
///
/// # Errors
/// [`SlotError`] says what keeps it from being metadata that this program may use.
pub fn open(slot: &[u8]) -> Result<Option<(SlotHeader, &[u8])>, SlotError> {
    let Some((header, rest)) = slot.split_first_chunk() else {
        return Err(too_short(at::HEADER_SIZE as u64, slot));
    };
    let Some(header) = SlotHeader::decode(header)? else {
        return Ok(None);
    };
    let payload = usize::try_from(header.payload_size)
        .ok()
        .and_then(|size| rest.get(..size))
        .ok_or(too_short(at::HEADER_SIZE as u64 + u64::from(header.payload_size), slot))?;
    let expected = crc32c(payload);
    if expected != header.payload_crc {
        return Err(SlotError::BadPayloadChecksum { expected, found: header.payload_crc });
    }
    Ok(Some((header, payload)))
}

/// Room for a payload of `size` bytes in a slot.
///
/// # Errors
/// [`SlotError::TooShort`].
pub fn payload_mut(slot: &mut [u8], size: usize) -> Result<&mut [u8], SlotError> {
    let end = at::HEADER_SIZE.saturating_add(size);
    let error = too_short(end as u64, slot);
    slot.get_mut(at::HEADER_SIZE..end).ok_or(error)
}

/// Puts the header before a payload of `size` bytes that stands in `slot`, zeros the rest of its
/// last 4096 bytes, and says how many bytes of `slot` are to be written.
///
/// # Errors
/// [`SlotError::TooShort`], [`SlotError::NilUuid`] or [`SlotError::NoSequence`].
pub fn seal(
    slot: &mut [u8],
    vg: Uuid,
    pv: Uuid,
    sequence: u64,
    size: usize,
) -> Result<usize, SlotError> {
    if vg.is_nil() || pv.is_nil() {
        return Err(SlotError::NilUuid);
    }
    if sequence == 0 {
        return Err(SlotError::NoSequence);
    }
    let end = at::HEADER_SIZE.saturating_add(size);
    let padded = end.checked_next_multiple_of(at::HEADER_SIZE).unwrap_or(usize::MAX);
    let error = too_short(padded as u64, slot);
    let payload_size = u32::try_from(size).map_err(|_| error)?;
    slot.get_mut(end..padded).ok_or(error)?.fill(0);
    let (header, rest) = slot.split_first_chunk_mut().ok_or(error)?;
    let payload_crc = crc32c(rest.get(..size).ok_or(error)?);
    let features = Features::KNOWN;
    SlotHeader { features, vg, pv, sequence, payload_size, payload_crc }.encode(header);
    Ok(padded)
}

fn too_short(needed: u64, slot: &[u8]) -> SlotError {
    SlotError::TooShort { needed, found: slot.len() as u64 }
}

fn checksum(bytes: &[u8; at::HEADER_SIZE]) -> u32 {
    crc32c(bytes.get(..at::CRC.start()).unwrap_or_default())
}

impl fmt::Display for SlotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SlotError::NotASlot => write!(f, "no metadata: other contents"),
            SlotError::BadHeaderChecksum { expected, found } => write!(
                f,
                "the metadata header is damaged: it states checksum {found:08x}, its bytes have {expected:08x}"
            ),
            SlotError::BadPayloadChecksum { expected, found } => write!(
                f,
                "the metadata is damaged: its header states checksum {found:08x}, its bytes have {expected:08x}"
            ),
            SlotError::UnsupportedVersion { found } => write!(
                f,
                "the metadata has format version {found}, this program knows {}",
                layout::VERSION
            ),
            SlotError::UnsupportedFeatures { bits } => {
                write!(
                    f,
                    "the metadata needs features that this program does not know: {:#x}",
                    bits.bits()
                )
            }
            SlotError::ReservedNotZero => {
                write!(f, "reserved bytes of the metadata header are not zero")
            }
            SlotError::NilUuid => write!(f, "the metadata header lacks a UUID"),
            SlotError::NoSequence => write!(f, "the metadata has sequence number 0"),
            SlotError::TooShort { needed, found } => {
                write!(f, "the slot has {found} bytes, {needed} are needed")
            }
        }
    }
}

impl core::error::Error for SlotError {}
