//! What a process owes to the system whose disks it serves: it never waits for one of them.

use std::fs;

use lvshift_frontend_common::output;
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};

use super::sys;

/// Mounts that the daemon needs itself.
const KEPT: &[&str] = &["/", "/dev", "/proc", "/sys", "/run", "/tmp"];

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
    for line in mounts.lines().rev() {
        let mut words = line.split(' ');
        let (Some(device), Some(place)) = (words.next(), words.next()) else { continue };
        if device.starts_with("/dev/") && !KEPT.contains(&place) {
            // A name with a space is written as \040 there and is not found; it is kept.
            let _ = unmount(place, UnmountFlags::DETACH);
        }
    }
    Ok(())
}
