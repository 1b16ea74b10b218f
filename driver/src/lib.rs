//! Drives one move of lvshift from wherever it stands to its end.
//!
//! [`lvshift_core::mover::Mover`] says what is next; its user has to do it, tell what happened, wait for
//! the copy, hear who wants the move stopped, and keep the few rules that are neither the mover's nor
//! those of a kind of metadata: which failure of a commit is the destination's, when the legs are sealed
//! for the hand-over, which PVs a commit of the way back may do without. That is [`drive()`]. What differs
//! between hosts (whose metadata, whose devices, how a table is loaded) is the trait [`Host`].
//!
//! Nothing here allocates, reads a clock or knows a byte of any metadata. `drive` blocks in
//! [`Host::wait`]; whoever cannot block drives the mover itself, in the same way.
#![no_std]
#![forbid(unsafe_code)]

mod copy;
mod drive;
mod host;
mod may_lack;
#[cfg(test)]
mod tests;

pub use copy::{Aside, CopyStatus, Wake};
pub use drive::{Goal, drive};
pub use host::{Host, Observed, Report, Request};
pub use may_lack::MayLack;
