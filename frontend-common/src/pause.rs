//! Which VGs' moves are paused, and stay so over a boot: `/var/lib/lvshift/paused/VG`, which the units' script looks
//! for, too (`packaging/lib/pvmove`).

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::PathBuf;

use crate::error::{Error, Kind, Result};
use crate::journal;
use crate::lock::private_directory;

fn directory() -> Result<PathBuf> {
    Ok(journal::state_directory()?.join("paused"))
}

/// Notes that the moves of this VG are not to be carried on by themselves.
///
/// # Errors
/// `Kind::Io`.
pub fn note(vg: &str) -> Result<()> {
    let directory = directory()?;
    private_directory(&directory)?;
    let write = || -> std::io::Result<()> {
        File::create(directory.join(vg))?.sync_all()?;
        File::open(&directory)?.sync_all()
    };
    write().map_err(failed)
}

/// Takes the note back.
///
/// # Errors
/// `Kind::Io`.
pub fn forget(vg: &str) -> Result<()> {
    match fs::remove_file(directory()?.join(vg)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

/// Whether there is one.
#[must_use]
pub fn is_noted(vg: &str) -> bool {
    directory().is_ok_and(|directory| directory.join(vg).exists())
}

fn failed(error: std::io::Error) -> Error {
    Error::new(Kind::Io, "the note that the VG is paused cannot be changed")
        .because(error)
        .state("what the daemon does now is as it was asked")
        .next("try again: without the note the move is carried on after the next boot")
}
