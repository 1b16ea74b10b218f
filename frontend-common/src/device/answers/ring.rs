//! The same without a child, for a daemon that takes over: what it has mapped of rings and of the devices that it
//! serves must not live on in a child that a hung device keeps. The price: with such a read under way it cannot
//! end before the device answers.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, opcode};

use crate::device::Aligned;

/// What is read of each.
pub(super) const SIZE: usize = 4096;
/// The pause before a device is asked again that could not take a request at once.
const PAUSE: Duration = Duration::from_millis(20);

/// Who has answered within the limit; `None` where io_uring cannot be had.
pub(super) fn ask(devices: &[BorrowedFd<'_>], offset: u64, limit: Duration) -> Option<Vec<bool>> {
    let entries = u32::try_from(devices.len().next_power_of_two()).ok()?;
    let mut ring = IoUring::new(entries.clamp(1, 4096)).ok()?;
    let start = Instant::now();
    let mut buffers: Vec<Aligned> = devices.iter().map(|_| Aligned::zeroed(SIZE)).collect();
    let mut ended = vec![false; devices.len()];
    let mut to_ask: Vec<usize> = (0..devices.len()).collect();
    let mut under_way = 0;
    while (under_way > 0 || !to_ask.is_empty()) && start.elapsed() < limit {
        for at in std::mem::take(&mut to_ask) {
            let (Some(device), Some(buffer)) = (devices.get(at), buffers.get_mut(at)) else {
                continue;
            };
            let fd = Fd(device.as_raw_fd());
            // A request that cannot be taken at once is not left to a thread of the kernel's, which
            // would be one of this process.
            let read =
                opcode::Read::new(fd, buffer.as_mut_ptr(), u32::try_from(SIZE).unwrap_or(4096))
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
    use std::os::fd::AsFd;

    use super::*;

    /// A pipe without a writer is as silent as a disk can be.
    #[test]
    fn who_is_silent_is_left_alone_in_time() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let start = Instant::now();
        let limit = Duration::from_millis(200);
        // A pipe has no offsets: all ones say so.
        let Some(ended) = ask(&[reader.as_fd()], u64::MAX, limit) else {
            eprintln!("NOT TESTED: io_uring is forbidden here");
            return;
        };
        assert_eq!(ended, [false]);
        assert!(start.elapsed() < Duration::from_secs(3));
    }
}
