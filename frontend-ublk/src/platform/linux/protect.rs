//! What a process owes to the system whose disks it serves: it never waits for one of them.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;

use lvshift_frontend_common::output;
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};

use super::sys;

/// Mounts without which no program starts.
const KEPT: &[&str] = &["/", "/usr"];
/// Those that lie on no device and in which the kernel, and we, keep something.
const SYSTEM: &[&str] = &["/dev", "/proc", "/sys", "/run", "/tmp"];

/// Does all of it; what is refused is said and lived without.
pub(crate) fn protect() {
    let complain = |what: &str, result: std::io::Result<()>| {
        if let Err(error) = result {
            output::err(&format!("lvshift-ublk: {what}: {error}\n"));
        }
    };
    complain("own mounts", own_mounts());
    complain("memory cannot be locked", sys::lock_memory());
    complain("not an I/O flusher", sys::become_io_flusher());
    complain("the oom score stays as it is", fs::write("/proc/self/oom_score_adj", "-1000"));
}

/// A mount namespace without anybody's file systems: one that lies on a device of ours would be
/// held by us, and could not be left when we end.
fn own_mounts() -> std::io::Result<()> {
    sys::own_mounts()?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    std::env::set_current_dir("/")?;
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    for place in mounts.lines().rev().filter_map(foreign) {
        let _ = unmount(place, UnmountFlags::DETACH);
    }
    Ok(())
}

/// Where another file system is mounted, by its line of `/proc/self/mounts`. An overlay names no
/// device, and holds the one on which it lies all the same.
fn foreign(line: &str) -> Option<OsString> {
    let mut words = line.split(' ');
    let (device, place) = (words.next()?, unescaped(words.next()?));
    let under = |top: &&str| {
        let rest = place.strip_prefix(top.as_bytes());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    };
    let systems = !device.starts_with("/dev/") && SYSTEM.iter().any(under);
    let kept = KEPT.iter().any(|kept| kept.as_bytes() == place);
    (!systems && !kept).then(|| OsString::from_vec(place))
}

/// A blank, a tab, a line's end and a backslash stand there as three octal digits after a backslash.
fn unescaped(word: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| *first == b'\\');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_elses_file_systems_are_left_whatever_they_are_called() {
        let place = |line| foreign(line).map(|place| place.into_string().expect("plain text"));
        let at = |line| place(line).unwrap_or_default();
        assert_eq!(at(r"/dev/ublkb0 /mnt/a\040b ext4 rw 0 0"), "/mnt/a b");
        assert_eq!(at(r"/dev/ublkb0 /mnt/a\134b ext4 rw 0 0"), r"/mnt/a\b");
        assert_eq!(at("overlay /srv overlay rw,upperdir=/mnt/up 0 0"), "/srv");
        assert_eq!(at("/dev/sda1 /run/media ext4 rw 0 0"), "/run/media");
        assert_eq!(at("tmpfs /runs tmpfs rw 0 0"), "/runs");
        for kept in
            ["/dev/sda1 / ext4 rw 0 0", "/dev/sda2 /usr ext4 ro 0 0", "proc /proc proc rw 0 0"]
        {
            assert_eq!(place(kept), None, "{kept}");
        }
        assert_eq!(place("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0"), None);
    }
}
