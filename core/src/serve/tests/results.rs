//! What an application is told when a device fails, before and after a seal.

use super::super::*;
use super::machine::*;
use crate::chunk::{Authority, Sealed};
use crate::io::{Discards, WriteOp};
use crate::{Leg, LegFault};

const MIRRORED: Middle = Middle::Mirrored(Discards::AsZeroes);
const FUA: Kind = Kind::Change(WriteOp::Write { fua: true });

/// A volume that is mirrored and equal.
pub(super) fn equal() -> Machine {
    let mut machine = Machine::new(MIRRORED);
    machine.copy_all();
    assert_eq!(machine.volume.parts[0].tracker().left(), 0);
    machine
}

/// The same, sealed, so that a write is held that the destination does not take.
pub(super) fn sealed() -> Machine {
    let machine = equal();
    loop {
        // Sealing needs chunks that are clean, which a settle round makes of equal ones.
        let tracker = machine.volume.parts[0].tracker();
        if let Some(round) = tracker.begin_settle() {
            let _ = tracker.finish_settle(round, Ok(()));
        }
        let (sealed, _) = tracker.seal();
        if sealed == Sealed::Sealed {
            return machine;
        }
    }
}

pub(super) fn fault(machine: &Machine) -> Option<(Leg, LegFault)> {
    machine.volume.parts[0].tracker().fault().map(|fault| (fault.leg, fault.fault))
}

#[test]
fn a_destination_that_fails_a_write_does_not_fail_the_application() {
    let mut machine = equal();
    machine.faults[1] = [Ended::Failed(5)].to_vec();
    machine.write(0, MIRROR, 2, 1);
    machine.run();
    assert_eq!(machine.take_answers(), [(0, Answer::Done)]);
    assert_eq!(fault(&machine), Some((Leg::Destination, LegFault::Write)));
    assert!(machine.told.copier);
}

#[test]
fn a_source_that_fails_a_write_fails_the_application() {
    let mut machine = equal();
    machine.faults[0] = [Ended::Failed(5)].to_vec();
    machine.write(0, MIRROR, 2, 1);
    machine.run();
    assert_eq!(machine.take_answers(), [(0, Answer::Failed(Failure::Mirror))]);
}

#[test]
fn a_read_that_the_source_fails_is_served_by_an_equal_destination() {
    let mut machine = equal();
    machine.faults[0] = [Ended::Failed(5)].to_vec();
    machine.buffers[0].fill(0);
    machine.came(0, Kind::Read, MIRROR, 2);
    machine.run();
    assert_eq!(machine.take_answers(), [(0, Answer::Done)]);
    assert_eq!(machine.buffers[0][1023], 0xA0);
    // Not where the destination is not known equal, and not twice.
    for (mut machine, faults) in [(Machine::new(MIRRORED), 0), (equal(), 1)] {
        machine.faults[0] = [Ended::Failed(5)].to_vec();
        machine.faults[1] = [Ended::Failed(6)][..faults].to_vec();
        machine.came(0, Kind::Read, MIRROR, 2);
        machine.run();
        let code = if faults == 0 { 5 } else { 6 };
        assert_eq!(machine.take_answers(), [(0, Answer::Failed(Failure::Device(code)))]);
    }
}

#[test]
fn a_flush_goes_to_every_device_and_a_failed_one_is_never_believed_again() {
    let mut machine = equal();
    machine.came(0, Kind::Flush, 0, 0);
    assert_eq!(machine.in_flight.len(), 3);
    machine.run();
    assert_eq!(machine.take_answers(), [(0, Answer::Done)]);
    for (disk, answer) in [
        (0, Answer::Failed(Failure::Mirror)),
        (1, Answer::Done),
        (2, Answer::Failed(Failure::Mirror)),
    ] {
        let mut machine = equal();
        machine.faults[disk] = [Ended::Failed(5)].to_vec();
        machine.came(0, Kind::Flush, 0, 0);
        machine.run();
        assert_eq!(machine.take_answers(), [(0, answer)], "device {disk}");
        let leg = [Some(Leg::Source), Some(Leg::Destination), None][disk];
        assert_eq!(fault(&machine), leg.map(|leg| (leg, LegFault::Flush)));
    }
}

#[test]
fn a_failed_durable_write_elsewhere_ends_the_belief_in_that_destination() {
    // Sectors of another segment on the destination's device: none here, so the mirror's own.
    let mut machine = equal();
    machine.faults[1] = [Ended::Failed(5)].to_vec();
    machine.came(0, FUA, MIRROR, 1);
    machine.run();
    assert_eq!(machine.take_answers(), [(0, Answer::Done)]);
    assert_eq!(fault(&machine).map(|(leg, _)| leg), Some(Leg::Destination));
}

#[test]
fn what_a_sealed_destination_did_not_take_is_told_when_it_is_decided() {
    for (authority, answer) in [
        (Authority::Source, Answer::Done),
        (Authority::Destination, Answer::Failed(Failure::Mirror)),
    ] {
        let mut machine = sealed();
        machine.faults[1] = [Ended::Failed(5)].to_vec();
        machine.write(0, MIRROR, 2, 1);
        machine.run();
        machine.faults[1] = [Ended::Failed(5)].to_vec();
        machine.came(1, Kind::Flush, 0, 0);
        machine.run();
        assert_eq!(machine.take_answers(), []);
        assert!(machine.queue.is_drained(), "nothing of it is on its way");
        machine.queue.woken();
        machine.run();
        assert_eq!(machine.take_answers(), [], "still not decided");
        let _ = machine.volume.parts[0].tracker().decided(authority);
        machine.queue.woken();
        machine.run();
        assert_eq!(machine.take_answers(), [(0, answer), (1, answer)]);
    }
}

#[test]
fn no_flush_is_answered_while_a_commit_is_under_way() {
    let mut machine = sealed();
    machine.volume.committing = true;
    machine.came(0, Kind::Flush, 0, 0);
    machine.run();
    assert_eq!(machine.take_answers(), []);
    let _ = machine.volume.parts[0].tracker().decided(Authority::Destination);
    machine.queue.woken();
    machine.run();
    assert_eq!(machine.take_answers(), [(0, Answer::Done)]);
}

/// What is held when the table changes is told by who is in charge then.
#[test]
fn held_results_outlive_their_table() {
    for (decided, after, answer) in [
        (Some(Authority::Source), Leg::Source, Answer::Done),
        (Some(Authority::Destination), Leg::Destination, Answer::Failed(Failure::Mirror)),
        // It is not decided; the new table says it. A flush that a destination failed is not believed.
        (None, Leg::Source, Answer::Done),
        (None, Leg::Destination, Answer::Failed(Failure::Mirror)),
    ] {
        let mut machine = sealed();
        machine.faults[1] = [Ended::Failed(5)].to_vec();
        machine.write(0, MIRROR, 2, 1);
        machine.run();
        machine.faults[1] = [Ended::Failed(5)].to_vec();
        machine.came(1, Kind::Flush, 0, 0);
        machine.run();
        assert_eq!(machine.take_answers(), []);
        machine.queue.suspend();
        machine.ask();
        assert!(machine.queue.is_drained());
        if let Some(authority) = decided {
            let _ = machine.volume.parts[0].tracker().decided(authority);
        }
        let before = core::mem::replace(&mut machine.volume, volume(Middle::Only(after)));
        machine.queue.leave(&before);
        machine.queue.resume();
        machine.run();
        let flush = if decided.is_none() { Answer::Failed(Failure::Mirror) } else { answer };
        assert_eq!(machine.take_answers(), [(0, answer), (1, flush)], "{decided:?} {after:?}");
    }
}
