//! What a block device stands on. What stands on an LV of ours, directly or not, is never read in a scan:
//! while the LV waits for whoever scans, that read would wait for itself.
//!
//! Only text of sysfs and procfs is looked at, and nodes under /dev: to look up a file on a file system is
//! to read the device below it.

use std::fs;
use std::path::Path;

use lvshift_core::units::DeviceNumber;

use super::sysfs;

/// Deeper than anybody stacks.
const DEPTH: u32 = 16;

/// Whether the device lies on an LV of ours: as dm, md or bcache have it, as a partition, or as a loop over
/// a device or over a file on a file system.
pub(super) fn is_on_own_lv(number: DeviceNumber, is_own: &dyn Fn(DeviceNumber) -> bool) -> bool {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let below = |number| below(number, &mounts);
    reaches(number, is_own, &below, DEPTH)
}

fn reaches(
    number: DeviceNumber,
    is_own: &dyn Fn(DeviceNumber) -> bool,
    below: &dyn Fn(DeviceNumber) -> Vec<DeviceNumber>,
    depth: u32,
) -> bool {
    depth > 0
        && below(number)
            .into_iter()
            .any(|lower| is_own(lower) || reaches(lower, is_own, below, depth - 1))
}

/// The devices right below this one.
fn below(number: DeviceNumber, mounts: &str) -> Vec<DeviceNumber> {
    let mut found = sysfs::lower(number);
    if let Some(file) = sysfs::attribute(number, "loop/backing_file") {
        found.extend(behind(file.trim_end_matches(" (deleted)"), mounts, DEPTH));
    }
    found
}

/// The devices that a path lies on, by the text of the list of mounts.
fn behind(path: &str, mounts: &str, depth: u32) -> Vec<DeviceNumber> {
    if path.starts_with("/dev/")
        && let Some(number) = sysfs::device_at(path)
    {
        return vec![number];
    }
    let covering = mounts
        .lines()
        .filter_map(|line| Some((sysfs::parse_mount(line)?, line)))
        .filter(|(mount, _)| Path::new(path).starts_with(&mount.place));
    // The last of the longest: a later mount covers an earlier one.
    let Some((mount, line)) = covering.max_by_key(|(mount, _)| mount.place.len()) else {
        return Vec::new();
    };
    if mount.number.major != 0 {
        return vec![mount.number];
    }
    // btrfs has numbers of its own, and names its device; an overlay lies on directories.
    let directories = line.rsplit(' ').next().unwrap_or_default().split(',').filter_map(|option| {
        let (name, value) = option.split_once('=')?;
        ["upperdir", "lowerdir"].contains(&name).then_some(value)
    });
    let lower = directories.flat_map(|value| value.split(':')).filter(|_| depth > 0);
    sysfs::device_at(&mount.source)
        .into_iter()
        .chain(lower.flat_map(|directory| behind(directory, mounts, depth - 1)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n(minor: u32) -> DeviceNumber {
        DeviceNumber { major: 253, minor }
    }

    #[test]
    fn what_stands_on_an_own_lv_is_found_through_any_stack() {
        // 1 is ours; 2 stands on 1, 3 on 2 and 9; 4 on 9; 5 and 6 on each other.
        let below = |number: DeviceNumber| match number.minor {
            2 => vec![n(1)],
            3 => vec![n(9), n(2)],
            4 => vec![n(9)],
            5 => vec![n(6)],
            6 => vec![n(5)],
            _ => Vec::new(),
        };
        let own = |number: DeviceNumber| number == n(1);
        let on = |minor| reaches(n(minor), &own, &below, DEPTH);
        assert!(on(2) && on(3));
        assert!(!on(1) && !on(4) && !on(5));
    }

    #[test]
    fn a_file_lies_on_the_file_system_that_covers_it_last() {
        let mounts = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n\
                      2 1 253:7 / /srv rw shared:1 - ext4 /dev/mapper/vg0-srv rw\n\
                      3 1 0:41 / /var/merged rw - overlay overlay rw,lowerdir=/usr/a:/usr/b,upperdir=/srv/up,workdir=/srv/w\n";
        let at = |path| behind(path, mounts, DEPTH);
        assert_eq!(at("/srv/disk.img"), [n(7)]);
        assert_eq!(at("/srvx/disk.img"), [DeviceNumber { major: 8, minor: 1 }]);
        assert!(at("/var/merged/disk.img").contains(&n(7)));
        assert!(behind("relative", mounts, DEPTH).is_empty());
    }
}
