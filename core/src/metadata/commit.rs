//! The order of writes of a metadata commit, as data for front ends and simulator.
//!
//! Each present PV is flushed, gets the new metadata in the slot that does not hold its newest, and
//! is flushed again. So the old metadata stay whole until the new ones are: the newest that was read
//! may come from a commit that was cut off, and stand in the device's cache alone. A PV that fails
//! the first flush comes last, when another holds the new metadata for certain, so that it is not left
//! further behind than it must be; it counts as failed whatever becomes of that. The commit stands
//! when all present PVs have been written and flushed; what depends on it waits for that. From
//! the moment that one PV holds the new metadata, the next start may find and use them.
//!
//! A PV that lags, since a commit before was cut short, is caught up with the newest there are before
//! anything new is written. So no number of crashes, wherever they strike, leaves a PV more than one
//! commit behind, provided that who runs a commit gives it up where a step fails, before anything new
//! was written, on a PV that it cannot do without.

use lvshift_on_disk_format::SlotIndex;

use crate::limits::MAX_PVS;
use crate::list::{Bounded, List};
use crate::units::PvIndex;

#[cfg(test)]
mod tests;

/// A PV that is present and will be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitTarget {
    /// The PV.
    pub pv: PvIndex,
    /// The slot to write.
    pub slot: SlotIndex,
    /// It does not hold the newest metadata of the VG.
    pub lags: bool,
}

impl CommitTarget {
    /// The slot to write on a PV whose newest valid metadata of this VG stand in `newest`; `lags` if
    /// another PV has newer ones.
    pub fn new(pv: PvIndex, newest: Option<SlotIndex>, lags: bool) -> CommitTarget {
        let slot = match newest {
            Some(newest) => newest.other(),
            None => SlotIndex::Zero,
        };
        CommitTarget { pv, slot, lags }
    }
}

/// The next thing to do.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitAction {
    /// Write the metadata that counted until now, with their sequence number, into this slot.
    CatchUp(CommitTarget),
    /// Write the encoded metadata into this slot.
    WriteSlot(CommitTarget),
    /// Flush this PV's volatile cache.
    Flush(PvIndex),
}

/// How a commit ended.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitResult {
    /// Every present PV holds the new metadata for ever.
    Committed,
    /// Some do, these do not for certain. The new metadata will win at the next start if a PV
    /// that holds them is there.
    Partial(Bounded<PvIndex, MAX_PVS>),
    /// None does for certain; one may all the same. Read the metadata again before going on.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// What it holds may not be durable.
    Unflushed,
    /// Not as far as the others.
    Behind,
    CaughtUp,
    /// What it held may be lost.
    Doubtful,
    DoubtfulWritten,
    Writing,
    Written,
    Flushed,
    Failed,
}

/// One commit: take an action, do it, hand back how it went, until there is a result.
#[derive(Clone, Debug)]
pub struct Commit {
    targets: Bounded<(CommitTarget, Progress), MAX_PVS>,
    under_way: Option<usize>,
}

impl Commit {
    /// A commit to these PVs; `None` when there are more than the limits allow, or none.
    pub fn new(targets: &[CommitTarget]) -> Option<Commit> {
        let targets: Result<Bounded<_, MAX_PVS>, ()> =
            targets.iter().try_fold(Bounded::new(), |mut all, &target| {
                all.push((target, Progress::Unflushed)).map_err(|_| ())?;
                Ok(all)
            });
        targets
            .ok()
            .filter(|all| !all.is_empty())
            .map(|targets| Commit { targets, under_way: None })
    }

    /// The next action: all flushes of what is there, those that lag caught up and flushed, all writes,
    /// all flushes; `None` when there is none any more, and then [`Commit::result`] has one. Asking again before [`Commit::handle`] gives the same.
    pub fn poll_action(&mut self) -> Option<CommitAction> {
        let find = |wanted| self.targets.iter().position(|(_, progress)| *progress == wanted);
        let index = find(Progress::Unflushed)
            .or_else(|| find(Progress::Behind))
            .or_else(|| find(Progress::CaughtUp))
            .or_else(|| find(Progress::Writing))
            .or_else(|| find(Progress::Written))
            .or_else(|| {
                find(Progress::Flushed)?;
                find(Progress::Doubtful).or_else(|| find(Progress::DoubtfulWritten))
            });
        self.under_way = index;
        let (target, progress) = self.targets.get(index?)?;
        Some(match progress {
            Progress::Behind => CommitAction::CatchUp(*target),
            Progress::Writing | Progress::Doubtful => CommitAction::WriteSlot(*target),
            _ => CommitAction::Flush(target.pv),
        })
    }

    /// How the last action went.
    pub fn handle(&mut self, done: bool) {
        let entry = self.under_way.take().and_then(|index| self.targets.get_mut(index));
        if let Some((target, progress)) = entry {
            if done && *progress == Progress::CaughtUp {
                target.slot = target.slot.other();
            }
            *progress = match progress {
                Progress::Unflushed if !done => Progress::Doubtful,
                Progress::Doubtful if done => Progress::DoubtfulWritten,
                _ if !done => Progress::Failed,
                Progress::DoubtfulWritten => Progress::Failed,
                Progress::Unflushed if target.lags => Progress::Behind,
                Progress::Behind => Progress::CaughtUp,
                Progress::Unflushed | Progress::CaughtUp => Progress::Writing,
                Progress::Writing => Progress::Written,
                _ => Progress::Flushed,
            };
        }
    }

    /// How it ended; `None` while there is something to do.
    pub fn result(&self) -> Option<CommitResult> {
        let count = |wanted| self.targets.iter().filter(|(_, p)| *p == wanted).count();
        let unfinished = [
            Progress::Unflushed,
            Progress::Behind,
            Progress::CaughtUp,
            Progress::Writing,
            Progress::Written,
        ];
        if unfinished.into_iter().any(|progress| count(progress) > 0) {
            return None;
        }
        if count(Progress::Flushed) == 0 {
            return Some(CommitResult::Unknown);
        }
        if count(Progress::Doubtful) + count(Progress::DoubtfulWritten) > 0 {
            return None;
        }
        if count(Progress::Failed) == 0 {
            return Some(CommitResult::Committed);
        }
        let mut failed = Bounded::new();
        for (target, _) in self.targets.iter().filter(|(_, p)| *p == Progress::Failed) {
            let _ = failed.push(target.pv); // Room for all; collecting could panic.
        }
        Some(CommitResult::Partial(failed))
    }
}
