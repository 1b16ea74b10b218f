//! Making every queue of a dead daemon's device ready once, before it is taken over.
//!
//! Linux 6.12 follows a null pointer at START_USER_RECOVERY where some queues of the device are
//! ready and others are not, which is what a daemon leaves that is killed in the middle of a
//! recovery (seen: a panic of the whole machine). So a thread that lives for nothing else fetches on
//! all queues in one system call. Those that are ready refuse it, the others become ready, and with
//! the end of the thread all of them have a daemon that is gone.

use std::fs::File;
use std::io;
use std::sync::Arc;

use crate::limits::DEVICE;
use crate::platform::Ring;
use crate::uapi::io_command;

/// Does it. The device's character device is open here for a moment longer than this runs.
pub(crate) fn make_ready(device: File, queues: u16, depth: u16) -> io::Result<()> {
    let thread = std::thread::Builder::new().stack_size(256 << 10).spawn(move || {
        let fetches = u32::from(queues) * u32::from(depth);
        let mut ring = Ring::new(fetches.next_power_of_two(), 4096)?;
        ring.set_file(DEVICE, &Arc::new(device))?;
        for queue in 0..queues {
            for tag in 0..depth {
                // No request is ever handed over: the disk is quiesced. Any address will do.
                ring.ublk(DEVICE, io_command::FETCH, (queue, tag), 0, 0..4096, 0)?;
            }
        }
        ring.submit()
    })?;
    thread.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
}
