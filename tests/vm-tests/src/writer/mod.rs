//! A writer that knows what it wrote.
//!
//! Every 512-byte sector it writes is a function of (seed, sector, version) with
//! a checksum ([`stamp`]), so a checker can tell a lost write from a misplaced
//! one and says which older version it found. The oracle ([`oracle`]) remembers
//! what was acknowledged; a checkpoint of it outlives a power cut.

mod aligned;
mod engine;
pub mod hash;
pub mod oracle;
mod overlap;
pub mod stamp;

pub use aligned::Aligned;
pub use engine::{Config, Counters, IoFault, Outcome, Writer};
pub use overlap::{History, OverlapWriter, Overlapping};
