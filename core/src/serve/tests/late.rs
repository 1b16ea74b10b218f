//! Devices that do not answer: what is given up, and what its late end may not do.

use super::super::*;
use super::machine::*;
use super::results::{equal, fault, sealed};
use crate::chunk::{Authority, Fault};
use crate::device::DeviceIndex;
use crate::mirror::Volume;
use crate::{Leg, LegFault};

const SILENT: Option<(Leg, LegFault)> = Some((Leg::Destination, LegFault::Silent));

fn device(operation: &Operation) -> u8 {
    match operation {
        Operation::Read { at, .. } | Operation::Write { at, .. } => at.device.0,
        Operation::Flush { device, .. } => device.0,
        other => panic!("{other:?}"),
    }
}

/// Lets what is in flight on these devices end.
fn end_on(machine: &mut Machine, devices: &[u8]) {
    while let Some(at) = machine.in_flight.iter().position(|io| devices.contains(&device(io))) {
        machine.end(at);
    }
}

fn overdue(machine: &mut Machine, tag: u16) {
    machine.queue.overdue(tag);
    machine.ask();
}

#[test]
fn a_write_that_its_destination_does_not_answer_is_done_by_the_source() {
    let mut machine = equal();
    machine.write(0, MIRROR, 2, 1);
    overdue(&mut machine, 0);
    assert_eq!((machine.take_answers().len(), fault(&machine)), (0, None), "the source has it not");
    end_on(&mut machine, &[0]);
    assert!(!machine.queue.has_late());
    overdue(&mut machine, 0);
    assert_eq!(machine.take_answers(), [(0, Answer::Done)]);
    assert_eq!(fault(&machine), SILENT);
    assert!(machine.queue.has_late() && machine.queue.is_drained());
    // The tag's next request, and the late end in the middle of it.
    machine.write(0, MIRROR, 2, 2);
    assert_eq!(machine.in_flight.iter().map(device).collect::<std::vec::Vec<_>>(), [1, 0]);
    machine.end(0);
    assert_eq!(machine.take_answers(), []);
    assert!(!machine.queue.has_late());
    machine.end(0);
    assert_eq!(machine.take_answers(), [(0, Answer::Done)]);
    assert_eq!(machine.leg(Leg::Source, 0), 2);
    machine.came(1, Kind::Read, MIRROR, 2);
    machine.run();
    assert_eq!(machine.buffers[1][0], 2);
}

#[test]
fn what_ends_at_its_deadline_is_answered_all_the_same() {
    let mut machine = equal();
    machine.write(0, MIRROR, 2, 1);
    machine.came(1, Kind::Read, MIRROR, 2);
    // Everything is overdue and has ended before the queue is asked.
    let ended: std::vec::Vec<_> =
        (0..machine.in_flight.len()).map(|_| machine.take_end(0)).collect();
    machine.queue.overdue(0);
    machine.queue.overdue(1);
    for (io, ended) in ended {
        machine.queue.ended(io, ended);
    }
    machine.run();
    let mut answers = machine.take_answers();
    answers.sort_by_key(|answer| answer.0);
    assert_eq!(answers, [(0, Answer::Done), (1, Answer::Done)]);
    assert_eq!((fault(&machine), machine.queue.has_late()), (None, false));
}

#[test]
fn a_write_that_is_given_up_while_a_commit_is_under_way_is_held_until_it_is_decided() {
    for (in_charge, answer) in [
        (Authority::Source, Answer::Done),
        (Authority::Destination, Answer::Failed(Failure::Mirror)),
    ] {
        let mut machine = sealed();
        machine.write(0, MIRROR, 2, 1);
        end_on(&mut machine, &[0]);
        overdue(&mut machine, 0);
        assert_eq!(machine.take_answers(), []);
        let _ = machine.volume.parts[0].tracker().decided(in_charge);
        machine.queue.woken();
        machine.ask();
        assert_eq!(machine.take_answers(), [(0, answer)]);
    }
    // Nothing does without a leg that is in charge.
    let mut machine = sealed();
    machine.write(0, MIRROR, 2, 1);
    end_on(&mut machine, &[0]);
    let _ = machine.volume.parts[0].tracker().decided(Authority::Destination);
    overdue(&mut machine, 0);
    assert_eq!((machine.take_answers().len(), machine.queue.has_late()), (0, false));
    machine.run();
    assert_eq!(machine.take_answers(), [(0, Answer::Done)]);
}

#[test]
fn a_flush_does_without_a_destination_that_does_not_answer_and_not_without_others() {
    let mut machine = equal();
    machine.came(0, Kind::Flush, 0, 0);
    end_on(&mut machine, &[0]);
    overdue(&mut machine, 0);
    assert_eq!(
        (machine.take_answers().len(), fault(&machine)),
        (0, None),
        "device 2 has to answer"
    );
    end_on(&mut machine, &[2]);
    overdue(&mut machine, 0);
    assert_eq!(machine.take_answers(), [(0, Answer::Done)]);
    assert_eq!(fault(&machine), SILENT);
    assert!(machine.queue.has_late() && machine.queue.is_drained());
    assert_eq!(machine.volume.device(DeviceIndex(1)).expect("there").flush_failures(), 1);
    // The late answer is not that of the next flush.
    machine.came(0, Kind::Flush, 0, 0);
    end_on(&mut machine, &[1]);
    assert_eq!(machine.take_answers(), []);
    end_on(&mut machine, &[0, 2]);
    assert_eq!(machine.take_answers(), [(0, Answer::Done)]);
    assert!(!machine.queue.has_late());
}

#[test]
fn a_flush_does_not_go_to_an_abandoned_destination() {
    let mut machine = equal();
    let _ = machine.volume.parts[0]
        .tracker()
        .fail(Fault { leg: Leg::Destination, fault: LegFault::Write });
    machine.came(0, Kind::Flush, 0, 0);
    assert_eq!(machine.in_flight.iter().map(device).collect::<std::vec::Vec<_>>(), [0, 2]);
    machine.run();
    assert_eq!(machine.take_answers(), [(0, Answer::Done)]);
    // It does where the destination may come to be in charge.
    let mut machine = sealed();
    let _ = machine.volume.parts[0]
        .tracker()
        .fail(Fault { leg: Leg::Destination, fault: LegFault::Write });
    machine.came(0, Kind::Flush, 0, 0);
    assert_eq!(machine.in_flight.len(), 3);
    machine.run();
}

#[test]
fn a_late_read_fills_no_buffer_but_its_own() {
    let mut machine = equal();
    machine.faults[0] = [Ended::Failed(5)].to_vec();
    machine.came(0, Kind::Read, MIRROR, 2);
    machine.end(0);
    overdue(&mut machine, 0);
    assert_eq!(fault(&machine), SILENT);
    assert!(machine.queue.has_late() && machine.queue.is_drained());
    // Its buffer is its own until then; what it has read may be old.
    assert_eq!(machine.take_answers(), []);
    machine.end(0);
    assert_eq!(machine.take_answers(), [(0, Answer::Failed(Failure::Mirror))]);
    assert!(!machine.queue.has_late());
}
