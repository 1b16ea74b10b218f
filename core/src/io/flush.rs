//! An application's flush: durable on every leg of every part before it is acknowledged.
//!
//! The front end flushes every device under the volume once, mirrored destinations among them,
//! and counts the answers here. A destination whose flush fails does not fail the application's
//! while the source is in charge, but it is never believed again
//! ([`Tracker::flush_failed`](crate::chunk::Tracker::flush_failed)).

use crate::Leg;
use crate::chunk::{AppResult, Authority};

/// The flushes of one request that are still in flight.
#[derive(Debug, PartialEq, Eq)]
pub struct FlushProgress {
    waiting: u32,
    source_failed: bool,
    destination_failed: bool,
}

/// What a flush comes to when the last device has answered.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlushResult {
    source_failed: bool,
    destination_failed: bool,
}

impl FlushProgress {
    /// For a flush of so many devices. With none it is done already: do not wait.
    pub const fn new(devices: u32) -> FlushProgress {
        FlushProgress { waiting: devices, source_failed: false, destination_failed: false }
    }

    /// A device has answered. Everything that is not the destination of a move counts as source.
    /// A device that is both (source of one part, destination of another) counts as source.
    /// `Some` when it was the last.
    pub fn device_done(&mut self, leg: Leg, ok: bool) -> Option<FlushResult> {
        self.waiting = self.waiting.checked_sub(1)?;
        match leg {
            Leg::Source => self.source_failed |= !ok,
            Leg::Destination => self.destination_failed |= !ok,
        }
        (self.waiting == 0).then_some(FlushResult {
            source_failed: self.source_failed,
            destination_failed: self.destination_failed,
        })
    }
}

impl FlushResult {
    /// What the application is told, under the authority read **after** every failed leg was
    /// reported with [`Tracker::flush_failed`](crate::chunk::Tracker::flush_failed).
    ///
    /// While the commit of `Moved` is under way (`committing`), even a flush that went well is held:
    /// the commit flushes the destination too, and if that flush failed before this one, the device
    /// may have dropped what this one was to make durable.
    pub const fn app(self, authority: Authority, committing: bool) -> AppResult {
        match (self.source_failed, self.destination_failed, authority) {
            (true, _, _) | (_, true, Authority::Destination) => AppResult::Failed,
            (false, failed, Authority::Undecided) if failed || committing => AppResult::Held,
            (false, _, _) => AppResult::Done,
        }
    }
}
