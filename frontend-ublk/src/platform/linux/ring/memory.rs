//! Page-aligned memory that the kernel reads and writes, and the kernel's own area of requests.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd as _;
use std::ptr::NonNull;

use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

use crate::uapi::{DESCRIPTOR_SIZE, Descriptor, MAX_DEPTH};

/// Zeroed pages, never moved, freed when dropped.
#[derive(Debug)]
pub(crate) struct Memory {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: it is plain memory with one owner.
unsafe impl Send for Memory {}

impl Memory {
    /// `len` bytes, rounded up to pages.
    pub(crate) fn new(len: usize) -> io::Result<Memory> {
        let len = len.next_multiple_of(4096).max(4096);
        let flags = MapFlags::PRIVATE | MapFlags::POPULATE;
        // SAFETY: a new mapping at an address of the kernel's choice aliases nothing.
        let start = unsafe {
            mmap_anonymous(std::ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, flags)
        }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Memory { start, len })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The address of a byte.
    ///
    /// # Panics
    /// If it lies outside.
    pub(crate) fn address(&self, at: usize) -> u64 {
        assert!(at < self.len, "offset {at} of {}", self.len);
        self.start.as_ptr() as u64 + at as u64
    }

    /// Bytes that no request in flight is writing.
    pub(crate) fn bytes(&self, range: Range<usize>) -> &[u8] {
        // SAFETY: the mapping is that long, initialised, and lives as long as `self`.
        let all = unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) };
        &all[range]
    }

    /// Bytes that no request in flight uses.
    pub(crate) fn bytes_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        // SAFETY: as in `bytes`, and `self` is borrowed alone.
        let all = unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) };
        &mut all[range]
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and there can be no reference into it any more.
        // A request that is still in flight holds the pages themselves.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// The read-only area in which the kernel describes a queue's requests.
#[derive(Debug)]
pub(crate) struct Descriptors {
    start: NonNull<u8>,
    len: usize,
    depth: usize,
}

// SAFETY: it is read-only memory with one owner.
unsafe impl Send for Descriptors {}

impl Descriptors {
    /// Maps queue `queue`'s area of the device's character device.
    pub(crate) fn map(device: &File, queue: u16, depth: u16) -> io::Result<Descriptors> {
        let depth = usize::from(depth);
        let len = (depth * DESCRIPTOR_SIZE).next_multiple_of(4096);
        let offset = u64::from(queue) * (MAX_DEPTH * DESCRIPTOR_SIZE) as u64;
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        // SAFETY: a new mapping at an address of the kernel's choice aliases nothing of ours.
        let start = unsafe {
            mmap(std::ptr::null_mut(), len, ProtFlags::READ, flags, device.as_fd(), offset)
        }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Descriptors { start, len, depth })
    }

    /// The request of a tag that the kernel has handed over and not taken back.
    pub(crate) fn get(&self, tag: u16) -> Descriptor {
        let at = usize::from(tag);
        assert!(at < self.depth, "tag {at} of {}", self.depth);
        // SAFETY: the place lies inside the mapping, as was just checked; bytes have no alignment.
        let place = unsafe { self.start.as_ptr().add(at * DESCRIPTOR_SIZE) };
        // SAFETY: the kernel wrote it before it handed the tag over and leaves it alone until
        // the tag is committed; volatile, since the kernel does write it between two calls.
        let bytes = unsafe { place.cast::<[u8; DESCRIPTOR_SIZE]>().read_volatile() };
        Descriptor::decode(&bytes)
    }
}

impl Drop for Descriptors {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and no reference into it was ever given out.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_zeroed_aligned_and_writable() {
        let mut memory = Memory::new(5000).expect("two pages");
        assert_eq!(memory.len(), 8192);
        assert_eq!(memory.address(0) % 4096, 0);
        assert!(memory.bytes(0..8192).iter().all(|&b| b == 0));
        memory.bytes_mut(4096..4098).fill(7);
        assert_eq!(memory.bytes(4095..4099), [0, 7, 7, 0]);
    }
}
