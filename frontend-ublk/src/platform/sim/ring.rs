//! A ring whose entries the simulator does, in any order.

use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::host::{Completion, Io, IoOp, call, host};
use crate::limits::FILES;
use crate::platform::{At, Slot};
use crate::uapi::{Descriptor, io_command};

/// What a slot of a ring names.
#[derive(Debug)]
pub enum Handle {
    /// A disk, held alone, by the minor of its number.
    Disk(u32),
    /// A ublk device.
    Char(u32),
    /// A wakeup, and whether it has been woken.
    Wakeup(AtomicBool),
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Handle::Disk(minor) = self
            && let Some(host) = super::host::try_host()
        {
            host.close(*minor);
        }
    }
}

/// Fills `bytes` from `offset` on, while nothing is served yet.
pub(crate) fn read_at(from: &Handle, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    match from {
        Handle::Disk(minor) => host().read(*minor, offset, bytes),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// One thread's ring.
pub(crate) struct Ring {
    id: u32,
    memory: Memory,
    files: Vec<Option<Arc<Handle>>>,
}

impl Ring {
    pub(crate) fn new(_entries: u32, bytes: usize) -> io::Result<Ring> {
        call("making a ring")?;
        let id = host().ring();
        Ok(Ring { id, memory: Memory::new(bytes)?, files: vec![None; FILES as usize] })
    }

    pub(crate) fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }

    pub(crate) fn set_file(&mut self, slot: Slot, file: &Arc<Handle>) -> io::Result<()> {
        call("giving a ring a file")?;
        self.files[slot.0 as usize] = Some(Arc::clone(file));
        Ok(())
    }

    pub(crate) fn clear_file(&mut self, slot: Slot) -> io::Result<()> {
        self.files[slot.0 as usize] = None;
        Ok(())
    }

    pub(crate) fn read(&mut self, at: At, into: Range<usize>, user: u64) -> io::Result<()> {
        self.push(at.file, user, IoOp::Read { offset: at.offset, into })
    }

    pub(crate) fn write(
        &mut self,
        at: At,
        from: Range<usize>,
        durable: bool,
        user: u64,
    ) -> io::Result<()> {
        let data = self.memory.bytes(from).to_vec();
        self.push(at.file, user, IoOp::Write { offset: at.offset, data, durable })
    }

    pub(crate) fn flush(&mut self, file: Slot, user: u64) -> io::Result<()> {
        self.push(file, user, IoOp::Flush)
    }

    pub(crate) fn zero(&mut self, at: At, len: u64, unmap: bool, user: u64) -> io::Result<()> {
        self.push(at.file, user, IoOp::Zero { offset: at.offset, len, unmap })
    }

    pub(crate) fn discard(&mut self, at: At, len: u64, user: u64) -> io::Result<()> {
        self.push(at.file, user, IoOp::Discard { offset: at.offset, len })
    }

    pub(crate) fn ublk(
        &mut self,
        file: Slot,
        command: u32,
        (queue, tag): (u16, u16),
        result: i32,
        buffer: Range<usize>,
        user: u64,
    ) -> io::Result<()> {
        let finished = (command != io_command::FETCH).then(|| {
            let bytes = usize::try_from(result).unwrap_or(0);
            (result, self.memory.bytes(buffer.start..buffer.start + bytes).to_vec())
        });
        self.push(file, user, IoOp::Fetch { queue, tag, buffer, finished })
    }

    pub(crate) fn wake_on(&mut self, event: Slot, user: u64) -> io::Result<()> {
        self.push(event, user, IoOp::Wake)
    }

    pub(crate) fn submit(&mut self) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn submit_and_wait(&mut self, _limit: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn completion(&mut self) -> Option<(u64, i32)> {
        let Completion { user, result, data } = host().completion(self.id)?;
        if let Some((at, bytes)) = data {
            self.memory.bytes_mut(at..at + bytes.len()).copy_from_slice(&bytes);
        }
        Some((user, result))
    }

    fn push(&mut self, slot: Slot, user: u64, op: IoOp) -> io::Result<()> {
        let file = self.files[slot.0 as usize].clone().ok_or(io::ErrorKind::NotFound)?;
        host().submit(self.id, Io { user, file, op });
        Ok(())
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if let Some(host) = super::host::try_host() {
            host.close_ring(self.id);
        }
    }
}

/// The ring's memory. Most of it is never touched, and to zero it for each ring took a fifth of the
/// simulator's time, so what was touched is zeroed when it is given back.
#[derive(Debug)]
pub(crate) struct Memory {
    bytes: Vec<u8>,
    /// Which blocks may hold something.
    touched: Vec<bool>,
}

const BLOCK: usize = 4096;

thread_local! {
    /// Memory that holds zeroes only, of rings that are gone.
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

impl Memory {
    pub(crate) fn new(len: usize) -> io::Result<Memory> {
        let len = len.next_multiple_of(BLOCK);
        let spare = SPARE.with_borrow_mut(|spare| {
            let at = spare.iter().position(|bytes| bytes.len() == len)?;
            Some(spare.swap_remove(at))
        });
        let bytes = spare.unwrap_or_else(|| vec![0; len]);
        Ok(Memory { bytes, touched: vec![false; len / BLOCK] })
    }

    pub(crate) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }

    pub(crate) fn bytes_mut(&mut self, range: Range<usize>) -> &mut [u8] {
        self.touched[range.start / BLOCK..range.end.div_ceil(BLOCK)].fill(true);
        &mut self.bytes[range]
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        for (block, _) in self.touched.iter().enumerate().filter(|(_, touched)| **touched) {
            self.bytes[block * BLOCK..(block + 1) * BLOCK].fill(0);
        }
        // A thread that ends has no place for it any more.
        let bytes = std::mem::take(&mut self.bytes);
        let _ = SPARE.try_with(|spare| spare.borrow_mut().push(bytes));
    }
}

/// Where the driver describes a queue's requests.
#[derive(Debug)]
pub(crate) struct Descriptors {
    device: u32,
    queue: u16,
}

impl Descriptors {
    pub(crate) fn map(device: &Handle, queue: u16, _depth: u16) -> io::Result<Descriptors> {
        let Handle::Char(device) = device else { return Err(io::ErrorKind::Unsupported.into()) };
        Ok(Descriptors { device: *device, queue })
    }

    pub(crate) fn get(&self, tag: u16) -> Descriptor {
        let request = host().request(self.device, self.queue, tag);
        Descriptor {
            op: request.op,
            fua: request.fua,
            no_unmap: false,
            sectors: request.sectors,
            start: request.start,
        }
    }
}
