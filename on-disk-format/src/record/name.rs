//! A name as it is stored: its length, its bytes, zeros.

use super::RecordError;
use crate::layout::name as at;

/// 1 to 127 bytes; whether they are a legal name is decided by the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawName {
    length: u8,
    bytes: [u8; 127],
}

impl RawName {
    /// The name as it will be stored; `None` when empty or longer than 127 bytes.
    pub fn new(name: &[u8]) -> Option<RawName> {
        let length = u8::try_from(name.len()).ok().filter(|&length| length > 0)?;
        let mut bytes = [0; 127];
        bytes.get_mut(..name.len())?.copy_from_slice(name);
        Some(RawName { length, bytes })
    }

    /// The bytes of the name.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    pub(super) fn decode(field: &[u8; at::SIZE]) -> Result<RawName, RecordError> {
        let [length] = at::LENGTH.get(field);
        let bytes = at::BYTES.get(field);
        let padding = bytes.get(usize::from(length)..).ok_or(RecordError::BadName)?;
        if length == 0 || padding.iter().any(|&byte| byte != 0) {
            return Err(RecordError::BadName);
        }
        Ok(RawName { length, bytes })
    }

    pub(super) fn encode(&self) -> [u8; at::SIZE] {
        let mut field = [0; at::SIZE];
        at::LENGTH.put(&mut field, [self.length]);
        at::BYTES.put(&mut field, self.bytes);
        field
    }
}
