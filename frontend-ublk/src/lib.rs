//! `lvshift-ublk`: LVM's commands over a ublk userspace device, with a `pvmove` whose mirror is ours.
//!
//! The program is [`main`]. With the feature `sim` everything but [`platform`] is the same and runs
//! over a host that the simulator makes up.
// What is printed goes through `output`, which never panics and never keeps a mover waiting.
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![cfg_attr(
    feature = "sim",
    expect(dead_code, reason = "the simulator has no use for the driver's bytes and the sockets")
)]

mod backing;
#[cfg(feature = "bench")]
pub mod bench;
mod channel;
mod client;
mod commands;
mod daemon;
mod device;
mod errors;
mod events;
mod failpoint;
mod latency;
mod limits;
mod live;
mod mirror;
pub mod platform;
mod protocol;
mod queue;
mod queues;
mod quiesce;
mod status;
mod uapi;

use std::ffi::OsString;
use std::process::ExitCode;

use lvshift_frontend_common::{cli, program};

/// Does what these words say: a command, or the daemon of a VG.
#[must_use]
pub fn main(args: &[OsString]) -> ExitCode {
    #[cfg(feature = "bench")]
    if let [_, what, rest @ ..] = args
        && what == "bench-copy"
    {
        let words: Vec<&str> = rest.iter().filter_map(|word| word.to_str()).collect();
        if let [source, destination, bytes] = words.as_slice() {
            return platform::bench_copy(source, destination, bytes);
        }
    }
    match cli::own_command("lvshift-ublk", args) {
        Some((own, _)) => commands::run(own),
        None => program::run(&mut client::Ublk::default(), args.to_vec()),
    }
}
