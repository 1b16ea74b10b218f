//! Copies: what is read, what is written, what fails.

use std::vec::Vec;

use super::super::*;
use super::machine::*;
use crate::chunk::{Fault, WritePolicy};
use crate::copier::Nanos;
use crate::units::Sectors;
use crate::{Leg, LegFault};

#[test]
fn every_byte_of_every_part_is_copied() {
    let mut machine = Machine::new(5, Tuning::default());
    machine.run_until(Machine::is_equal);
    machine.check_equal();
    assert!(machine.asked.contains(&Operation::Tell), "who waits is told");
    assert_eq!(machine.copier.stats().failed_chunks, 0);
}

#[test]
fn ends_in_any_order_make_the_same_copy() {
    for seed in 0..20u64 {
        let mut machine = Machine::new(6, Tuning::default());
        let mut state = seed;
        for _ in 0..10_000 {
            let until = machine.ask().expect("not stopped");
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            match machine.in_flight.len() {
                0 if machine.is_equal() => break,
                0 => machine.now = until,
                many => machine.carry_out((state >> 33) as usize % many),
            }
        }
        machine.check_equal();
    }
}

#[test]
fn zeroes_are_made_and_not_written_where_the_device_can() {
    for can in [true, false] {
        let mut machine = Machine::new(3, Tuning::default());
        // The second half of the first chunk, and nothing else.
        let from = (64 + CHUNK as usize / 2) * 512;
        machine.disks[0][from..from + CHUNK as usize / 2 * 512].fill(0);
        machine.faults[1].zeroes = !can;
        machine.run_until(Machine::is_equal);
        machine.check_equal();
        let zeroed: Vec<_> = machine
            .asked
            .iter()
            .filter_map(|op| match op {
                Operation::WriteZeroes { at, count, .. } => Some((at.offset, *count)),
                _ => None,
            })
            .collect();
        let half = CHUNK / 2;
        assert_eq!(zeroed, [(Sectors(512 + half), Sectors(half))]);
        let counted = if can { half * 512 } else { 0 };
        assert_eq!(machine.copier.stats().zeroed_bytes, counted);
    }
}

#[test]
fn a_bad_sector_is_found_and_told_before_the_tracker_knows() {
    let mut machine = Machine::new(3, Tuning::default());
    // Sectors 300 to 302 of the first part: in its second chunk.
    machine.faults[0].read.extend([364, 365, 366]);
    loop {
        let before = machine.asked.len();
        let known = machine.tracker(0).fault();
        machine.ask();
        let told = machine.asked[before..]
            .iter()
            .position(|op| matches!(op, Operation::Unreadable { .. }));
        if let Some(told) = told {
            assert_eq!(known, None);
            let op = &machine.asked[before + told];
            let part = PartIndex(0);
            assert_eq!(*op, Operation::Unreadable { part, sectors: 300..303, error: 61 });
            break;
        }
        machine.carry_out(0);
    }
    machine.run();
    let fault = Fault { leg: Leg::Source, fault: LegFault::Read };
    assert_eq!(machine.tracker(0).fault(), Some(fault));
    assert_eq!(
        machine.woken,
        crate::chunk::QueueMask::ALL,
        "what is parked goes on without a copy"
    );
    machine.run_until(|machine| machine.tracker(1).left() == 0);
    assert_eq!(machine.copier.stats().failed_chunks, 1);
}

#[test]
fn what_can_be_read_around_a_failure_is_read() {
    // A device that fails long reads alone loses nothing.
    let mut machine = Machine::new(2, Tuning::default());
    let mut failures = 0;
    loop {
        machine.ask();
        let Some(op) = machine.in_flight.first().cloned() else { break };
        match op {
            Operation::Read { tag, into, .. } if into.len() > 512 && failures < 40 => {
                failures += 1;
                let _ = machine.in_flight.remove(0);
                let (shared, blocks) = (&machine.shared, &mut machine.blocks);
                machine.copier.ended(tag, Ended::Failed(5), shared, blocks, machine.now);
            }
            _ => machine.carry_out(0),
        }
    }
    assert!(failures > 4, "it tried ever smaller reads");
    assert!(machine.is_equal());
    machine.check_equal();
}

#[test]
fn the_end_of_an_unreadable_run_is_looked_for_with_patience_only() {
    let mut machine = Machine::new(3, Tuning::default());
    machine.faults[0].read.extend(64..64 + CHUNK);
    let mut told = None;
    while told.is_none() {
        machine.ask();
        let unreadable = machine.asked.iter().find_map(|op| match op {
            Operation::Unreadable { sectors, .. } => Some(sectors.clone()),
            _ => None,
        });
        told = unreadable;
        if told.is_none() {
            // Every answer takes half a second.
            machine.now.0 += 500 * MS;
            machine.carry_out(0);
        }
    }
    let told = told.expect("it ends");
    assert_eq!(told.start, 0);
    assert!(told.end < 12, "{told:?}");
    machine.run();
}

#[test]
fn a_failing_write_fails_the_destination() {
    let mut machine = Machine::new(3, Tuning::default());
    machine.faults[1].write.insert(512 + 2 * CHUNK + 1);
    machine.run();
    let fault = Fault { leg: Leg::Destination, fault: LegFault::Write };
    assert_eq!(machine.tracker(0).fault(), Some(fault));
    assert!(machine.tracker(0).left() > 0);
    assert_eq!(machine.tracker(1).left(), 0, "the other part does not care");
}

#[test]
fn what_was_interrupted_is_done_again_and_a_short_write_goes_on() {
    let mut machine = Machine::new(2, Tuning::default());
    let mut turn = 0;
    loop {
        machine.ask();
        let Some(op) = machine.in_flight.first().cloned() else { break };
        turn += 1;
        let (Operation::Read { tag, .. } | Operation::Write { tag, .. }) = &op else {
            machine.carry_out(0);
            continue;
        };
        let ended = match &op {
            _ if turn % 3 == 1 => Ended::Again,
            Operation::Write { at, from, buffer: Buffer::Copy(_), .. } if from.len() > 4096 => {
                // A page of it was written.
                let to = at.offset.0 as usize * 512;
                let Operation::Write { buffer, .. } = &op else { unreachable!() };
                let page = machine.blocks.bytes(*buffer)[from.start..from.start + 4096].to_vec();
                machine.disks[1][to..to + 4096].copy_from_slice(&page);
                Ended::Done(4096)
            }
            _ => {
                machine.carry_out(0);
                continue;
            }
        };
        let _ = machine.in_flight.remove(0);
        machine.copier.ended(*tag, ended, &machine.shared, &mut machine.blocks, machine.now);
    }
    assert!(machine.is_equal());
    machine.check_equal();
}

#[test]
fn an_end_that_is_not_waited_for_changes_nothing() {
    let mut machine = Machine::new(3, Tuning::default());
    machine.ask();
    for bits in (0..4).flat_map(|kind| (0..300).map(move |low| (kind << 24) | (low * 3))) {
        let in_flight = machine.in_flight.iter().any(|op| match op {
            Operation::Read { tag, .. } | Operation::Write { tag, .. } => tag.bits() == bits,
            _ => false,
        });
        if !in_flight {
            let tag = Tag::from_bits(bits);
            machine.copier.ended(
                tag,
                Ended::Failed(5),
                &machine.shared,
                &mut machine.blocks,
                Nanos(0),
            );
        }
    }
    machine.run_until(Machine::is_equal);
    machine.check_equal();
    assert_eq!(machine.copier.stats().failed_chunks, 0);
}

// Found by `fault-source-mid-copy`: the first write came before the policy, and the last chunk was
// copied at once where a limit of a chunk in eight seconds stood.
#[test]
fn the_first_write_finds_the_policy_set() {
    let limited = Tuning { max_rate: Some(256 << 10), ..Tuning::default() };
    let policy = |tuning| Machine::new(2, tuning).shared.parts[1].policy();
    assert_eq!(policy(limited), WritePolicy::SourceFirst);
    assert_eq!(policy(Tuning::default()), WritePolicy::CopyFirst);
}

#[test]
fn a_limit_holds_and_says_when_to_ask_again() {
    // A chunk of 128 KiB every eighth of a second.
    let limited = Tuning { max_rate: Some(1 << 20), ..Tuning::default() };
    let mut machine = Machine::new(6, limited);
    while machine.now < Nanos(500 * MS) {
        machine.now = machine.run().expect("not stopped");
    }
    let copied = machine.copier.stats().copied_bytes;
    assert!((400 << 10..=800 << 10).contains(&copied), "{copied}");
    machine.copier.tune(
        Tuning { max_rate: Some(0), ..Tuning::default() },
        &machine.shared,
        machine.now,
    );
    machine.run();
    assert!(machine.is_equal());
}

#[test]
fn a_pause_stops_the_scan_and_not_what_a_write_waits_for() {
    let mut machine = Machine::new(4, Tuning { paused: Some(true), ..Tuning::default() });
    machine.run();
    assert_eq!(machine.copier.stats().copied_bytes, 0);
    // Whole chunks need no copy; a discard's place does, but not now.
    assert!(machine.admit(0, 3, 1).map(|ticket| machine.complete(0, ticket)).is_some());
    machine.run();
    assert_eq!(machine.copier.stats().copied_bytes, 0);
    let on = Tuning { paused: Some(false), ..Tuning::default() };
    machine.copier.tune(on, &machine.shared, machine.now);
    machine.run();
    assert!(machine.is_equal());
}

#[test]
fn a_write_that_waits_for_its_chunk_is_woken_by_its_copy() {
    let mut machine = Machine::new(6, Tuning::default());
    // All slots are taken by chunks that come before.
    machine.ask();
    assert!(machine.admit(1, 5 * CHUNK + 3, 1).is_none(), "it waits");
    machine.run();
    assert!(machine.woken.contains(crate::chunk::QueueId::new(2).expect("a queue")));
    assert_eq!(machine.copier.stats().wanted_chunks, 1);
    let ticket = machine.admit(1, 5 * CHUNK + 3, 1).expect("it may go on");
    machine.complete(1, ticket);
}

#[test]
fn a_disk_that_answers_late_gets_more_at_once() {
    // Every copy takes as long as any other, however many there are.
    let mut machine = Machine::new(60, Tuning::default());
    let mut widest = 0;
    loop {
        machine.ask();
        widest = widest.max(machine.copier.window().in_flight());
        if machine.in_flight.is_empty() {
            break;
        }
        machine.now.0 += MS;
        let now_in_flight = machine.in_flight.len();
        (0..now_in_flight).for_each(|_| machine.carry_out(0));
    }
    assert_eq!(widest, 8);
    assert!(machine.is_equal());
}

#[test]
fn who_stops_it_waits_for_what_is_in_flight() {
    let mut machine = Machine::new(6, Tuning::default());
    machine.ask();
    let in_flight = machine.in_flight.len();
    assert_eq!(in_flight, 4);
    machine.copier.stop();
    assert_eq!(machine.run(), None);
    assert_eq!(machine.copier.stats().copied_bytes, 4 * CHUNK * 512, "and begins no more");
    assert!(!machine.is_equal());
}

#[test]
fn what_was_given_up_becomes_zeroes_and_nothing_else_does() {
    let mut machine = Machine::new(3, Tuning::default());
    // Sectors 300 to 303 are given up; 301 and 302 cannot be read, and 300 and 303 can.
    machine.faults[0].read.extend([64 + 301, 64 + 302]);
    assert!(machine.shared.parts[0].give_up(300..304));
    machine.run_until(Machine::is_equal);
    assert_eq!(machine.tracker(0).fault(), None);
    let sector = |disk: &[u8], at: usize| disk[at * 512..(at + 1) * 512].to_vec();
    for at in 295..310 {
        let (from, to) = (sector(&machine.disks[0], 64 + at), sector(&machine.disks[1], 512 + at));
        let lost = at == 301 || at == 302;
        assert_eq!(to, if lost { std::vec![0; 512] } else { from }, "sector {at}");
    }
    let told = machine.asked.iter().any(|op| matches!(op, Operation::Unreadable { .. }));
    assert!(!told, "what is given up is known");
}

#[test]
fn a_sector_that_was_not_given_up_still_ends_the_copy() {
    let mut machine = Machine::new(3, Tuning::default());
    machine.faults[0].read.extend([64 + 301, 64 + 304]);
    assert!(machine.shared.parts[0].give_up(300..304));
    machine.run_until(|machine| machine.tracker(0).fault().is_some());
    assert!(
        machine.asked.contains(&Operation::Unreadable {
            part: PartIndex(0),
            sectors: 304..305,
            error: 61
        }),
        "the other one is named"
    );
}
