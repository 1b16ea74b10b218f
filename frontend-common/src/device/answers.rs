//! Which devices answer at all. One that hangs must not hang every command: each gets one small read, all
//! at once, and who has not answered in time is left alone.
//!
//! The reads go through io_uring, so that a process with one under way can still end, which a thread in an
//! uninterruptible read would prevent.

use std::collections::HashSet;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, opcode};
use lvshift_core::units::DeviceNumber;

use super::{Aligned, BlockDevice};

/// How long a scan waits for the slowest.
const LIMIT: Duration = Duration::from_secs(5);
/// Where it is read.
const START: u64 = 0;
/// What is read of each.
const SIZE: u32 = 4096;
/// The pause before a device is asked again that could not take a request at once.
const PAUSE: Duration = Duration::from_millis(20);

/// Those that have not answered this process before, by number and disk sequence.
static SILENT: Mutex<Option<HashSet<Key>>> = Mutex::new(None);

type Key = (DeviceNumber, Option<u64>);

/// Whether the device has already kept this process waiting in vain.
pub(super) fn is_silent(number: DeviceNumber) -> bool {
    let silent = SILENT.lock().unwrap_or_else(PoisonError::into_inner);
    let is = |set: &HashSet<Key>| set.contains(&(number, super::sysfs::disk_sequence(number)));
    silent.as_ref().is_some_and(is)
}

fn remember(number: DeviceNumber) {
    let mut silent = SILENT.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (number, super::sysfs::disk_sequence(number));
    silent.get_or_insert_with(HashSet::new).insert(key);
}

/// Hands back those that answer, be it with an error, and names the others as a warning.
pub(crate) fn answering<T>(devices: Vec<T>, device: impl Fn(&T) -> &BlockDevice) -> Vec<T> {
    let files: Vec<RawFd> = devices.iter().map(|item| device(item).file().as_raw_fd()).collect();
    let ended = ask(&files, START, LIMIT);
    let Some(ended) = ended else { return devices };
    let mut kept = Vec::new();
    for (item, ended) in devices.into_iter().zip(ended) {
        if ended {
            kept.push(item);
            continue;
        }
        let silent = device(&item);
        remember(silent.number());
        tracing::warn!(
            device = %silent.path().display(),
            "it has not answered in {LIMIT:?} and is skipped"
        );
    }
    kept
}

/// Who has answered within the limit; `None` where io_uring cannot be had.
fn ask(devices: &[RawFd], offset: u64, limit: Duration) -> Option<Vec<bool>> {
    let entries = u32::try_from(devices.len().next_power_of_two()).ok()?;
    let mut ring = IoUring::new(entries.clamp(1, 4096)).ok()?;
    let start = Instant::now();
    let mut buffers: Vec<Aligned> =
        devices.iter().map(|_| Aligned::zeroed(usize::try_from(SIZE).unwrap_or(4096))).collect();
    let mut ended = vec![false; devices.len()];
    let mut to_ask: Vec<usize> = (0..devices.len()).collect();
    let mut under_way = 0;
    while (under_way > 0 || !to_ask.is_empty()) && start.elapsed() < limit {
        for at in std::mem::take(&mut to_ask) {
            let (Some(device), Some(buffer)) = (devices.get(at), buffers.get_mut(at)) else {
                continue;
            };
            let fd = Fd(*device);
            // A request that cannot be taken at once is not left to a thread of the kernel's, which
            // would be one of this process.
            let read = opcode::Read::new(fd, buffer.as_mut_ptr(), SIZE)
                .offset(offset)
                .rw_flags(libc::RWF_NOWAIT)
                .build()
                .user_data(at as u64);
            // SAFETY: the descriptor lives as long as the devices, and the buffer until the read has
            // ended, or for ever.
            let pushed = unsafe { ring.submission().push(&read) };
            if pushed.is_ok() {
                under_way += 1;
            } else {
                to_ask.push(at);
            }
        }
        let left = limit.saturating_sub(start.elapsed());
        let wait = if to_ask.is_empty() { left } else { left.min(PAUSE) };
        let timespec = Timespec::from(wait);
        let args = SubmitArgs::new().timespec(&timespec);
        let waited = ring.submitter().submit_with_args(1, &args);
        if waited.is_err_and(|error| {
            !matches!(error.raw_os_error(), Some(libc::ETIME | libc::EINTR | libc::EAGAIN))
        }) {
            break;
        }
        let mut again = false;
        for entry in ring.completion() {
            under_way -= 1;
            let Ok(at) = usize::try_from(entry.user_data()) else { continue };
            if entry.result() == -libc::EAGAIN {
                to_ask.push(at);
                again = true;
            } else if let Some(ended) = ended.get_mut(at) {
                *ended = true;
            }
        }
        if again {
            std::thread::sleep(PAUSE);
        }
    }
    for (buffer, ended) in buffers.into_iter().zip(&ended) {
        if !ended {
            // A late answer still goes there.
            std::mem::forget(buffer);
        }
    }
    Some(ended)
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
        let files = [device.file().as_raw_fd(), failing.as_raw_fd()];
        let Some(ended) = ask(&files, START, LIMIT) else {
            eprintln!("NOT TESTED: io_uring is forbidden here");
            return;
        };
        assert_eq!(ended, [true, true]);
    }

    /// A pipe that nobody writes to is as silent as a disk can be.
    #[test]
    fn who_is_silent_is_left_alone_in_time() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let start = Instant::now();
        // A pipe has no offsets: all ones say so.
        let limit = Duration::from_millis(200);
        let Some(ended) = ask(&[reader.as_raw_fd()], u64::MAX, limit) else { return };
        assert_eq!(ended, [false]);
        assert!(start.elapsed() < Duration::from_secs(3));
    }
}
