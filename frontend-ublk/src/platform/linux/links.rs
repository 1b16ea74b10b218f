//! The link `/dev/VG/LV`. Where udevd runs it makes the same link by our rules, so that whoever waits for
//! it (systemd, for a file system in fstab) hears of it; it is told the names and asked to look again.

use std::fs;
use std::path::Path;

use lvshift_core::units::DeviceNumber;
use lvshift_frontend_common::error::{Error, Kind, Result};
use lvshift_frontend_common::links;

use super::files;

/// Makes it, or puts it right.
pub(crate) fn make(vg: &str, lv: &str, node: &Path) -> Result<()> {
    links::make(vg, lv, node)?;
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
        fs::write(&uevent, "change").map_err(|error| {
            Error::new(Kind::Kernel, "udev cannot be told").device(uevent.display()).because(error)
        })
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
    links::exists(vg, lv)
}

/// Takes it away, and the VG's directory when it is empty.
pub(crate) fn remove(vg: &str, lv: &str) -> Result<()> {
    links::remove(vg, lv)
}
