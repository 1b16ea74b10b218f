//! Which PVs have appeared since the boot, so that the last one of a VG is known as the last without a
//! look at all devices: under `/run/lvshift/online` a file for each PV with its device's number.

use std::fs;
use std::path::{Path, PathBuf};

use lvshift_core::units::{DeviceNumber, Uuid};

use crate::error::{Error, Kind, Result};
use crate::lock::run_directory;

fn directory() -> Result<PathBuf> {
    let path = run_directory()?.join("online");
    match fs::create_dir(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(failed(error)),
        _ => Ok(path),
    }
}

/// Notes that the PV is there.
pub(crate) fn note(pv: Uuid, device: DeviceNumber) -> Result<()> {
    note_in(&directory()?, pv, device)
}

/// Whether all of these are there.
pub(crate) fn are_all(pvs: &[Uuid]) -> Result<bool> {
    let directory = directory()?;
    let exists = |number: &str| Path::new("/sys/dev/block").join(number).exists();
    Ok(pvs.iter().all(|pv| is_in(&directory, *pv, exists)))
}

fn note_in(directory: &Path, pv: Uuid, device: DeviceNumber) -> Result<()> {
    // Whole or not at all: another event may read it now.
    let scratch = directory.join(format!(".{pv}"));
    fs::write(&scratch, device.to_string())
        .and_then(|()| fs::rename(&scratch, directory.join(pv.to_string())))
        .map_err(failed)
}

/// A device that went away since takes its PV with it.
fn is_in(directory: &Path, pv: Uuid, exists: impl Fn(&str) -> bool) -> bool {
    fs::read_to_string(directory.join(pv.to_string())).is_ok_and(|number| exists(number.trim()))
}

fn failed(error: std::io::Error) -> Error {
    Error::new(Kind::Kernel, "the directory /run/lvshift/online cannot be used").because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pv_is_there_as_long_as_its_device() {
        let directory = std::env::temp_dir().join(format!("lvshift-online-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let (here, away) = (Uuid([1; 16]), Uuid([2; 16]));
        note_in(&directory, here, DeviceNumber { major: 8, minor: 16 }).expect("noted");
        assert!(is_in(&directory, here, |number| number == "8:16"));
        assert!(!is_in(&directory, here, |_| false), "its device went away");
        assert!(!is_in(&directory, away, |_| true));
        fs::remove_dir_all(&directory).expect("removed");
    }
}
