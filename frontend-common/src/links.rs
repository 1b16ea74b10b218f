//! The links `/dev/VG/LV`. The names come from disks, and a disk may say anything: `mapper` is a legal
//! name of a VG. So nothing is ever replaced or removed but a symlink to a device of ours, and a directory
//! in which anybody else keeps something is not touched.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::Path;

use crate::device::{is_own_lv, number_of};
use crate::error::{Error, Kind, Result};

const DEV: &str = "/dev";

/// Refuses a VG whose directory under `/dev` is not ours. Comes before its first LV gets a device.
///
/// # Errors
/// `Kind::Exists` naming what stands there.
pub fn check(vg: &str) -> Result<()> {
    check_in(Path::new(DEV), vg)
}

/// Makes the link, or puts it right.
///
/// # Errors
/// As [`check`]; `Kind::Kernel` when it cannot be made.
pub fn make(vg: &str, lv: &str, target: &Path) -> Result<()> {
    make_in(Path::new(DEV), vg, lv, target)
}

/// Whether there is a link to a device of ours.
#[must_use]
pub fn exists(vg: &str, lv: &str) -> bool {
    is_ours(&Path::new(DEV).join(vg).join(lv))
}

/// Takes the link away, if it is ours, and the VG's directory when it is empty.
///
/// # Errors
/// `Kind::Kernel`.
pub fn remove(vg: &str, lv: &str) -> Result<()> {
    remove_in(Path::new(DEV), vg, lv)
}

fn check_in(root: &Path, vg: &str) -> Result<()> {
    let directory = root.join(vg);
    let found = match fs::symlink_metadata(&directory) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(&directory, error)),
    };
    if !found.is_dir() {
        return Err(foreign(&directory, &directory));
    }
    if fs::metadata(root).is_ok_and(|root| root.dev() != found.dev()) {
        return Err(foreign(&directory, &directory).because("something is mounted there"));
    }
    let entries = fs::read_dir(&directory).map_err(|error| failed(&directory, error))?;
    match entries.flatten().find(|entry| !is_ours(&entry.path())) {
        Some(entry) => Err(foreign(&directory, &entry.path())),
        None => Ok(()),
    }
}

fn make_in(root: &Path, vg: &str, lv: &str, target: &Path) -> Result<()> {
    let directory = root.join(vg);
    let link = directory.join(lv);
    // udev may have made it, in its own way.
    let leads = |path: &Path| fs::canonicalize(path).ok();
    let there = fs::read_link(&link).is_ok_and(|found| found == target)
        || leads(&link).is_some_and(|found| leads(target) == Some(found));
    if there {
        return Ok(());
    }
    check_in(root, vg)?;
    match fs::create_dir(&directory) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(failed(&directory, error));
        }
        _ => {}
    }
    remove_ours(&link)?;
    symlink(target, &link).map_err(|error| failed(&link, error))
}

fn remove_in(root: &Path, vg: &str, lv: &str) -> Result<()> {
    let directory = root.join(vg);
    remove_ours(&directory.join(lv))?;
    // Not empty is the usual case, and what another program mounted there is busy.
    if fs::symlink_metadata(&directory).is_ok_and(|found| found.is_dir()) {
        let _ = fs::remove_dir(&directory);
    }
    Ok(())
}

fn remove_ours(link: &Path) -> Result<()> {
    if !is_ours(link) {
        return match fs::symlink_metadata(link) {
            Ok(_) => Err(foreign(link, link)),
            Err(_) => Ok(()),
        };
    }
    match fs::remove_file(link) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(link, error)),
        _ => Ok(()),
    }
}

/// A symlink to an LV of ours, or one whose device is gone and can only have been that.
fn is_ours(link: &Path) -> bool {
    let Ok(target) = fs::read_link(link) else { return false };
    match fs::metadata(link) {
        Ok(found) => found.file_type().is_block_device() && is_own_lv(number_of(found.rdev())),
        Err(error) => error.kind() == ErrorKind::NotFound && names_an_lv(&target),
    }
}

/// `/dev/mapper/NAME`, `/dev/dm-N`, `/dev/ublkbN`, or the same from the directory.
fn names_an_lv(target: &Path) -> bool {
    let text = target.to_string_lossy();
    let short = text.strip_prefix("/dev/").or_else(|| text.strip_prefix("../"));
    let numbered = |text: &str, prefix| {
        text.strip_prefix(prefix)
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    short.is_some_and(|short| {
        short.strip_prefix("mapper/").is_some_and(|name| !name.contains('/') && name.contains('-'))
            || numbered(short, "dm-")
            || numbered(short, "ublkb")
    })
}

fn foreign(directory: &Path, what: &Path) -> Error {
    let what = format!("{} is not lvshift's: {}", directory.display(), what.display());
    Error::new(Kind::Exists, what)
        .device(directory.display())
        .state("nothing was changed there; the LV has no link")
        .next("give the VG another name (vgrename), or move away what stands there")
}

fn failed(path: &Path, error: std::io::Error) -> Error {
    Error::new(Kind::Kernel, "the LV's link cannot be made or removed")
        .device(path.display())
        .because(error)
        .state("the device itself is there")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: &str = "/dev/mapper/none-of-ours";

    fn refused(root: &Path, vg: &str, lv: &str) {
        let error = make_in(root, vg, lv, Path::new(TARGET)).expect_err("it is not ours");
        assert_eq!(error.kind, Kind::Exists, "{error}");
    }

    #[test]
    fn what_others_keep_under_dev_is_never_replaced() {
        let scratch = crate::testing::scratch("links");
        let root = scratch.path();
        // A VG `mapper` with an LV `control`, and one whose LV would stand beside it.
        fs::create_dir(root.join("mapper")).unwrap();
        fs::write(root.join("mapper/control"), b"a node").unwrap();
        refused(root, "mapper", "control");
        refused(root, "mapper", "other");
        remove_in(root, "mapper", "control").expect_err("not ours to remove");
        assert_eq!(fs::read(root.join("mapper/control")).unwrap(), b"a node");
        // A file, a link to a directory, and a link to something that is no LV.
        fs::write(root.join("null"), b"").unwrap();
        refused(root, "null", "lv");
        symlink("mapper", root.join("fd")).unwrap();
        refused(root, "fd", "control");
        fs::create_dir(root.join("disk")).unwrap();
        symlink("/dev/null", root.join("disk/lv")).unwrap();
        refused(root, "disk", "lv");
        assert_eq!(fs::read_link(root.join("disk/lv")).unwrap(), Path::new("/dev/null"));
    }

    #[test]
    fn our_own_links_come_and_go() {
        let scratch = crate::testing::scratch("links");
        let root = scratch.path();
        make_in(root, "vg0", "home", Path::new("/dev/ublkb3")).unwrap();
        make_in(root, "vg0", "home", Path::new(TARGET)).unwrap();
        assert_eq!(fs::read_link(root.join("vg0/home")).unwrap(), Path::new(TARGET));
        make_in(root, "vg0", "swap", Path::new(TARGET)).unwrap();
        remove_in(root, "vg0", "home").unwrap();
        assert!(root.join("vg0").exists());
        remove_in(root, "vg0", "swap").unwrap();
        assert!(!root.join("vg0").exists());
        remove_in(root, "vg0", "swap").unwrap();
    }
}
