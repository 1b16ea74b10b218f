//! The same without a child, for a daemon that takes over: what it has mapped of rings and of the devices that it
//! serves must not live on in a child that a hung device keeps. The price: with such a request under way it cannot
//! end before the device answers.

use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, io};

use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, opcode, squeue};

use super::errand::{Job, ROOM, pieces};
use crate::device::Aligned;
use crate::lock::Fence;

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

/// What was given up and may still be done, with the fence behind which it is.
static LATE: Mutex<Vec<(Box<Asked>, Option<Fence>)>> = Mutex::new(Vec::new());

/// Keeps what is late, and its fence: this process is not gone before it has ended.
pub(super) fn leave(asked: Box<Asked>, fence: Option<Fence>) {
    LATE.lock().unwrap_or_else(PoisonError::into_inner).push((asked, fence));
}

/// Whether a device still keeps what this process has asked of it.
#[must_use]
pub fn is_kept_waiting() -> bool {
    !LATE.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
}

/// Waits until all that was given up so far has ended, and lets go of the PVs then. However long that takes.
pub fn see_late_ones_off() {
    let late = std::mem::take(&mut *LATE.lock().unwrap_or_else(PoisonError::into_inner));
    for (mut asked, fence) in late {
        if !asked.end() {
            std::mem::forget(fence);
        }
    }
}

/// What one device is asked for, a piece at a time, each with a limit.
pub(super) struct Asked {
    device: OwnedFd,
    ring: ManuallyDrop<IoUring>,
    buffer: ManuallyDrop<Aligned>,
    /// The device has not answered what it was asked last, and may do so yet.
    late: bool,
}

impl Asked {
    /// For the device that this descriptor names.
    pub(super) fn new(device: BorrowedFd<'_>) -> io::Result<Asked> {
        let ring = ManuallyDrop::new(IoUring::new(1)?);
        let buffer = ManuallyDrop::new(Aligned::zeroed(ROOM));
        Ok(Asked { device: device.try_clone_to_owned()?, ring, buffer, late: false })
    }

    /// Does it. `TimedOut`: it may still be done, and nothing more can be asked for.
    pub(super) fn run(&mut self, job: &mut Job<'_>, limit: Option<Duration>) -> io::Result<()> {
        let fd = Fd(self.device.as_raw_fd());
        let at = self.buffer.as_mut_ptr();
        let read = |length, offset| opcode::Read::new(fd, at, length).offset(offset).build();
        let write = |length, offset| opcode::Write::new(fd, at, length).offset(offset).build();
        match job {
            Job::Flush => {
                let flags = io_uring::types::FsyncFlags::DATASYNC;
                self.ask(&|_| opcode::Fsync::new(fd).flags(flags).build(), 0, limit)
            }
            Job::Write { offset, bytes } => {
                (*offset..).step_by(ROOM).zip(bytes.chunks(ROOM)).try_for_each(|(offset, piece)| {
                    self.buffer
                        .get_mut(..piece.len())
                        .ok_or(io::ErrorKind::InvalidInput)?
                        .copy_from_slice(piece);
                    self.ask(&|length| write(length, offset), piece.len(), limit)
                })
            }
            Job::Read { offset, into } => {
                pieces(*offset).zip(into.chunks_mut(ROOM)).try_for_each(|(offset, piece)| {
                    self.ask(&|length| read(length, offset), piece.len(), limit)?;
                    piece.copy_from_slice(
                        self.buffer.get(..piece.len()).ok_or(io::ErrorKind::InvalidInput)?,
                    );
                    Ok(())
                })
            }
        }
    }

    /// Asks for a piece until the device takes the request, and waits for its answer.
    fn ask(
        &mut self,
        entry: &dyn Fn(u32) -> squeue::Entry,
        length: usize,
        limit: Option<Duration>,
    ) -> io::Result<()> {
        if self.late {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let start = Instant::now();
        let wanted = i32::try_from(length).map_err(io::Error::other)?;
        loop {
            let entry = entry(wanted.unsigned_abs());
            // SAFETY: the descriptor and the buffer live as long as this, which is for ever where an answer is late.
            unsafe { self.ring.submission().push(&entry) }.map_err(io::Error::other)?;
            match self.answer(start, limit)? {
                result if result == wanted => return Ok(()),
                result if result == -libc::EAGAIN || result == -libc::EINTR => {
                    if limit.is_some_and(|limit| start.elapsed() >= limit) {
                        // No request of it is under way.
                        return Err(io::Error::from_raw_os_error(libc::EBUSY));
                    }
                    std::thread::sleep(PAUSE);
                }
                result if result < 0 => return Err(io::Error::from_raw_os_error(-result)),
                _ => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// Waits for the answer that is late; false where the kernel does not let us.
    fn end(&mut self) -> bool {
        loop {
            let waited = self.ring.submit_and_wait(1);
            if self.ring.completion().next().is_some() {
                self.late = false;
                return true;
            }
            if waited.is_err_and(|error| error.raw_os_error() != Some(libc::EINTR)) {
                return false;
            }
        }
    }

    /// The answer to the one request that is under way.
    fn answer(&mut self, start: Instant, limit: Option<Duration>) -> io::Result<i32> {
        loop {
            let left = limit.map(|limit| Timespec::from(limit.saturating_sub(start.elapsed())));
            let waited = match &left {
                Some(left) => {
                    self.ring.submitter().submit_with_args(1, &SubmitArgs::new().timespec(left))
                }
                None => self.ring.submit_and_wait(1),
            };
            if let Some(entry) = self.ring.completion().next() {
                return Ok(entry.result());
            }
            let over = limit.is_some_and(|limit| start.elapsed() >= limit);
            match waited.map_err(|error| error.raw_os_error()) {
                Ok(_) | Err(Some(libc::ETIME | libc::EINTR | libc::EAGAIN)) if !over => {}
                _ => {
                    self.late = true;
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
        }
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("late", &self.late).finish_non_exhaustive()
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        // A late answer still goes there.
        if !self.late {
            // SAFETY: it is dropped once, here, and no request is under way.
            unsafe { ManuallyDrop::drop(&mut self.ring) };
            // SAFETY: the same.
            unsafe { ManuallyDrop::drop(&mut self.buffer) };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn what_is_asked_of_a_device_is_done_and_a_silent_one_is_given_up_in_time() {
        let scratch = crate::testing::scratch("asked");
        let path = scratch.path().join("disk");
        std::fs::write(&path, vec![7; 2 * ROOM + 512]).unwrap();
        let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
        let Ok(mut asked) = Asked::new(file.as_fd()) else {
            eprintln!("NOT TESTED: io_uring is forbidden here");
            return;
        };
        let limit = Some(Duration::from_secs(20));
        let bytes: Vec<u8> = (0..ROOM + 512).map(|at| (at % 251) as u8).collect();
        asked.run(&mut Job::Write { offset: 512, bytes: &bytes }, limit).unwrap();
        asked.run(&mut Job::Flush, limit).unwrap();
        let mut there = vec![0; ROOM + 512];
        asked.run(&mut Job::Read { offset: 512, into: &mut there }, limit).unwrap();
        assert_eq!(there, bytes);
        assert_eq!(std::fs::read(&path).unwrap()[512..512 + bytes.len()], bytes);

        let (reader, _writer) = std::io::pipe().unwrap();
        let mut asked = Asked::new(reader.as_fd()).unwrap();
        let start = Instant::now();
        for _ in 0..2 {
            let mut job = Job::Read { offset: u64::MAX, into: &mut there[..512] };
            let late = asked.run(&mut job, Some(Duration::from_millis(200))).unwrap_err();
            assert!(
                matches!(late.kind(), io::ErrorKind::TimedOut | io::ErrorKind::ResourceBusy),
                "{late}"
            );
        }
        assert!(start.elapsed() < Duration::from_secs(3));
    }

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
