//! A source that does not give everything at once: what is copied first, and what becomes of the rest.

use std::vec::Vec;

use super::super::*;
use super::machine::*;
use crate::chunk::{ChunkIndex, Fault, Phase, WritePolicy};
use crate::copier::Nanos;
use crate::{Leg, LegFault};

const SOURCE_AT: u64 = 64;

/// The chunks of the first part that were read, in order; each once for reads that follow each other.
fn read_order(machine: &Machine) -> Vec<u64> {
    let mut order: Vec<u64> = machine
        .asked
        .iter()
        .filter_map(|op| match op {
            Operation::Read { at, .. } if at.device == SOURCE => {
                Some((at.offset.0 - SOURCE_AT) / CHUNK)
            }
            _ => None,
        })
        .filter(|chunk| *chunk < 20)
        .collect();
    order.dedup();
    order
}

/// As `run_until`, but looks after every single end.
fn step_until(machine: &mut Machine, done: impl Fn(&Machine) -> bool) {
    for _ in 0..100_000 {
        let until = machine.ask().expect("not stopped");
        if done(machine) {
            return;
        }
        match machine.in_flight.len() {
            0 => machine.now = until.max(Nanos(machine.now.0 + 1)),
            _ => machine.carry_out(0),
        }
    }
    panic!("this never happens");
}

#[test]
fn what_fails_is_left_for_last_and_all_else_is_copied_and_served_meanwhile() {
    let mut machine = Machine::new(20, Tuning::default());
    // In the fourth chunk, and in the eleventh.
    machine.faults[0].read.extend([SOURCE_AT + 3 * CHUNK + 7, SOURCE_AT + 10 * CHUNK]);
    step_until(&mut machine, |machine| {
        let told = machine.asked.iter().any(|op| matches!(op, Operation::Unreadable { .. }));
        told && machine.phase(0, 3) == Phase::Pending
    });
    assert_eq!(machine.tracker(0).fault(), None, "the first one found ended it");
    assert_eq!(machine.tracker(0).left(), 2, "all else is on both sides first");
    assert_eq!(machine.tracker(1).left(), 0);
    // A write to what cannot be read waits for nothing.
    assert_eq!(machine.shared.parts[0].policy(), WritePolicy::SourceFirst);
    let write = machine.admit(0, 3 * CHUNK, 8).expect("it is let in");
    machine.complete(0, write);
    machine.run_until(|machine| machine.tracker(0).fault().is_some());
    let named = |sectors: std::ops::Range<u64>| {
        machine.asked.contains(&Operation::Unreadable { part: PartIndex(0), sectors, error: 61 })
    };
    assert!(
        named(3 * CHUNK + 7..3 * CHUNK + 8) && named(10 * CHUNK..10 * CHUNK + 1),
        "both are named"
    );
    let fault = Fault { leg: Leg::Source, fault: LegFault::Read };
    assert_eq!(machine.tracker(0).fault(), Some(fault));
    assert_eq!(machine.tracker(1).fault(), None, "the other part has nothing bad");
    let order = read_order(&machine);
    let last = |chunk| order.iter().rposition(|at| *at == chunk);
    assert!(last(3) > last(19) && last(10) > last(19), "{order:?}");
}

#[test]
fn what_fails_at_first_only_is_copied_at_last_and_nothing_has_failed() {
    let mut machine = Machine::new(20, Tuning::default());
    machine.faults[0].read.insert(SOURCE_AT + 3 * CHUNK + 7);
    step_until(&mut machine, |machine| machine.tracker(0).left() <= 2);
    machine.faults[0].read.clear();
    machine.run_until(Machine::is_equal);
    machine.check_equal();
    assert!(machine.asked.iter().all(|op| !matches!(op, Operation::Unreadable { .. })));
    assert_eq!(machine.copier.set_aside(&machine.shared).1, 0, "nothing is set aside any more");
}

#[test]
fn a_write_of_a_whole_chunk_takes_what_was_lost_off_the_list() {
    let mut machine = Machine::new(20, Tuning::default());
    machine.faults[0].read.extend([SOURCE_AT + 3 * CHUNK + 7, SOURCE_AT + 10 * CHUNK]);
    step_until(&mut machine, |machine| {
        let told = machine.asked.iter().any(|op| matches!(op, Operation::Unreadable { .. }));
        told && machine.phase(0, 3) == Phase::Pending
    });
    let write = machine.admit(0, 3 * CHUNK, CHUNK).expect("it is let in");
    machine.complete(0, write);
    assert_eq!(machine.phase(0, 3), Phase::Dirty);
    machine.faults[0].read.clear();
    machine.run_until(Machine::is_equal);
    assert_eq!(machine.tracker(0).fault(), None);
}

#[test]
fn a_read_that_is_not_answered_is_given_up_twice_and_then_its_source_has_failed() {
    let mut machine = Machine::new(20, Tuning::default());
    let stuck = SOURCE_AT + 5 * CHUNK;
    let mut late = Vec::new();
    let begun = machine.now;
    for _ in 0..10_000 {
        let until = machine.ask().expect("not stopped");
        let is_stuck = |op: &Operation| {
            matches!(op, Operation::Read { at, .. }
                if at.device == SOURCE && (stuck..stuck + CHUNK).contains(&at.offset.0))
        };
        if let Some(at) = machine.in_flight.iter().position(is_stuck) {
            late.push(machine.in_flight.remove(at));
        } else if machine.in_flight.is_empty() {
            if machine.tracker(0).fault().is_some() {
                break;
            }
            machine.now = until.max(Nanos(machine.now.0 + 1));
        } else {
            machine.carry_out(0);
        }
    }
    let fault = Fault { leg: Leg::Source, fault: LegFault::Silent };
    assert_eq!(machine.tracker(0).fault(), Some(fault));
    assert_eq!(late.len(), 2, "tried once more");
    assert_eq!(machine.tracker(0).left(), 1, "all else is on both sides");
    assert!(machine.now.0 - begun.0 >= 2 * DEADLINE.0);
    let named = machine.asked.iter().any(|op| {
        matches!(op, Operation::Unreadable { sectors, error: 110, .. } if sectors.start == 5 * CHUNK)
    });
    assert!(named, "what was not answered is named");
    // What they fill at last is used by nothing.
    assert!(machine.copier.has_late());
    for operation in late {
        let Operation::Read { tag, into, .. } = operation else { continue };
        let (shared, blocks) = (&machine.shared, &mut machine.blocks);
        machine.copier.ended(tag, Ended::Done(into.len()), shared, blocks, machine.now);
    }
    assert!(!machine.copier.has_late());
    let word = machine.tracker(0).word(ChunkIndex(5)).expect("a chunk");
    assert_eq!(word.phase(), Phase::Pending);
}
