//! `lvshift-ublk`: LVM's commands over a ublk userspace device, with a `pvmove` whose mirror is ours.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    lvshift_ublk::main(&args)
}
