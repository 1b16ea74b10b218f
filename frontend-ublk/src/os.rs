//! Threads, locks and clocks: what the simulator makes up by itself.

use std::io;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
pub(crate) use std::thread::sleep;
pub(crate) use std::time::Instant;

/// What a thread with a ring does, cut where it waits.
pub(crate) trait Work {
    /// All that can be done now; then how long to wait at most (`None`: until something ends), or
    /// `None` where the thread's work is done.
    fn before_wait(&mut self) -> io::Result<Option<Option<Duration>>>;
    /// Waits for something on the ring to end.
    fn wait(&mut self, limit: Option<Duration>) -> io::Result<()>;
    /// Takes what has ended.
    fn after_wait(&mut self) -> io::Result<()>;
    /// The last act.
    fn ended(&mut self, ended: &io::Result<()>);
}

/// A running thread.
#[derive(Debug)]
pub(crate) struct Thread {
    started: Receiver<io::Result<()>>,
    handle: JoinHandle<()>,
}

/// Starts a thread over what `make` makes there.
pub(crate) fn spawn<W: Work>(
    name: String,
    make: impl FnOnce() -> io::Result<W> + Send + 'static,
) -> io::Result<Thread> {
    let (send, started) = sync_channel(1);
    let handle = Builder::new().name(name).stack_size(256 << 10).spawn(move || {
        let work = make();
        match work {
            Ok(mut work) => {
                let _ = send.send(Ok(()));
                let ended = run(&mut work);
                work.ended(&ended);
            }
            Err(error) => {
                let _ = send.send(Err(error));
            }
        }
    })?;
    Ok(Thread { started, handle })
}

fn run(work: &mut impl Work) -> io::Result<()> {
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

    /// Waits for its end.
    pub(crate) fn join(self) {
        // A panic there has been printed.
        let _ = self.handle.join();
    }
}

/// Processors of this host.
pub(crate) fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get())
}
