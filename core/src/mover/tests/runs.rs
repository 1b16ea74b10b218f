//! Whole runs through the public face of the mover, as a front end drives it.

extern crate std;

use std::string::String;
use std::vec::Vec;

use crate::limits::MAX_LVS_PER_MOVE;
use crate::metadata::{Change, MoveState};
use crate::mover::{
    AbortReason, Action, Event, InCharge, Live, Mapping, Mover, MoverError, Outcome, Phase, start,
    step,
};
use crate::units::Uuid;
use crate::{Leg, LegFault};

const A: Uuid = Uuid([1; 16]);
const B: Uuid = Uuid([2; 16]);

/// Drives a mover to its end; `answer` sees each action.
fn run(mut mover: Mover, mut answer: impl FnMut(Action) -> Event) -> (Vec<Action>, Outcome) {
    let mut actions = Vec::new();
    for _ in 0..1000 {
        let action = mover.poll_action().expect("an action or the end");
        assert_eq!(mover.poll_action(), None, "one action at a time");
        actions.push(action);
        if let Action::Finish(outcome) = action {
            assert_eq!(mover.outcome(), Some(outcome));
            mover.handle(Event::Done);
            mover.handle(Event::AbortRequested);
            assert_eq!(mover.poll_action(), None, "nothing after the end");
            return (actions, outcome);
        }
        mover.handle(answer(action));
    }
    panic!("no end in sight");
}

fn good(action: Action) -> Event {
    if action == Action::AwaitCopy { Event::CopyEqual } else { Event::Done }
}

fn names(actions: &[Action]) -> Vec<String> {
    let name = |action: &Action| match action.lv() {
        None => String::from(action.name()),
        Some(lv) => std::format!("{} {}", action.name(), if lv == A { 'a' } else { 'b' }),
    };
    actions.iter().map(name).collect()
}

#[test]
fn a_move_of_two_lvs_takes_the_outlines_steps_in_order() {
    let (actions, outcome) = run(Mover::new(&[A, B]).unwrap(), good);
    let expected = "init-log a, init-log b, commit-begin, \
        create-shadow a, load-mirrored a, swap-mirrored a, \
        create-shadow b, load-mirrored b, swap-mirrored b, \
        await-copy, check-legs, flush-destination, check-legs, commit-moved, \
        check-destination, load-final a, swap-final a, load-final b, swap-final b, \
        remove-shadow a, remove-shadow b, commit-forget, finish";
    assert_eq!(names(&actions).join(", "), expected);
    assert_eq!(outcome, Outcome::Moved);
}

#[test]
fn a_failed_destination_ends_on_the_source_with_a_diagnosis() {
    let failed = Event::LegFailed(Leg::Destination, LegFault::Write);
    let (actions, outcome) = run(Mover::new(&[A]).unwrap(), |action| match action {
        Action::AwaitCopy => failed,
        _ => Event::Done,
    });
    let expected = "init-log a, commit-begin, create-shadow a, load-mirrored a, swap-mirrored a, \
        await-copy, commit-aborting, load-source a, swap-source a, remove-shadow a, diagnose, \
        commit-forget, finish";
    assert_eq!(names(&actions).join(", "), expected);
    let reason = AbortReason::LegFailed(Leg::Destination, LegFault::Write);
    assert_eq!(outcome, Outcome::Aborted(reason));
}

#[test]
fn an_abort_of_a_move_that_has_not_begun_switches_nothing() {
    let mut mover = Mover::new(&[A]).unwrap();
    mover.handle(Event::AbortRequested);
    let (actions, outcome) = run(mover, good);
    assert_eq!(names(&actions), ["commit-aborting", "remove-shadow a", "commit-forget", "finish"]);
    assert_eq!(outcome, Outcome::Aborted(AbortReason::Requested));
}

#[test]
fn a_flush_that_failed_is_not_tried_again() {
    let mut flushes = 0;
    let (_, outcome) = run(Mover::new(&[A]).unwrap(), |action| match action {
        Action::FlushDestination => {
            flushes += 1;
            Event::Failed
        }
        action => good(action),
    });
    let reason = AbortReason::LegFailed(Leg::Destination, LegFault::Flush);
    assert_eq!((outcome, flushes), (Outcome::Aborted(reason), 1));
}

#[test]
fn a_destination_that_failed_while_the_hand_over_was_committed_does_not_take_over() {
    let fault = LegFault::Flush;
    let (actions, outcome) = run(Mover::new(&[A]).unwrap(), |action| match action {
        Action::CheckDestination => Event::LegFailed(Leg::Destination, fault),
        action => good(action),
    });
    let expected = "commit-moved, check-destination, commit-aborting, load-source a, swap-source a, \
        remove-shadow a, diagnose, commit-forget, finish";
    assert!(names(&actions).join(", ").ends_with(expected), "{actions:?}");
    assert_eq!(outcome, Outcome::Aborted(AbortReason::LegFailed(Leg::Destination, fault)));

    // Where an LV has been switched, or may have been, its source is out of date.
    let found = [(A, Live::Is(Mapping::Final)), (B, Live::Is(Mapping::Mirrored))];
    let (actions, _) = run(Mover::recover(MoveState::Moved, &found).unwrap(), good);
    assert!(!actions.contains(&Action::CheckDestination), "{actions:?}");
}

#[test]
fn an_abort_while_the_hand_over_is_being_committed_comes_too_late() {
    let mut mover = Mover::new(&[A]).unwrap();
    while let Some(action) = mover.poll_action() {
        if action == Action::Commit(Change::Moved) {
            mover.handle(Event::AbortRequested);
        }
        mover.handle(good(action));
    }
    assert_eq!(mover.outcome(), Some(Outcome::Moved));
}

#[test]
fn leaving_waits_for_the_copy_and_a_later_run_attaches() {
    let mut mover = Mover::new(&[A]).unwrap();
    mover.handle(Event::LeaveRequested);
    let (actions, outcome) = run(mover, good);
    assert_eq!(names(&actions).last_chunk(), Some(&["swap-mirrored a".into(), "finish".into()]));
    assert_eq!(outcome, Outcome::Left);

    let found = [(A, Live::Is(Mapping::Mirrored))];
    let (actions, outcome) = run(Mover::recover(MoveState::Copying, &found).unwrap(), good);
    assert_eq!(names(&actions)[..2], ["commit-confirm", "await-copy"]);
    assert_eq!(outcome, Outcome::Moved);
}

#[test]
fn after_a_reboot_the_log_is_believed_and_on_the_source_it_is_not() {
    let found = [(A, Live::Absent), (B, Live::Is(Mapping::Source))];
    let (actions, outcome) = run(Mover::recover(MoveState::Copying, &found).unwrap(), good);
    let expected = ["commit-confirm", "init-log b", "create-shadow a"];
    assert_eq!(names(&actions)[..3], expected);
    assert_eq!(outcome, Outcome::Moved);
}

#[test]
fn a_contradiction_is_refused_and_nothing_touched() {
    for (recorded, live) in [
        (MoveState::Queued, Live::Is(Mapping::Mirrored)),
        (MoveState::Queued, Live::Is(Mapping::Final)),
        (MoveState::Copying, Live::Is(Mapping::Final)),
        (MoveState::Aborting, Live::Is(Mapping::Final)),
        (MoveState::Moved, Live::Is(Mapping::Source)),
        (MoveState::Queued, Live::Foreign),
        (MoveState::Copying, Live::Foreign),
        (MoveState::Aborting, Live::Foreign),
        (MoveState::Moved, Live::Foreign),
    ] {
        let found = [(A, Live::Absent), (B, live)];
        let mut mover = Mover::recover(recorded, &found).unwrap();
        mover.handle(Event::AbortRequested);
        let (actions, outcome) = run(mover, good);
        assert_eq!((actions.len(), outcome), (1, Outcome::Refused), "{recorded:?} {live:?}");
    }
}

#[test]
fn what_fails_for_good_on_the_way_out_says_what_is_true() {
    let outcome = |fails: &str| {
        let legs = Event::LegFailed(Leg::Source, LegFault::Read);
        let back = ["commit-aborting", "load-source", "swap-source"].contains(&fails);
        let (actions, outcome) = run(Mover::new(&[A]).unwrap(), |action| match action {
            Action::AwaitCopy if back => legs,
            action if action.name() == fails => Event::Failed,
            action => good(action),
        });
        let tries = actions.iter().filter(|action| action.name() == fails).count();
        assert_eq!(tries, 3, "{fails}");
        outcome
    };
    let stuck = |in_charge, maybe_mirrored| Outcome::Stuck { in_charge, maybe_mirrored };
    assert_eq!(outcome("load-final"), stuck(InCharge::Destination, true));
    assert_eq!(outcome("swap-final"), stuck(InCharge::Destination, true));
    assert_eq!(outcome("remove-shadow"), stuck(InCharge::Destination, false));
    assert_eq!(outcome("commit-forget"), stuck(InCharge::Destination, false));
    assert_eq!(outcome("commit-aborting"), stuck(InCharge::Source, true));
    assert_eq!(outcome("load-source"), stuck(InCharge::Source, true));
    assert_eq!(outcome("swap-source"), stuck(InCharge::Source, true));
}

#[test]
fn a_hand_over_that_cannot_be_committed_is_looked_at_again_and_then_taken_back() {
    let (actions, outcome) = run(Mover::new(&[A]).unwrap(), |action| match action {
        Action::Commit(Change::Moved) => Event::Failed,
        action => good(action),
    });
    let expected = "commit-moved, check-legs, flush-destination, check-legs, commit-moved, \
        commit-aborting, load-source a, swap-source a";
    assert!(names(&actions).join(", ").contains(expected));
    assert_eq!(outcome, Outcome::Aborted(AbortReason::StepFailed));
}

#[test]
fn every_name_is_listed_once_and_every_action_has_one() {
    let mut seen = Vec::new();
    let mut note = |actions: Vec<Action>| seen.extend(actions.iter().map(Action::name));
    note(run(Mover::new(&[A]).unwrap(), good).0);
    let found = [(A, Live::Is(Mapping::Mirrored))];
    let fails = |action| match action {
        Action::AwaitCopy => Event::LegFailed(Leg::Source, LegFault::Read),
        _ => Event::Done,
    };
    note(run(Mover::recover(MoveState::Copying, &found).unwrap(), fails).0);
    seen.sort_unstable();
    seen.dedup();
    let mut listed = Action::NAMES.to_vec();
    listed.sort_unstable();
    assert_eq!(listed, seen);
}

#[test]
fn a_list_of_lvs_is_bounded_and_names_each_once() {
    assert_eq!(Mover::new(&[]), Err(MoverError::NoLvs));
    assert_eq!(Mover::new(&[A, B, A]), Err(MoverError::SameLvTwice(A)));
    let mut many: Vec<Uuid> = (0..=MAX_LVS_PER_MOVE).map(|i| Uuid([i as u8; 16])).collect();
    assert_eq!(Mover::new(&many), Err(MoverError::TooManyLvs));
    many.pop();
    let (actions, outcome) = run(Mover::new(&many).unwrap(), good);
    assert_eq!(outcome, Outcome::Moved);
    let switched = actions.iter().filter(|action| action.name() == "swap-final").count();
    assert_eq!(switched, MAX_LVS_PER_MOVE);
}

/// What answers an action: every event but those that a person asks for.
const ANSWERS: [Event; 6] = [
    Event::Done,
    Event::Failed,
    Event::CopyEqual,
    Event::NotEqual,
    Event::LegFailed(Leg::Source, LegFault::Read),
    Event::LegFailed(Leg::Destination, LegFault::Write),
];

#[test]
fn nothing_changes_what_has_ended() {
    let mut state = start(MoveState::Queued, &[Live::Is(Mapping::Source)]);
    for outcome in [Outcome::Moved, Outcome::Left, Outcome::Refused] {
        for issued in [false, true] {
            state.phase = Phase::End(outcome);
            state.issued = issued;
            for event in ANSWERS.into_iter().chain([Event::AbortRequested, Event::LeaveRequested]) {
                assert_eq!(step(state, event), state, "{outcome:?} {event:?}");
            }
        }
    }
}

#[test]
fn an_answer_to_nothing_changes_nothing() {
    let mut state = start(MoveState::Queued, &[Live::Is(Mapping::Source)]);
    for phase in [Phase::AwaitCopy, Phase::Check, Phase::Flush, Phase::CommitMoved, Phase::Forget] {
        state.phase = phase;
        state.issued = false;
        for event in ANSWERS {
            assert_eq!(step(state, event), state, "{phase:?} {event:?}");
        }
    }
}

#[test]
fn an_abort_is_heeded_until_the_commit_is_given_out_and_not_after() {
    let mut state = start(MoveState::Copying, &[Live::Is(Mapping::Mirrored)]);
    state.phase = Phase::CommitMoved;
    state.issued = false;
    assert_eq!(step(state, Event::AbortRequested).phase, Phase::CommitAborting);
    state.issued = true;
    assert_eq!(step(state, Event::AbortRequested), state);
}
