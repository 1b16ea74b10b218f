//! Waiting for the kernel's events and for requests, without a timer that could delay either.

use std::time::Duration;

use lvshift_frontend_common::error::{Error, Kind, Result};
use lvshift_frontend_common::front_end::Wake;
use lvshift_frontend_common::requests;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::kernel::Kernel;

/// Blocks until a dm device changes, something is wanted of the mover, or the time is over.
pub(crate) fn wait(kernel: &Kernel, timeout: Option<Duration>) -> Result<Wake> {
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    let mut fds = vec![PollFd::new(kernel.events(), PollFlags::IN)];
    let wake = requests::wake();
    if let Some(wake) = &wake {
        fds.push(PollFd::new(wake, PollFlags::IN));
    }
    match poll(&mut fds, timeout.as_ref()) {
        Ok(0) => Ok(Wake::Timeout),
        Ok(_) => {
            let asked = fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
            Ok(if asked { Wake::Signal } else { Wake::Changed })
        }
        Err(Errno::INTR) => Ok(Wake::Changed),
        Err(error) => Err(Error::new(Kind::Kernel, "waiting for events failed").because(error)),
    }
}
