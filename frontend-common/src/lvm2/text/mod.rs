//! LVM2's metadata as text: what `vgcfgbackup` writes and `vgcfgrestore` takes. Parsed, changed and
//! printed here, without a device or a process, so that all of it is tested on texts alone.
//!
//! * [`tree`]: the format. * [`volumes`]: what LVM2's words say of PVs, LVs and segments.
//! * [`moves`]: what a move of ours is in them, in each state. * [`edit`]: the changes.
//! * [`roles`]: what LVs are for one another. * [`refuse`]: what is not handled, by name.

pub mod edit;
#[cfg(test)]
mod kinds_tests;
pub mod moves;
pub mod refuse;
pub mod roles;
#[cfg(test)]
mod tests;
pub mod tree;
pub mod volumes;

pub use moves::{Found, Part, Record, State};
pub use tree::{ParseError, Section, Value};
pub use volumes::{Area, Metadata, Segment, Shape};
