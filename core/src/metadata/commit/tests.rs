extern crate std;

use std::vec::Vec;

use super::*;

fn targets() -> [CommitTarget; 3] {
    [
        CommitTarget::new(PvIndex(0), Some(SlotIndex::Zero), false),
        CommitTarget::new(PvIndex(2), Some(SlotIndex::One), false),
        CommitTarget::new(PvIndex(5), None, false),
    ]
}

/// Runs a commit in which the actions for which `fails` says so fail; the actions and the result.
fn run(fails: impl Fn(CommitAction) -> bool) -> (Vec<CommitAction>, CommitResult) {
    run_over(&targets(), fails)
}

fn run_over(
    targets: &[CommitTarget],
    fails: impl Fn(CommitAction) -> bool,
) -> (Vec<CommitAction>, CommitResult) {
    let mut commit = Commit::new(targets).unwrap();
    let mut actions = Vec::new();
    while let Some(action) = commit.poll_action() {
        assert_eq!(commit.result(), None);
        assert_eq!(commit.poll_action(), Some(action), "asking twice changes nothing");
        actions.push(action);
        commit.handle(!fails(action));
    }
    (actions, commit.result().unwrap())
}

fn partly(failed: &[PvIndex]) -> CommitResult {
    CommitResult::Partial(Bounded::try_from(failed).unwrap())
}

#[test]
fn the_slot_with_the_newest_metadata_is_never_written() {
    let slots = targets().map(|target| target.slot);
    assert_eq!(slots, [SlotIndex::One, SlotIndex::Zero, SlotIndex::Zero]);
}

#[test]
fn all_are_flushed_then_written_then_flushed() {
    let (actions, result) = run(|_| false);
    let [a, b, c] = targets();
    let expected = [
        CommitAction::Flush(a.pv),
        CommitAction::Flush(b.pv),
        CommitAction::Flush(c.pv),
        CommitAction::WriteSlot(a),
        CommitAction::WriteSlot(b),
        CommitAction::WriteSlot(c),
        CommitAction::Flush(a.pv),
        CommitAction::Flush(b.pv),
        CommitAction::Flush(c.pv),
    ];
    assert_eq!(actions.as_slice(), expected);
    assert_eq!(result, CommitResult::Committed);
}

#[test]
fn a_failed_write_or_flush_is_no_commit_and_is_not_tried_again() {
    let [a, b, c] = targets();
    let (actions, result) = run(|action| action == CommitAction::WriteSlot(b));
    let flushes = |pv| actions.iter().filter(|a| **a == CommitAction::Flush(pv)).count();
    assert_eq!((flushes(b.pv), flushes(c.pv)), (1, 2));
    assert_eq!(result, partly(&[b.pv]));
    // The second flush of each: what was written is not certain.
    let second = |action, of: &dyn Fn(PvIndex) -> bool, seen: &core::cell::Cell<u32>| {
        let CommitAction::Flush(pv) = action else { return false };
        seen.set(seen.get() + 1);
        seen.get() > 3 && of(pv)
    };
    let seen = core::cell::Cell::new(0);
    let (_, result) = run(|action| second(action, &|pv| pv == c.pv, &seen));
    assert_eq!(result, partly(&[c.pv]));
    seen.set(0);
    let (actions, result) = run(|action| second(action, &|_| true, &seen));
    assert_eq!((actions.len(), result), (9, CommitResult::Unknown));
    let (actions, result) = run(|action| matches!(action, CommitAction::WriteSlot(_)));
    assert_eq!((actions.len(), result), (6, CommitResult::Unknown));
    assert!(a.pv < b.pv);
}

/// What was read as the newest may stand in a cache: over it nothing is safe that is not flushed.
#[test]
fn a_slot_is_not_overwritten_while_the_newest_is_in_doubt() {
    let [a, ..] = targets();
    let (actions, result) = run(|action| action == CommitAction::Flush(a.pv));
    let at = |wanted| actions.iter().rposition(|action| *action == wanted).unwrap();
    let [_, b, c] = targets();
    for other in [b, c] {
        assert!(at(CommitAction::WriteSlot(a)) > at(CommitAction::Flush(other.pv)));
    }
    assert_eq!(result, partly(&[a.pv]));
    let (actions, result) = run(|action| matches!(action, CommitAction::Flush(_)));
    assert_eq!((actions.len(), result), (3, CommitResult::Unknown), "nothing is overwritten");
    let (_, result) = run(|action| {
        action == CommitAction::Flush(a.pv)
            || matches!(action, CommitAction::WriteSlot(t) if t != a)
    });
    assert_eq!(result, CommitResult::Unknown);
}

/// A cache that has failed once may have dropped what a later flush says is durable.
#[test]
fn a_pv_whose_first_flush_failed_is_written_last_and_never_believed() {
    let [a, ..] = targets();
    let first = core::cell::Cell::new(true);
    let fails = |action| action == CommitAction::Flush(a.pv) && first.replace(false);
    let (actions, result) = run(fails);
    let end = [CommitAction::WriteSlot(a), CommitAction::Flush(a.pv)];
    assert_eq!((actions.len(), &actions[8 - 1..]), (9, &end[..]));
    assert_eq!(result, partly(&[a.pv]));
    // What was not written needs no flush.
    first.set(true);
    let (actions, result) = run(|action| fails(action) || action == CommitAction::WriteSlot(a));
    assert_eq!(actions.last(), Some(&CommitAction::WriteSlot(a)));
    assert_eq!(result, partly(&[a.pv]));
}

/// Two crashes in a row between the same two writes left a PV two commits behind, and the next command took
/// it for one that had been away (the simulator's seed 64183).
#[test]
fn a_pv_that_lags_is_caught_up_before_anything_new_is_written() {
    let targets = [
        CommitTarget::new(PvIndex(0), Some(SlotIndex::Zero), false),
        CommitTarget::new(PvIndex(2), Some(SlotIndex::One), true),
        CommitTarget::new(PvIndex(5), None, true),
    ];
    let [a, b, c] = targets;
    let other = |target: CommitTarget| CommitTarget { slot: target.slot.other(), ..target };
    let (actions, result) = run_over(&targets, |_| false);
    let expected = [
        CommitAction::CatchUp(b),
        CommitAction::CatchUp(c),
        CommitAction::Flush(b.pv),
        CommitAction::Flush(c.pv),
        CommitAction::WriteSlot(a),
        // Not over what was just written.
        CommitAction::WriteSlot(other(b)),
        CommitAction::WriteSlot(other(c)),
        CommitAction::Flush(a.pv),
        CommitAction::Flush(b.pv),
        CommitAction::Flush(c.pv),
    ];
    assert_eq!((&actions[3..], result), (&expected[..], CommitResult::Committed));
}

/// Its only good slot is the one that comes next.
#[test]
fn a_pv_that_cannot_be_caught_up_is_not_written_again() {
    let mut targets = targets();
    targets[1] = CommitTarget::new(PvIndex(2), Some(SlotIndex::One), true);
    let [a, b, _] = targets;
    let partial = partly(&[b.pv]);
    let writes = |actions: &[CommitAction]| {
        let of_b =
            |action: &&CommitAction| matches!(action, CommitAction::WriteSlot(t) if t.pv == b.pv);
        actions.iter().filter(of_b).count()
    };
    let (actions, result) = run_over(&targets, |action| action == CommitAction::CatchUp(b));
    assert_eq!((writes(&actions), result), (0, partial.clone()));
    // Its second flush, after the catching up.
    let flushes = core::cell::Cell::new(0);
    let (actions, result) = run_over(&targets, |action| {
        let its = action == CommitAction::Flush(b.pv);
        flushes.set(flushes.get() + u32::from(its));
        its && flushes.get() == 2
    });
    assert_eq!((writes(&actions), result), (0, partial));
    let (_, result) = run_over(&targets[..2], |action| action == CommitAction::WriteSlot(a));
    assert_eq!(result, partly(&[a.pv]));
}

#[test]
fn a_commit_to_no_pv_is_none() {
    assert!(Commit::new(&[]).is_none());
    assert!(Commit::new(&[targets()[0]; MAX_PVS + 1]).is_none());
}
