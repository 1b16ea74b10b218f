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

use lvshift_frontend_common::control::parse_uuid;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    let words: Vec<&str> = args.iter().skip(1).filter_map(|arg| arg.to_str()).collect();
    match words.as_slice() {
        ["daemon", "--vg", uuid] => daemon(uuid, false),
        ["daemon", "--vg", uuid, "--foreground"] | ["daemon", "--foreground", "--vg", uuid] => {
            daemon(uuid, true)
        }
        ["daemon", "--failpoints"] => {
            failpoint::Point::ALL.iter().for_each(|(_, name)| println!("{name}"));
            ExitCode::SUCCESS
        }
        ["daemon", ..] => usage(),
        #[cfg(feature = "bench")]
        ["bench-copy", source, destination, bytes] => bench::copy(source, destination, bytes),
        ["upgrade" | "tables" | "tune", ..] => extra::run(&words),
        _ => lvshift_frontend_common::program::run(&mut client::Ublk::default(), args),
    }
}

fn daemon(uuid: &str, foreground: bool) -> ExitCode {
    parse_uuid(uuid).map_or_else(usage, |vg| daemon::main(vg, foreground))
}

fn usage() -> ExitCode {
    eprintln!("usage: lvshift-ublk daemon --vg UUID [--foreground]");
    ExitCode::from(3)
}
