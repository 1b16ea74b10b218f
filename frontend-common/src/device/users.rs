//! Who uses a device: whoever it is, in whatever namespace. In use means in use.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use lvshift_core::units::DeviceNumber;

use super::{loops, sysfs};

/// What uses the device, as a sentence; `None` when nothing does that is not just a process with a
/// descriptor of it (for those see [`openers`]).
#[must_use]
pub fn in_use(number: DeviceNumber) -> Option<String> {
    if let Some(place) = sysfs::mounted_at(number) {
        return Some(format!("it is mounted at {place}"));
    }
    if sysfs::is_swap(number) {
        return Some("it is used as swap".to_owned());
    }
    let partitions = sysfs::partitions(number);
    let users = sysfs::users(number);
    if let Some(holder) = users.iter().find(|user| !partitions.contains(user)) {
        let shown = sysfs::path_of(*holder)
            .map_or_else(|| holder.to_string(), |path| path.display().to_string());
        return Some(format!("{shown} is made from it"));
    }
    if !partitions.is_empty() {
        return Some(format!("it has {} partitions", partitions.len()));
    }
    if let Some(node) = loops::over(number).first() {
        return Some(format!("{} is made from it", node.display()));
    }
    mounted_elsewhere(number)
}

/// Mounted in the namespace of a container, of a unit with namespaces of its own, of whom ever.
fn mounted_elsewhere(number: DeviceNumber) -> Option<String> {
    let own = fs::read_link("/proc/self/ns/mnt").ok();
    let mut seen: HashSet<PathBuf> = own.into_iter().collect();
    for process in processes() {
        let Ok(namespace) = fs::read_link(process.join("ns/mnt")) else { continue };
        if !seen.insert(namespace) {
            continue;
        }
        let mounts = fs::read_to_string(process.join("mountinfo")).unwrap_or_default();
        if let Some(place) = sysfs::mounted_in(&mounts, number) {
            let who = name(&process);
            return Some(format!("it is mounted at {place} in the mount namespace of {who}"));
        }
    }
    None
}

/// The processes, in every PID namespace below ours, that have the device open: how often, and the first.
#[must_use]
pub fn openers(number: DeviceNumber) -> (u32, Option<String>) {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let wanted = rustix::fs::makedev(number.major, number.minor);
    let (mut count, mut first) = (0, None);
    for process in processes() {
        for file in fs::read_dir(process.join("fd")).into_iter().flatten().flatten() {
            let Ok(metadata) = fs::metadata(file.path()) else { continue };
            if metadata.file_type().is_block_device() && metadata.rdev() == wanted {
                count += 1;
                first.get_or_insert_with(|| format!("{} has it open", name(&process)));
            }
        }
    }
    (count, first)
}

fn processes() -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_process =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    entries
        .filter(move |entry| entry.file_name().to_str().is_some_and(is_process))
        .map(|entry| entry.path())
}

fn name(process: &Path) -> String {
    let pid = process.file_name().unwrap_or_default().to_string_lossy();
    let command = fs::read_to_string(process.join("comm")).unwrap_or_default();
    format!("process {pid} ({})", command.trim_end())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_process_that_has_it_open_is_counted_and_named() {
        // A character device is none, whatever its number.
        let null = fs::File::open("/dev/null").unwrap();
        let number = super::super::number_of(rustix::fs::fstat(null.as_fd()).unwrap().st_rdev);
        assert_eq!(openers(number), (0, None));
        let own = name(Path::new(&format!("/proc/{}", std::process::id())));
        assert!(own.starts_with(&format!("process {} (", std::process::id())), "{own}");
    }
}
