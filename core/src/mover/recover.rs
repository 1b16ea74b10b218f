//! Where a run starts: from the record on disk and what the devices show.

use super::step::init_logs;
use super::{AbortReason, Live, LvSet, Mapping, Outcome, Phase, State};
use crate::metadata::MoveState;

/// The first state of a run over a move recorded as `recorded`, whose LVs show `live`.
///
/// | recorded | live | what follows |
/// |---|---|---|
/// | Queued | Source, Absent | from the start |
/// | Copying | Mirrored | attach: log, shadow and mirror are there |
/// | Copying | Source | void the log (writes go to the source alone), then build |
/// | Copying | Absent | believe the log, build |
/// | Aborting | Mirrored, Source | load and swap to the source (a loaded mirror may lurk) |
/// | Aborting | Absent | nothing to switch |
/// | Moved | Mirrored | load and swap to the destination |
/// | Moved | Final, Absent | nothing to switch |
///
/// Every other pair is a contradiction and refused, for all LVs of the move.
#[must_use]
pub fn start(recorded: MoveState, live: &[Live]) -> State {
    let mut state = State {
        phase: Phase::Confirm,
        issued: false,
        recorded,
        abort: None,
        leave: false,
        failures: 0,
        moved_failures: 0,
        unsure: recorded != MoveState::Queued,
        lvs: 0,
        log_kept: LvSet::default(),
        attached: LvSet::default(),
        touched: LvSet::default(),
        switched: LvSet::default(),
    };
    for (lv, &live) in (0u8..).zip(live) {
        state.lvs = lv + 1;
        let maybe_ours = recorded != MoveState::Queued && live != Live::Absent;
        if maybe_ours {
            state.touched = state.touched.with(lv);
        }
        match (recorded, live) {
            (MoveState::Queued, Live::Absent | Live::Is(Mapping::Source))
            | (MoveState::Copying, Live::Is(Mapping::Source))
            | (MoveState::Aborting, Live::Absent)
            | (MoveState::Aborting, Live::Is(Mapping::Source | Mapping::Mirrored))
            | (MoveState::Moved, Live::Is(Mapping::Mirrored)) => {}
            (MoveState::Copying, Live::Absent) => state.log_kept = state.log_kept.with(lv),
            (MoveState::Copying, Live::Is(Mapping::Mirrored)) => {
                state.log_kept = state.log_kept.with(lv);
                state.attached = state.attached.with(lv);
            }
            (MoveState::Moved, Live::Absent | Live::Is(Mapping::Final)) => {
                state.switched = state.switched.with(lv);
            }
            (_, Live::Foreign)
            | (MoveState::Queued, Live::Is(Mapping::Mirrored | Mapping::Final))
            | (MoveState::Copying | MoveState::Aborting, Live::Is(Mapping::Final))
            | (MoveState::Moved, Live::Is(Mapping::Source)) => {
                state.phase = Phase::End(Outcome::Refused);
                return state;
            }
        }
    }
    match recorded {
        // Nothing rests on a Queued record, and Begin commits it anew: no need to confirm.
        MoveState::Queued => state.phase = init_logs(state, 0),
        MoveState::Aborting => state.abort = Some(AbortReason::Earlier),
        MoveState::Copying | MoveState::Moved => {}
    }
    state
}
