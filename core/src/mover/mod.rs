//! The control plane of one move: facts in with [`Mover::handle`], actions out with
//! [`Mover::poll_action`].
//!
//! One `Mover` moves what one `Move` record says, and has one owner. It does nothing itself: the
//! loop of a front end takes an action, does it, and hands back what happened, until
//! [`Action::Finish`]. One action is under way at a time, which costs some overlap between LVs
//! and buys that a crash can only fall between two named steps.

mod action;
mod event;
mod recover;
mod state;
mod step;
#[cfg(test)]
mod tests;

use core::fmt;

use heapless::Vec;

pub use action::{Action, Mapping};
pub use event::{AbortReason, Event};
pub use recover::start;
pub use state::{InCharge, Live, LvSet, Outcome, Phase, State};
pub use step::{MAX_MOVED_TRIES, MAX_TRIES, issue, step};

use crate::limits::MAX_LVS_PER_MOVE;
use crate::metadata::{Change, MoveState};
use crate::units::Uuid;

/// Moves the parts of one move record, from wherever it stands to its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mover {
    lvs: Vec<Uuid, MAX_LVS_PER_MOVE>,
    state: State,
    finished: bool,
}

/// Why a list of LVs cannot be moved as one.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoverError {
    /// There is none.
    NoLvs,
    /// More than [`MAX_LVS_PER_MOVE`].
    TooManyLvs,
    /// One stands there twice.
    SameLvTwice(Uuid),
}

impl Mover {
    /// A mover for a move that was just recorded as Queued; nothing of it is on any device.
    ///
    /// # Errors
    /// [`MoverError`] if the list is empty, too long or names an LV twice.
    pub fn new(lvs: &[Uuid]) -> Result<Mover, MoverError> {
        Mover::start(MoveState::Queued, lvs.iter().map(|&lv| (lv, Live::Is(Mapping::Source))))
    }

    /// A mover for a move found on disk, from its record and what each of its LVs shows now.
    /// A contradiction between the two ends in [`Outcome::Refused`] as the only action.
    ///
    /// # Errors
    /// [`MoverError`] if the list is empty, too long or names an LV twice.
    pub fn recover(recorded: MoveState, observed: &[(Uuid, Live)]) -> Result<Mover, MoverError> {
        Mover::start(recorded, observed.iter().copied())
    }

    fn start(
        recorded: MoveState,
        observed: impl Iterator<Item = (Uuid, Live)>,
    ) -> Result<Mover, MoverError> {
        let mut lvs = Vec::new();
        let mut live = Vec::<Live, MAX_LVS_PER_MOVE>::new();
        for (uuid, now) in observed {
            if lvs.contains(&uuid) {
                return Err(MoverError::SameLvTwice(uuid));
            }
            lvs.push(uuid).map_err(|_| MoverError::TooManyLvs)?;
            live.push(now).map_err(|_| MoverError::TooManyLvs)?;
        }
        if lvs.is_empty() {
            return Err(MoverError::NoLvs);
        }
        Ok(Mover { lvs, state: recover::start(recorded, &live), finished: false })
    }

    /// Puts a fact in. It may change what [`Mover::poll_action`] answers; ask it next.
    pub fn handle(&mut self, event: Event) {
        self.state = step(self.state, event);
    }

    /// The next action, or `None` while the last one is not answered and after
    /// [`Action::Finish`]. After `handle` call it until `None`.
    ///
    /// During [`Action::AwaitCopy`] a request to abort or leave ends the waiting: the next
    /// action then comes without an answer to that one.
    #[must_use]
    pub fn poll_action(&mut self) -> Option<Action> {
        if self.state.issued || self.finished {
            return None;
        }
        self.state = issue(self.state);
        self.finished = matches!(self.state.phase, Phase::End(_));
        self.action()
    }

    /// Where the run stands, for reports and tests.
    pub fn state(&self) -> State {
        self.state
    }

    /// How it ended, once it has.
    pub fn outcome(&self) -> Option<Outcome> {
        match self.state.phase {
            Phase::End(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// The LVs of the move, in the order in which they are handled.
    pub fn lvs(&self) -> &[Uuid] {
        &self.lvs
    }

    fn action(&self) -> Option<Action> {
        let lv = |lv: u8| self.lvs.get(usize::from(lv)).copied();
        Some(match self.state.phase {
            Phase::Confirm => Action::Commit(Change::Confirm),
            Phase::InitLog(i) => Action::InitLog { lv: lv(i)? },
            Phase::Begin => Action::Commit(Change::Begin),
            Phase::CreateShadow(i) => Action::CreateShadow { lv: lv(i)? },
            Phase::LoadMirrored(i) => Action::Load { lv: lv(i)?, mapping: Mapping::Mirrored },
            Phase::SwapMirrored(i) => Action::Swap { lv: lv(i)?, mapping: Mapping::Mirrored },
            Phase::AwaitCopy => Action::AwaitCopy,
            Phase::Check | Phase::CheckFlushed => Action::CheckLegs,
            Phase::Flush => Action::FlushDestination,
            Phase::CommitMoved => Action::Commit(Change::Moved),
            Phase::CheckMoved => Action::CheckDestination,
            Phase::LoadFinal(i) => Action::Load { lv: lv(i)?, mapping: Mapping::Final },
            Phase::SwapFinal(i) => Action::Swap { lv: lv(i)?, mapping: Mapping::Final },
            Phase::CommitAborting => Action::Commit(Change::Aborting),
            Phase::LoadSource(i) => Action::Load { lv: lv(i)?, mapping: Mapping::Source },
            Phase::SwapSource(i) => Action::Swap { lv: lv(i)?, mapping: Mapping::Source },
            Phase::RemoveShadow(i) => Action::RemoveShadow { lv: lv(i)? },
            Phase::Diagnose => Action::Diagnose,
            Phase::Forget => Action::Commit(Change::Forget),
            Phase::End(outcome) => Action::Finish(outcome),
        })
    }
}

impl fmt::Display for MoverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MoverError::NoLvs => write!(f, "the move has no LV"),
            MoverError::TooManyLvs => write!(f, "the move has more than {MAX_LVS_PER_MOVE} LVs"),
            MoverError::SameLvTwice(_) => write!(f, "the move names an LV twice"),
        }
    }
}

impl core::error::Error for MoverError {}
