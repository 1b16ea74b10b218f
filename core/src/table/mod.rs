//! Mapping tables: which device and sector a piece of an LV lives on.
//!
//! A [`Segment`] is one line of a table, a [`Table`] a valid list of them with lookup and
//! [`split`](Table::split). [`build()`] makes the lines from the metadata, [`dm`] turns them into
//! the kernel's text and back, [`compare`] tells what is loaded from what was meant.

mod build;
mod compare;
pub mod dm;
mod lookup;
mod merge;
mod segment;
mod split;
mod stored;

pub use build::{Build, BuildError, Devices, Shadow, build};
pub use compare::{Difference, compare, observe};
pub use lookup::{Table, TableError};
pub use merge::{Merge, merge};
pub use segment::{Area, Log, Mirror, Segment, SyncHint, Target};
pub use split::{OutOfRange, Piece, Split};
pub use stored::StoredTable;
