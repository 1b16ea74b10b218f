//! Threads, locks and clocks.

use std::io;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Builder;

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
pub(crate) use std::thread::sleep;
pub(crate) use std::time::Instant;

use crate::platform::RingLoop;

/// A running thread.
#[derive(Debug)]
pub(crate) struct Thread {
    started: Receiver<io::Result<()>>,
    ended: Receiver<()>,
}

/// Starts a thread over what `make` makes there.
pub(crate) fn spawn<W: RingLoop>(
    name: String,
    make: impl FnOnce() -> io::Result<W> + Send + 'static,
) -> io::Result<Thread> {
    let (send, started) = sync_channel(1);
    let (end, ended) = sync_channel(1);
    Builder::new().name(name).stack_size(256 << 10).spawn(move || {
        let work = make();
        match work {
            Ok(mut work) => {
                let _ = send.send(Ok(()));
                let ended = run(&mut work);
                work.ended(&ended);
                drop(work);
                let _ = end.send(());
            }
            Err(error) => {
                let _ = send.send(Err(error));
            }
        }
    })?;
    Ok(Thread { started, ended })
}

fn run(work: &mut impl RingLoop) -> io::Result<()> {
    while let Some(limit) = work.before_wait()? {
        work.wait(limit)?;
        work.after_wait()?;
    }
    Ok(())
}

impl Thread {
    /// Waits until it is made.
    pub(crate) fn ready(&mut self) -> io::Result<()> {
        self.started.recv().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
    }

    /// Waits for its end: all of its work, and of what it has held. The kernel may keep the thread itself
    /// for as long as a disk does not answer a flush.
    pub(crate) fn join(self) {
        // A thread that could not begin says nothing.
        let _ = self.ended.recv();
    }
}

/// Ends the process at once: the kernel keeps its requests for the next daemon.
pub(crate) fn abort() {
    std::process::abort();
}

/// Processors of this host.
pub(crate) fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get())
}
