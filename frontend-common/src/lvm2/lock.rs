//! LVM2's own lock of a VG, held as LVM2 holds it: while we have it no command of LVM2 reads or writes the
//! VG's metadata, or loads a table from them.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use crate::error::{Error, Kind, Result};
use crate::lock::{self, TELL};

/// How long a command of LVM2 that has the lock is waited for. One that hangs holds it for ever.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(5);

/// The lock, held until this is dropped and every command that was given it has ended.
#[derive(Debug)]
pub struct VgLock {
    file: File,
}

impl VgLock {
    /// Waits for the lock of this VG in LVM2's lock directory.
    ///
    /// # Errors
    /// `Kind::Locked` when another process holds it too long.
    pub fn take(directory: &Path, vg: &str) -> Result<VgLock> {
        VgLock::take_or_name(directory, vg, PATIENCE)
    }

    fn take_or_name(directory: &Path, vg: &str, patience: Duration) -> Result<VgLock> {
        if let Some(lock) = VgLock::take_within(directory, vg, patience)? {
            return Ok(lock);
        }
        let who = lock::who(&open(&path(directory, vg))?);
        Err(Error::new(Kind::Locked, format!("{who} holds LVM2's lock of VG {vg}"))
            .because(format!("it was waited for {} s", patience.as_secs()))
            .next("let that process go on (it may wait for an answer), or end it; then try again"))
    }

    /// The same; none when another process holds it longer than this.
    ///
    /// # Errors
    /// `Kind::Kernel` when the file cannot be used.
    pub fn take_within(directory: &Path, vg: &str, patience: Duration) -> Result<Option<VgLock>> {
        let path = path(directory, vg);
        let start = Instant::now();
        let mut told = false;
        loop {
            let file = open(&path)?;
            if !told && start.elapsed() >= TELL {
                told = true;
                tracing::warn!(vg, holder = lock::who(&file), "waiting for LVM2's lock");
            }
            match file.try_lock() {
                Ok(()) if is_at(&file, &path) => return Ok(Some(VgLock { file })),
                // LVM2 unlinks the file when it lets go: what we have is no lock any more.
                Ok(()) => continue,
                Err(TryLockError::WouldBlock) if start.elapsed() < patience => {
                    std::thread::sleep(PAUSE);
                }
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(unusable(&path, error)),
            }
        }
    }

    /// For commands of LVM2 that work under it.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }
}

fn path(directory: &Path, vg: &str) -> PathBuf {
    directory.join(format!("V_{vg}"))
}

fn open(path: &Path) -> Result<File> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(|error| unusable(path, error))?;
    }
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o777)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
        .map_err(|error| unusable(path, error))
}

fn is_at(file: &File, path: &PathBuf) -> bool {
    let (Ok(ours), Ok(there)) = (file.metadata(), std::fs::symlink_metadata(path)) else {
        return false;
    };
    (ours.dev(), ours.ino()) == (there.dev(), there.ino())
}

fn unusable(path: &Path, error: std::io::Error) -> Error {
    Error::new(Kind::Kernel, format!("LVM2's lock {} cannot be used", path.display()))
        .because(error)
        .state("nothing was changed")
        .next("run as root")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_it_too_long_is_named() {
        let directory = std::env::temp_dir().join(format!("lvshift-held-{}", std::process::id()));
        let held = VgLock::take(&directory, "vg").expect("it is free");
        let error = VgLock::take_or_name(&directory, "vg", Duration::ZERO).expect_err("it is held");
        assert_eq!(error.kind, Kind::Locked);
        let said = error.to_string();
        assert!(said.contains(&format!("process {}", std::process::id())), "{said}");
        drop(held);
        std::fs::remove_dir_all(directory).expect("it was made here");
    }

    #[test]
    fn a_file_that_was_unlinked_is_no_lock() {
        let directory = std::env::temp_dir().join(format!("lvshift-lock-{}", std::process::id()));
        let held = VgLock::take(&directory, "vg").expect("it is free");
        assert!(is_at(&held.file, &directory.join("V_vg")));
        let other = open(&directory.join("V_vg")).expect("it is there");
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
        std::fs::remove_file(directory.join("V_vg")).expect("it is there");
        assert!(!is_at(&held.file, &directory.join("V_vg")));
        let again = VgLock::take(&directory, "vg").expect("a new file");
        assert!(is_at(&again.file, &directory.join("V_vg")));
        drop((held, again));
        std::fs::remove_dir_all(directory).expect("it was made here");
    }
}
