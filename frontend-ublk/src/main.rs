//! `lvshift-ublk`: LVM's commands over a ublk userspace device, with a `pvmove` whose mirror is ours.

mod client;
mod control;
mod daemon;
mod device;
mod events;
mod files;
mod gate;
mod live;
mod lower;
mod mirror;
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
    if let ["daemon", rest @ ..] = words.as_slice() {
        return match rest {
            ["--vg", uuid] | ["--vg", uuid, "--foreground"] => match parse_uuid(uuid) {
                Some(vg) => daemon::main(vg),
                None => usage(),
            },
            _ => usage(),
        };
    }
    lvshift_frontend_common::cli::run(&mut client::Ublk::default(), args)
}

fn usage() -> ExitCode {
    eprintln!("usage: lvshift-ublk daemon --vg UUID");
    ExitCode::from(3)
}
