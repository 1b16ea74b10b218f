//! The chunks of one part together: admission, copies, health.

use super::cell::ChunkCell;
use super::effects::Effects;
use super::geometry::{ChunkIndex, Geometry, GeometryError, RangeError};
use super::group::{GROUP_CHUNKS, Group};
use super::guard::Guard;
use super::health::{Authority, Fault, Health, Sealed};
use super::queue::QueueMask;
use super::ticket::WriteTicket;
use super::wanted::Wanted;
use super::word::{Phase, Word};
use crate::sync::AtomicU32;
use crate::{Leg, LegFault};

/// The memory of a part's chunks, lent or owned by the front end.
pub trait Cells {
    /// At least [`Geometry::chunks`] cells; always the same ones.
    fn cells(&self) -> &[ChunkCell];
    /// At least [`Geometry::groups`] groups; always the same ones.
    fn groups(&self) -> &[Group];
}

/// Memory lent to a tracker.
#[derive(Clone, Copy, Debug)]
pub struct Borrowed<'a> {
    /// One for each chunk.
    pub cells: &'a [ChunkCell],
    /// One for each [`GROUP_CHUNKS`] chunks.
    pub groups: &'a [Group],
}

impl Cells for Borrowed<'_> {
    fn cells(&self) -> &[ChunkCell] {
        self.cells
    }

    fn groups(&self) -> &[Group] {
        self.groups
    }
}

/// What a parked piece waits for; it holds nothing, and is retried when its queue is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Parked {
    /// For its chunk: to be copied, or for its log bit.
    ForChunk,
    /// For a write in flight to the same sectors.
    ForOverlap,
    /// For the commit of `Moved` to be decided, and the table after it.
    ForCommit,
}

/// What a write piece leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// Bytes that are the same on both legs: data or zeroes.
    Known,
    /// Bytes that cannot be foretold: a discard that is not done as zeroes.
    Undefined,
}

/// The answer to a write piece.
#[must_use]
#[derive(Debug)]
pub enum Admission {
    /// Pass the effects on and issue it along [`WriteTicket::route`].
    Admitted(WriteTicket, Effects),
    /// Put it into the own queue's list, pass the effects on, and retry it when woken.
    Parked(Parked, Effects),
}

/// Why a write piece can be neither admitted nor parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdmitError {
    /// It does not lie in one chunk of the part.
    Range(RangeError),
    /// More writes are in flight in the chunk than can be counted.
    TooManyWriters {
        /// Queues that this piece had stopped for a moment.
        wake: QueueMask,
    },
}

/// The tracker of one part. Shared by all queue threads, the copier and the log writer.
pub struct Tracker<S> {
    pub(crate) geometry: Geometry,
    pub(crate) storage: S,
    pub(crate) guard: Guard,
    pub(crate) wanted: Wanted,
    pub(crate) marks: Wanted,
    pub(crate) health: Health,
    /// 1 while a settle round is under way.
    pub(crate) settling: AtomicU32,
}

impl<S: Cells> Tracker<S> {
    /// A tracker in which every chunk is pending. Overwrites what the memory held.
    ///
    /// # Errors
    /// [`GeometryError::StorageTooSmall`] where the memory is too small for the part.
    pub fn new(geometry: Geometry, storage: S) -> Result<Tracker<S>, GeometryError> {
        for (needed, found) in [
            (geometry.chunks() as usize, storage.cells().len()),
            (geometry.groups() as usize, storage.groups().len()),
        ] {
            if found < needed {
                return Err(GeometryError::StorageTooSmall { needed, found });
            }
        }
        for cell in storage.cells() {
            cell.reset(Word::new(Phase::Pending));
        }
        let mut left = geometry.chunks();
        for group in storage.groups() {
            let here = left.min(GROUP_CHUNKS);
            group.reset(here);
            left -= here;
        }
        Ok(Tracker {
            geometry,
            storage,
            guard: Guard::new(),
            wanted: Wanted::new(),
            marks: Wanted::new(),
            health: Health::new(),
            settling: AtomicU32::new(0),
        })
    }

    /// How the part is cut into chunks.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The memory it was given.
    pub fn storage(&self) -> &S {
        &self.storage
    }

    /// How many chunks are not mirrored. Exact when nothing is in flight.
    pub fn left(&self) -> u32 {
        self.groups().iter().fold(0, |sum, group| sum.saturating_add(group.left()))
    }

    /// Notes that a leg has failed at something that no ticket tells of. The part is abandoned:
    /// no copy starts, and nothing that can do without the destination waits.
    pub fn fail(&self, fault: Fault) -> Effects {
        self.health.fail(fault);
        Effects { wake: QueueMask::ALL, copier: true, log: false }
    }

    /// The first thing that failed, if anything did.
    pub fn fault(&self) -> Option<Fault> {
        self.health.fault()
    }

    /// Whether the part has failed and only waits for the mover to go back to the source.
    pub fn is_abandoned(&self) -> bool {
        self.health.fault().is_some()
    }

    /// Before the commit of `Moved`, and before the flush of the destination that this rests on: what
    /// is copied between such a flush and the seal would not be durable. From now on a write that
    /// the destination does not take is not acknowledged until [`Tracker::decided`]. Where the
    /// answer is not [`Sealed::Sealed`], all is as before.
    pub fn seal(&self) -> (Sealed, Effects) {
        self.health.set_authority(Authority::Undecided);
        // The count before the fault: a demotion that is not counted yet has left its fault.
        let left = self.left();
        let answer = match self.fault() {
            Some(fault) => Sealed::Unhealthy(fault),
            None if left > 0 => Sealed::NotEqual,
            None => return (Sealed::Sealed, Effects::NONE),
        };
        (answer, self.decided(Authority::Source))
    }

    /// After the commit, or after it was not made. The effects wake the queues that hold results
    /// back.
    pub fn decided(&self, authority: Authority) -> Effects {
        self.health.set_authority(authority);
        Effects::waking(QueueMask::ALL)
    }

    /// Which leg is in charge, looked at after everything that this thread has looked at before.
    pub fn authority_after(&self) -> Authority {
        self.health.authority_after()
    }

    /// Which leg is in charge.
    pub fn authority(&self) -> Authority {
        self.health.authority()
    }

    pub(crate) fn fail_quietly(&self, leg: Leg, fault: LegFault) {
        self.health.fail(Fault { leg, fault });
    }

    /// A chunk's state, for reports and tests.
    pub fn word(&self, chunk: ChunkIndex) -> Option<Word> {
        self.cell(chunk).map(ChunkCell::load)
    }

    pub(crate) fn cell(&self, chunk: ChunkIndex) -> Option<&ChunkCell> {
        if chunk.0 >= self.geometry.chunks() {
            return None;
        }
        self.storage.cells().get(chunk.0 as usize)
    }

    pub(crate) fn groups(&self) -> &[Group] {
        let groups = self.storage.groups();
        groups.get(..self.geometry.groups() as usize).unwrap_or(groups)
    }

    pub(crate) fn group_of(&self, chunk: ChunkIndex) -> Option<&Group> {
        self.groups().get((chunk.0 / GROUP_CHUNKS) as usize)
    }

    pub(crate) fn count_mirrored(&self, chunk: ChunkIndex) {
        if let Some(group) = self.group_of(chunk) {
            group.one_mirrored();
            group.has_dirty_now();
        }
    }

    pub(crate) fn count_demoted(&self, chunk: ChunkIndex) {
        if let Some(group) = self.group_of(chunk) {
            group.one_demoted();
        }
    }
}
