//! The golden table: every state that a run can be in, with one LV and with two, times every
//! event. A change of behaviour is a difference in `transitions.txt` that a reader sees.
//! `LVSHIFT_BLESS=1 cargo test -p lvshift-core golden` writes it anew.

extern crate std;

use std::collections::HashSet;
use std::fmt::Write;
use std::string::String;
use std::vec::Vec;
use std::{env, format, fs};

use crate::metadata::MoveState;
use crate::mover::{AbortReason, Event, Live, LvSet, Mapping, Phase, State, issue, start, step};
use crate::{Leg, LegFault};

const TABLE: &str = include_str!("../transitions.txt");
const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/mover/transitions.txt");

const EVENTS: [Event; 7] = [
    Event::Done,
    Event::Failed,
    Event::CopyEqual,
    Event::NotEqual,
    Event::LegFailed(Leg::Destination, LegFault::Write),
    Event::AbortRequested,
    Event::LeaveRequested,
];

const LIVE: [Live; 5] = [
    Live::Absent,
    Live::Is(Mapping::Source),
    Live::Is(Mapping::Mirrored),
    Live::Is(Mapping::Final),
    Live::Foreign,
];

const RECORDED: [MoveState; 4] =
    [MoveState::Queued, MoveState::Copying, MoveState::Aborting, MoveState::Moved];

#[test]
#[cfg_attr(miri, ignore = "the whole table")]
fn golden_table_of_transitions() {
    let table = table();
    if env::var_os("LVSHIFT_BLESS").is_some() {
        fs::write(PATH, &table).unwrap();
    } else {
        let first = table.lines().zip(TABLE.lines()).position(|(now, golden)| now != golden);
        let first = first.unwrap_or(usize::MAX);
        assert!(table == TABLE, "first difference at line {first}; LVSHIFT_BLESS=1 rewrites");
    }
}

fn table() -> String {
    let mut out = String::from(
        "The transitions of the mover (core/src/mover/step.rs), printed by tests/golden.rs.\n\
         Write it anew with: LVSHIFT_BLESS=1 cargo test -p lvshift-core golden\n\n\
         A state: its phase (the number is the LV's), then what else it knows: `abort(..)` the\n\
         way back is wanted or under way; `leave` leaving is wanted; `unsure` the PVs may disagree\n\
         about the record; `tried n` failures of this step; `moved-tried n` failures of\n\
         commit-moved; `touched` LVs that the way back has to switch. Its action is out and\n\
         not answered. Events that change nothing are listed as ignored. What makes no difference\n\
         later is dropped: which reason there is to go back, apart from a leg's failure; a wish\n\
         to leave once the copy is past. A state that stands further up is not printed again.\n\n\
         == Where a run starts: record, what the LV shows -> first state ==\n\n",
    );
    for recorded in RECORDED {
        for live in LIVE {
            let first = text(start(recorded, &[live]));
            writeln!(out, "{recorded:?}, {live:?} -> {first}").unwrap();
        }
    }
    let mut seen = HashSet::new();
    for (title, recorded, live) in [
        ("1 LV, from the beginning", MoveState::Queued, &LIVE[1..2]),
        ("1 LV, found copying, without a device", MoveState::Copying, &LIVE[0..1]),
        ("1 LV, found copying, on its source", MoveState::Copying, &LIVE[1..2]),
        ("1 LV, found copying, mirrored", MoveState::Copying, &LIVE[2..3]),
        ("1 LV, found going back, mirrored", MoveState::Aborting, &LIVE[2..3]),
        ("1 LV, found going back, without a device", MoveState::Aborting, &LIVE[0..1]),
        ("1 LV, found moved, mirrored", MoveState::Moved, &LIVE[2..3]),
        ("1 LV, found moved, on its destination", MoveState::Moved, &LIVE[3..4]),
        ("2 LVs, from the beginning", MoveState::Queued, &[LIVE[1]; 2]),
        ("2 LVs, found copying, one on its source, one mirrored", MoveState::Copying, &LIVE[1..3]),
        ("2 LVs, found moved, one mirrored, one not", MoveState::Moved, &LIVE[2..4]),
    ] {
        write!(out, "\n== {title} ==\n\n").unwrap();
        section(&mut out, &mut seen, start(recorded, live));
    }
    out
}

fn section(out: &mut String, seen: &mut HashSet<State>, first: State) {
    let first = plain(issue(first));
    seen.insert(first);
    let mut queue = Vec::from([first]);
    let mut next = 0;
    while let Some(&state) = queue.get(next) {
        next += 1;
        writeln!(out, "{}", text(state)).unwrap();
        let mut ignored = String::new();
        for event in EVENTS {
            let after = step(state, event);
            if after == state {
                write!(ignored, " {event:?}").unwrap();
                continue;
            }
            writeln!(out, "    {event:?} -> {}", text(after)).unwrap();
            if !matches!(after.phase, Phase::End(_)) {
                let after = plain(issue(after));
                if seen.insert(after) {
                    queue.push(after);
                }
            }
        }
        if !ignored.is_empty() {
            writeln!(out, "    ignored:{ignored}").unwrap();
        }
    }
}

/// The state without what makes no difference to what follows: of the reasons for going back,
/// whether a leg failed; a wish to leave once the copy is past.
fn plain(mut state: State) -> State {
    use Phase::{AwaitCopy, Begin, CreateShadow, InitLog, LoadMirrored, SwapMirrored};
    if state.abort.is_some_and(|reason| !matches!(reason, AbortReason::LegFailed(..))) {
        state.abort = Some(AbortReason::Requested);
    }
    state.leave &= state.abort.is_none()
        && matches!(
            state.phase,
            InitLog(_) | Begin | CreateShadow(_) | LoadMirrored(_) | SwapMirrored(_) | AwaitCopy
        );
    let building = matches!(state.phase, CreateShadow(_) | LoadMirrored(_) | SwapMirrored(_));
    let logging = matches!(state.phase, Phase::Confirm | InitLog(_) | Begin);
    if !logging {
        state.log_kept = LvSet::default();
    }
    if !logging && !building {
        state.attached = LvSet::default();
    }
    if state.abort.is_some() {
        if state.recorded == MoveState::Queued {
            state.recorded = MoveState::Copying;
        }
        (state.moved_failures, state.switched) = (0, LvSet::default());
    }
    if matches!(state.phase, Phase::RemoveShadow(_) | Phase::Diagnose | Phase::Forget) {
        (state.touched, state.switched) = (LvSet::default(), LvSet::default());
        (state.moved_failures, state.unsure) = (0, false);
    }
    state
}

fn text(state: State) -> String {
    let mut out = format!("{:?}", state.phase);
    match state.abort {
        None => {}
        Some(AbortReason::LegFailed(..)) => out.push_str(" abort(LegFailed)"),
        Some(reason) => write!(out, " abort({reason:?})").unwrap(),
    }
    let mut note = |condition: bool, note: &str| {
        if condition {
            out.push(' ');
            out.push_str(note);
        }
    };
    note(state.leave, "leave");
    note(state.unsure, "unsure");
    note(state.failures > 0, &format!("tried {}", state.failures));
    note(state.moved_failures > 0, &format!("moved-tried {}", state.moved_failures));
    note(!state.touched.is_empty(), &format!("touched{}", lvs(state.touched)));
    out
}

fn lvs(set: LvSet) -> String {
    (0..64).filter(|&lv| set.has(lv)).map(|lv| format!(" {lv}")).collect()
}
