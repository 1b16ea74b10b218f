//! Whether some process is driving a VG's moves now.

use std::fs;
use std::os::unix::fs::MetadataExt;

use lvshift_core::units::Uuid;

use crate::lock::run_directory;

/// Whether a process drives moves of this VG. Looks into the kernel's list of locks. Trying to take the mover lock instead would make a mover
/// that starts at this moment believe in a rival.
#[must_use]
pub fn is_driven(vg: Uuid) -> bool {
    let inode = run_directory()
        .ok()
        .and_then(|directory| fs::metadata(directory.join(format!("{vg}.mover"))).ok());
    let (Some(file), Ok(locks)) = (inode, fs::read_to_string("/proc/locks")) else {
        return false;
    };
    let (major, minor) = (rustix::fs::major(file.dev()), rustix::fs::minor(file.dev()));
    let place = format!("{major:02x}:{minor:02x}:{}", file.ino());
    holds(&locks, &place)
}

/// What the process that drives the VG's moves wrote about itself: its number and what it does.
pub(super) fn driver(vg: Uuid) -> String {
    let text = run_directory()
        .ok()
        .and_then(|directory| fs::read_to_string(directory.join(format!("{vg}.mover"))).ok());
    match text.as_deref().map(str::trim) {
        Some(text) if !text.is_empty() => text.to_owned(),
        _ => "another process".to_owned(),
    }
}

/// A line is `1: FLOCK  ADVISORY  WRITE 1234 00:1a:5678 0 EOF`; one that only waits has `->`.
fn holds(locks: &str, place: &str) -> bool {
    locks.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.get(1) == Some(&"FLOCK") && words.contains(&"WRITE") && words.contains(&place)
    })
}

#[cfg(test)]
mod tests {
    use super::holds;

    #[test]
    fn a_held_lock_is_seen_and_a_waiting_one_is_not() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 00:19:7 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 12 00:19:8 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 13 00:19:9 0 EOF\n\
                     3: FLOCK  ADVISORY  READ 14 00:19:10 0 EOF\n";
        assert!(holds(locks, "00:19:8"));
        for place in ["00:19:7", "00:19:9", "00:19:10", "00:19:88"] {
            assert!(!holds(locks, place), "{place}");
        }
    }
}
