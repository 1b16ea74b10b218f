//! The way to the one daemon of the simulator.

use std::io;
use std::sync::Arc;

use lvshift_core::units::Uuid;
use lvshift_frontend_common::error::Result;

use super::host::host;
use super::{files, process};
use crate::channel::{Answers, Channel, Start};
use crate::protocol::{Answer, Request};

pub(crate) fn connect(vg: Uuid, start: Start) -> Result<Option<Channel>> {
    loop {
        if let Some(daemon) = Reached::now() {
            return Ok(Some(Channel::in_process(vg, Arc::new(daemon))));
        }
        if start == Start::ToTakeOver && files::notes(vg)?.is_empty() {
            return Ok(None);
        }
        process::start(vg)?;
    }
}

pub(crate) fn daemon_of(_vg: Uuid) -> Result<Option<u32>> {
    Ok(None)
}

pub(crate) fn shut_down(_vg: Uuid) -> Result<()> {
    Ok(())
}

pub(crate) fn wait_for_end(_vg: Uuid, _pid: u32) -> Result<()> {
    Ok(())
}

/// The daemon of this generation, whether it lives or not.
pub(super) struct Reached(u64);

impl Reached {
    /// The one that lives now.
    pub(super) fn now() -> Option<Reached> {
        process::generation().map(Reached)
    }
}

impl Answers for Reached {
    fn is_gone(&self) -> bool {
        process::generation() != Some(self.0)
    }

    fn answer(&self, request: &Request) -> io::Result<Answer> {
        if self.is_gone() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        process::ask(request)
    }

    fn events(&self) -> Option<u64> {
        if self.is_gone() { None } else { process::events() }
    }

    fn wants_client(&self) -> bool {
        host().mover_is_wanted()
    }
}
