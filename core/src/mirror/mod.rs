//! The mirror of a move: its parts, and the copier that makes them equal and keeps them so on disk.
//!
//! A [`Part`] is shared by those who serve requests and by one [`Copier`] per volume. The copier does no
//! I/O: it yields [`Operation`]s on devices and buffers that the caller has, by number, and takes their
//! ends; time comes in as [`Nanos`](crate::copier::Nanos).

mod compare;
mod confirm;
mod copier;
mod copy;
mod lane;
mod load;
mod operation;
mod pacing;
mod part;
mod settle;
mod state;
mod verify;
mod volume;
mod zeroes;

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;

/// For the explorer of a whole move, which takes their steps in every order.
#[cfg(all(test, not(any(loom, shuttle))))]
pub(crate) use self::{copy::Slot, lane::Lane, settle::Settle};
pub use copier::Copier;
pub use load::LogLoad;
pub use operation::{Buffer, Buffers, COPY_BLOCK, COPY_SLOTS, Ended, Next, Operation, Tag};
pub use pacing::{DEADLINE, Tuning};
pub use part::{MAX_GIVEN_UP, Part, PartIndex, PartPlace};
pub use state::PartState;
pub use volume::{Moment, Volume, check_destinations, fail_all, flush_failed, may_be_built_anew};
