//! Which devices answer at all. One that hangs must not hang every command: each gets one small read, all
//! at once, and who has not answered in time is left alone.
//!
//! Each read is made by a child of its own. A process cannot end while the kernel holds a read of it, however
//! it was asked for: so it is the child that stays with a device that hangs, and no command waits for the child.

mod errand;
mod notes;
mod ring;

use std::collections::HashSet;
use std::io::IoSliceMut;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lvshift_core::units::DeviceNumber;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::ReadWriteFlags;
use rustix::pipe::{PipeFlags, pipe_with};

pub(crate) use self::errand::Errand;
pub(super) use self::errand::Job;
pub(super) use self::notes::keep as note_silent;
use self::ring::SIZE;
pub use self::ring::{is_kept_waiting, see_late_ones_off};
use super::{Aligned, BlockDevice};
use crate::lock;

/// How long a scan waits for the slowest.
const LIMIT: Duration = Duration::from_secs(5);
/// Where it is read.
const START: u64 = 0;

/// Those that have not answered this process before, by number and disk sequence.
static SILENT: Mutex<Option<HashSet<Key>>> = Mutex::new(None);
/// Children that had not answered when they were last looked at.
static LEFT: Mutex<Vec<libc::pid_t>> = Mutex::new(Vec::new());

type Key = (DeviceNumber, Option<u64>);

/// Whether the device has already kept this process waiting in vain.
pub(crate) fn is_silent(number: DeviceNumber) -> bool {
    #[cfg(feature = "sim")]
    if let Some(silent) = crate::simulation::is_silent(number) {
        return silent;
    }
    let silent = SILENT.lock().unwrap_or_else(PoisonError::into_inner);
    let is = |set: &HashSet<Key>| set.contains(&(number, super::sysfs::disk_sequence(number)));
    silent.as_ref().is_some_and(is)
}

/// The device keeps whoever asks it waiting: this process does not ask it any more.
pub(crate) fn remember(number: DeviceNumber) {
    #[cfg(feature = "sim")]
    if crate::simulation::remember_silent(number) {
        return;
    }
    let mut silent = SILENT.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (number, super::sysfs::disk_sequence(number));
    silent.get_or_insert_with(HashSet::new).insert(key);
}

/// Hands back those that answer, be it with an error, and names the others as a warning.
pub(crate) fn answering<T>(devices: Vec<T>, device: impl Fn(&T) -> &BlockDevice) -> Vec<T> {
    let silent = |silent: &BlockDevice, what: &str| {
        remember(silent.number());
        tracing::warn!(device = %silent.path().display(), "it has not answered {what} and is skipped");
    };
    let (known, devices): (Vec<T>, Vec<T>) =
        devices.into_iter().partition(|item| notes::stands(device(item).number()));
    known.iter().for_each(|item| silent(device(item), "an earlier command yet"));
    let files: Vec<BorrowedFd<'_>> =
        devices.iter().map(|item| device(item).file().as_fd()).collect();
    let ended = if lock::takes_over() {
        ring::ask(&files, START, LIMIT)
    } else {
        ask(&files, START, LIMIT, &|at, child| {
            if let Some(item) = devices.get(at) {
                notes::keep(device(item).number(), child);
            }
        })
    };
    let Some(ended) = ended else { return devices };
    let mut kept = Vec::new();
    for (item, ended) in devices.into_iter().zip(ended) {
        if ended {
            kept.push(item);
        } else {
            silent(device(&item), &format!("in {LIMIT:?}"));
        }
    }
    kept
}

/// Who has answered within the limit; `None` where no child can be made. `late` hears of the children that have not.
fn ask(
    devices: &[BorrowedFd<'_>],
    offset: u64,
    limit: Duration,
    late: &dyn Fn(usize, libc::pid_t),
) -> Option<Vec<bool>> {
    reap(&mut LEFT.lock().unwrap_or_else(PoisonError::into_inner));
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).ok()?;
    let mut buffer = Aligned::zeroed(SIZE);
    let mut ended = vec![false; devices.len()];
    let mut children = Vec::new();
    for ((at, device), ended) in (0u16..).zip(devices).zip(&mut ended) {
        // SAFETY: the child of a process of several threads may call what is async-signal-safe and nothing
        // else; `read_and_tell` does, and never returns.
        match unsafe { libc::fork() } {
            0 => read_and_tell(*device, offset, &mut buffer, &writer, at),
            // Without a process to spare no device is left out.
            -1 => *ended = true,
            child => children.push((at, child)),
        }
    }
    drop(writer);
    hear(&reader, &mut ended, limit);
    let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    for (at, child) in children {
        if ended.get(usize::from(at)) == Some(&false) {
            late(usize::from(at), child);
        }
        left.push(child);
    }
    reap(&mut left);
    Some(ended)
}

/// Listens to the children until all have spoken or ended, at most so long.
fn hear(reader: &OwnedFd, ended: &mut [bool], limit: Duration) {
    let start = Instant::now();
    while ended.contains(&false) {
        let Some(left) = limit.checked_sub(start.elapsed()) else { return };
        let Ok(timeout) = Timespec::try_from(left) else { return };
        let mut ready = [PollFd::new(reader, PollFlags::IN)];
        match poll(&mut ready, Some(&timeout)) {
            Ok(0) => return,
            Err(rustix::io::Errno::INTR) => continue,
            Ok(_) | Err(_) => {}
        }
        let mut words = [0; 64];
        match rustix::io::read(reader, &mut words) {
            Err(rustix::io::Errno::INTR) => {}
            // No child is left, whatever became of it: no device keeps any.
            Ok(0) | Err(_) => return ended.fill(true),
            Ok(length) => {
                // Each is written whole, and as large as what is read is a multiple of.
                let (numbers, _) = words.get(..length).unwrap_or_default().as_chunks();
                for at in numbers.iter().map(|bytes| usize::from(u16::from_le_bytes(*bytes))) {
                    if let Some(ended) = ended.get_mut(at) {
                        *ended = true;
                    }
                }
            }
        }
    }
}

/// Takes leave of the children that have ended.
fn reap(children: &mut Vec<libc::pid_t>) {
    children.retain(|child| !reap_one(*child));
}

/// Whether it has ended.
fn reap_one(child: libc::pid_t) -> bool {
    // SAFETY: no status is asked for.
    let waited = unsafe { libc::waitpid(child, std::ptr::null_mut(), libc::WNOHANG) };
    waited != 0
}

/// Leaves a child to itself: it ends when the device that it asks answers.
fn leave(child: libc::pid_t) {
    let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    left.push(child);
    reap(&mut left);
}

fn write_all(device: BorrowedFd<'_>, mut offset: u64, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(device, bytes, offset) {
            Ok(0) => return Err(rustix::io::Errno::IO),
            Ok(some) => {
                offset += some as u64;
                bytes = bytes.get(some..).unwrap_or_default();
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The child keeps nothing of the process that it was made from, no lock, no output, no directory, since it
/// may outlive it: but these two, as its standard input and output, and what has a lower number than `rest`.
fn alone_with(device: BorrowedFd<'_>, pipe: BorrowedFd<'_>, rest: libc::c_int) {
    let _ = rustix::stdio::dup2_stdin(device);
    let _ = rustix::stdio::dup2_stdout(pipe);
    // SAFETY: what is behind these descriptors is not used any more in this process.
    if unsafe { libc::syscall(libc::SYS_close_range, rest, u32::MAX, 0) } != 0 {
        for other in rest..1024 {
            // SAFETY: as above.
            unsafe { libc::close(other) };
        }
    }
    let _ = rustix::process::chdir(c"/");
}

/// The child: reads, says that it has, and ends. All that it calls are system calls.
fn read_and_tell(
    device: BorrowedFd<'_>,
    offset: u64,
    buffer: &mut [u8],
    pipe: &OwnedFd,
    at: u16,
) -> ! {
    alone_with(device, pipe.as_fd(), 2);
    let (device, pipe) = (rustix::stdio::stdin(), rustix::stdio::stdout());
    let mut into = [IoSliceMut::new(buffer)];
    let _ = rustix::io::preadv2(device, &mut into, offset, ReadWriteFlags::empty());
    let _ = rustix::io::write(pipe, &at.to_le_bytes());
    // SAFETY: nothing of the parent's is tidied up, flushed or run on the way.
    unsafe { libc::_exit(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answers_is_kept_and_an_error_is_an_answer() {
        let scratch = crate::testing::scratch("answers");
        let path = scratch.path().join("disk");
        std::fs::write(&path, vec![1; 8192]).unwrap();
        let device = BlockDevice::on_file(&path);
        // A descriptor that can only be written to fails each read.
        let failing = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        let files = [device.file().as_fd(), failing.as_fd()];
        let ended = ask(&files, START, LIMIT, &|_, _| ()).expect("a pipe");
        assert_eq!(ended, [true, true]);
    }

    /// A pipe without a writer is as silent as a disk can be.
    #[test]
    fn who_is_silent_is_left_alone_in_time() {
        let (reader, writer) = std::io::pipe().unwrap();
        let start = Instant::now();
        // A pipe has no offsets: all ones say so.
        let limit = Duration::from_millis(200);
        let late = std::cell::Cell::new(None);
        let note = |at, child| late.set(Some((at, child)));
        let ended = ask(&[reader.as_fd()], u64::MAX, limit, &note).expect("a pipe");
        assert_eq!(ended, [false]);
        assert!(late.get().is_some_and(|(at, child)| at == 0 && child > 0));
        assert!(start.elapsed() < Duration::from_secs(3));
        assert_eq!(LEFT.lock().expect("no panic").len(), 1, "its child is left behind");
        // The late answer: it ends then, and is taken leave of.
        drop(writer);
        let start = Instant::now();
        while !LEFT.lock().expect("no panic").is_empty() && start.elapsed() < LIMIT {
            reap(&mut LEFT.lock().expect("no panic"));
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(LEFT.lock().expect("no panic").is_empty());
    }
}
