//! What checks natively what the scenarios in the VM cannot: disks with a power switch and what a cut
//! leaves on them, and the simulator.
//!
//! `xtask` uses [`disk_server`] and [`crash_images`]; the programs `sim` and `metadata` are run by it.

pub mod crash_images;
pub mod disk_server;
#[cfg(feature = "sim")]
pub mod sim;
