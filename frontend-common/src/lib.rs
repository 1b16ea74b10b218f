//! What both front ends share and only `std` can do: the command line, finding and opening PVs,
//! metadata I/O, the VG lock, the driver loop of a move, reports and progress.
// What is printed goes through `output`, which never panics and never keeps a mover waiting.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod activation;
pub mod cli;
pub mod commands;
pub mod counted;
pub mod device;
pub mod drive;
pub mod error;
pub(crate) mod exclusive;
pub mod factor;
mod failpoint;
pub mod front_end;
pub mod journal;
pub mod journald;
pub mod links;
pub mod lock;
pub mod lvm2;
pub mod output;
pub mod pause;
pub mod program;
pub mod progress;
pub mod pv;
pub mod report;
pub mod requests;
pub mod signature;
#[cfg(feature = "sim")]
pub mod simulation;
pub mod size;
pub mod stages;
pub mod system_id;
pub mod systemd;
pub mod vg;
pub mod warnings;

#[cfg(test)]
mod testing;
