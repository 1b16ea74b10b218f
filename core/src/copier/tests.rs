//! Schedule, pace and statistics.

use std::vec::Vec;

use super::*;
use crate::chunk::{
    Borrowed, ChunkCell, ChunkIndex, Content, CopyOutcome, Geometry, Group, Piece, QueueId,
    Tracker, WriteOutcome, WritePolicy,
};
use crate::units::Sectors;

const SECOND: u64 = 1_000_000_000;

fn memory(chunks: u32) -> (Vec<ChunkCell>, Vec<Group>, Geometry) {
    let geometry = Geometry::new(Sectors(u64::from(chunks) * 16), 16).expect("a small part");
    let cells = (0..geometry.chunks()).map(|_| ChunkCell::new()).collect();
    let groups = (0..geometry.groups()).map(|_| Group::new()).collect();
    (cells, groups, geometry)
}

fn write(
    tracker: &Tracker<Borrowed<'_>>,
    chunk: u32,
    policy: WritePolicy,
) -> crate::chunk::Admission {
    let half = Piece { first: Sectors(u64::from(chunk) * 16), count: Sectors(8) };
    tracker
        .admit(half, Content::Known, QueueId::new(0).expect("below 16"), policy)
        .expect("within one chunk")
}

#[test]
fn a_part_is_copied_in_order_once() {
    // More than two groups; Miri takes minutes for that.
    let chunks = if cfg!(miri) { 300 } else { 10_000 };
    let (cells, groups, geometry) = memory(chunks);
    let tracker = Tracker::new(geometry, Borrowed { cells: &cells, groups: &groups }).unwrap();
    let mut schedule = Schedule::new();
    for expected in 0..chunks {
        match schedule.next(&tracker, Allowed::All) {
            Pick::Copy(ticket) => {
                assert_eq!(ticket.chunk(), ChunkIndex(expected));
                let _ = ticket.complete(&tracker, CopyOutcome::Copied);
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(schedule.next(&tracker, Allowed::All), Pick::AllMirrored));
}

#[test]
fn wanted_chunks_go_first_and_the_scan_keeps_its_share() {
    let (cells, groups, geometry) = memory(200);
    let tracker = Tracker::new(geometry, Borrowed { cells: &cells, groups: &groups }).unwrap();
    for chunk in 100..200 {
        let _ = write(&tracker, chunk, WritePolicy::CopyFirst);
    }
    let mut schedule = Schedule::new();
    let mut scanned = 0;
    for _ in 0..40 {
        match schedule.next(&tracker, Allowed::All) {
            Pick::Copy(ticket) => {
                scanned += u32::from(!ticket.is_wanted());
                assert_eq!(ticket.is_wanted(), ticket.chunk() >= ChunkIndex(100));
                let _ = ticket.complete(&tracker, CopyOutcome::Copied);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(scanned, 40 / SCAN_SHARE);
    // Paused: those that a request waits for, and no other.
    let mut wanted = 0;
    while let Pick::Copy(ticket) = schedule.next(&tracker, Allowed::Wanted) {
        assert!(ticket.chunk() >= ChunkIndex(100));
        wanted += 1;
        let _ = ticket.complete(&tracker, CopyOutcome::Copied);
    }
    assert_eq!(wanted, 100 - (40 - scanned));
}

#[test]
fn a_saturating_writer_cannot_keep_its_chunk_from_being_copied() {
    let (cells, groups, geometry) = memory(1);
    let tracker = Tracker::new(geometry, Borrowed { cells: &cells, groups: &groups }).unwrap();
    let mut schedule = Schedule::new();
    let crate::chunk::Admission::Admitted(first, _) = write(&tracker, 0, WritePolicy::SourceFirst)
    else {
        panic!("parked")
    };
    // A writer is always in; the scan drains the chunk, and no other gets in.
    assert!(matches!(schedule.next(&tracker, Allowed::All), Pick::Wait));
    let other_half = Piece { first: Sectors(8), count: Sectors(8) };
    let second = tracker.admit(
        other_half,
        Content::Known,
        QueueId::new(0).unwrap(),
        WritePolicy::SourceFirst,
    );
    let second = second.unwrap();
    assert!(matches!(second, crate::chunk::Admission::Parked(..)));
    assert!(first.complete(&tracker, WriteOutcome::Done).effects.copier);
    let Pick::Copy(ticket) = schedule.next(&tracker, Allowed::Wanted) else { panic!("not wanted") };
    assert!(!ticket.complete(&tracker, CopyOutcome::Copied).wake.is_empty());
}

#[test]
#[cfg_attr(miri, ignore = "thousands of chunks")]
fn more_wanted_chunks_than_the_list_holds_are_all_copied_even_when_paused() {
    let (cells, groups, geometry) = memory(2_000);
    let tracker = Tracker::new(geometry, Borrowed { cells: &cells, groups: &groups }).unwrap();
    for chunk in 0..1_000 {
        let _ = write(&tracker, chunk * 2, WritePolicy::CopyFirst);
    }
    let mut schedule = Schedule::new();
    while let Pick::Copy(ticket) = schedule.next(&tracker, Allowed::Wanted) {
        assert_eq!(ticket.chunk().0 % 2, 0);
        let _ = ticket.complete(&tracker, CopyOutcome::Copied);
    }
    assert_eq!(tracker.left(), 1_000);
}

#[test]
fn a_failed_copy_ends_the_copying() {
    let (cells, groups, geometry) = memory(4);
    let tracker = Tracker::new(geometry, Borrowed { cells: &cells, groups: &groups }).unwrap();
    let mut schedule = Schedule::new();
    let Pick::Copy(ticket) = schedule.next(&tracker, Allowed::All) else { panic!("nothing") };
    let _ = ticket.complete(&tracker, CopyOutcome::SourceFailed);
    assert!(matches!(schedule.next(&tracker, Allowed::All), Pick::Abandoned));
    assert_eq!(tracker.left(), 4);
}

/// Copies as fast as the pacer lets it, with timers up to 5 ms late, for `span`.
fn copied(pacer: &mut Pacer, chunk: u64, from: u64, span: u64) -> u64 {
    let (mut now, mut bytes) = (from, 0);
    while now < from + span {
        match pacer.may_begin(Nanos(now)) {
            May::Begin { allowed: Allowed::All, .. } => {
                pacer.began(chunk, Nanos(now));
                pacer.ended();
                bytes += chunk;
                now += 1_000;
            }
            May::Begin { ask_again: Some(at), .. } => now = at.0 + bytes % 5 * 1_000_000,
            other => panic!("{other:?}"),
        }
    }
    bytes
}

#[test]
#[cfg_attr(miri, ignore = "a long simulation")]
fn the_rate_is_kept_within_ten_percent_and_changes_in_flight() {
    for rate in [1 << 20, 10 << 20, 300 << 20, 3u64 << 30] {
        for chunk in [64 << 10, 2 << 20] {
            let mut pacer = Pacer::new(8, Some(rate), Nanos(0));
            // Idleness before is not saved up.
            let first = copied(&mut pacer, chunk, 60 * SECOND, 20 * SECOND);
            let wanted = rate * 20;
            assert!(first.abs_diff(wanted) <= wanted / 10 + chunk, "{rate}: {first} of {wanted}");
            pacer.set_rate(Some(rate * 2), Nanos(80 * SECOND));
            let second = copied(&mut pacer, chunk, 80 * SECOND, 20 * SECOND);
            let wanted = rate * 40;
            assert!(second.abs_diff(wanted) <= wanted / 10 + chunk, "{rate}: {second} of {wanted}");
        }
    }
}

#[test]
fn what_a_write_waits_for_goes_on_and_its_debt_is_paid_back() {
    let mut pacer = Pacer::new(4, Some(1_000), Nanos(0));
    pacer.began(10_000, Nanos(0));
    let again = Nanos(10 * SECOND);
    assert_eq!(
        pacer.may_begin(Nanos(0)),
        May::Begin { allowed: Allowed::Wanted, ask_again: Some(again) }
    );
    assert_eq!(pacer.may_begin(again), May::Begin { allowed: Allowed::All, ask_again: None });
    assert_eq!(pacer.write_policy(WritePolicy::CopyFirst), WritePolicy::SourceFirst);
    pacer.set_rate(None, again);
    assert_eq!(pacer.write_policy(WritePolicy::CopyFirst), WritePolicy::CopyFirst);
    pacer.set_paused(true);
    assert_eq!(pacer.write_policy(WritePolicy::CopyFirst), WritePolicy::SourceFirst);
    assert_eq!(pacer.may_begin(again), May::Begin { allowed: Allowed::Wanted, ask_again: None });
}

#[test]
fn the_window_bounds_what_is_in_flight() {
    let mut pacer = Pacer::new(2, None, Nanos(0));
    pacer.began(1, Nanos(0));
    assert_ne!(pacer.may_begin(Nanos(0)), May::NotBefore);
    pacer.began(1, Nanos(0));
    assert_eq!(pacer.may_begin(Nanos(0)), May::NotBefore);
    pacer.ended();
    assert_ne!(pacer.may_begin(Nanos(0)), May::NotBefore);
    assert_eq!((Window::new(0).limit(), Window::new(u16::MAX).limit()), (1, MAX_WINDOW));
}

#[test]
fn any_time_and_any_rate_are_taken() {
    for rate in [Some(0), Some(1), Some(u64::MAX), None] {
        let mut throttle = Throttle::new(rate, Nanos(u64::MAX));
        throttle.charge(u64::MAX, Nanos(0));
        throttle.charge(u64::MAX, Nanos(u64::MAX));
        let _ = throttle.ready(Nanos(5));
        throttle.set_rate(Some(u64::MAX), Nanos(u64::MAX));
        let mut stats = Stats::default();
        stats.chunk_copied(u64::MAX, u64::MAX, true);
        stats.chunk_copied(u64::MAX, 0, true);
        let mut rate = Rate::new(Nanos(7));
        rate.count(u64::MAX, Nanos(0));
        rate.count(u64::MAX, Nanos(u64::MAX));
        let _ = rate.progress(u64::MAX, Nanos(u64::MAX));
    }
}

#[test]
fn rate_and_remaining_time_follow_the_last_ten_seconds() {
    let mut rate = Rate::new(Nanos(0));
    assert_eq!(rate.progress(10, Nanos(0)).remaining, None);
    for second in 0..20 {
        rate.count(1000, Nanos(second * SECOND + SECOND / 2));
    }
    let progress = rate.progress(5_000, Nanos(20 * SECOND - 1));
    assert_eq!(
        (progress.bytes_per_second, progress.remaining.map(|left| left.0 / SECOND)),
        (1_000, Some(5))
    );
    // A stall shows.
    let progress = rate.progress(5_000, Nanos(40 * SECOND));
    assert_eq!((progress.bytes_per_second, progress.remaining), (0, None));
    assert_eq!(rate.progress(0, Nanos(41 * SECOND)).remaining, Some(Nanos(0)));
}
