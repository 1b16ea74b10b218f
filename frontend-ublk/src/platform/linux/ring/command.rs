//! A ring with 128-byte entries, for the commands of `/dev/ublk-control`.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

use io_uring::{IoUring, cqueue, opcode, squeue, types};

use super::Memory;
use crate::uapi::Command;

/// Issues one command at a time and waits for it.
pub(in crate::platform) struct CommandRing {
    ring: IoUring<squeue::Entry128, cqueue::Entry>,
    payload: Memory,
}

impl CommandRing {
    /// A ring for the calling thread or any other, one at a time.
    pub(crate) fn new() -> io::Result<CommandRing> {
        let ring = IoUring::<squeue::Entry128, cqueue::Entry>::builder().build(4)?;
        Ok(CommandRing { ring, payload: Memory::new(4096)? })
    }

    /// Issues `number`, with `payload` for the kernel to read and to change in place.
    pub(crate) fn issue(
        &mut self,
        file: &File,
        number: u32,
        mut command: Command,
        payload: Option<&mut [u8]>,
    ) -> io::Result<i32> {
        if let Some(bytes) = &payload {
            self.payload.bytes_mut(0..bytes.len()).copy_from_slice(bytes);
            command.address = self.payload.address(0);
            command.len = u16::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        }
        let entry = opcode::UringCmd80::new(types::Fd(file.as_raw_fd()), number)
            .cmd(command.encode())
            .build();
        // SAFETY: the payload's memory lives in this struct, and the command is waited for below
        // while both it and the file are borrowed.
        unsafe { self.ring.submission().push(&entry) }
            .map_err(|_| io::Error::from(io::ErrorKind::ResourceBusy))?;
        let result = loop {
            match self.ring.submit_and_wait(1) {
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
                Err(error) => return Err(error),
            }
            if let Some(entry) = self.ring.completion().next() {
                break entry.result();
            }
        };
        if result < 0 {
            return Err(io::Error::from_raw_os_error(-result));
        }
        if let Some(bytes) = payload {
            let len = bytes.len();
            bytes.copy_from_slice(self.payload.bytes(0..len));
        }
        Ok(result)
    }
}
