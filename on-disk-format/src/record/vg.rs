//! The VG record: what the VG is, and how many records of each kind follow.

use super::{RawName, RawSystemId, RecordError, check_reserved, flags, no_autoactivation};
use crate::Uuid;
use crate::layout::vg as at;

/// The VG record: what the VG is, and how many records of each kind follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VgRecord {
    /// The VG's name for ever.
    pub uuid: Uuid,
    /// Its name for people.
    pub name: RawName,
    /// Sectors of an extent.
    pub extent_size: u32,
    /// How many PV records follow.
    pub pv_count: u32,
    /// How many LV records.
    pub lv_count: u32,
    /// How many segment records.
    pub segment_count: u32,
    /// How many move records.
    pub move_count: u32,
    /// How many move-part records.
    pub part_count: u32,
    /// The system id of the host that the VG belongs to.
    pub system_id: RawSystemId,
    /// It is activated by a command that names it, and not because disks appeared.
    pub no_autoactivation: bool,
}

impl VgRecord {
    /// The bytes of the record.
    pub const SIZE: usize = at::SIZE;

    /// Reads the record.
    ///
    /// # Errors
    /// [`RecordError`] for bytes that this version does not define.
    pub fn decode(bytes: &[u8; at::SIZE]) -> Result<VgRecord, RecordError> {
        check_reserved(at::RESERVED.is_zero(bytes))?;
        Ok(VgRecord {
            uuid: Uuid(at::UUID.get(bytes)),
            name: RawName::decode(&at::NAME.get(bytes))?,
            extent_size: u32::from_le_bytes(at::EXTENT_SIZE.get(bytes)),
            pv_count: u32::from_le_bytes(at::PV_COUNT.get(bytes)),
            lv_count: u32::from_le_bytes(at::LV_COUNT.get(bytes)),
            segment_count: u32::from_le_bytes(at::SEGMENT_COUNT.get(bytes)),
            move_count: u32::from_le_bytes(at::MOVE_COUNT.get(bytes)),
            part_count: u32::from_le_bytes(at::PART_COUNT.get(bytes)),
            system_id: RawSystemId::decode(&at::SYSTEM_ID.get(bytes))?,
            no_autoactivation: no_autoactivation(u32::from_le_bytes(at::FLAGS.get(bytes)))?,
        })
    }

    /// Writes the record over all of `bytes`.
    pub fn encode(&self, bytes: &mut [u8; at::SIZE]) {
        bytes.fill(0);
        at::UUID.put(bytes, self.uuid.0);
        at::NAME.put(bytes, self.name.encode());
        at::EXTENT_SIZE.put(bytes, self.extent_size.to_le_bytes());
        at::PV_COUNT.put(bytes, self.pv_count.to_le_bytes());
        at::LV_COUNT.put(bytes, self.lv_count.to_le_bytes());
        at::SEGMENT_COUNT.put(bytes, self.segment_count.to_le_bytes());
        at::MOVE_COUNT.put(bytes, self.move_count.to_le_bytes());
        at::PART_COUNT.put(bytes, self.part_count.to_le_bytes());
        at::SYSTEM_ID.put(bytes, self.system_id.encode());
        at::FLAGS.put(bytes, flags(self.no_autoactivation));
    }
}
