//! What the test VM runs, and what the host must know to run it.
//!
//! The host side (`xtask`) reads [`conformance::all`] and [`report`]; everything
//! else here runs inside the guest.

pub mod bench;
pub mod conformance;
pub mod guest;
mod null_blk;
mod processes;
pub mod report;
pub mod scenario;
pub mod side_disk;
pub mod writer;
