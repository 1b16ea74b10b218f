//! The transition: a state and an event make the next state. No side effects.
//!
//! Why the steps stand in this order is argued in `docs/move-protocol.md`; every transition is
//! printed in `transitions.txt`, and `tests/world.rs` explores every crash.

use super::{AbortReason, Event, InCharge, Outcome, Phase, State};
use crate::metadata::MoveState;
use crate::{Leg, LegFault};

/// How often a step on the way out is tried in a row before the mover gives up on it.
pub const MAX_TRIES: u8 = 3;
/// How often Commit Moved is tried before the mover goes back instead.
pub const MAX_MOVED_TRIES: u8 = 2;

/// The action of the state's phase has been given out.
#[must_use]
pub fn issue(mut state: State) -> State {
    state.issued = true;
    if let Phase::LoadMirrored(lv) = state.phase {
        // From here on the device may hold our table, whatever the answer says.
        state.touched = state.touched.with(lv);
    }
    state
}

/// What `event` makes of `state`. An event that means nothing there changes nothing.
#[must_use]
pub fn step(state: State, event: Event) -> State {
    use Phase::{AwaitCopy, Check, CheckFlushed, CheckMoved, CommitMoved, End, Flush};
    match (state.phase, event) {
        (End(_), _) => state,
        (_, Event::AbortRequested) => abort_requested(state),
        (AwaitCopy, Event::LeaveRequested) => enter(state, End(Outcome::Left)),
        (_, Event::LeaveRequested) => State { leave: true, ..state },
        _ if !state.issued => state,
        (AwaitCopy | Check | Flush | CheckFlushed, Event::LegFailed(leg, fault)) => {
            go_back(state, AbortReason::LegFailed(leg, fault))
        }
        // Its flush is the destination's, too, and may have dropped what no log calls unclean: no
        // second try, and whether the record stands is not known.
        (CommitMoved, Event::LegFailed(leg, fault)) => {
            go_back(State { unsure: true, ..state }, AbortReason::LegFailed(leg, fault))
        }
        // As above, and the record stands. No LV was switched: each source has been written all along.
        (CheckMoved, Event::LegFailed(leg @ Leg::Destination, fault)) => {
            go_back(State { unsure: true, ..state }, AbortReason::LegFailed(leg, fault))
        }
        (Check | CheckFlushed, Event::NotEqual) => forward(state, AwaitCopy),
        (AwaitCopy | Check | CheckFlushed, Event::CopyEqual) | (_, Event::Done) => done(state),
        (_, Event::Failed) => failed(state),
        (_, Event::LegFailed(..) | Event::NotEqual | Event::CopyEqual) => state,
    }
}

fn abort_requested(state: State) -> State {
    if state.abort.is_some() || !before_hand_over(state) {
        state
    } else if !state.issued || state.phase == Phase::AwaitCopy {
        go_back(state, AbortReason::Requested)
    } else {
        State { abort: Some(AbortReason::Requested), ..state }
    }
}

/// Can this run still go back?
fn before_hand_over(state: State) -> bool {
    match state.phase {
        Phase::Confirm => state.recorded == MoveState::Copying,
        Phase::InitLog(_)
        | Phase::Begin
        | Phase::CreateShadow(_)
        | Phase::LoadMirrored(_)
        | Phase::SwapMirrored(_)
        | Phase::AwaitCopy
        | Phase::Check
        | Phase::Flush
        | Phase::CheckFlushed => true,
        Phase::CommitMoved => !state.issued,
        _ => false,
    }
}

/// The step did what it was to do.
fn done(mut state: State) -> State {
    match state.phase {
        Phase::Confirm => {
            state.unsure = false;
            match state.recorded {
                MoveState::Queued | MoveState::Copying => forward(state, init_logs(state, 0)),
                MoveState::Aborting => enter(state, load_source(state, 0)),
                MoveState::Moved => enter(state, moved(state)),
            }
        }
        Phase::InitLog(lv) => forward(state, init_logs(state, lv + 1)),
        Phase::Begin => {
            state.recorded = MoveState::Copying;
            forward(state, build(state, 0))
        }
        Phase::CreateShadow(lv) => forward(state, Phase::LoadMirrored(lv)),
        Phase::LoadMirrored(lv) => forward(state, Phase::SwapMirrored(lv)),
        Phase::SwapMirrored(lv) => forward(state, build(state, lv + 1)),
        Phase::AwaitCopy => forward(state, Phase::Check),
        Phase::Check => forward(state, Phase::Flush),
        Phase::Flush => forward(state, Phase::CheckFlushed),
        Phase::CheckFlushed => forward(state, Phase::CommitMoved),
        Phase::CommitMoved => {
            state.recorded = MoveState::Moved;
            state.unsure = false;
            enter(state, moved(state))
        }
        Phase::CheckMoved => enter(state, load_final(state, 0)),
        Phase::LoadFinal(lv) => retrying(state, Phase::SwapFinal(lv)),
        Phase::SwapFinal(lv) => enter(state, load_final(state, lv + 1)),
        Phase::CommitAborting => {
            state.recorded = MoveState::Aborting;
            state.unsure = false;
            enter(state, load_source(state, 0))
        }
        Phase::LoadSource(lv) => retrying(state, Phase::SwapSource(lv)),
        Phase::SwapSource(lv) => enter(state, load_source(state, lv + 1)),
        Phase::RemoveShadow(lv) => enter(state, remove_shadow(state, lv + 1)),
        Phase::Diagnose => enter(state, Phase::Forget),
        Phase::Forget => enter(
            state,
            Phase::End(match state.abort {
                Some(reason) => Outcome::Aborted(reason),
                None => Outcome::Moved,
            }),
        ),
        Phase::End(_) => state,
    }
}

/// The step failed, with or without effect.
fn failed(mut state: State) -> State {
    match state.phase {
        Phase::InitLog(_)
        | Phase::Begin
        | Phase::CreateShadow(_)
        | Phase::LoadMirrored(_)
        | Phase::SwapMirrored(_)
        | Phase::AwaitCopy
        | Phase::Check
        | Phase::CheckFlushed => go_back(state, AbortReason::StepFailed),
        // A device that failed a flush may have dropped what it was to make durable: a later
        // flush that succeeds proves nothing, so there is no second try.
        Phase::Flush => go_back(state, AbortReason::LegFailed(Leg::Destination, LegFault::Flush)),
        Phase::CommitMoved => {
            state.unsure = true;
            state.moved_failures += 1;
            if state.moved_failures < MAX_MOVED_TRIES {
                // Some PVs may say Moved now; both legs are equal, so either is right. Look
                // again before trying again.
                enter(state, Phase::Check)
            } else {
                go_back(state, AbortReason::StepFailed)
            }
        }
        Phase::Confirm if state.abort.is_some() && state.recorded == MoveState::Copying => {
            enter(state, Phase::CommitAborting)
        }
        Phase::Diagnose => enter(state, Phase::Forget),
        // That it cannot be told is no failure of the destination.
        Phase::CheckMoved => enter(state, load_final(state, 0)),
        // A failed swap may have dropped the loaded table: load it again.
        Phase::SwapFinal(lv) => again(state, Phase::LoadFinal(lv)),
        Phase::SwapSource(lv) => again(state, Phase::LoadSource(lv)),
        Phase::Confirm
        | Phase::LoadFinal(_)
        | Phase::CommitAborting
        | Phase::LoadSource(_)
        | Phase::RemoveShadow(_)
        | Phase::Forget => again(state, state.phase),
        Phase::End(_) => state,
    }
}

/// Enter a step afresh.
fn enter(state: State, phase: Phase) -> State {
    State { phase, issued: false, failures: 0, ..state }
}

/// Go on within a pair of steps that share their count of failures.
fn retrying(state: State, phase: Phase) -> State {
    State { phase, issued: false, ..state }
}

/// Enter a step before the hand-over, unless something else is wanted by now.
fn forward(state: State, phase: Phase) -> State {
    match state.abort {
        Some(reason) => go_back(state, reason),
        None if state.leave && phase == Phase::AwaitCopy => enter(state, Phase::End(Outcome::Left)),
        None => enter(state, phase),
    }
}

/// Start the way back; the first reason stands.
fn go_back(state: State, reason: AbortReason) -> State {
    let abort = state.abort.or(Some(reason));
    enter(State { abort, ..state }, Phase::CommitAborting)
}

/// Try a step on the way out again, or give up.
fn again(state: State, phase: Phase) -> State {
    let failures = state.failures + 1;
    if failures < MAX_TRIES {
        return State { phase, failures, issued: false, ..state };
    }
    let in_charge = match state.recorded {
        _ if state.unsure => InCharge::Either,
        MoveState::Moved => InCharge::Destination,
        MoveState::Queued | MoveState::Copying | MoveState::Aborting => InCharge::Source,
    };
    let maybe_mirrored = match phase {
        Phase::RemoveShadow(_) | Phase::Forget => false,
        _ => !state.touched.is_empty(),
    };
    enter(state, Phase::End(Outcome::Stuck { in_charge, maybe_mirrored }))
}

/// The next InitLog, or what comes after the last.
pub(super) fn init_logs(state: State, from: u8) -> Phase {
    match (from..state.lvs).find(|&lv| !state.log_kept.has(lv)) {
        Some(lv) => Phase::InitLog(lv),
        None if state.recorded == MoveState::Queued => Phase::Begin,
        None => build(state, 0),
    }
}

/// The next LV to mirror, or the copy.
fn build(state: State, from: u8) -> Phase {
    match (from..state.lvs).find(|&lv| !state.attached.has(lv)) {
        Some(lv) => Phase::CreateShadow(lv),
        None => Phase::AwaitCopy,
    }
}

/// What comes after *Moved*: a last look where every LV is still mirrored, since a destination that takes over one of
/// them takes over all.
fn moved(state: State) -> Phase {
    if state.switched.is_empty() { Phase::CheckMoved } else { load_final(state, 0) }
}

/// The next LV to switch to the destination, or the first shadow to remove.
fn load_final(state: State, from: u8) -> Phase {
    match (from..state.lvs).find(|&lv| !state.switched.has(lv)) {
        Some(lv) => Phase::LoadFinal(lv),
        None => remove_shadow(state, 0),
    }
}

/// The next LV to switch back to the source, or the first shadow to remove.
fn load_source(state: State, from: u8) -> Phase {
    match (from..state.lvs).find(|&lv| state.touched.has(lv)) {
        Some(lv) => Phase::LoadSource(lv),
        None => remove_shadow(state, 0),
    }
}

/// The next shadow to remove, or what comes after the last.
fn remove_shadow(state: State, lv: u8) -> Phase {
    if lv < state.lvs {
        Phase::RemoveShadow(lv)
    } else if matches!(state.abort, Some(AbortReason::LegFailed(..))) {
        Phase::Diagnose
    } else {
        Phase::Forget
    }
}
