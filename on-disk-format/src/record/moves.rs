//! A move record.

use super::{RecordError, check_flags, check_reserved};
use crate::Uuid;
use crate::layout::moves as at;

/// How far a move has come, as its record stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MoveState {
    /// Planned: destination extents are reserved, nothing is mirrored, the log means nothing. Stored as 1.
    Queued,
    /// The source is in charge; where the LV is mirrored or inactive the log is to be believed. Stored as 2.
    Copying,
    /// On the way back to the source; the log is void. Stored as 3.
    Aborting,
    /// The destination is in charge; source extents are still reserved. Stored as 4.
    Moved,
}

impl MoveState {
    fn decode(state: u32) -> Result<MoveState, RecordError> {
        match state {
            1 => Ok(MoveState::Queued),
            2 => Ok(MoveState::Copying),
            3 => Ok(MoveState::Aborting),
            4 => Ok(MoveState::Moved),
            state => Err(RecordError::UnknownState { state }),
        }
    }

    fn encode(self) -> u32 {
        match self {
            MoveState::Queued => 1,
            MoveState::Copying => 2,
            MoveState::Aborting => 3,
            MoveState::Moved => 4,
        }
    }
}

/// A move record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoveRecord {
    /// The move's name for ever.
    pub uuid: Uuid,
    /// Shared by the moves of one command.
    pub command: Uuid,
    /// How far the move has come.
    pub state: MoveState,
    /// Sectors of a chunk.
    pub chunk_sectors: u32,
}

impl MoveRecord {
    /// The bytes of the record.
    pub const SIZE: usize = at::SIZE;

    /// Reads the record.
    ///
    /// # Errors
    /// [`RecordError`] for bytes that this version does not define.
    pub fn decode(bytes: &[u8; at::SIZE]) -> Result<MoveRecord, RecordError> {
        check_flags(u32::from_le_bytes(at::FLAGS.get(bytes)))?;
        check_reserved(at::RESERVED.is_zero(bytes))?;
        Ok(MoveRecord {
            uuid: Uuid(at::UUID.get(bytes)),
            command: Uuid(at::COMMAND.get(bytes)),
            state: MoveState::decode(u32::from_le_bytes(at::STATE.get(bytes)))?,
            chunk_sectors: u32::from_le_bytes(at::CHUNK_SECTORS.get(bytes)),
        })
    }

    /// Writes the record over all of `bytes`.
    pub fn encode(&self, bytes: &mut [u8; at::SIZE]) {
        bytes.fill(0);
        at::UUID.put(bytes, self.uuid.0);
        at::COMMAND.put(bytes, self.command.0);
        at::STATE.put(bytes, self.state.encode().to_le_bytes());
        at::CHUNK_SECTORS.put(bytes, self.chunk_sectors.to_le_bytes());
    }
}
