//! What may happen to a chunk of a moving part now: the chunk tracker.
//!
//! One 32-bit word per chunk holds its phase, the number of admitted writers and the queues that
//! parked something there ([`Word`]). [`step()`] says what each event does to it and is pure;
//! [`ChunkCell`] applies it atomically; [`Tracker`] does so for a whole part and adds the overlap
//! guard, the lists of wanted chunks, the part's health and who is in charge. No lock anywhere.
//! The whole picture is in docs/chunk-tracker.md.

mod admit;
mod cell;
mod copies;
mod effects;
mod flushes;
mod geometry;
mod group;
pub(crate) mod guard;
pub(crate) mod health;
mod hold;
mod log;
mod piece;
mod queue;
mod step;
mod ticket;
mod tracker;
mod wanted;
mod word;

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

pub use admit::Fallback;
pub use cell::ChunkCell;
pub use effects::Effects;
pub use flushes::{FlushEpochs, FlushTicket, Turn};
pub use geometry::{ChunkIndex, Geometry, GeometryError, RangeError};
pub use group::{GROUP_CHUNKS, Group};
pub use health::{Authority, Fault, Sealed};
pub use hold::Held;
pub use log::SettleRound;
pub use piece::Piece;
pub use queue::{MAX_QUEUES, QueueId, QueueMask};
pub use step::{Event, Intent, Outcome, Route, Step, Want, WritePolicy, step};
pub use ticket::{AppResult, Completed, CopyOutcome, CopyTicket, WriteOutcome, WriteTicket};
pub use tracker::{Admission, AdmitError, Borrowed, Cells, Content, Parked, Tracker};
pub use word::{MAX_WRITERS, Phase, Word};
