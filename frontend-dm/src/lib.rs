//! `lvshift-dm`: LVM's commands over kernel device-mapper targets, with a `pvmove` that never calls
//! moved what is not. `lvshift-ublk` takes its way to device-mapper for VGs of LVM2's own, where LVs are
//! device-mapper's before and after a move.
// What is printed goes through `output`, which never panics and never keeps a mover waiting.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod events;
mod front;
mod ioctl;
mod kernel;
mod lvm2;
mod names;
mod nodes;
mod reach;
mod shadow;
mod status;
mod tables;
mod udev;

use std::ffi::OsString;
use std::process::ExitCode;

use lvshift_frontend_common::error::Result;
use lvshift_frontend_common::front_end::FrontEnd;
use lvshift_frontend_common::lvm2::mapper::Mapper;
use lvshift_frontend_common::program;

/// Does what these words say.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    program::run(&mut front::Dm::default(), args)
}

/// The front end, for whoever only looks at what it serves.
#[must_use]
pub fn looker() -> Box<dyn FrontEnd + Send> {
    let mut dm = front::Dm::default();
    dm.look_only();
    Box::new(dm)
}

/// Device-mapper, for the devices of a VG of LVM2's.
///
/// # Errors
/// `Kind::Kernel` where there is none.
pub fn mapper() -> Result<Box<dyn Mapper + Send>> {
    Ok(Box::new(kernel::Kernel::open(false)?))
}
