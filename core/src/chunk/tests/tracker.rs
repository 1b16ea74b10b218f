//! The tracker of a part, one thread.

use super::*;

pub(super) fn admit<S: Cells>(tracker: &Tracker<S>, at: Piece, policy: WritePolicy) -> Admission {
    tracker.admit(at, Content::Known, queue(0), policy).expect("within one chunk")
}

pub(super) fn admitted(admission: Admission) -> WriteTicket {
    match admission {
        Admission::Admitted(ticket, _) => ticket,
        Admission::Parked(why, _) => panic!("parked {why:?}"),
    }
}

pub(super) fn parked(admission: Admission) -> (Parked, Effects) {
    match admission {
        Admission::Parked(why, effects) => (why, effects),
        Admission::Admitted(ticket, _) => {
            let route = ticket.route();
            ticket.leave_in_flight();
            panic!("admitted along {route:?}")
        }
    }
}

pub(super) fn copy<S: Cells>(tracker: &Tracker<S>, chunk: u32) -> Effects {
    let ticket = tracker.begin_copy(ChunkIndex(chunk), false).expect("copyable");
    ticket.complete(tracker, CopyOutcome::Copied)
}

pub(super) fn phase<S: Cells>(tracker: &Tracker<S>, chunk: u32) -> Phase {
    tracker.word(ChunkIndex(chunk)).expect("in the part").phase()
}

#[test]
fn copy_first_parks_copies_and_then_writes_both() {
    let tracker = part(128);
    let (why, effects) = parked(admit(&tracker, piece(8, 8), WritePolicy::CopyFirst));
    assert_eq!((why, effects.copier), (Parked::ForChunk, true));
    assert_eq!(tracker.next_wanted(), Some(ChunkIndex(0)));
    assert!(copy(&tracker, 0).wake.contains(queue(0)));
    let ticket = admitted(admit(&tracker, piece(8, 8), WritePolicy::CopyFirst));
    assert_eq!(ticket.route(), Route::BothLegs);
    assert_eq!(ticket.complete(&tracker, WriteOutcome::Done).app, AppResult::Done);
    assert_eq!((tracker.left(), phase(&tracker, 0)), (1, Phase::Dirty));
}

#[test]
fn source_first_goes_to_the_source_and_the_copy_waits_for_it() {
    let tracker = part(64);
    let ticket = admitted(admit(&tracker, piece(0, 8), WritePolicy::SourceFirst));
    assert_eq!(ticket.route(), Route::Source);
    assert!(tracker.begin_copy(ChunkIndex(0), false).is_none());
    let _ = parked(admit(&tracker, piece(16, 8), WritePolicy::SourceFirst));
    assert!(ticket.complete(&tracker, WriteOutcome::Done).effects.copier);
    assert_eq!(tracker.next_wanted(), Some(ChunkIndex(0)));
    assert!(copy(&tracker, 0).wake.contains(queue(0)));
}

#[test]
fn a_whole_chunk_needs_no_copy_even_the_short_last_one() {
    let tracker = part(64 + 24);
    for (chunk, at) in [(0, piece(0, 64)), (1, piece(64, 24))] {
        let ticket = admitted(admit(&tracker, at, WritePolicy::CopyFirst));
        assert_eq!(ticket.route(), Route::WholeChunk);
        assert_eq!(phase(&tracker, chunk), Phase::Copying);
        assert!(ticket.complete(&tracker, WriteOutcome::Done).effects.copier);
    }
    assert_eq!(tracker.left(), 0);
}

#[test]
fn pieces_outside_the_part_are_refused_by_name() {
    let tracker = part(100);
    for (at, why) in [
        (piece(0, 0), RangeError::Empty),
        (piece(60, 8), RangeError::CrossesChunk),
        (piece(96, 8), RangeError::PastEnd),
        (piece(u64::MAX, 2), RangeError::PastEnd),
        (piece(u64::MAX, u64::MAX), RangeError::PastEnd),
    ] {
        let answer = tracker.admit(at, Content::Known, queue(0), WritePolicy::CopyFirst);
        assert_eq!(answer.err(), Some(AdmitError::Range(why)));
    }
    assert!(Geometry::new(Sectors(u64::MAX), 8).is_err());
    assert!(Geometry::new(Sectors(u64::MAX), 1 << 31).is_err());
    assert!(Geometry::new(Sectors(8), 12).is_err());
    assert!(Geometry::new(Sectors(0), 8).is_err());
}

#[test]
fn overlapping_writes_go_one_after_the_other_and_others_side_by_side() {
    let tracker = part(64);
    let _ = copy(&tracker, 0);
    let first = admitted(admit(&tracker, piece(0, 16), WritePolicy::CopyFirst));
    let beside = admitted(admit(&tracker, piece(16, 8), WritePolicy::CopyFirst));
    let (why, _) = parked(admit(&tracker, piece(8, 16), WritePolicy::CopyFirst));
    assert_eq!(why, Parked::ForOverlap);
    let ended = first.complete(&tracker, WriteOutcome::Done);
    assert!(ended.effects.wake.contains(queue(0)));
    // Blocks 1 and 2: block 2 is still held by the other one.
    let _ = parked(admit(&tracker, piece(8, 16), WritePolicy::CopyFirst));
    let ended = beside.complete(&tracker, WriteOutcome::Done);
    assert!(ended.effects.wake.contains(queue(0)));
    let second = admitted(admit(&tracker, piece(8, 16), WritePolicy::CopyFirst));
    assert!(second.complete(&tracker, WriteOutcome::Done).effects.is_none());
}

#[test]
fn a_failed_destination_does_not_fail_the_application() {
    let tracker = part(128);
    let _ = copy(&tracker, 0);
    let ticket = admitted(admit(&tracker, piece(0, 8), WritePolicy::CopyFirst));
    let ended = ticket.complete(&tracker, WriteOutcome::DestinationFailed);
    assert_eq!((ended.app, ended.effects.wake), (AppResult::Done, QueueMask::ALL));
    assert_eq!((phase(&tracker, 0), tracker.left()), (Phase::Pending, 2));
    assert_eq!(tracker.fault(), Some(Fault { leg: Leg::Destination, fault: LegFault::Write }));
    // Nothing waits for the destination any more.
    for chunk in [0, 64] {
        let ticket = admitted(admit(&tracker, piece(chunk, 8), WritePolicy::CopyFirst));
        assert_eq!(ticket.route(), Route::Source);
        assert_eq!(ticket.complete(&tracker, WriteOutcome::Done).app, AppResult::Done);
    }
    assert!(tracker.begin_copy(ChunkIndex(0), true).is_none());
}

#[test]
fn a_write_stuck_on_the_destination_blocks_no_request_once_the_part_is_abandoned() {
    let tracker = part(128);
    let _ = copy(&tracker, 0);
    let stuck = admitted(admit(&tracker, piece(0, 8), WritePolicy::CopyFirst));
    let stuck_copy = tracker.begin_copy(ChunkIndex(1), false).unwrap();
    let _ = parked(admit(&tracker, piece(0, 8), WritePolicy::CopyFirst));
    let effects = tracker.fail(Fault { leg: Leg::Destination, fault: LegFault::Gone });
    assert_eq!(effects.wake, QueueMask::ALL);
    for chunk in [0, 64] {
        let ticket = admitted(admit(&tracker, piece(chunk, 8), WritePolicy::CopyFirst));
        assert_eq!(ticket.route(), Route::Source);
        assert_eq!(ticket.complete(&tracker, WriteOutcome::Done).app, AppResult::Done);
    }
    assert_eq!(stuck.complete(&tracker, WriteOutcome::Done).app, AppResult::Done);
    let _ = stuck_copy.complete(&tracker, CopyOutcome::Copied);
    assert_eq!((phase(&tracker, 0), phase(&tracker, 1)), (Phase::Pending, Phase::Pending));
    assert_eq!(tracker.left(), 2);
}

#[test]
fn a_failed_source_is_an_error_and_stops_the_move() {
    let tracker = part(64);
    let _ = copy(&tracker, 0);
    let ticket = admitted(admit(&tracker, piece(0, 8), WritePolicy::CopyFirst));
    assert_eq!(ticket.complete(&tracker, WriteOutcome::SourceFailed).app, AppResult::Failed);
    assert_eq!(phase(&tracker, 0), Phase::Pending);
    assert_eq!(tracker.seal().0, Sealed::Unhealthy(tracker.fault().unwrap()));
}

#[test]
fn the_log_bit_is_zero_before_a_clean_chunk_is_written() {
    let tracker = part(64 * 10);
    tracker.load_log_bits(ChunkIndex(0), &[0b0000_0101, 0xFE]);
    assert_eq!(tracker.left(), 10 - 3);
    let mut bits = [0xFF; 3];
    tracker.fill_log_bits(ChunkIndex(0), &mut bits);
    assert_eq!(bits, [0b101, 0b10, 0]);
    let (_, effects) = parked(admit(&tracker, piece(2 * 64, 8), WritePolicy::CopyFirst));
    assert!(effects.log);
    assert_eq!(tracker.next_marking(), Some(ChunkIndex(2)));
    tracker.fill_log_bits(ChunkIndex(0), &mut bits);
    assert_eq!(bits, [0b001, 0b10, 0]);
    assert!(tracker.marked(ChunkIndex(2)).wake.contains(queue(0)));
    let ticket = admitted(admit(&tracker, piece(2 * 64, 8), WritePolicy::CopyFirst));
    assert_eq!(ticket.route(), Route::BothLegs);
    let _ = ticket.complete(&tracker, WriteOutcome::Done);
}

#[test]
fn a_write_during_the_settle_flush_keeps_its_chunk_dirty() {
    let tracker = part(64 * 3);
    for chunk in 0..3 {
        let _ = copy(&tracker, chunk);
    }
    let before = admitted(admit(&tracker, piece(0, 8), WritePolicy::CopyFirst));
    let round = tracker.begin_settle().unwrap();
    assert!(tracker.begin_settle().is_none());
    let _ = before.complete(&tracker, WriteOutcome::Done);
    let during = admitted(admit(&tracker, piece(64, 8), WritePolicy::CopyFirst));
    let _ = during.complete(&tracker, WriteOutcome::Done);
    assert_eq!(tracker.finish_settle(round, Ok(())).0, 1);
    assert_eq!(
        [0, 1, 2].map(|chunk| phase(&tracker, chunk)),
        [Phase::Dirty, Phase::Dirty, Phase::Clean]
    );
    assert_eq!(tracker.take_stale_group(0), Some(0));
    assert_eq!(tracker.take_stale_group(0), None);
    let round = tracker.begin_settle().unwrap();
    assert_eq!(tracker.finish_settle(round, Ok(())).0, 2);
    // With nothing to gain no round begins, and no flush is made.
    assert!(tracker.begin_settle().is_none() && !tracker.has_dirty());
}

#[test]
fn a_chunk_without_writers_becomes_clean_while_all_others_are_written_all_the_time() {
    let tracker = part(64 * 8);
    for chunk in 0..8 {
        let _ = copy(&tracker, chunk);
    }
    let writing: Vec<_> = (1..8)
        .map(|chunk| admitted(admit(&tracker, piece(chunk * 64, 8), WritePolicy::CopyFirst)))
        .collect();
    let round = tracker.begin_settle().unwrap();
    assert_eq!(tracker.finish_settle(round, Ok(())).0, 1);
    assert_eq!(phase(&tracker, 0), Phase::Clean);
    // What is written now could not become clean by a flush: none is made for it.
    assert!(tracker.begin_settle().is_none() && tracker.has_dirty());
    for ticket in writing {
        let _ = ticket.complete(&tracker, WriteOutcome::Done);
    }
    let round = tracker.begin_settle().unwrap();
    assert_eq!(tracker.finish_settle(round, Ok(())).0, 7);
}

#[test]
fn a_failed_flush_of_the_destination_is_never_believed_again() {
    let tracker = part(64 * 2);
    let _ = copy(&tracker, 0);
    let _ = copy(&tracker, 1);
    let round = tracker.begin_settle().unwrap();
    let (cleaned, effects) = tracker.finish_settle(round, Err(Leg::Destination));
    assert_eq!((cleaned, effects.wake), (0, QueueMask::ALL));
    assert_eq!((phase(&tracker, 0), tracker.left()), (Phase::Pending, 2));
    assert!(tracker.begin_settle().is_none());
}

#[test]
fn after_a_failed_flush_of_the_movers_own_no_other_flush_makes_a_chunk_clean() {
    let tracker = part(64);
    let _ = copy(&tracker, 0);
    let round = tracker.begin_settle().unwrap();
    assert_eq!(tracker.seal().0, Sealed::Sealed);
    // The mover's flush fails here and loses what was copied; the round's own succeeds after it.
    assert_eq!(tracker.finish_settle(round, Ok(())).0, 0);
    assert!(tracker.begin_settle().is_none());
    // The hand-over was not made: what is left over settles in the next round.
    let _ = tracker.decided(Authority::Source);
    let round = tracker.begin_settle().unwrap();
    assert_eq!(tracker.finish_settle(round, Ok(())).0, 1);
}

#[test]
fn a_discard_of_unknown_result_makes_the_chunk_be_copied_again() {
    let tracker = part(64);
    let _ = copy(&tracker, 0);
    let discard =
        |at| tracker.admit(at, Content::Undefined, queue(0), WritePolicy::CopyFirst).unwrap();
    let ticket = admitted(discard(piece(0, 64)));
    assert_eq!((ticket.route(), tracker.left()), (Route::Source, 1));
    let _ = ticket.complete(&tracker, WriteOutcome::Done);
    let _ = copy(&tracker, 0);
    // Clean: the bit first.
    let round = tracker.begin_settle().unwrap();
    let _ = tracker.finish_settle(round, Ok(()));
    let (_, effects) = parked(discard(piece(0, 8)));
    assert!(effects.log);
}

#[test]
fn the_copier_is_told_of_a_chunk_that_a_discard_has_demoted() {
    let tracker = part(64);
    let _ = copy(&tracker, 0);
    let discard = tracker.admit(piece(0, 8), Content::Undefined, queue(0), WritePolicy::CopyFirst);
    let Ok(Admission::Admitted(ticket, effects)) = discard else { panic!("{discard:?}") };
    assert!(effects.copier, "it sleeps, and all is never equal again");
    let _ = ticket.complete(&tracker, WriteOutcome::Done);
    // Nor is it forgotten where the discard has to wait for the commit.
    let _ = copy(&tracker, 0);
    assert_eq!(tracker.seal().0, Sealed::Sealed);
    let discard = tracker.admit(piece(0, 8), Content::Undefined, queue(0), WritePolicy::CopyFirst);
    let (why, effects) = parked(discard.unwrap());
    assert!(why == Parked::ForCommit && effects.copier);
}

#[test]
fn once_sealed_no_write_is_acknowledged_that_the_destination_did_not_take() {
    let tracker = part(64);
    assert_eq!(tracker.seal().0, Sealed::NotEqual);
    assert_eq!(tracker.authority(), Authority::Source);
    let _ = copy(&tracker, 0);
    assert_eq!(tracker.seal().0, Sealed::Sealed);
    let ticket = admitted(admit(&tracker, piece(0, 8), WritePolicy::SourceFirst));
    let ended = ticket.complete(&tracker, WriteOutcome::DestinationFailed);
    assert_eq!(ended.app, AppResult::Held);
    // The chunk is pending now; but nothing may go to the source alone.
    let _ = parked(admit(&tracker, piece(8, 8), WritePolicy::SourceFirst));
    let discard =
        tracker.admit(piece(8, 8), Content::Undefined, queue(0), WritePolicy::CopyFirst).unwrap();
    let _ = parked(discard);
    let _ = tracker.decided(Authority::Destination);
    assert_eq!(tracker.held_result(), AppResult::Failed);
}

#[test]
fn a_discard_after_the_seal_waits_for_the_commit() {
    let tracker = part(64);
    let _ = copy(&tracker, 0);
    assert_eq!(tracker.seal().0, Sealed::Sealed);
    let discard = tracker.admit(piece(0, 8), Content::Undefined, queue(0), WritePolicy::CopyFirst);
    assert_eq!(parked(discard.unwrap()).0, Parked::ForCommit);
}

#[test]
fn the_destination_serves_a_read_only_where_it_holds_the_bytes() {
    let tracker = part(128);
    assert_eq!(tracker.may_read_destination(piece(0, 8)), Fallback::None);
    let _ = copy(&tracker, 0);
    assert_eq!(tracker.may_read_destination(piece(0, 64)), Fallback::Destination);
    assert_eq!(tracker.may_read_destination(piece(60, 8)), Fallback::None);
    assert_eq!(tracker.may_read_destination(piece(127, 2)), Fallback::None);
    assert_eq!(tracker.may_read_destination(piece(u64::MAX, 2)), Fallback::None);
    let _ = copy(&tracker, 1);
    assert_eq!(tracker.may_read_destination(piece(60, 8)), Fallback::Destination);
    let ticket = admitted(admit(&tracker, piece(0, 8), WritePolicy::CopyFirst));
    assert_eq!(tracker.may_read_destination(piece(32, 8)), Fallback::Later);
    let _ = ticket.complete(&tracker, WriteOutcome::Done);
    assert_eq!(tracker.may_read_destination(piece(0, 8)), Fallback::Destination);
}

#[test]
fn too_many_wanted_chunks_are_found_all_the_same() {
    // Miri takes minutes for what is looked through then.
    let chunks = if cfg!(miri) { 300 } else { 1000 };
    let tracker = part(64 * chunks);
    for chunk in 0..chunks {
        let _ = parked(admit(&tracker, piece(chunk * 64, 8), WritePolicy::CopyFirst));
    }
    let mut found = 0;
    while let Some(chunk) = tracker.next_wanted() {
        let _ = copy(&tracker, chunk.0);
        found += 1;
    }
    assert!(found < chunks && tracker.wanted_overflowed());
    while let Some(chunk) = tracker.find_drained(ChunkIndex(0)) {
        let _ = copy(&tracker, chunk.0);
        found += 1;
    }
    assert_eq!((found, u64::from(tracker.left())), (chunks, 0));
}

#[test]
#[should_panic(expected = "dropped instead of completed")]
#[cfg(debug_assertions)]
fn a_dropped_ticket_is_loud() {
    let tracker = part(64);
    drop(admitted(admit(&tracker, piece(0, 8), WritePolicy::SourceFirst)));
}
