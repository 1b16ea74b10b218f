//! An LV record.

use super::{RawName, RecordError, check_reserved, flags, no_autoactivation};
use crate::Uuid;
use crate::layout::lv as at;

/// An LV record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LvRecord {
    /// The LV's name for ever.
    pub uuid: Uuid,
    /// Its name for people.
    pub name: RawName,
    /// How many extents.
    pub le_count: u32,
    /// It is activated by a command that names it, and not because disks appeared.
    pub no_autoactivation: bool,
}

impl LvRecord {
    /// The bytes of the record.
    pub const SIZE: usize = at::SIZE;

    /// Reads the record.
    ///
    /// # Errors
    /// [`RecordError`] for bytes that this version does not define.
    pub fn decode(bytes: &[u8; at::SIZE]) -> Result<LvRecord, RecordError> {
        check_reserved(at::RESERVED.is_zero(bytes))?;
        Ok(LvRecord {
            uuid: Uuid(at::UUID.get(bytes)),
            name: RawName::decode(&at::NAME.get(bytes))?,
            le_count: u32::from_le_bytes(at::LE_COUNT.get(bytes)),
            no_autoactivation: no_autoactivation(u32::from_le_bytes(at::FLAGS.get(bytes)))?,
        })
    }

    /// Writes the record over all of `bytes`.
    pub fn encode(&self, bytes: &mut [u8; at::SIZE]) {
        bytes.fill(0);
        at::UUID.put(bytes, self.uuid.0);
        at::NAME.put(bytes, self.name.encode());
        at::LE_COUNT.put(bytes, self.le_count.to_le_bytes());
        at::FLAGS.put(bytes, flags(self.no_autoactivation));
    }
}
