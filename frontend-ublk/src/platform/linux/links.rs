//! The link `/dev/VG/LV`. Where udevd runs it makes the same link by our rules, so that whoever waits for
//! it (systemd, for a file system in fstab) hears of it; it is told the names and asked to look again.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use lvshift_core::units::DeviceNumber;
use lvshift_frontend_common::error::{Error, Kind, Result};

use super::files;

fn link(vg: &str, lv: &str) -> PathBuf {
    Path::new("/dev").join(vg).join(lv)
}

/// Makes it, or puts it right.
pub(crate) fn make(vg: &str, lv: &str, node: &Path) -> Result<()> {
    let link = link(vg, lv);
    if fs::canonicalize(&link).is_ok_and(|found| found == node) {
        tell_udev(vg, lv, node);
        return Ok(());
    }
    let failed = |error| failed(&link, error);
    if let Some(directory) = link.parent() {
        fs::create_dir_all(directory).map_err(failed)?;
    }
    remove_file(&link)?;
    symlink(node, &link).map_err(failed)?;
    tell_udev(vg, lv, node);
    Ok(())
}

/// What udev's rules will ask is written down first.
fn tell_udev(vg: &str, lv: &str, node: &Path) {
    let Some(device) = node.file_name() else { return };
    if files::name(device).is_some_and(|(known, name)| known == vg && name == lv) {
        return;
    }
    let told = files::keep_name(device, vg, lv).and_then(|()| {
        let uevent = Path::new("/sys/block").join(device).join("uevent");
        fs::write(&uevent, "change").map_err(|error| failed(&uevent, error))
    });
    // Without it udev makes no link; ours is there.
    let _ = told;
}

/// The names of the VG and the LV that a device is.
pub(crate) fn lv_at(device: DeviceNumber) -> Option<(String, String)> {
    let path = fs::canonicalize(format!("/sys/dev/block/{device}")).ok()?;
    files::name(path.file_name()?)
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
