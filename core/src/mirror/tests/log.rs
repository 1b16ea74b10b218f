//! The dirty log: marks before writes, settle rounds, what a crash would find.

use lvshift_on_disk_format::dirty_log;

use super::super::*;
use super::machine::*;
use crate::chunk::{Fault, Phase};
use crate::copier::Nanos;
use crate::{Leg, LegFault};

#[test]
fn what_is_copied_settles_and_the_log_says_so() {
    let mut machine = Machine::new(5, Tuning::default());
    machine.run_until(Machine::is_clean);
    assert!(machine.is_equal());
    assert_eq!(machine.flushes(), 2, "one round, each device once");
    for part in 0..2 {
        let loaded = machine.loaded(part);
        assert_eq!(loaded.tracker().left(), 0);
    }
}

#[test]
fn what_a_log_does_not_describe_is_dirty_whatever_its_bit_says() {
    let mut machine = Machine::new(20, Tuning::default());
    machine.run_until(Machine::is_clean);
    let at = machine.log_at(0);
    for (described, left) in [(20, 0), (13, 12), (8, 12), (0, 20)] {
        let header = dirty_log::header(described);
        machine.disks[1][at..at + header.len()].copy_from_slice(&header);
        assert_eq!(machine.loaded(0).tracker().left(), left, "{described}");
    }
}

#[test]
fn a_write_waits_for_its_mark_which_is_durable() {
    let mut machine = Machine::new(3, Tuning::default());
    machine.run_until(Machine::is_clean);
    assert!(machine.admit(1, CHUNK + 5, 1).is_none(), "its chunk is clean on disk");
    machine.woken = crate::chunk::QueueMask::NONE;
    let before = machine.asked.len();
    machine.ask();
    let [Operation::Write { buffer: Buffer::Log(PartIndex(1)), durable: true, .. }] =
        &machine.asked[before..]
    else {
        panic!("{:?}", &machine.asked[before..]);
    };
    assert!(machine.admit(1, CHUNK + 5, 1).is_none(), "it is not on disk yet");
    machine.carry_out(0);
    machine.ask();
    assert!(!machine.woken.is_empty());
    assert!(!machine.log_says_clean(1, 1));
    assert!(machine.log_says_clean(1, 0) && machine.log_says_clean(0, 1));
    let ticket = machine.admit(1, CHUNK + 5, 1).expect("it goes on");
    // Were it to crash now, just that chunk would be copied again.
    assert_eq!(machine.loaded(1).tracker().left(), 1);
    machine.complete(1, ticket);
    machine.run_until(Machine::is_clean);
}

#[test]
fn a_failing_log_write_fails_the_part_and_keeps_the_write_waiting() {
    let mut machine = Machine::new(3, Tuning::default());
    machine.run_until(Machine::is_clean);
    let first = machine.log_at(0) as u64 / 512;
    machine.faults[1].write.extend(first..first + 8);
    assert!(machine.admit(0, 5, 1).is_none());
    machine.run();
    let fault = Fault { leg: Leg::Destination, fault: LegFault::Gone };
    assert_eq!(machine.tracker(0).fault(), Some(fault));
    assert_eq!(machine.phase(0, 0), Phase::Marking, "the bit on disk may still be set");
    assert_eq!(machine.shared.devices[1].flush_failures(), 1);
    assert!(machine.asked.contains(&Operation::Tell));
}

#[test]
fn a_log_that_another_mirror_goes_on_from_gets_no_clean_bit_and_every_mark() {
    let mut machine = Machine::new(3, Tuning::default());
    machine.run_until(Machine::is_clean);
    assert!(machine.admit(1, CHUNK + 5, 1).is_none());
    machine.run();
    let ticket = machine.admit(1, CHUNK + 5, 1).expect("it is marked");
    machine.complete(1, ticket);
    // A round is under way, and ends.
    let flushes = machine.flushes();
    while machine.flushes() == flushes {
        machine.now = machine.ask().expect("not stopped");
    }
    let only = |only| Tuning { log_only_dirties: Some(only), ..Tuning::default() };
    machine.copier.tune(only(true), &machine.shared, machine.now);
    machine.copier.confirm(1);
    machine.run();
    assert!(machine.confirmed(1));
    let flushes = machine.flushes();
    for _ in 0..50 {
        machine.now = Nanos(machine.now.0 + 100 * MS);
        machine.run();
    }
    assert!(!machine.log_says_clean(1, 1), "its bit is set behind the other's back");
    assert_eq!(machine.flushes(), flushes, "a round has begun");
    assert!(machine.admit(0, 5, 1).is_none(), "its bit says clean");
    machine.run();
    assert!(!machine.log_says_clean(0, 0));
    let ticket = machine.admit(0, 5, 1).expect("it is marked");
    machine.complete(0, ticket);
    machine.copier.tune(only(false), &machine.shared, machine.now);
    machine.run_until(Machine::is_clean);
}

#[test]
fn an_interrupted_log_write_is_made_again() {
    let mut machine = Machine::new(3, Tuning::default());
    machine.run_until(Machine::is_clean);
    assert!(machine.admit(0, 5, 1).is_none());
    machine.ask();
    let Some(Operation::Write { tag, .. }) = machine.in_flight.pop() else { panic!("a log write") };
    machine.copier.ended(tag, Ended::Again, &machine.shared, &mut machine.blocks, machine.now);
    assert_eq!(machine.phase(0, 0), Phase::Marking);
    machine.run();
    assert_eq!(machine.phase(0, 0), Phase::Dirty);
    assert!(!machine.log_says_clean(0, 0));
}

#[test]
fn a_settle_round_whose_flush_fails_makes_nothing_clean() {
    for (disk, leg) in [(0, Leg::Source), (1, Leg::Destination)] {
        let mut machine = Machine::new(3, Tuning::default());
        machine.faults[disk].flush = true;
        machine.run_until(|machine| machine.flushes() > 0);
        machine.run();
        for part in 0..2 {
            let fault = Fault { leg, fault: LegFault::Flush };
            assert_eq!(machine.tracker(part).fault(), Some(fault));
            assert!((0..3).all(|chunk| !machine.log_says_clean(part, chunk)));
        }
        assert_eq!(machine.shared.devices[disk].flush_failures(), 1);
    }
}

#[test]
fn a_flush_that_failed_for_another_volume_fails_the_round() {
    let mut machine = Machine::new(3, Tuning::default());
    machine.run_until(Machine::is_equal);
    // Time passes, the round's flushes are in flight, and another volume's flush fails meanwhile.
    while machine.in_flight.is_empty() {
        machine.now = machine.ask().expect("not stopped");
    }
    machine.shared.devices[1].flush_has_failed();
    machine.run();
    let fault = Fault { leg: Leg::Destination, fault: LegFault::Flush };
    assert_eq!(machine.tracker(0).fault(), Some(fault));
    assert!(!machine.log_says_clean(0, 0));
}

#[test]
fn a_round_waits_for_the_flushes_of_the_application() {
    let mut machine = Machine::new(3, Tuning::default());
    machine.run_until(Machine::is_equal);
    let flush = machine.shared.flushes.begin();
    for _ in 0..50 {
        machine.now = machine.run().expect("not stopped");
    }
    assert_eq!(machine.flushes(), 2);
    assert!(!machine.log_says_clean(0, 0), "the application's flush may be the one that fails");
    let _ = flush_failed(&machine.shared, DESTINATION, &[Leg::Destination]);
    machine.shared.flushes.end(flush);
    machine.now = Nanos(machine.now.0 + 10 * MS);
    machine.run();
    assert!(!machine.log_says_clean(0, 0), "it has failed");
    assert!(machine.tracker(1).fault().is_some());
}

#[test]
fn a_log_of_another_part_counts_as_all_dirty() {
    let mut machine = Machine::new(3, Tuning::default());
    machine.run_until(Machine::is_clean);
    let part = machine.loaded(0);
    assert_eq!(part.tracker().left(), 0);
    let at = machine.log_at(0);
    machine.disks[1][at + 8] ^= 4;
    let fresh = Machine::new(3, Tuning::default());
    let part = &fresh.shared.parts[0];
    let mut load = LogLoad::new(part, 4096);
    let (_, len) = load.next_read().expect("a first piece");
    assert!(load.take(part, &machine.disks[1][at..at + len]).is_err());
    assert_eq!(load.next_read(), None);
    assert_eq!(part.tracker().left(), 3);
}
