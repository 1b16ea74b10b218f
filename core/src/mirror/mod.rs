//! The mirror of a move: what its parts are, and what those who serve requests share with the copier.

mod part;
mod volume;

pub use part::{Part, PartIndex, PartPlace};
pub use volume::{Moment, Volume, check_destinations, fail_all, flush_failed};
