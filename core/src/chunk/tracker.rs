//! The chunks of one part together: admission, copies, health.

use super::cell::ChunkCell;
use super::geometry::{ChunkIndex, Geometry, GeometryError, Piece, RangeError};
use super::group::{GROUP_CHUNKS, Group};
use super::guard::Guard;
use super::health::{Authority, Fault, Health, Sealed};
use super::queue::{QueueId, QueueMask};
use super::step::{Event, Intent, Outcome, Route, Want, WritePolicy};
use super::ticket::{AppResult, Completed, CopyOutcome, CopyTicket, WriteOutcome, WriteTicket};
use super::wanted::Wanted;
use super::word::{Phase, Word};
use crate::mover::{Leg, LegFault};
use crate::sync::AtomicU32;

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

/// Which other threads have something to do now.
#[must_use]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// These queues retry what they parked in this part.
    pub wake: QueueMask,
    /// The copier looks for work.
    pub copier: bool,
    /// The log writer looks for chunks to mark.
    pub log: bool,
}

impl Effects {
    /// Nothing to do for anybody.
    pub const NONE: Effects = Effects { wake: QueueMask::NONE, copier: false, log: false };

    /// Whether there is nothing to do for anybody.
    pub fn is_none(self) -> bool {
        self == Effects::NONE
    }

    pub(super) fn waking(wake: QueueMask) -> Effects {
        Effects { wake, ..Effects::NONE }
    }

    /// Both together.
    pub fn and(self, other: Effects) -> Effects {
        Effects {
            wake: self.wake | other.wake,
            copier: self.copier | other.copier,
            log: self.log | other.log,
        }
    }
}

/// What a parked piece waits for; it holds nothing, and is retried when its queue is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Parked {
    /// For its chunk: to be copied, or for its log bit.
    ForChunk,
    /// For a write in flight to the same sectors.
    ForOverlap,
}

/// What a write piece leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// Bytes that are the same on both legs: data or zeroes.
    Known,
    /// Bytes that nobody can foretell: a discard that is not done as zeroes.
    Undefined,
}

/// The answer to a write piece.
#[must_use]
#[derive(Debug)]
pub enum Admission {
    /// Issue it along [`WriteTicket::route`].
    Admitted(WriteTicket),
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
    pub(super) geometry: Geometry,
    storage: S,
    guard: Guard,
    pub(super) wanted: Wanted,
    pub(super) marks: Wanted,
    pub(super) health: Health,
    /// 1 while a settle round is under way.
    pub(super) settling: AtomicU32,
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

    /// Asks for a write piece to be let in. It must lie in one chunk.
    ///
    /// # Errors
    /// [`AdmitError`]; the piece then holds nothing and is not parked.
    pub fn admit(
        &self,
        piece: Piece,
        content: Content,
        queue: QueueId,
        policy: WritePolicy,
    ) -> Result<Admission, AdmitError> {
        let (chunk, whole) = self.geometry.locate(piece).map_err(AdmitError::Range)?;
        let cell = self.cell(chunk).ok_or(AdmitError::Range(RangeError::PastEnd))?;
        if let Err(wake) = self.guard.take(piece, queue) {
            return Ok(Admission::Parked(Parked::ForOverlap, Effects::waking(wake)));
        }
        let intent = match (content, whole) {
            (Content::Undefined, _) => Intent::SourceOnly,
            (Content::Known, true) => Intent::Whole,
            (Content::Known, false) => Intent::Partial,
        };
        let policy = if self.is_abandoned() { WritePolicy::Abandoned } else { policy };
        let step = cell.apply(Event::Admit { intent, policy, queue });
        let ticket = |route| Ok(Admission::Admitted(WriteTicket { chunk, piece, route }));
        match step.outcome {
            Outcome::Admitted(route) => ticket(route),
            Outcome::AdmittedDemoting => {
                self.count_demoted(chunk);
                ticket(Route::Source)
            }
            Outcome::Parked(want) => {
                let mut effects = Effects::waking(self.guard.give_back(piece));
                match want {
                    Want::Copy => {
                        self.wanted.put(chunk);
                        effects.copier = true;
                    }
                    Want::Mark => {
                        self.marks.put(chunk);
                        effects.log = true;
                    }
                    Want::Nothing => {}
                }
                Ok(Admission::Parked(Parked::ForChunk, effects))
            }
            _ => Err(AdmitError::TooManyWriters { wake: self.guard.give_back(piece) }),
        }
    }

    pub(super) fn end_write(&self, ticket: &WriteTicket, outcome: WriteOutcome) -> Completed {
        // The fault is known before the write is acknowledged, and before its chunk is let go.
        match (outcome, ticket.route) {
            (WriteOutcome::Done, _) | (WriteOutcome::SourceFailed, Route::Source) => {}
            (WriteOutcome::SourceFailed, _) => self.fail_quietly(Leg::Source, LegFault::Write),
            (WriteOutcome::DestinationFailed, _) => {
                self.fail_quietly(Leg::Destination, LegFault::Write);
            }
        }
        let mut effects = Effects::NONE;
        if let Some(cell) = self.cell(ticket.chunk) {
            let done = outcome == WriteOutcome::Done;
            let step = match (ticket.route, done) {
                (Route::WholeChunk, true) => cell.apply(Event::CopyDone),
                (Route::WholeChunk, false) => cell.apply(Event::CopyFailed),
                (_, true) => cell.write_done(),
                (_, false) => cell.apply(Event::WriteFailed),
            };
            effects.wake = step.wake;
            match step.outcome {
                Outcome::CopyWanted => {
                    self.wanted.put(ticket.chunk);
                    effects.copier = true;
                }
                Outcome::Mirrored => {
                    self.count_mirrored(ticket.chunk);
                    effects.copier = true;
                }
                Outcome::Demoted => {
                    self.count_demoted(ticket.chunk);
                    effects.copier = true;
                }
                _ => {}
            }
        }
        effects.wake |= self.guard.give_back(ticket.piece);
        if outcome == WriteOutcome::DestinationFailed {
            // Everybody retries: nothing waits for a copy any more.
            effects = Effects { wake: QueueMask::ALL, copier: true, ..effects };
        }
        let app = match outcome {
            WriteOutcome::Done => AppResult::Done,
            WriteOutcome::SourceFailed => {
                if ticket.route != Route::Source {
                    effects = Effects { wake: QueueMask::ALL, copier: true, ..effects };
                }
                AppResult::Failed
            }
            WriteOutcome::DestinationFailed => self.held_result(),
        };
        Completed { app, effects }
    }

    /// What a write is told that the source took and the destination did not: it succeeded while
    /// the source is in charge, and failed once the destination is.
    pub fn held_result(&self) -> AppResult {
        match self.health.authority() {
            Authority::Source => AppResult::Done,
            Authority::Undecided => AppResult::Held,
            Authority::Destination => AppResult::Failed,
        }
    }

    /// Whether a read that failed on the source may be served from the destination: every chunk of
    /// the piece is mirrored, no write is in flight in it, and no leg has failed otherwise. The
    /// piece may span chunks.
    pub fn may_read_destination(&self, piece: Piece) -> bool {
        let Some(end) = piece.first.0.checked_add(piece.count.0) else { return false };
        if piece.count.0 == 0 || end > self.geometry.length().0 || self.is_abandoned() {
            return false;
        }
        let size = u64::from(self.geometry.chunk_sectors());
        (piece.first.0 / size..=(end - 1) / size).all(|chunk| {
            let cell = u32::try_from(chunk).ok().and_then(|chunk| self.cell(ChunkIndex(chunk)));
            cell.is_some_and(|cell| {
                let word = cell.load();
                word.phase().is_mirrored() && word.writers() == 0
            })
        })
    }

    /// Takes a chunk for copying. `None` where it is not to be copied or writers are still in;
    /// then the last of them brings it back as wanted.
    pub fn begin_copy(&self, chunk: ChunkIndex, wanted: bool) -> Option<CopyTicket> {
        if self.is_abandoned() {
            return None;
        }
        let piece = self.geometry.piece_of(chunk)?;
        match self.cell(chunk)?.apply(Event::BeginCopy).outcome {
            Outcome::CopyStarted => Some(CopyTicket { chunk, piece, wanted }),
            _ => None,
        }
    }

    pub(super) fn end_copy(&self, ticket: &CopyTicket, outcome: CopyOutcome) -> Effects {
        // The part is abandoned before the parked are woken, so that they do not ask again.
        match outcome {
            CopyOutcome::Copied | CopyOutcome::NotTried => {}
            CopyOutcome::SourceFailed => self.fail_quietly(Leg::Source, LegFault::Read),
            CopyOutcome::DestinationFailed => self.fail_quietly(Leg::Destination, LegFault::Write),
        }
        let Some(cell) = self.cell(ticket.chunk) else { return Effects::NONE };
        let done = outcome == CopyOutcome::Copied;
        let step = cell.apply(if done { Event::CopyDone } else { Event::CopyFailed });
        if step.outcome == Outcome::Mirrored {
            self.count_mirrored(ticket.chunk);
        }
        let failed = matches!(outcome, CopyOutcome::SourceFailed | CopyOutcome::DestinationFailed);
        Effects::waking(if failed { QueueMask::ALL } else { step.wake })
    }

    /// The next chunk that somebody waits for.
    pub fn next_wanted(&self) -> Option<ChunkIndex> {
        self.wanted.take()
    }

    /// Whether [`Tracker::next_wanted`] may have missed some since the last call, because too many
    /// were wanted at once: then look with [`Tracker::find_drained`].
    pub fn wanted_overflowed(&self) -> bool {
        self.wanted.take_overflow()
    }

    /// The first chunk at or after `from` that somebody waits for and no writer is in.
    pub fn find_drained(&self, from: ChunkIndex) -> Option<ChunkIndex> {
        self.find(
            from,
            |group| group.left() > 0,
            |word| word.phase() == Phase::Draining && word.writers() == 0,
        )
    }

    /// The first chunk at or after `from` that is pending or wanted and not being copied.
    pub fn next_unmirrored(&self, from: ChunkIndex) -> Option<ChunkIndex> {
        self.find(
            from,
            |group| group.left() > 0,
            |word| matches!(word.phase(), Phase::Pending | Phase::Draining),
        )
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

    /// Before the commit of step 7, after a flush of the destination: from now on a write that the
    /// destination does not take is not acknowledged until [`Tracker::decided`].
    pub fn seal(&self) -> Sealed {
        self.health.set_authority(Authority::Undecided);
        let answer = match self.fault() {
            Some(fault) => Sealed::Unhealthy(fault),
            None if self.left() > 0 => Sealed::NotEqual,
            None => return Sealed::Sealed,
        };
        self.health.set_authority(Authority::Source);
        answer
    }

    /// After the commit, or after it was not made. The effects wake the queues that hold results
    /// back.
    pub fn decided(&self, authority: Authority) -> Effects {
        self.health.set_authority(authority);
        Effects::waking(QueueMask::ALL)
    }

    /// Which leg is in charge.
    pub fn authority(&self) -> Authority {
        self.health.authority()
    }

    fn fail_quietly(&self, leg: Leg, fault: LegFault) {
        self.health.fail(Fault { leg, fault });
    }

    /// A chunk's state, for reports and tests.
    pub fn word(&self, chunk: ChunkIndex) -> Option<Word> {
        self.cell(chunk).map(ChunkCell::load)
    }

    pub(super) fn cell(&self, chunk: ChunkIndex) -> Option<&ChunkCell> {
        if chunk.0 >= self.geometry.chunks() {
            return None;
        }
        self.storage.cells().get(chunk.0 as usize)
    }

    pub(super) fn groups(&self) -> &[Group] {
        let groups = self.storage.groups();
        groups.get(..self.geometry.groups() as usize).unwrap_or(groups)
    }

    pub(super) fn group_of(&self, chunk: ChunkIndex) -> Option<&Group> {
        self.groups().get((chunk.0 / GROUP_CHUNKS) as usize)
    }

    pub(super) fn count_mirrored(&self, chunk: ChunkIndex) {
        if let Some(group) = self.group_of(chunk) {
            group.one_mirrored();
            group.has_dirty_now();
        }
    }

    pub(super) fn count_demoted(&self, chunk: ChunkIndex) {
        if let Some(group) = self.group_of(chunk) {
            group.one_demoted();
        }
    }

    /// The first chunk at or after `from` whose word is `right`, skipping groups that are not
    /// `worth` the look.
    pub(super) fn find(
        &self,
        from: ChunkIndex,
        worth: impl Fn(&Group) -> bool,
        right: impl Fn(Word) -> bool,
    ) -> Option<ChunkIndex> {
        let cells = self.storage.cells();
        let mut first = from.0;
        while first < self.geometry.chunks() {
            let group = first / GROUP_CHUNKS;
            let end = (group + 1).saturating_mul(GROUP_CHUNKS).min(self.geometry.chunks());
            if self.groups().get(group as usize).is_some_and(&worth) {
                let some = cells.get(first as usize..end as usize).unwrap_or(&[]);
                if let Some(at) = some.iter().position(|cell| right(cell.load())) {
                    return Some(ChunkIndex(first + at as u32));
                }
            }
            first = end;
        }
        None
    }
}
