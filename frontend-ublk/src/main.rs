//! `lvshift-ublk`: LVM's commands over a ublk userspace device, with a `pvmove` whose mirror is ours.

mod bell;
#[cfg(feature = "bench")]
mod bench;
mod client;
mod control;
mod daemon;
mod device;
mod events;
mod extra;
mod failpoint;
mod files;
mod gate;
mod live;
mod lower;
mod mirror;
mod os;
mod protect;
mod protocol;
mod queue;
mod ring;
mod status;
mod sys;
mod uapi;

use std::process::ExitCode;

use lvshift_frontend_common::{cli, program};

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    #[cfg(feature = "bench")]
    if let [_, what, rest @ ..] = args.as_slice()
        && what == "bench-copy"
    {
        let words: Vec<&str> = rest.iter().filter_map(|word| word.to_str()).collect();
        if let [source, destination, bytes] = words.as_slice() {
            return bench::copy(source, destination, bytes);
        }
    }
    match cli::own_command("lvshift-ublk", &args) {
        Some((own, _)) => extra::run(own),
        None => program::run(&mut client::Ublk::default(), args),
    }
}
