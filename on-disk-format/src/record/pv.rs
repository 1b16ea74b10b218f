//! A PV record.

use super::{RecordError, one_flag};
use crate::Uuid;
use crate::features::RecordFlags;
use crate::layout::pv as at;

/// A PV record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PvRecord {
    /// The PV's name for ever.
    pub uuid: Uuid,
    /// Sectors of the device when it joined.
    pub device_size: u64,
    /// The sector where extent 0 starts.
    pub pe_start: u64,
    /// The sector where the dirty-log area starts.
    pub log_start: u64,
    /// Sectors of the dirty-log area.
    pub log_size: u64,
    /// How many extents.
    pub pe_count: u32,
    /// The newest commit that it may hold, if later ones were made without it; 0: it lacks none.
    pub behind: u64,
    /// It takes no changes and is being left: commits are made without it, also those about it.
    pub leaving: bool,
}

impl PvRecord {
    /// The bytes of the record.
    pub const SIZE: usize = at::SIZE;

    /// Reads the record.
    ///
    /// # Errors
    /// [`RecordError`] for bytes that this version does not define.
    pub fn decode(bytes: &[u8; at::SIZE]) -> Result<PvRecord, RecordError> {
        let flags = u32::from_le_bytes(at::FLAGS.get(bytes));
        let leaving = one_flag(flags, RecordFlags::LEAVING)?;
        Ok(PvRecord {
            uuid: Uuid(at::UUID.get(bytes)),
            device_size: u64::from_le_bytes(at::DEVICE_SIZE.get(bytes)),
            pe_start: u64::from_le_bytes(at::PE_START.get(bytes)),
            log_start: u64::from_le_bytes(at::LOG_START.get(bytes)),
            log_size: u64::from_le_bytes(at::LOG_SIZE.get(bytes)),
            pe_count: u32::from_le_bytes(at::PE_COUNT.get(bytes)),
            behind: u64::from_le_bytes(at::BEHIND.get(bytes)),
            leaving,
        })
    }

    /// Writes the record over all of `bytes`.
    pub fn encode(&self, bytes: &mut [u8; at::SIZE]) {
        bytes.fill(0);
        at::UUID.put(bytes, self.uuid.0);
        at::DEVICE_SIZE.put(bytes, self.device_size.to_le_bytes());
        at::PE_START.put(bytes, self.pe_start.to_le_bytes());
        at::LOG_START.put(bytes, self.log_start.to_le_bytes());
        at::LOG_SIZE.put(bytes, self.log_size.to_le_bytes());
        at::PE_COUNT.put(bytes, self.pe_count.to_le_bytes());
        at::BEHIND.put(bytes, self.behind.to_le_bytes());
        let flags = if self.leaving { RecordFlags::LEAVING } else { RecordFlags::empty() };
        at::FLAGS.put(bytes, flags.bits().to_le_bytes());
    }
}
