//! The copier, the log writer and the settle rounds, each a thread of its own.

use std::vec::Vec;

use shuttle::sync::atomic::Ordering;
use shuttle::thread;

use super::disks::Span;
use super::plan::{Dice, Fault};
use super::{ChunkIndex, CopyOutcome, CopyTicket, System};
use crate::Leg;
use crate::copier::{Allowed, Pick, Schedule};

/// Copies what is wanted, and what the scan finds.
pub(super) fn copy(system: &System) {
    let allowed = if system.plan.scans { Allowed::All } else { Allowed::Wanted };
    let mut schedule = Schedule::new();
    while system.copier_stops.load(Ordering::SeqCst) == 0 {
        match schedule.next(&system.tracker, allowed) {
            Pick::Copy(ticket) => copy_one(system, ticket),
            Pick::Wait | Pick::AllMirrored | Pick::Abandoned => system.copier.wait(),
        }
    }
    system.copier_stops.store(2, Ordering::SeqCst);
    system.mover.ring();
}

fn copy_one(system: &System, ticket: CopyTicket) {
    let span = Span::whole(ticket.chunk.0);
    assert_eq!(ticket.piece(), span.piece());
    let mut values = Vec::new();
    for (n, cell) in span.cells().enumerate() {
        values.push((cell, system.disks().read(Leg::Source, cell)));
        if n % 3 == 1 {
            thread::yield_now();
        }
    }
    for (n, (cell, value)) in values.into_iter().enumerate() {
        if n % 3 == 1 {
            thread::yield_now();
        }
        system.disks().write(Leg::Destination, cell, value);
    }
    let effects = ticket.complete(&system.tracker, CopyOutcome::Copied);
    system.pass_on(effects);
    system.check_equal(span.chunk);
    system.mover.ring();
}

/// Zeroes bits before writes, and sets them again some time after the flush.
pub(super) fn write_log(system: &System) {
    let tracker = &system.tracker;
    while system.log_stops.load(Ordering::SeqCst) == 0 {
        let mut marks = Vec::new();
        while let Some(chunk) = tracker.next_marking() {
            marks.push(chunk);
        }
        if tracker.marks_overflowed() {
            let mut from = ChunkIndex(0);
            while let Some(chunk) = tracker.find_marking(from) {
                if !marks.contains(&chunk) {
                    marks.push(chunk);
                }
                from = ChunkIndex(chunk.0 + 1);
            }
        }
        let stale = tracker.take_stale_group(0).is_some();
        if marks.is_empty() && !stale {
            system.log.wait();
            continue;
        }
        let mut bits = [0];
        tracker.fill_log_bits(ChunkIndex(0), &mut bits);
        system.disks().begin_log(bits[0]);
        thread::yield_now();
        if !marks.is_empty() {
            // Written through, since writes wait for it; what is lazy may stay in the cache.
            system.disks().end_log(bits[0]);
        }
        for chunk in marks {
            system.pass_on(tracker.marked(chunk));
        }
    }
}

/// Flushes both legs now and then, so that dirty chunks become clean.
pub(super) fn settle(system: &System) {
    let tracker = &system.tracker;
    let mut dice = Dice::new(system.plan.seed ^ 0x5E);
    let mut fails = system.plan.fault == Fault::Settle;
    for _ in 0..system.plan.settles {
        for _ in 0..dice.below(60) {
            thread::yield_now();
        }
        system.flushing.fetch_add(1, Ordering::SeqCst);
        let Some(round) = tracker.begin_settle() else {
            system.flushing.fetch_sub(1, Ordering::SeqCst);
            system.mover.ring();
            continue;
        };
        let legs = [Leg::Source, Leg::Destination];
        let flushes = legs.map(|leg| system.disks().begin_flush(leg));
        let mut flushed = Ok(());
        for (leg, flush) in legs.into_iter().zip(&flushes) {
            thread::yield_now();
            if leg == Leg::Destination && std::mem::take(&mut fails) {
                system.disks().fail_flush(leg);
                flushed = Err(leg);
            } else {
                system.disks().end_flush(leg, flush);
            }
        }
        let turn = system.flushes.turn();
        while !system.flushes.is_over(turn) {
            system.settler.wait();
        }
        let (cleaned, effects) = tracker.finish_settle(round, flushed);
        system.flushing.fetch_sub(1, Ordering::SeqCst);
        system.mover.ring();
        system.pass_on(effects);
        if cleaned > 0 {
            system.log.ring();
        }
    }
}
