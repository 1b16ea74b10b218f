//! What the kernel says about block devices: sysfs, mounts, swaps.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use lvshift_core::units::DeviceNumber;

use super::number::number_of;

/// The kernel's directory of the device.
fn directory(number: DeviceNumber) -> PathBuf {
    PathBuf::from(format!("/sys/dev/block/{number}"))
}

/// One attribute as text without the newline; `None` when it is not there.
pub(crate) fn attribute(number: DeviceNumber, name: &str) -> Option<String> {
    let text = fs::read_to_string(directory(number).join(name)).ok()?;
    Some(text.trim_end().to_owned())
}

/// The number that the kernel gives each disk once and never again; tells a device from another
/// that got its number later.
#[must_use]
pub fn disk_sequence(number: DeviceNumber) -> Option<u64> {
    attribute(number, "diskseq").or_else(|| attribute(number, "../diskseq"))?.parse().ok()
}

/// What the kernel has counted of the requests to a device since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// Reads that have ended.
    pub reads: u64,
    /// What they took together, in milliseconds.
    pub read_ms: u64,
    /// Writes that have ended.
    pub writes: u64,
    /// What they took together, in milliseconds.
    pub write_ms: u64,
}

impl Stat {
    /// All of them.
    #[must_use]
    pub fn requests(self) -> u64 {
        self.reads.saturating_add(self.writes)
    }
}

/// Those of this device.
#[must_use]
pub fn stat(number: DeviceNumber) -> Option<Stat> {
    stat_in(&attribute(number, "stat")?)
}

/// See the kernel's `Documentation/block/stat.rst`.
fn stat_in(text: &str) -> Option<Stat> {
    let numbers: Vec<u64> = text.split_whitespace().map_while(|word| word.parse().ok()).collect();
    let at = |field: usize| numbers.get(field).copied();
    Some(Stat { reads: at(0)?, read_ms: at(3)?, writes: at(4)?, write_ms: at(7)? })
}

/// Parses `major:minor`.
#[must_use]
pub fn parse_number(text: &str) -> Option<DeviceNumber> {
    let (major, minor) = text.trim().split_once(':')?;
    Some(DeviceNumber { major: major.parse().ok()?, minor: minor.parse().ok()? })
}

/// The devices that are made from this one (dm, md, bcache), and its partitions.
#[must_use]
pub fn users(number: DeviceNumber) -> Vec<DeviceNumber> {
    let mut users = Vec::new();
    let base = directory(number);
    if let Ok(holders) = fs::read_dir(base.join("holders")) {
        for holder in holders.flatten() {
            if let Ok(text) = fs::read_to_string(holder.path().join("dev")) {
                users.extend(parse_number(&text));
            }
        }
    }
    users.extend(partitions(number));
    users
}

/// The devices that this one is made from (dm, md, bcache), and the disk that it is a partition of.
#[must_use]
pub(super) fn lower(number: DeviceNumber) -> Vec<DeviceNumber> {
    let base = directory(number);
    let mut lower = Vec::new();
    for below in fs::read_dir(base.join("slaves")).into_iter().flatten().flatten() {
        lower.extend(
            fs::read_to_string(below.path().join("dev")).ok().and_then(|t| parse_number(&t)),
        );
    }
    if base.join("partition").exists() {
        lower.extend(attribute(number, "../dev").and_then(|text| parse_number(&text)));
    }
    lower
}

/// The partitions of a whole disk.
#[must_use]
pub fn partitions(number: DeviceNumber) -> Vec<DeviceNumber> {
    let Ok(entries) = fs::read_dir(directory(number)) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.path().join("partition").exists())
        .filter_map(|entry| parse_number(&fs::read_to_string(entry.path().join("dev")).ok()?))
        .collect()
}

/// The dm UUID of the device, if it is a dm device that has one.
#[must_use]
pub fn dm_uuid(number: DeviceNumber) -> Option<String> {
    attribute(number, "dm/uuid").filter(|uuid| !uuid.is_empty())
}

/// The dm name of the device, if it is a dm device.
#[must_use]
pub fn dm_name(number: DeviceNumber) -> Option<String> {
    attribute(number, "dm/name")
}

/// The name to show a device by: `vda`, or for dm `mapper/NAME`.
#[must_use]
pub fn path_of(number: DeviceNumber) -> Option<PathBuf> {
    if let Some(name) = attribute(number, "dm/name") {
        let path = Path::new("/dev/mapper").join(name);
        let right = fs::metadata(&path).is_ok_and(|found| number_of(found.rdev()) == number);
        if right {
            return Some(path);
        }
    }
    let link = fs::canonicalize(directory(number)).ok()?;
    Some(Path::new("/dev").join(link.file_name()?.to_str()?.replace('!', "/")))
}

/// Where the device is mounted in our own namespace.
pub(crate) fn mounted_at(number: DeviceNumber) -> Option<String> {
    mounted_in(&fs::read_to_string("/proc/self/mountinfo").ok()?, number)
}

/// Where it is mounted by this list of mounts.
pub(super) fn mounted_in(mounts: &str, number: DeviceNumber) -> Option<String> {
    mounts.lines().find_map(|line| {
        let mount = parse_mount(line)?;
        let same = mount.number == number || device_at(&mount.source) == Some(number);
        same.then_some(mount.place)
    })
}

/// A line of mountinfo.
pub(super) struct Mount {
    pub(super) number: DeviceNumber,
    pub(super) place: String,
    pub(super) source: String,
}

/// One line of mountinfo: `36 35 98:0 /root /mnt opts shared:1 - ext3 /dev/root rw`.
pub(super) fn parse_mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut fields = before.split(' ').skip(2);
    let number = parse_number(fields.next()?)?;
    let place = unescape(fields.nth(1)?);
    let source = unescape(after.split(' ').nth(1)?);
    Some(Mount { number, place, source })
}

/// Whether it is used as swap.
pub(super) fn is_swap(number: DeviceNumber) -> bool {
    let Ok(swaps) = fs::read_to_string("/proc/swaps") else { return false };
    swaps.lines().skip(1).any(|line| {
        line.split_whitespace()
            .next()
            .is_some_and(|path| device_at(&unescape(path)) == Some(number))
    })
}

/// The number of the block device at a path.
pub(super) fn device_at(path: &str) -> Option<DeviceNumber> {
    use std::os::unix::fs::FileTypeExt;
    let metadata = fs::metadata(path).ok().filter(|_| path.starts_with('/'))?;
    metadata.file_type().is_block_device().then(|| number_of(metadata.rdev()))
}

/// Undoes the kernel's `\040` for a space.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_line_of_mountinfo_with_and_without_optional_fields() {
        for line in [
            "36 35 98:3 /root /mnt\\040a rw,noatime shared:1 - ext3 /dev/vda rw",
            "36 35 98:3 /root /mnt\\040a rw,noatime - ext3 /dev/vda rw",
        ] {
            let mount = parse_mount(line).expect("a mount");
            assert_eq!(mount.number, DeviceNumber { major: 98, minor: 3 });
            assert_eq!((mount.place.as_str(), mount.source.as_str()), ("/mnt a", "/dev/vda"));
        }
        assert!(parse_mount("nonsense").is_none());
    }
}
