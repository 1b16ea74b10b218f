//! `lvshift-dm`: LVM's commands over kernel device-mapper targets, with a `pvmove` that never calls
//! moved what is not.
// What is printed goes through `output`, which never panics and never keeps a mover waiting.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod events;
mod front;
mod ioctl;
mod kernel;
mod lvm2;
mod names;
mod nodes;
mod shadow;
mod status;
mod tables;
mod udev;

use std::process::ExitCode;

fn main() -> ExitCode {
    lvshift_frontend_common::program::run(&mut front::Dm::default(), std::env::args_os())
}
