//! io_uring behind a safe face: I/O between numbered files and the ring's own memory.
//!
//! The ring owns the memory, so a buffer outlives whatever is in flight on it; it names files by
//! slots of its own table, which keeps them open. What remains for the callers is not to look at
//! bytes that they have handed to the kernel, which costs them right data and not soundness.
//!
//! The files are not registered with the kernel: up to Linux 6.12 a file leaves the kernel's table
//! only when every older request on the ring has ended, and a ublk queue always has some. A PV that
//! a move has emptied would stay held for as long as the device lives.

mod command;
mod memory;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use io_uring::types::{Fd, FsyncFlags, SubmitArgs, Timespec};
use io_uring::{IoUring, opcode, squeue};

pub(super) use command::CommandRing;
pub(crate) use memory::{Descriptors, Memory};

use crate::limits::FILES;
use crate::platform::{At, Slot};
use crate::uapi;

/// `_IO(0x12, 0)`: discard as a ring command, of 6.12.
const BLOCK_URING_CMD_DISCARD: u32 = 0x1200;
/// Room at the end of the memory for what a wake-up reads.
const WAKE_BYTES: usize = 4096;

/// What a slot of a ring names.
pub(crate) type Handle = File;

/// Fills `bytes` from `offset` on, while nothing is served yet.
pub(crate) fn read_at(from: &Handle, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    from.read_exact_at(bytes, offset)
}

/// One thread's ring.
pub(crate) struct Ring {
    // Before the memory: dropped first.
    ring: IoUring,
    memory: Memory,
    files: Vec<Option<Arc<File>>>,
}

impl Ring {
    /// A ring with room for `entries` submissions at once and `bytes` of memory.
    pub(crate) fn new(entries: u32, bytes: usize) -> io::Result<Ring> {
        let memory = Memory::new(bytes.next_multiple_of(4096) + WAKE_BYTES)?;
        let ring = IoUring::builder().setup_coop_taskrun().setup_single_issuer().build(entries)?;
        let all =
            libc::iovec { iov_base: memory.address(0) as *mut libc::c_void, iov_len: memory.len() };
        // SAFETY: the memory lives in the same struct and is dropped after the ring.
        unsafe { ring.submitter().register_buffers(&[all]) }?;
        Ok(Ring { ring, memory, files: vec![None; FILES as usize] })
    }

    /// The ring's memory, to write to.
    pub(crate) fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }

    /// Names a file, and keeps it open.
    pub(crate) fn set_file(&mut self, slot: Slot, file: &Arc<File>) -> io::Result<()> {
        // What was pushed names the old file by its descriptor, which may be another's soon.
        self.ring.submit()?;
        self.files[slot.0 as usize] = Some(Arc::clone(file));
        Ok(())
    }

    /// Empties a slot.
    pub(crate) fn clear_file(&mut self, slot: Slot) -> io::Result<()> {
        self.ring.submit()?;
        self.files[slot.0 as usize] = None;
        Ok(())
    }

    fn file(&self, slot: Slot) -> Fd {
        // A slot that was not filled gives EBADF, as a closed file would.
        Fd(self.files[slot.0 as usize].as_ref().map_or(-1, |file| file.as_raw_fd()))
    }

    /// Reads into the memory.
    pub(crate) fn read(&mut self, at: At, into: Range<usize>, user: u64) -> io::Result<()> {
        let (address, len) = self.check(into);
        let entry = opcode::ReadFixed::new(self.file(at.file), address as *mut u8, len, 0);
        self.push(entry.offset(at.offset).build().user_data(user))
    }

    /// Writes from the memory; `durable` as with FUA.
    pub(crate) fn write(
        &mut self,
        at: At,
        from: Range<usize>,
        durable: bool,
        user: u64,
    ) -> io::Result<()> {
        let (address, len) = self.check(from);
        let entry = opcode::WriteFixed::new(self.file(at.file), address as *const u8, len, 0);
        let flags = if durable { libc::RWF_DSYNC } else { 0 };
        self.push(entry.offset(at.offset).rw_flags(flags).build().user_data(user))
    }

    /// Makes durable what was written before.
    pub(crate) fn flush(&mut self, file: Slot, user: u64) -> io::Result<()> {
        let entry = opcode::Fsync::new(self.file(file)).flags(FsyncFlags::DATASYNC);
        self.push(entry.build().user_data(user))
    }

    /// Zeroes `len` bytes, freeing the space if `unmap` (an error where the device cannot).
    pub(crate) fn zero(&mut self, at: At, len: u64, unmap: bool, user: u64) -> io::Result<()> {
        let how = if unmap {
            libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE
        } else {
            libc::FALLOC_FL_ZERO_RANGE | libc::FALLOC_FL_KEEP_SIZE
        };
        let entry = opcode::Fallocate::new(self.file(at.file), len).offset(at.offset).mode(how);
        self.push(entry.build().user_data(user))
    }

    /// Tells the device that `len` bytes are not needed; what they read as is anybody's guess.
    pub(crate) fn discard(&mut self, at: At, len: u64, user: u64) -> io::Result<()> {
        #[expect(clippy::host_endian_bytes, reason = "a field of the kernel's own struct")]
        let len = len.to_ne_bytes();
        let mut command = [0; 16];
        command[..8].copy_from_slice(&len);
        let entry = opcode::UringCmd16::new(self.file(at.file), BLOCK_URING_CMD_DISCARD)
            .addr(Some(at.offset))
            .cmd(command);
        self.push(entry.build().user_data(user))
    }

    /// A command of a ublk queue: fetches a request for `tag` into `buffer`, after handing back
    /// the one before with `result` if there was one.
    pub(crate) fn ublk(
        &mut self,
        file: Slot,
        command: u32,
        (queue, tag): (u16, u16),
        result: i32,
        buffer: Range<usize>,
        user: u64,
    ) -> io::Result<()> {
        let (address, _) = self.check(buffer);
        let entry = opcode::UringCmd16::new(self.file(file), command)
            .cmd(uapi::io_command(queue, tag, result, address));
        self.push(entry.build().user_data(user))
    }

    /// Waits for an eventfd to be written.
    pub(crate) fn wake_on(&mut self, event: Slot, user: u64) -> io::Result<()> {
        let at = self.memory.len() - WAKE_BYTES;
        let address = self.memory.address(at);
        let entry = opcode::ReadFixed::new(self.file(event), address as *mut u8, 8, 0);
        self.push(entry.build().user_data(user))
    }

    /// Hands over what was pushed.
    pub(crate) fn submit(&mut self) -> io::Result<()> {
        self.ring.submit().map(|_| ())
    }

    /// Hands over what was pushed and waits for at least one completion, or until `limit`.
    pub(crate) fn submit_and_wait(&mut self, limit: Option<Duration>) -> io::Result<()> {
        let waited = match limit {
            None => self.ring.submit_and_wait(1),
            Some(limit) => {
                let time = Timespec::from(limit);
                let args = SubmitArgs::new().timespec(&time);
                self.ring.submitter().submit_with_args(1, &args)
            }
        };
        match waited {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                Some(libc::EINTR | libc::ETIME | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// The next completion: what was asked under which number, and its result.
    pub(crate) fn completion(&mut self) -> Option<(u64, i32)> {
        let entry = self.ring.completion().next()?;
        Some((entry.user_data(), entry.result()))
    }

    fn check(&self, range: Range<usize>) -> (u64, u32) {
        assert!(range.start < range.end && range.end <= self.memory.len() - WAKE_BYTES);
        let len = u32::try_from(range.end - range.start).expect("the memory is smaller");
        (self.memory.address(range.start), len)
    }

    fn push(&mut self, entry: squeue::Entry) -> io::Result<()> {
        loop {
            // SAFETY: entries are only made above; each names files by slot and either no memory
            // or a checked range of the memory that this struct keeps until the ring is gone.
            let pushed = unsafe { self.ring.submission().push(&entry) };
            if pushed.is_ok() {
                return Ok(());
            }
            self.ring.submit()?;
        }
    }
}

/// What was made with a ring; nothing, and a line that says so, where this system allows no ring:
/// docs/testing.md says what then. Any other failure is one of the test.
#[cfg(test)]
pub(crate) fn unless_forbidden<T>(made: io::Result<T>) -> Option<T> {
    match made {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS)) => {
            eprintln!("NOT TESTED: io_uring is forbidden here: {error}");
            None
        }
        made => Some(made.expect("a ring")),
    }
}

#[cfg(test)]
mod tests;
