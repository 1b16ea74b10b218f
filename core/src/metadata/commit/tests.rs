use super::*;

fn targets() -> [CommitTarget; 3] {
    [
        CommitTarget::new(PvIndex(0), Some(SlotIndex::Zero)),
        CommitTarget::new(PvIndex(2), Some(SlotIndex::One)),
        CommitTarget::new(PvIndex(5), None),
    ]
}

/// Runs a commit in which the actions for which `fails` says so fail; the actions and the result.
fn run(fails: impl Fn(CommitAction) -> bool) -> (Vec<CommitAction, 16>, CommitResult) {
    let mut commit = Commit::new(&targets()).unwrap();
    let mut actions = Vec::new();
    while let Some(action) = commit.poll_action() {
        assert_eq!(commit.result(), None);
        assert_eq!(commit.poll_action(), Some(action), "asking twice changes nothing");
        actions.push(action).unwrap();
        commit.handle(!fails(action));
    }
    (actions, commit.result().unwrap())
}

#[test]
fn the_slot_with_the_newest_metadata_is_never_written() {
    let slots = targets().map(|target| target.slot);
    assert_eq!(slots, [SlotIndex::One, SlotIndex::Zero, SlotIndex::Zero]);
}

#[test]
fn all_are_written_then_all_are_flushed() {
    let (actions, result) = run(|_| false);
    let [a, b, c] = targets();
    let expected = [
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
    assert!(!actions.contains(&CommitAction::Flush(b.pv)));
    assert_eq!(result, CommitResult::Partial(Vec::from_slice(&[b.pv]).unwrap()));
    let (_, result) = run(|action| action == CommitAction::Flush(c.pv));
    assert_eq!(result, CommitResult::Partial(Vec::from_slice(&[c.pv]).unwrap()));
    let (_, result) = run(|action| matches!(action, CommitAction::Flush(_)));
    assert_eq!(result, CommitResult::Unknown);
    let (actions, result) = run(|action| matches!(action, CommitAction::WriteSlot(_)));
    assert_eq!((actions.len(), result), (3, CommitResult::Unknown));
    assert!(a.pv < b.pv);
}

#[test]
fn a_commit_to_nobody_is_none() {
    assert!(Commit::new(&[]).is_none());
    assert!(Commit::new(&[targets()[0]; MAX_PVS + 1]).is_none());
}
