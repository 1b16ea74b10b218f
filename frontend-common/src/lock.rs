//! Two locks for each VG: the metadata lock, held for one read-modify-write, and the mover lock,
//! held as long as a mover runs. Both are `flock`s, so a dead process holds none.

mod fence;
pub(crate) mod holder;

use std::cell::Cell;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lvshift_core::units::Uuid;
use rustix::fs::OFlags;

pub(crate) use self::fence::Fence;
use crate::error::{Error, Kind, Result};

/// Where locks and sockets live.
const RUN_DIRECTORY: &str = "/run/lvshift";

/// The directory of locks and sockets, made if need be, root's alone.
///
/// # Errors
/// `Kind::Kernel` when it cannot be made or another user owns it.
pub fn run_directory() -> Result<PathBuf> {
    #[cfg(feature = "sim")]
    if let Some(path) = crate::simulation::directory() {
        private_directory(&path)?;
        return Ok(path);
    }
    #[cfg(any(test, feature = "sim"))]
    if let Some(path) = TEST_DIRECTORY.get() {
        private_directory(path)?;
        return Ok(path.clone());
    }
    let path = Path::new(RUN_DIRECTORY);
    private_directory(path)?;
    Ok(path.to_owned())
}

#[cfg(any(test, feature = "sim"))]
static TEST_DIRECTORY: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();

#[cfg(any(test, feature = "sim"))]
pub(crate) fn set_run_directory_for_tests(path: &Path) {
    let _ = TEST_DIRECTORY.set(path.to_owned());
}

/// Makes a directory that only we can look into, or checks that it is one.
pub(crate) fn private_directory(path: &Path) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::new(Kind::Kernel, format!("the directory {} cannot be used", path.display()))
            .because(error)
            .state("nothing was changed")
            .next("run as root")
    };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    let metadata = fs::symlink_metadata(path).map_err(failed)?;
    let ours = metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw();
    if !ours || metadata.permissions().mode() & 0o022 != 0 {
        return Err(Error::new(
            Kind::Kernel,
            format!("the directory {} belongs to or is writable for others", path.display()),
        )
        .state("nothing was changed")
        .next("remove it, or make it root's with mode 0700"));
    }
    Ok(())
}

/// A held lock; let go when dropped.
#[derive(Debug)]
#[must_use]
pub struct Lock {
    file: File,
}

/// What a lock is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Metadata,
    Mover,
}

fn open(vg: Uuid, purpose: Purpose) -> Result<File> {
    let ending = match purpose {
        Purpose::Metadata => "metadata",
        Purpose::Mover => "mover",
    };
    open_in_run(&format!("{vg}.{ending}"))
}

/// A file in the directory of the locks, made if need be.
fn open_in_run(name: &str) -> Result<File> {
    let path = run_directory()?.join(name);
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(&path)
        .map_err(|error| {
            Error::new(Kind::Kernel, format!("the lock {} cannot be opened", path.display()))
                .because(error)
                .state("nothing was changed")
        })
}

fn cannot_lock(error: std::io::Error) -> Error {
    Error::new(Kind::Kernel, "the lock of the VG cannot be taken").because(error)
}

/// How long a lock is waited for that is held for one read-modify-write.
const PATIENCE: Duration = Duration::from_secs(30);
/// After that long whoever waits is told for whom.
pub(crate) const TELL: Duration = Duration::from_secs(3);
/// How long a mover may take to end what it was asked to end.
const MOVER_PATIENCE: Duration = Duration::from_secs(600);

/// Waits for the metadata lock; it is only ever held for one short read-modify-write, and never while a
/// person is asked.
///
/// # Errors
/// `Kind::Locked` naming who has held it for so long; `Kind::Kernel` when the lock file cannot be used.
pub fn metadata(vg: Uuid) -> Result<Lock> {
    let file = open(vg, Purpose::Metadata)?;
    let limit = LIMIT.get().unwrap_or(PATIENCE);
    if !try_for(&file, limit, || file.try_lock())? {
        return Err(held_too_long("another command is changing the VG", &file, limit));
    }
    if let Err(error) = holder::note(&file, None) {
        tracing::debug!(%error, "who holds the lock is not noted");
    }
    Ok(Lock { file })
}

fn held_too_long(what: &str, file: &File, waited: Duration) -> Error {
    let who = who(file);
    Error::new(Kind::Locked, format!("{what}: {who} holds its lock"))
        .because(format!("it was waited for {} s", waited.as_secs()))
        .state("this command changed nothing")
        .next("let that process go on, or end it; then try again")
}

pub(crate) fn who(file: &File) -> String {
    holder::of(file).map_or_else(|| "another process".to_owned(), |holder| holder.to_string())
}

/// Whether no process writes or reads the metadata now.
#[cfg(feature = "sim")]
pub(crate) fn metadata_is_free(vg: Uuid) -> bool {
    open(vg, Purpose::Metadata).is_ok_and(|file| file.try_lock().is_ok())
}

thread_local! {
    /// How long this thread waits for a metadata lock.
    static LIMIT: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// From now on this thread waits that long for a metadata lock and no longer: what it reads then it
/// reads without the lock, and it writes nothing. It is for a daemon that takes over what a dead one
/// has left: the command that holds the lock may be waiting for that daemon. What it reads is what a
/// crash at this moment would leave.
pub fn wait_at_most(limit: Duration) {
    LIMIT.set(Some(limit));
}

/// Whether this thread is a daemon's that takes over ([`wait_at_most`]).
pub(crate) fn takes_over() -> bool {
    LIMIT.get().is_some()
}

/// Tries for that long; whether it has the lock. Whoever has to wait is told for whom.
fn try_for(
    file: &File,
    limit: Duration,
    mut take: impl FnMut() -> std::result::Result<(), TryLockError>,
) -> Result<bool> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    let mut told = false;
    loop {
        match take() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(cannot_lock(error)),
        }
        let waited = start.elapsed();
        if waited >= limit {
            return Ok(false);
        }
        if waited >= TELL && !told {
            told = true;
            tracing::warn!(holder = who(file), "waiting for a lock");
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Waits until no process writes the metadata; many may read.
///
/// # Errors
/// As [`metadata`].
pub fn metadata_shared(vg: Uuid) -> Result<Lock> {
    let file = open(vg, Purpose::Metadata)?;
    let limit = LIMIT.get();
    let has = try_for(&file, limit.unwrap_or(PATIENCE), || file.try_lock_shared())?;
    match limit {
        None if !has => Err(held_too_long("another command is changing the VG", &file, PATIENCE)),
        // Without it, what is read may be of a commit that is under way.
        _ => Ok(Lock { file }),
    }
}

/// The same, but `None` where a process has it that may be writing, for as long as this thread waits.
///
/// # Errors
/// As [`metadata`].
pub fn metadata_shared_if_free(vg: Uuid) -> Result<Option<Lock>> {
    let file = open(vg, Purpose::Metadata)?;
    let limit = LIMIT.get().unwrap_or_default();
    Ok(try_for(&file, limit, || file.try_lock_shared())?.then_some(Lock { file }))
}

/// The lock of what belongs to no VG: taken by whoever makes or wipes a PV or makes a VG.
///
/// # Errors
/// As [`metadata`].
pub fn orphans() -> Result<Lock> {
    metadata(Uuid([0; 16]))
}

/// Labels of holders that move nothing and are soon done: a daemon that takes over what another has
/// left, say. They are waited for.
pub const BRIEF: [&str; 3] = [ACTIVATES, DEACTIVATES, RESUMES];
/// See [`BRIEF`].
pub const ACTIVATES: &str = "activates an LV";
/// See [`BRIEF`].
pub const DEACTIVATES: &str = "deactivates an LV";
/// See [`BRIEF`].
pub const RESUMES: &str = "resumes a device";
/// How long.
const BRIEF_LIMIT: Duration = Duration::from_secs(10);

/// How long whoever takes the mover lock may need to say who it is.
const TIME_TO_WRITE: Duration = Duration::from_millis(300);

fn is_brief(holder: &str) -> bool {
    BRIEF.iter().any(|label| holder.ends_with(label))
}

/// The mover lock, or who holds it. `label` says for others what this mover does.
///
/// # Errors
/// `Kind::Locked` naming the process that holds it and what it said it does.
pub fn mover(vg: Uuid, label: &str) -> Result<Lock> {
    let mut file = open(vg, Purpose::Mover)?;
    let start = Instant::now();
    let patience = LIMIT.get().map_or(BRIEF_LIMIT, |limit| limit.min(BRIEF_LIMIT));
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(cannot_lock(error)),
        }
        let mut holder = String::new();
        // What the holder wrote decides whether it is waited for. Who has just taken the lock has not
        // written it yet, or what a dead one wrote stands there still: so it is read again for a moment.
        let _ = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_string(&mut holder));
        let (holder, waited) = (holder.trim_end(), start.elapsed());
        let told = !holder.is_empty() && !is_brief(holder) && waited >= TIME_TO_WRITE;
        if told || waited >= patience {
            return Err(Error::new(
                Kind::Locked,
                format!("another mover works on this VG: {holder}"),
            )
            .state("this command changed nothing")
            .next("wait for it, or stop it with pvmove --abort"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    holder::note(&file, Some(label)).map_err(cannot_lock)?;
    Ok(Lock { file })
}

/// Whether a mover has held this VG since the boot: the directory of the locks is gone with each.
///
/// # Errors
/// `Kind::Kernel` when that directory cannot be used.
pub(crate) fn had_mover(vg: Uuid) -> Result<bool> {
    Ok(run_directory()?.join(format!("{vg}.mover")).exists())
}

/// Waits until no mover holds the VG any more, then holds it. What a mover was asked to undo may take as
/// long as its disks do.
///
/// # Errors
/// As [`metadata`].
pub fn mover_after_others(vg: Uuid) -> Result<Lock> {
    let file = open(vg, Purpose::Mover)?;
    if !try_for(&file, MOVER_PATIENCE, || file.try_lock())? {
        return Err(held_too_long("the mover has not let go of the VG", &file, MOVER_PATIENCE));
    }
    Ok(Lock { file })
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing unlocks as well; this only does it for copies in children, too.
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_activates_is_waited_for_and_a_mover_is_not() {
        crate::testing::use_scratch_locks();
        let vg = Uuid([0x4d; 16]);
        let brief = mover(vg, ACTIVATES).expect("it is free");
        let waiting = std::thread::spawn(move || mover(vg, "pvmove").map(drop));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!waiting.is_finished());
        drop(brief);
        assert!(waiting.join().expect("no panic").is_ok());
        let _moving = mover(vg, "pvmove").expect("it is free");
        let start = Instant::now();
        let refused = mover(vg, ACTIVATES).expect_err("a mover works");
        assert_eq!(refused.kind, Kind::Locked);
        assert!(start.elapsed() < BRIEF_LIMIT);
    }

    #[test]
    fn an_impatient_thread_reads_beside_a_holder_and_writes_nothing() {
        crate::testing::use_scratch_locks();
        let vg = Uuid([0x4c; 16]);
        let held = metadata(vg).expect("it is free");
        let impatient = std::thread::spawn(move || {
            wait_at_most(Duration::from_millis(30));
            let read = metadata_shared(vg).map(drop);
            (read, metadata(vg).map(drop))
        });
        let (read, written) = impatient.join().expect("no panic");
        assert!(read.is_ok(), "it waits for whoever waits for it");
        assert_eq!(written.expect_err("another writes").kind, Kind::Locked);
        drop(held);
    }

    #[test]
    fn a_wait_ends_and_names_who_holds_the_lock() {
        crate::testing::use_scratch_locks();
        let vg = Uuid([0x4e; 16]);
        let held = metadata(vg).expect("it is free");
        let refused = std::thread::spawn(move || {
            wait_at_most(Duration::from_millis(20));
            metadata(vg).map(drop).expect_err("it is held")
        });
        let refused = refused.join().expect("no panic");
        assert_eq!(refused.kind, Kind::Locked);
        let pid = format!("process {} (", std::process::id());
        // A sandbox may keep its list of locks to itself.
        let seen = holder::of(&held.file).is_some();
        assert!(!seen || refused.what.contains(&pid), "{}", refused.what);
        assert!(!seen || refused.what.contains(", for 0 s"), "{}", refused.what);
        drop(held);
    }
}
