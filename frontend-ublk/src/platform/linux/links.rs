//! The link `/dev/VG/LV`.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use lvshift_frontend_common::error::{Error, Kind, Result};

fn link(vg: &str, lv: &str) -> PathBuf {
    Path::new("/dev").join(vg).join(lv)
}

/// Makes it, or puts it right.
pub(crate) fn make(vg: &str, lv: &str, node: &Path) -> Result<()> {
    let link = link(vg, lv);
    if fs::read_link(&link).is_ok_and(|found| found == node) {
        return Ok(());
    }
    let failed = |error| failed(&link, error);
    if let Some(directory) = link.parent() {
        fs::create_dir_all(directory).map_err(failed)?;
    }
    remove_file(&link)?;
    symlink(node, &link).map_err(failed)
}

/// Whether it is there.
pub(crate) fn exists(vg: &str, lv: &str) -> bool {
    link(vg, lv).symlink_metadata().is_ok()
}

/// Takes it away, and the VG's directory when it is empty.
pub(crate) fn remove(vg: &str, lv: &str) -> Result<()> {
    let link = link(vg, lv);
    if fs::symlink_metadata(&link).is_ok_and(|found| found.is_symlink()) {
        remove_file(&link)?;
    }
    if let Some(directory) = link.parent() {
        // Not empty is the usual case.
        let _ = fs::remove_dir(directory);
    }
    Ok(())
}

fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(path, error)),
        _ => Ok(()),
    }
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    Error::new(Kind::Kernel, "the LV's link cannot be made or removed")
        .device(path.display())
        .because(error)
        .state("the device itself is there")
}
