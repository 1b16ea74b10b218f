//! A connection to the one daemon of the simulator.

use std::io;
use std::path::Path;
use std::time::Duration;

use lvshift_core::units::Uuid;
use lvshift_frontend_common::error::Result;
use lvshift_frontend_common::front_end::Wake;

use crate::host::host;
use crate::os::Instant;
use crate::process;
use crate::protocol::{Answer, Request};

/// Whether a daemon that is not there is to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Always,
    ToTakeOver,
}

#[derive(Debug)]
pub(super) struct Connection {
    vg: Uuid,
    /// Which daemon it leads to.
    to: u64,
    /// The count of events that a wait was sent with.
    seen: u64,
}

impl Connection {
    pub(super) fn open(vg: Uuid, own: Option<&Path>, start: Start) -> Result<Option<Connection>> {
        if let Some(to) = process::generation() {
            return Ok(Some(Connection { vg, to, seen: 0 }));
        }
        if own.is_some() || (start == Start::ToTakeOver && crate::files::notes(vg)?.is_empty()) {
            return Ok(None);
        }
        loop {
            process::start(vg)?;
            if let Some(to) = process::generation() {
                return Ok(Some(Connection { vg, to, seen: 0 }));
            }
        }
    }

    pub(super) fn daemon_of(_vg: Uuid) -> Result<Option<u32>> {
        Ok(None)
    }

    pub(super) fn shut_down(_vg: Uuid) -> Result<()> {
        Ok(())
    }

    pub(super) fn wait_for_end(_vg: Uuid, _pid: u32) -> Result<()> {
        Ok(())
    }

    pub(super) fn vg(&self) -> Uuid {
        self.vg
    }

    pub(super) fn ask(&mut self, request: &Request) -> io::Result<Answer> {
        if process::generation() != Some(self.to) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        process::ask(request)
    }

    pub(super) fn send(&mut self, request: &Request) -> io::Result<()> {
        if process::generation() != Some(self.to) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if let Request::Wait { seen, .. } = request {
            self.seen = *seen;
        }
        Ok(())
    }

    pub(super) fn answered(&self, timeout: Option<Duration>) -> Result<Wake> {
        let start = Instant::now();
        loop {
            if host().mover_is_wanted() {
                return Ok(Wake::Signal);
            }
            let answered = process::events().is_none_or(|count| count != self.seen);
            if answered || process::generation() != Some(self.to) {
                return Ok(Wake::Changed);
            }
            if timeout.is_some_and(|timeout| start.elapsed() > timeout) {
                return Ok(Wake::Timeout);
            }
            host().step();
        }
    }
}
