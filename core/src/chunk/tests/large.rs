//! Parts of more than one group, lists that overflow, and the smallest answers: what mutants of the
//! tracker showed that nothing else looked at.

use super::tracker::{admit, admitted, copy, parked, phase};
use super::*;
use crate::chunk::health::Health;

/// A part whose second group has four chunks, all clean but those of the second group.
fn two_groups() -> Tracker<Part> {
    let tracker = part(64 * u64::from(GROUP_CHUNKS + 4));
    tracker.load_log_bits(ChunkIndex(0), &[0xFF; GROUP_CHUNKS as usize / 8]);
    assert_eq!(tracker.left(), 4);
    tracker
}

#[test]
#[cfg_attr(miri, ignore = "thousands of chunks")]
fn what_is_looked_for_is_found_in_the_second_group() {
    let tracker = two_groups();
    let first = ChunkIndex(GROUP_CHUNKS);
    let second = ChunkIndex(GROUP_CHUNKS + 1);
    assert_eq!(tracker.next_unmirrored(ChunkIndex(0), false), Some(first));
    assert_eq!(tracker.next_unmirrored(second, false), Some(second));
    assert_eq!(tracker.next_unmirrored(ChunkIndex(GROUP_CHUNKS + 4), false), None);

    // Whoever waits for a copy makes its chunk drained.
    let at = piece(u64::from(GROUP_CHUNKS + 2) * 64, 8);
    let _ = parked(admit(&tracker, at, WritePolicy::CopyFirst));
    let third = ChunkIndex(GROUP_CHUNKS + 2);
    assert_eq!(tracker.find_drained(ChunkIndex(0)), Some(third));
    assert_eq!(tracker.next_unmirrored(third, false), Some(third));

    // A writer at the source alone: found only by who takes busy ones.
    let at = piece(u64::from(GROUP_CHUNKS) * 64, 8);
    let ticket = admitted(admit(&tracker, at, WritePolicy::SourceFirst));
    assert_eq!(tracker.next_unmirrored(ChunkIndex(0), false), Some(second));
    assert_eq!(tracker.next_unmirrored(ChunkIndex(0), true), Some(first));
    let _ = ticket.complete(&tracker, WriteOutcome::Done);
}

#[test]
#[cfg_attr(miri, ignore = "thousands of chunks")]
fn a_round_settles_the_second_group_and_leaves_the_first() {
    let tracker = two_groups();
    for chunk in GROUP_CHUNKS..GROUP_CHUNKS + 4 {
        let _ = copy(&tracker, chunk);
    }
    assert_eq!(tracker.next_unmirrored(ChunkIndex(0), true), None);
    let round = tracker.begin_settle().expect("four dirty chunks");
    assert_eq!(tracker.finish_settle(round, Ok(())).0, 4);
    assert_eq!(phase(&tracker, GROUP_CHUNKS + 3), Phase::Clean);
    assert_eq!((tracker.take_stale_group(0), tracker.take_stale_group(0)), (Some(1), None));
    assert!(!tracker.has_dirty());
}

#[test]
fn a_piece_of_the_log_is_taken_over_and_given_back_where_it_lies() {
    let tracker = part(64 * 40);
    tracker.load_log_bits(ChunkIndex(16), &[0b1000_0001, 0b10]);
    for chunk in 0..40 {
        let clean = [16, 23, 25].contains(&chunk);
        assert_eq!(phase(&tracker, chunk) == Phase::Clean, clean, "{chunk}");
    }
    let mut bits = [0; 2];
    tracker.fill_log_bits(ChunkIndex(16), &mut bits);
    assert_eq!(bits, [0b1000_0001, 0b10]);
}

#[test]
fn too_many_marks_are_found_all_the_same() {
    let chunks = 300;
    let tracker = part(64 * chunks);
    assert!(!tracker.marks_overflowed() && !tracker.wanted_overflowed());
    tracker.load_log_bits(ChunkIndex(0), &[0xFF; 38]);
    assert_eq!(tracker.find_marking(ChunkIndex(0)), None);
    for chunk in 0..chunks {
        let (_, effects) = parked(admit(&tracker, piece(chunk * 64, 8), WritePolicy::CopyFirst));
        assert!(effects.log && !effects.copier);
    }
    assert!(!tracker.has_dirty());
    let mut found = 0;
    while let Some(chunk) = tracker.next_marking() {
        assert!(tracker.marked(chunk).wake.contains(queue(0)));
        found += 1;
    }
    assert!(tracker.has_dirty());
    assert!(found < chunks && tracker.marks_overflowed() && !tracker.marks_overflowed());
    while let Some(chunk) = tracker.find_marking(ChunkIndex(0)) {
        let _ = tracker.marked(chunk);
        found += 1;
    }
    assert_eq!(found, chunks);
}

#[test]
fn as_many_as_there_are_places_for_come_out_in_turn() {
    let chunks = 256;
    let tracker = part(64 * chunks);
    for chunk in 0..chunks {
        let _ = parked(admit(&tracker, piece(chunk * 64, 8), WritePolicy::CopyFirst));
    }
    assert!(!tracker.wanted_overflowed());
    for chunk in 0..chunks {
        assert_eq!(tracker.next_wanted().map(|chunk| u64::from(chunk.0)), Some(chunk));
    }
    assert_eq!(tracker.next_wanted(), None);
}

#[test]
fn what_is_not_being_marked_does_not_become_dirty_by_it() {
    let tracker = part(64 * 2);
    let _ = tracker.marked(ChunkIndex(0));
    assert!(!tracker.has_dirty());
}

#[test]
fn who_is_told_of_a_write_and_of_a_copy() {
    let tracker = part(64 * 3);
    // Whoever has copied knows it.
    assert!(!copy(&tracker, 1).copier);
    // A copy that was overtaken on an abandoned part, and then is waited for, tells the copier.
    let late = tracker.begin_copy(ChunkIndex(2), false).expect("pending");
    let _ = tracker.fail(Fault { leg: Leg::Source, fault: LegFault::Write });
    let ticket = admitted(admit(&tracker, piece(128, 8), WritePolicy::CopyFirst));
    let done = ticket.complete(&tracker, WriteOutcome::Done);
    assert!(done.effects.wake.is_empty(), "no request waits on an abandoned part");
    tracker.health.set_authority(Authority::Undecided);
    let _ = parked(admit(&tracker, piece(128, 8), WritePolicy::CopyFirst));
    let effects = late.complete(&tracker, CopyOutcome::Copied);
    assert!(effects.copier);
    assert_eq!(tracker.next_wanted(), Some(ChunkIndex(2)));
}

#[test]
fn a_failed_write_to_the_source_alone_wakes_no_queue() {
    let tracker = part(64);
    let ticket = admitted(admit(&tracker, piece(0, 8), WritePolicy::SourceFirst));
    let ended = ticket.complete(&tracker, WriteOutcome::SourceFailed);
    assert_eq!(ended.app, AppResult::Failed);
    assert!(tracker.fault().is_none() && ended.effects.wake.is_empty());
}

#[test]
fn a_read_is_served_from_the_destination_up_to_the_part_s_last_sector() {
    let tracker = part(100);
    let _ = copy(&tracker, 0);
    let _ = copy(&tracker, 1);
    assert_eq!(tracker.may_read_destination(piece(90, 10)), Fallback::Destination);
    assert_eq!(tracker.may_read_destination(piece(90, 20)), Fallback::None);
    assert_eq!(tracker.may_read_destination(piece(0, 0)), Fallback::None);
    let _ = tracker.fail(Fault { leg: Leg::Source, fault: LegFault::Write });
    assert_eq!(tracker.may_read_destination(piece(90, 10)), Fallback::Destination);
    let tracker = part(100);
    let _ = copy(&tracker, 0);
    let _ = tracker.fail(Fault { leg: Leg::Destination, fault: LegFault::Write });
    assert_eq!(tracker.may_read_destination(piece(0, 10)), Fallback::None);
}

#[test]
fn effects_add_up() {
    let all = [false, true]
        .into_iter()
        .flat_map(|copier| [false, true].into_iter().map(move |log| (copier, log)));
    let all: Vec<_> = all.collect();
    for &(copier, log) in &all {
        for &(other_copier, other_log) in &all {
            let wake = queue(1).mask();
            let one = Effects { wake, copier, log };
            let both = one.and(Effects { wake, copier: other_copier, log: other_log });
            let expected = Effects { wake, copier: copier || other_copier, log: log || other_log };
            assert_eq!(both, expected);
            assert!(!both.is_none() && Effects::NONE.is_none());
        }
    }
}

#[test]
fn each_fault_is_kept_as_it_was() {
    for leg in [Leg::Source, Leg::Destination] {
        for fault in
            [LegFault::Read, LegFault::Write, LegFault::Flush, LegFault::Gone, LegFault::Copy]
        {
            let health = Health::new();
            let fault = Fault { leg, fault };
            assert!(health.fail(fault) && !health.fail(fault));
            assert_eq!(health.fault(), Some(fault));
        }
    }
}

#[test]
fn a_group_says_once_that_it_may_have_dirty_chunks() {
    let group = Group::new();
    group.log_is_stale();
    assert!(!group.has_dirty() && !group.take_has_dirty());
    group.has_dirty_now();
    assert!(group.take_has_dirty() && !group.take_has_dirty());
    assert!(group.take_log_stale() && !group.take_log_stale());
}
