//! What the test VM runs, and what the host must know to run it.
//!
//! The host side (`xtask`) reads [`conformance::all`] and [`report`]; everything
//! else here runs inside the guest.

pub mod bench;
pub mod conformance;
pub mod crash_images;
pub mod disk_server;
pub mod guest;
mod null_blk;
pub mod report;
pub mod scenario;
#[cfg(feature = "sim")]
pub mod sim;
pub mod writer;
