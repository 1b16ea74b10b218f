//! A system id as it is stored: its length, its bytes, zeros.

use super::RecordError;
use crate::layout::system_id as at;

/// 0 to 67 bytes, 0 for none; whether they are a legal system id is decided by the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawSystemId {
    length: u8,
    bytes: [u8; 67],
}

impl RawSystemId {
    /// No host's.
    pub const NONE: RawSystemId = RawSystemId { length: 0, bytes: [0; 67] };

    /// The system id as it will be stored; `None` when it is longer than 67 bytes.
    pub fn new(text: &[u8]) -> Option<RawSystemId> {
        let length = u8::try_from(text.len()).ok()?;
        let mut bytes = [0; 67];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        Some(RawSystemId { length, bytes })
    }

    /// The bytes of the system id; none where the VG is no host's.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    pub(super) fn decode(field: &[u8; at::SIZE]) -> Result<RawSystemId, RecordError> {
        let [length] = at::LENGTH.get(field);
        let bytes = at::BYTES.get(field);
        let padding = bytes.get(usize::from(length)..).ok_or(RecordError::BadSystemId)?;
        if padding.iter().any(|&byte| byte != 0) {
            return Err(RecordError::BadSystemId);
        }
        Ok(RawSystemId { length, bytes })
    }

    pub(super) fn encode(&self) -> [u8; at::SIZE] {
        let mut field = [0; at::SIZE];
        at::LENGTH.put(&mut field, [self.length]);
        at::BYTES.put(&mut field, self.bytes);
        field
    }
}
