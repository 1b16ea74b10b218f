//! The last look before the commit: what it waits for, and what does not begin meanwhile.

use super::super::*;
use super::machine::*;
use crate::chunk::{Authority, Sealed};
use crate::copier::Nanos;

#[test]
fn a_last_look_waits_for_the_round_under_way() {
    let mut machine = Machine::new(3, Tuning::default());
    machine.run_until(Machine::is_equal);
    while machine.in_flight.is_empty() {
        machine.now = machine.ask().expect("not stopped");
    }
    machine.copier.confirm(1);
    machine.ask();
    assert!(!machine.confirmed(1), "flushes are in flight");
    machine.carry_out(0);
    machine.ask();
    assert!(!machine.confirmed(1), "one is");
    machine.carry_out(0);
    machine.run();
    assert!(machine.confirmed(1));
}

#[test]
fn a_last_look_waits_for_the_flushes_of_the_application() {
    let mut machine = Machine::new(3, Tuning::default());
    machine.run_until(Machine::is_clean);
    let flush = machine.shared.flushes.begin();
    machine.copier.confirm(1);
    let until = machine.run().expect("not stopped");
    assert!(!machine.confirmed(1));
    assert!(until <= Nanos(machine.now.0 + 5 * MS), "it looks again soon");
    let later = machine.shared.flushes.begin();
    machine.shared.flushes.end(flush);
    machine.now = until;
    machine.run();
    assert!(machine.confirmed(1), "those of after are not waited for");
    machine.shared.flushes.end(later);
}

#[test]
fn the_second_to_ask_does_not_get_the_answer_of_the_first() {
    let mut machine = Machine::new(3, Tuning::default());
    machine.run_until(Machine::is_clean);
    let first = machine.shared.flushes.begin();
    machine.copier.confirm(1);
    machine.run();
    // The first one has given up; a flush begins; another asks.
    let second = machine.shared.flushes.begin();
    machine.copier.confirm(2);
    machine.run();
    machine.shared.flushes.end(first);
    machine.run();
    assert!(machine.confirmed(1) && !machine.confirmed(2), "a flush of before is in flight");
    machine.shared.flushes.end(second);
    machine.run();
    assert!(machine.confirmed(2));
}

#[test]
fn nothing_that_flushes_begins_while_a_last_look_is_under_way() {
    let mut machine = Machine::new(3, Tuning::default());
    machine.run_until(Machine::is_equal);
    let flush = machine.shared.flushes.begin();
    machine.copier.confirm(1);
    let before = machine.flushes();
    for _ in 0..500 {
        machine.now = machine.run().expect("not stopped");
    }
    assert_eq!(machine.flushes(), before);
    machine.shared.flushes.end(flush);
    for part in 0..2 {
        let (sealed, _) = machine.tracker(part).seal();
        assert_eq!(sealed, Sealed::Sealed);
    }
    machine.run();
    assert!(machine.confirmed(1));
    // Sealed parts do not settle.
    for _ in 0..50 {
        machine.now = machine.run().expect("not stopped");
    }
    assert_eq!(machine.flushes(), before);
    for part in 0..2 {
        let _ = machine.tracker(part).decided(Authority::Source);
    }
    machine.run_until(Machine::is_clean);
}

#[test]
fn a_copier_that_is_stopped_answers_who_asks() {
    let mut machine = Machine::new(3, Tuning::default());
    machine.run_until(Machine::is_clean);
    machine.copier.stop();
    machine.copier.confirm(1);
    assert_eq!(machine.run(), None);
    assert!(machine.confirmed(1));
}
