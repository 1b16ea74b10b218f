//! A move-part record: one mirror target.

use super::{RecordError, check_flags, check_reserved};
use crate::layout::part as at;

/// A move-part record: one mirror target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartRecord {
    /// Index of the move record.
    pub of: u16,
    /// Index of the LV record.
    pub lv: u16,
    /// First logical extent.
    pub first: u32,
    /// How many extents.
    pub count: u32,
    /// Index of the source's PV record.
    pub source_pv: u16,
    /// Index of the destination's PV record.
    pub destination_pv: u16,
    /// First physical extent on the source.
    pub source_pe: u32,
    /// First physical extent on the destination.
    pub destination_pe: u32,
    /// Sector of the dirty-log image in the destination's log area.
    pub log_offset: u64,
}

impl PartRecord {
    /// The bytes of the record.
    pub const SIZE: usize = at::SIZE;

    /// Reads the record.
    ///
    /// # Errors
    /// [`RecordError`] for bytes that this version does not define.
    pub fn decode(bytes: &[u8; at::SIZE]) -> Result<PartRecord, RecordError> {
        check_flags(u32::from_le_bytes(at::FLAGS.get(bytes)))?;
        check_reserved(at::RESERVED_1.is_zero(bytes) && at::RESERVED_2.is_zero(bytes))?;
        Ok(PartRecord {
            of: u16::from_le_bytes(at::MOVE.get(bytes)),
            lv: u16::from_le_bytes(at::LV.get(bytes)),
            first: u32::from_le_bytes(at::FIRST.get(bytes)),
            count: u32::from_le_bytes(at::COUNT.get(bytes)),
            source_pv: u16::from_le_bytes(at::SOURCE_PV.get(bytes)),
            destination_pv: u16::from_le_bytes(at::DESTINATION_PV.get(bytes)),
            source_pe: u32::from_le_bytes(at::SOURCE_PE.get(bytes)),
            destination_pe: u32::from_le_bytes(at::DESTINATION_PE.get(bytes)),
            log_offset: u64::from_le_bytes(at::LOG_OFFSET.get(bytes)),
        })
    }

    /// Writes the record over all of `bytes`.
    pub fn encode(&self, bytes: &mut [u8; at::SIZE]) {
        bytes.fill(0);
        at::MOVE.put(bytes, self.of.to_le_bytes());
        at::LV.put(bytes, self.lv.to_le_bytes());
        at::FIRST.put(bytes, self.first.to_le_bytes());
        at::COUNT.put(bytes, self.count.to_le_bytes());
        at::SOURCE_PV.put(bytes, self.source_pv.to_le_bytes());
        at::DESTINATION_PV.put(bytes, self.destination_pv.to_le_bytes());
        at::SOURCE_PE.put(bytes, self.source_pe.to_le_bytes());
        at::DESTINATION_PE.put(bytes, self.destination_pe.to_le_bytes());
        at::LOG_OFFSET.put(bytes, self.log_offset.to_le_bytes());
    }
}
