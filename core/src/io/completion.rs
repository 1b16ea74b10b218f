//! What the ends of a piece's leg I/Os come to.

use bitflags::bitflags;

use super::plan::Plan;
use crate::Leg;
use crate::chunk::WriteOutcome;

/// The legs of one write piece that are still in flight. `Copy`-free on purpose: one per slot.
#[derive(Debug, PartialEq, Eq)]
pub struct WriteProgress {
    waiting: Legs,
    failed: Legs,
}

bitflags! {
    /// A set of legs.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(super) struct Legs: u8 {
        const SOURCE = 1;
        const DESTINATION = 2;
    }
}

impl From<Leg> for Legs {
    fn from(leg: Leg) -> Legs {
        match leg {
            Leg::Source => Legs::SOURCE,
            Leg::Destination => Legs::DESTINATION,
        }
    }
}

impl WriteProgress {
    /// For a plan that is about to be issued.
    pub fn new(plan: &Plan) -> WriteProgress {
        let waiting = plan.iter().fold(Legs::empty(), |legs, io| legs | io.leg.into());
        WriteProgress { waiting, failed: Legs::empty() }
    }

    /// A leg's I/O has ended, for good: retries and short writes are behind it. `Some` when it was
    /// the last; then complete the ticket with it. An answer of a leg that is not waited for
    /// changes nothing.
    pub fn leg_done(&mut self, leg: Leg, ok: bool) -> Option<WriteOutcome> {
        if !self.waiting.contains(leg.into()) {
            return None;
        }
        self.waiting.remove(leg.into());
        if !ok {
            self.failed.insert(leg.into());
        }
        self.waiting.is_empty().then(|| self.outcome())
    }

    const fn outcome(&self) -> WriteOutcome {
        if self.failed.contains(Legs::SOURCE) {
            WriteOutcome::SourceFailed
        } else if self.failed.contains(Legs::DESTINATION) {
            WriteOutcome::DestinationFailed
        } else {
            WriteOutcome::Done
        }
    }

    /// Whether the source has taken the write and only the destination is awaited: past its
    /// deadline the front end may abandon the part and ask
    /// [`Tracker::held_result`](crate::chunk::Tracker::held_result) what to tell the application.
    /// The buffer and the ticket stay until the destination has answered all the same.
    pub const fn only_destination_awaited(&self) -> bool {
        self.waiting.contains(Legs::DESTINATION)
            && !self.waiting.contains(Legs::SOURCE)
            && !self.failed.contains(Legs::SOURCE)
    }
}

/// A read of a mirrored part: the source, then perhaps the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadPlan {
    asked: Leg,
}

/// What follows from the end of a leg's read.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReadStep {
    /// The application gets the bytes.
    Done,
    /// Ask [`Tracker::may_read_destination`](crate::chunk::Tracker::may_read_destination): if it
    /// may, read there; if not, the application gets `EIO`.
    TryDestination,
    /// The application gets `EIO`.
    Failed,
}

impl ReadPlan {
    /// A read starts at the source.
    pub const fn new() -> ReadPlan {
        ReadPlan { asked: Leg::Source }
    }

    /// The leg to read from now.
    pub const fn leg(&self) -> Leg {
        self.asked
    }

    /// The read of [`ReadPlan::leg`] has ended.
    pub fn leg_done(&mut self, ok: bool) -> ReadStep {
        match (ok, self.asked) {
            (true, _) => ReadStep::Done,
            (false, Leg::Source) => {
                self.asked = Leg::Destination;
                ReadStep::TryDestination
            }
            (false, Leg::Destination) => ReadStep::Failed,
        }
    }
}

impl Default for ReadPlan {
    fn default() -> ReadPlan {
        ReadPlan::new()
    }
}
