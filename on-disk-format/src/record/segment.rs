//! A segment record: a run of logical extents on consecutive physical ones.

use super::{RecordError, check_flags, check_reserved};
use crate::layout::segment as at;

/// A segment record: a run of logical extents on consecutive physical ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentRecord {
    /// Index of the LV record.
    pub lv: u16,
    /// Index of the PV record.
    pub pv: u16,
    /// First logical extent.
    pub first: u32,
    /// How many extents.
    pub count: u32,
    /// First physical extent.
    pub pe: u32,
}

impl SegmentRecord {
    /// The bytes of the record.
    pub const SIZE: usize = at::SIZE;

    /// Reads the record.
    ///
    /// # Errors
    /// [`RecordError`] for bytes that this version does not define.
    pub fn decode(bytes: &[u8; at::SIZE]) -> Result<SegmentRecord, RecordError> {
        check_flags(u32::from_le_bytes(at::FLAGS.get(bytes)))?;
        check_reserved(at::RESERVED.is_zero(bytes))?;
        Ok(SegmentRecord {
            lv: u16::from_le_bytes(at::LV.get(bytes)),
            pv: u16::from_le_bytes(at::PV.get(bytes)),
            first: u32::from_le_bytes(at::FIRST.get(bytes)),
            count: u32::from_le_bytes(at::COUNT.get(bytes)),
            pe: u32::from_le_bytes(at::PE.get(bytes)),
        })
    }

    /// Writes the record over all of `bytes`.
    pub fn encode(&self, bytes: &mut [u8; at::SIZE]) {
        bytes.fill(0);
        at::LV.put(bytes, self.lv.to_le_bytes());
        at::PV.put(bytes, self.pv.to_le_bytes());
        at::FIRST.put(bytes, self.first.to_le_bytes());
        at::COUNT.put(bytes, self.count.to_le_bytes());
        at::PE.put(bytes, self.pe.to_le_bytes());
    }
}
