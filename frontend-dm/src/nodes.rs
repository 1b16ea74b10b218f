//! Nodes under `/dev/mapper` and links `/dev/VG/LV`, with udev and without. Where udev has made the
//! node it is left alone; the links are always ours, since no rule of udev knows our volumes.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use lvshift_core::units::DeviceNumber;
use lvshift_frontend_common::error::{Error, Kind, Result};
use lvshift_frontend_common::links;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

fn node(name: &str) -> PathBuf {
    Path::new("/dev/mapper").join(name)
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    Error::new(Kind::Kernel, "a device node or link cannot be made")
        .device(path.display())
        .because(error)
        .state("the device itself is there")
}

/// Makes `/dev/mapper/NAME` name the device.
pub(crate) fn make_node(name: &str, number: DeviceNumber) -> Result<()> {
    let path = node(name);
    let wanted = makedev(number.major, number.minor);
    match fs::metadata(&path) {
        Ok(found) if found.rdev() == wanted => return Ok(()),
        Ok(_) => remove(&path)?,
        Err(error) if error.kind() == ErrorKind::NotFound => remove(&path)?,
        Err(error) => return Err(failed(&path, error)),
    }
    // The link that udev would make: with a node in its place udev complains at every event.
    let kernels = format!("dm-{}", number.minor);
    if fs::metadata(Path::new("/dev").join(&kernels)).is_ok_and(|found| found.rdev() == wanted) {
        return match symlink(Path::new("..").join(kernels), &path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(failed(&path, error)),
            _ => Ok(()),
        };
    }
    match mknodat(CWD, &path, FileType::BlockDevice, Mode::from(0o600), wanted) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(failed(&path, error.into())),
    }
}

/// Makes the link `/dev/VG/LV`.
pub(crate) fn make_link(vg: &str, lv: &str, name: &str) -> Result<()> {
    links::make(vg, lv, &node(name))
}

/// Takes the node away, if it is still there.
pub(crate) fn remove_node(name: &str) -> Result<()> {
    remove(&node(name))
}

/// Takes a node or a link away, and nothing else.
fn remove(path: &Path) -> Result<()> {
    let kind = fs::symlink_metadata(path).map(|found| found.file_type());
    if kind.is_ok_and(|kind| !kind.is_symlink() && !kind.is_block_device()) {
        return Err(failed(path, ErrorKind::AlreadyExists.into()));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(path, error)),
        _ => Ok(()),
    }
}
