//! What the copier keeps of one part.

use super::lane::Lane;
use crate::chunk::SettleRound;
use crate::copier::Schedule;

/// What the copier keeps of one part.
#[derive(Debug)]
pub struct PartState {
    /// The writer of its dirty log.
    pub(super) lane: Lane,
    /// Its next chunk.
    pub(super) schedule: Schedule,
    /// Its settle round, while one is under way.
    pub(super) round: Option<SettleRound>,
}

impl PartState {
    /// Of a part for which nothing was done yet.
    pub const fn new() -> PartState {
        PartState { lane: Lane::new(), schedule: Schedule::new(), round: None }
    }
}

impl Default for PartState {
    fn default() -> PartState {
        PartState::new()
    }
}
