//! System calls that rustix has no safe name for.

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::ptr::NonNull;

use rustix::mm::{MapFlags, ProtFlags, mlock, mmap, munmap};

use super::connection::NOTIFY_SOCKET;

/// `BLKGETDISKSEQ`: a number that no other disk of this boot has had or will have.
const BLKGETDISKSEQ: libc::c_ulong = 0x8008_1280;

/// Of `linux/prctl.h`.
const PR_SET_IO_FLUSHER: libc::c_int = 57;

/// The disk's sequence number; `None` where the kernel does not know.
pub(crate) fn disk_sequence(device: &File) -> Option<u64> {
    let mut sequence = 0u64;
    // SAFETY: the ioctl writes one u64 through the pointer, which is valid for it.
    let done = unsafe { libc::ioctl(device.as_raw_fd(), BLKGETDISKSEQ, &raw mut sequence) };
    (done == 0).then_some(sequence)
}

/// Memory that this process allocates never waits for I/O that this process has to do.
pub(crate) fn become_io_flusher() -> io::Result<()> {
    // SAFETY: PR_SET_IO_FLUSHER takes a number and touches no memory.
    let done = unsafe { libc::prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Nothing of this process is ever paged out, now and later.
pub(crate) fn lock_memory() -> io::Result<()> {
    // SAFETY: it takes flags and touches no memory.
    let done = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives the calling thread a mount namespace of its own; threads started later share it.
pub(crate) fn own_mounts() -> io::Result<()> {
    // SAFETY: it takes flags and touches no memory.
    let done = unsafe { libc::unshare(libc::CLONE_NEWNS) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Out of the cgroup of whoever has started this process: when a unit or a session ends, all that is in its
/// cgroup is killed. Where systemd has started us, the cgroup is ours.
pub(crate) fn leave_cgroup() {
    if std::env::var_os(NOTIFY_SOCKET).is_some() {
        return;
    }
    let root = Path::new("/sys/fs/cgroup");
    let join = |cgroup: &Path| std::fs::write(cgroup.join("cgroup.procs"), "0").is_ok();
    if join(root) {
        return;
    }
    // Version 1: one hierarchy each. What is not one refuses, and what is not there holds no process.
    for hierarchy in std::fs::read_dir(root).into_iter().flatten().flatten() {
        join(&hierarchy.path());
    }
}

/// The socket that systemd listens on for this process, if it has handed one over. Once a process: it is its
/// only owner.
pub(crate) fn handed_over() -> Option<UnixListener> {
    let fd = sd_notify::listen_fds().ok()?.next()?;
    // SAFETY: it is open, since systemd has passed it to this very process, and no other part of it takes it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // Programs that this one starts have no use for it.
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC).ok()?;
    let listener = UnixListener::from(fd);
    // What is something else is nothing to accept from.
    listener.local_addr().ok()?.as_pathname()?;
    Some(listener)
}

/// A file's pages, mapped and locked into memory as long as this lives. They are never read through it, so that a file
/// that is cut short does no harm.
#[derive(Debug)]
pub(crate) struct Pinned {
    start: NonNull<c_void>,
    len: usize,
}

// SAFETY: nothing is read or written through the address.
unsafe impl Send for Pinned {}

impl Pinned {
    /// The whole of the file; `None` where it is empty.
    pub(crate) fn new(file: &File) -> io::Result<Option<Pinned>> {
        let len = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        if len == 0 {
            return Ok(None);
        }
        // SAFETY: a new mapping at an address of the kernel's choice aliases nothing.
        let start =
            unsafe { mmap(std::ptr::null_mut(), len, ProtFlags::READ, MapFlags::SHARED, file, 0) }?;
        let start = NonNull::new(start).ok_or(io::ErrorKind::OutOfMemory)?;
        let pinned = Pinned { start, len };
        // SAFETY: the mapping is that long and ours.
        unsafe { mlock(start.as_ptr(), len) }?;
        Ok(Some(pinned))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and there was never a reference into it.
        let _ = unsafe { munmap(self.start.as_ptr(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_disk_has_no_sequence() {
        let file = File::open("/proc/self/exe").expect("it runs");
        assert_eq!(disk_sequence(&file), None);
    }
}
