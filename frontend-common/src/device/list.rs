//! The block devices of this host that could be PVs.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use lvshift_core::units::DeviceNumber;

use super::answers::is_silent;
use super::filter::Filter;
use super::stack::is_on_own_lv;
use super::{OWN_DM_PREFIX, sysfs};
use crate::error::{Error, Kind, Result};
use crate::lock::run_directory;

/// A block device that could be a PV.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its number.
    pub number: DeviceNumber,
    /// The path to open and show.
    pub path: PathBuf,
    /// The devices made from it, and its partitions.
    pub users: Vec<DeviceNumber>,
    /// It takes no writes, as the kernel says.
    pub read_only: bool,
}

/// All block devices that are to be looked at ([`super::filter`]) but our own LVs and what stands on them,
/// empty ones, those whose I/O is stopped (reading one would block for ever), and those that have not
/// answered this process before.
///
/// # Errors
/// `Kind::Kernel` when sysfs is not there.
pub fn candidates() -> Result<Vec<Candidate>> {
    let entries = fs::read_dir("/sys/class/block").map_err(|error| {
        Error::new(Kind::Kernel, "the block devices of this host cannot be listed")
            .because(error)
            .next("mount sysfs at /sys")
    })?;
    let filter = Filter::now();
    let mut found: Vec<Candidate> = entries
        .flatten()
        .filter_map(|entry| {
            if is_own_ublk(&entry.file_name()) {
                return None;
            }
            let number = fs::read_to_string(entry.path().join("dev")).ok()?;
            let number = sysfs::parse_number(&number)?;
            let size: u64 = sysfs::attribute(number, "size")?.parse().ok()?;
            let own = sysfs::dm_uuid(number).is_some_and(|uuid| uuid.starts_with(OWN_DM_PREFIX));
            let stopped = sysfs::attribute(number, "dm/suspended").as_deref() == Some("1");
            let read_only = sysfs::attribute(number, "ro").as_deref() == Some("1");
            if size == 0 || own || stopped || !filter.takes(number) {
                return None;
            }
            if is_on_own_lv(number, &is_own_lv) || is_silent(number) {
                return None;
            }
            let path = sysfs::path_of(number)?;
            Some(Candidate { number, path, users: sysfs::users(number), read_only })
        })
        .collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Whether the device is an LV of ours, on either front end.
pub(crate) fn is_own_lv(number: DeviceNumber) -> bool {
    sysfs::dm_uuid(number).is_some_and(|uuid| uuid.starts_with(OWN_DM_PREFIX))
        || fs::canonicalize(format!("/sys/dev/block/{number}"))
            .is_ok_and(|path| path.file_name().is_some_and(is_own_ublk))
}

/// A ublk device that is an LV of ours, or a partition in one, by the note that its daemon keeps of
/// it. While that daemon is dead, reading the device waits for the next one, which may be us.
fn is_own_ublk(name: &OsStr) -> bool {
    let Some(rest) = name.to_str().and_then(|name| name.strip_prefix("ublkb")) else {
        return false;
    };
    let disk = rest.split('p').next().unwrap_or(rest);
    run_directory()
        .is_ok_and(|directory| directory.join("ublk").join(format!("ublkb{disk}")).exists())
}
