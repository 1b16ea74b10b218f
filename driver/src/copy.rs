//! How far a copy is, and why a wait for it ended.

use lvshift_core::mover::Event;
use lvshift_core::{Leg, LegFault};

/// How far the copy of a move is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyStatus {
    /// Chunks equal on both legs.
    pub chunks_done: u64,
    /// Chunks in all.
    pub chunks_total: u64,
    /// Bytes known to be equal on both legs.
    pub bytes_done: u64,
    /// Bytes in all.
    pub bytes_total: u64,
    /// What it has left for later.
    pub aside: Aside,
    /// The first leg that failed, if any.
    pub failed: Option<(Leg, LegFault)>,
}

/// What a copy has left for later, since the source did not give it at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aside {
    /// Areas apart from each other.
    pub areas: u64,
    /// Their bytes, which are none of those that are done.
    pub bytes: u64,
    /// How long they are expected to take, in nanoseconds.
    pub nanos: u64,
}

impl CopyStatus {
    /// What the mover is told of it; `None` while there is something to copy and all is well.
    #[must_use]
    pub fn verdict(&self) -> Option<Event> {
        match self.failed {
            Some((leg, fault)) => Some(Event::LegFailed(leg, fault)),
            None if self.chunks_done == self.chunks_total => Some(Event::CopyEqual),
            None => None,
        }
    }

    /// How the destination has failed, if that is what failed.
    #[must_use]
    pub fn fault_of_destination(&self) -> Option<LegFault> {
        self.failed.and_then(|(leg, fault)| (leg == Leg::Destination).then_some(fault))
    }
}

/// Why a wait for the copy ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Something about the copy changed: look at its status.
    Changed,
    /// The time given passed: report progress, if anybody wants it.
    Timeout,
    /// A signal came, or another command asked for something: see [`Host::requests`](crate::Host::requests).
    Signal,
}
