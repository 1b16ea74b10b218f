//! A destination that does not answer: the part fails at its deadline, and what was given up keeps its buffer.

use std::vec::Vec;

use super::super::*;
use super::machine::*;
use crate::chunk::{Fault, Phase};
use crate::copier::Nanos;
use crate::{Leg, LegFault};

const SILENT: Option<Fault> = Some(Fault { leg: Leg::Destination, fault: LegFault::Silent });
const SECOND: u64 = 1000 * MS;

fn second() -> Tuning {
    Tuning { deadline: Some(Nanos(SECOND)), ..Tuning::default() }
}

/// Nothing of this mirror is late, or none is built in its place: not even when all has landed.
fn is_not_built_anew_over_late(machine: &Machine) {
    assert!(!machine.copier.has_late() || !may_be_built_anew(&machine.shared));
    assert_eq!(may_be_built_anew(&machine.shared), machine.tracker(0).fault().is_none());
}

fn is_of(operation: &Operation, device: crate::device::DeviceIndex) -> bool {
    match operation {
        Operation::Read { at, .. }
        | Operation::Write { at, .. }
        | Operation::WriteZeroes { at, .. } => at.device == device,
        Operation::Flush { device: of, .. } => *of == device,
        _ => false,
    }
}

/// Lets all end that is asked of the source, again and again.
fn run_source(machine: &mut Machine) -> Option<Nanos> {
    loop {
        let until = machine.ask();
        let Some(at) = machine.in_flight.iter().position(|io| is_of(io, SOURCE)) else {
            return until;
        };
        machine.carry_out(at);
    }
}

#[test]
fn a_copy_that_is_not_answered_fails_its_part_at_the_deadline() {
    let mut machine = Machine::new(6, second());
    let until = run_source(&mut machine).expect("it waits");
    assert!(until.0 <= SECOND / 4, "it looks in time: {until:?}");
    is_not_built_anew_over_late(&machine);
    let copies = machine.in_flight.len();
    assert!(copies > 0 && machine.tracker(0).fault().is_none());
    machine.now = Nanos(SECOND - 1);
    run_source(&mut machine);
    assert_eq!(machine.tracker(0).fault(), None);
    machine.now = Nanos(SECOND);
    run_source(&mut machine);
    assert_eq!(machine.tracker(0).fault(), SILENT);
    assert!(machine.asked.contains(&Operation::Tell));
    assert!(!machine.woken.is_empty());
    // Each keeps its buffer until it has ended, and then ends nothing.
    assert!(machine.copier.has_late());
    is_not_built_anew_over_late(&machine);
    let asked = machine.asked.len();
    while !machine.in_flight.is_empty() {
        machine.carry_out(0);
        run_source(&mut machine);
    }
    assert!(!machine.copier.has_late());
    is_not_built_anew_over_late(&machine);
    assert!(!machine.asked[asked..].iter().any(|io| matches!(io, Operation::Write { .. })));
    // What waits is served by the source.
    let ticket = machine.admit(0, 0, 1).expect("nothing keeps it");
    machine.complete(0, ticket);
}

#[test]
fn whatever_has_time_is_waited_for() {
    let mut machine = Machine::new(6, Tuning { deadline: Some(Nanos(0)), ..Tuning::default() });
    run_source(&mut machine);
    machine.now = Nanos(u64::MAX / 2);
    run_source(&mut machine);
    assert_eq!(machine.tracker(0).fault(), None);
    machine.run_until(Machine::is_clean);
}

#[test]
fn who_leaves_waits_for_nothing() {
    let mut machine = Machine::new(6, Tuning { deadline: Some(Nanos(0)), ..Tuning::default() });
    machine.ask();
    machine.carry_out(0);
    machine.ask();
    let in_flight: Vec<Operation> = machine.in_flight.clone();
    assert!(in_flight.iter().any(|io| matches!(io, Operation::Read { .. })));
    assert!(in_flight.iter().any(|io| is_of(io, DESTINATION)));
    let _ = fail_all(&machine.shared, SILENT.expect("it is one"));
    machine.copier.leave();
    assert_eq!(machine.ask(), None, "it has stopped");
    assert!(machine.copier.has_late());
    is_not_built_anew_over_late(&machine);
    assert_eq!(machine.in_flight.len(), in_flight.len(), "nothing new was begun");
    while !machine.in_flight.is_empty() {
        machine.carry_out(0);
        assert_eq!(machine.ask(), None);
    }
    assert!(!machine.copier.has_late());
    is_not_built_anew_over_late(&machine);
}

#[test]
fn a_log_that_is_not_written_in_time_fails_its_part_and_keeps_the_write_waiting() {
    let mut machine = Machine::new(3, second());
    machine.run_until(Machine::is_clean);
    assert!(machine.admit(0, 5, 1).is_none());
    machine.ask();
    machine.now = Nanos(machine.now.0 + SECOND);
    machine.ask();
    assert_eq!(machine.tracker(0).fault(), SILENT);
    assert_eq!(machine.phase(0, 0), Phase::Marking, "the bit on disk may still be set");
    assert_eq!(machine.shared.devices[1].flush_failures(), 1);
    assert!(machine.copier.has_late());
    is_not_built_anew_over_late(&machine);
    machine.carry_out(0);
    assert!(!machine.copier.has_late());
    is_not_built_anew_over_late(&machine);
}

#[test]
fn a_flush_that_the_destination_does_not_answer_fails_its_parts_and_one_of_the_source_waits() {
    for (device, fault) in [(DESTINATION, SILENT), (SOURCE, None)] {
        let mut machine = Machine::new(3, second());
        let flushed = |machine: &Machine| {
            let here = |io: &Operation| matches!(io, Operation::Flush { .. }) && is_of(io, device);
            machine.in_flight.iter().position(here)
        };
        while flushed(&machine).is_none() {
            let until = machine.ask().expect("it waits");
            match machine.in_flight.iter().position(|io| !matches!(io, Operation::Flush { .. })) {
                Some(at) => machine.carry_out(at),
                None => machine.now = until.max(machine.now),
            }
        }
        let other = if device == SOURCE { DESTINATION } else { SOURCE };
        machine.ask();
        while let Some(at) = machine.in_flight.iter().position(|io| is_of(io, other)) {
            machine.carry_out(at);
            machine.ask();
        }
        machine.now = Nanos(machine.now.0 + SECOND);
        machine.ask();
        assert_eq!(machine.tracker(0).fault(), fault, "{device:?}: {:?}", machine.in_flight);
        assert_eq!(machine.copier.has_late(), fault.is_some());
        is_not_built_anew_over_late(&machine);
        if let Some(at) = flushed(&machine) {
            machine.carry_out(at);
        }
        assert!(!machine.copier.has_late());
        is_not_built_anew_over_late(&machine);
    }
}

#[test]
fn a_log_that_cannot_be_read_lets_nothing_go_to_the_source_alone() {
    let machine = Machine::new(3, Tuning::default());
    let part = &machine.shared.parts[0];
    let mut load = LogLoad::new(part, 4096);
    assert!(load.next_read().is_some());
    load.unreadable(part);
    assert_eq!(load.next_read(), None);
    assert!(part.tracker().is_abandoned());
    for chunk in 0..3 {
        assert_eq!(machine.phase(0, chunk), Phase::Clean);
    }
    assert!(machine.admit(0, 5, 1).is_none(), "it waits for a mark");
}
