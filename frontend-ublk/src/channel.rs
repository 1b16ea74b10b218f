//! How a client's requests reach the VG's daemon: by its socket, or, where both are one process, by a
//! call. A recovery is its own daemon's client, and in the simulator everybody is.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use lvshift_core::units::Uuid;
use lvshift_frontend_common::error::Result;
use lvshift_frontend_common::front_end::Wake;

use crate::platform::{Instant, sleep};
use crate::protocol::{Answer, Request};

/// How often a daemon in this process is asked whether something has happened.
const STEP: Duration = Duration::from_millis(20);

/// Whether a daemon that is not there is to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Yes.
    Always,
    /// If a dead one has left devices that wait.
    ToTakeOver,
}

/// The way to one daemon.
pub(crate) trait Way: Send {
    /// Asks and waits for the answer. An error: the daemon is gone.
    fn ask(&mut self, request: &Request) -> io::Result<Answer>;
    /// Asks only.
    fn send(&mut self, request: &Request) -> io::Result<()>;
    /// Waits until what was sent is answered or the daemon gone (both are [`Wake::Changed`]), the
    /// time has passed, or something is wanted of this process.
    fn answered(&self, timeout: Option<Duration>) -> Result<Wake>;
}

/// A way to the daemon of a VG, and which VG that is.
pub(crate) struct Channel {
    vg: Uuid,
    way: Box<dyn Way>,
}

impl Channel {
    /// This way.
    pub(crate) fn new(vg: Uuid, way: impl Way + 'static) -> Channel {
        Channel { vg, way: Box::new(way) }
    }

    /// To a daemon in this process.
    pub(crate) fn in_process(vg: Uuid, daemon: Arc<dyn Answers>) -> Channel {
        Channel::new(vg, InProcess { daemon, seen: 0 })
    }

    /// Whose daemon it leads to.
    pub(crate) fn vg(&self) -> Uuid {
        self.vg
    }

    /// As [`Way::ask`].
    pub(crate) fn ask(&mut self, request: &Request) -> io::Result<Answer> {
        self.way.ask(request)
    }

    /// As [`Way::send`].
    pub(crate) fn send(&mut self, request: &Request) -> io::Result<()> {
        self.way.send(request)
    }

    /// As [`Way::answered`].
    pub(crate) fn answered(&self, timeout: Option<Duration>) -> Result<Wake> {
        self.way.answered(timeout)
    }
}

/// A daemon in this process, as its clients there see it.
pub(crate) trait Answers: Send + Sync {
    /// Does what is asked. An error: there is no such daemon any more.
    fn answer(&self, request: &Request) -> io::Result<Answer>;
    /// Whether there is no such daemon any more.
    fn is_gone(&self) -> bool {
        false
    }
    /// Its count of events; `None` while it cannot be asked.
    fn events(&self) -> Option<u64>;
    /// Whether something is wanted of the client.
    fn wants_client(&self) -> bool {
        false
    }
}

/// The way by a call.
struct InProcess {
    daemon: Arc<dyn Answers>,
    /// The count of events that a wait was sent with.
    seen: u64,
}

impl Way for InProcess {
    fn ask(&mut self, request: &Request) -> io::Result<Answer> {
        self.daemon.answer(request)
    }

    fn send(&mut self, request: &Request) -> io::Result<()> {
        if self.daemon.is_gone() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if let Request::Wait { seen, .. } = request {
            self.seen = *seen;
        }
        Ok(())
    }

    fn answered(&self, timeout: Option<Duration>) -> Result<Wake> {
        let start = Instant::now();
        loop {
            if self.daemon.wants_client() {
                return Ok(Wake::Signal);
            }
            if self.daemon.events() != Some(self.seen) {
                return Ok(Wake::Changed);
            }
            if timeout.is_some_and(|timeout| start.elapsed() > timeout) {
                return Ok(Wake::Timeout);
            }
            sleep(STEP);
        }
    }
}
