//! Comparing both legs: a bit that a disk has flipped silently is found, copied again, or ends the move.

use super::super::*;
use super::machine::*;
use crate::chunk::{Fault, Piece};
use crate::copier::Nanos;
use crate::units::Sectors;
use crate::{Leg, LegFault};

/// A copy that counts as equal once it was compared.
fn verified(chunks: u32) -> Machine {
    Machine::new(chunks, Tuning { verify: Some(true), ..Tuning::default() })
}

fn differs(machine: &Machine) -> std::vec::Vec<(u16, core::ops::Range<u64>, bool)> {
    let told = machine.asked.iter().filter_map(|operation| match operation {
        Operation::Differs { part, sectors, again } => Some((part.0, sectors.clone(), *again)),
        _ => None,
    });
    told.collect()
}

fn compared(machine: &Machine) -> bool {
    machine.is_equal() && machine.copier.verified().0
}

fn length(machine: &Machine) -> u64 {
    (0..2).map(|part| machine.tracker(part).geometry().length().0 * 512).sum()
}

#[test]
fn a_copy_is_equal_only_once_both_legs_were_compared() {
    let mut machine = verified(12);
    machine.run_until(compared);
    machine.check_equal();
    assert_eq!(differs(&machine), []);
    assert_eq!(machine.copier.verified().2, length(&machine));
    // Who waits is told then, and not when it was copied.
    let told: std::vec::Vec<_> =
        (0..machine.asked.len()).filter(|at| machine.asked[*at] == Operation::Tell).collect();
    let last_read = machine.asked.iter().rposition(|op| matches!(op, Operation::Read { .. }));
    assert_eq!(told.len(), 1, "it is told once");
    assert!(Some(told[0]) > last_read, "the legs were read before");
}

#[test]
fn a_bit_that_was_flipped_once_is_copied_again_and_told() {
    let mut machine = verified(12);
    machine.faults[1].flips.extend([(512 + 300, 1), (512 + 12 * CHUNK + 5, 1)]);
    machine.run_until(compared);
    machine.check_equal();
    let mut told = differs(&machine);
    told.sort_by_key(|(part, ..)| *part);
    assert_eq!(told, [(0, 300..301, false), (1, 5..6, false)]);
    assert!((0..2).all(|part| machine.tracker(part).fault().is_none()));
}

#[test]
fn a_sector_that_takes_no_bytes_ends_the_move_and_is_named_before() {
    let mut machine = verified(5);
    machine.faults[1].flips.insert(512 + 300, u32::MAX);
    let fault = Fault { leg: Leg::Destination, fault: LegFault::Copy };
    loop {
        let before = machine.tracker(0).fault();
        let told = differs(&machine).len();
        if before.is_some() || machine.ask().is_none() {
            break;
        }
        let known = machine.tracker(0).fault();
        assert!(known.is_none() || told == 2 || differs(&machine).len() == 2, "known and not told");
        match machine.in_flight.len() {
            0 => machine.now = Nanos(machine.now.0 + MS),
            _ => machine.carry_out(0),
        }
    }
    assert_eq!(machine.tracker(0).fault(), Some(fault));
    assert_eq!(differs(&machine), [(0, 300..301, false), (0, 300..301, true)]);
    machine.run();
    assert!(!machine.copier.verified().0, "it never counts as equal");
}

#[test]
fn without_being_asked_a_flipped_bit_is_not_seen() {
    // The control: what the tests above find is there.
    let mut machine = Machine::new(5, Tuning::default());
    machine.faults[1].flips.insert(512 + 300, 1);
    machine.run_until(compared);
    assert!(std::panic::catch_unwind(|| machine.check_equal()).is_err());
}

#[test]
fn writes_wait_for_what_is_compared_and_what_is_compared_for_writes() {
    let mut machine = Machine::new(3, Tuning::default());
    machine.run_until(Machine::is_equal);
    let writing = machine.admit(0, 300, 8).expect("mirrored");
    let verify = Tuning { verify: Some(true), ..Tuning::default() };
    machine.copier.tune(verify, &machine.shared, machine.now);
    // All but these sectors are compared, and it never counts as equal.
    for _ in 0..200 {
        let until = machine.run().expect("not stopped");
        machine.now = until.max(Nanos(machine.now.0 + 1));
    }
    assert!(!machine.copier.verified().0);
    // Meanwhile one leg has the write and the other not: no difference is seen.
    machine.disks[0][(64 + 300) * 512] ^= 0xFF;
    machine.disks[1][(512 + 300) * 512] ^= 0xFF;
    machine.complete(0, writing);
    machine.run_until(compared);
    assert_eq!(differs(&machine), []);

    // The other way round: a comparison that has begun holds writes off.
    machine.copier.verify(1);
    while machine.in_flight.is_empty() {
        machine.now = machine.ask().expect("not stopped");
    }
    assert!(machine.admit(0, 300, 8).is_none(), "a write between two reads");
    machine.run_until(|machine| machine.copier.verified().1 == 1);
    let piece = Piece { first: Sectors(300), count: Sectors(8) };
    let (held, _) = machine.tracker(0).hold(piece);
    let _ = machine.tracker(0).release(held.expect("let go"));
    assert!(!machine.woken.is_empty(), "what was parked is woken");
}

#[test]
fn what_is_mirrored_can_be_compared_at_any_time() {
    let mut machine = Machine::new(6, Tuning { paused: Some(true), ..Tuning::default() });
    machine.copier.verify(1);
    machine.run_until(|machine| machine.copier.verified().1 == 1);
    assert_eq!(machine.copier.verified().2, 0, "nothing is copied");
    machine.copier.tune(
        Tuning { paused: Some(false), ..Tuning::default() },
        &machine.shared,
        machine.now,
    );
    machine.run_until(Machine::is_equal);
    machine.disks[1][(512 + 7) * 512] ^= 1;
    machine.copier.verify(2);
    machine.run_until(|machine| machine.copier.verified().1 == 2);
    assert_eq!(differs(&machine), [(0, 7..8, false)]);
    machine.check_equal();
}

#[test]
fn what_is_given_up_is_not_compared_and_an_unreadable_sector_is_named() {
    let mut machine = verified(3);
    machine.faults[0].read.extend([64 + 301, 64 + 302]);
    assert!(machine.shared.parts[0].give_up(300..304));
    machine.run_until(compared);
    assert_eq!(machine.tracker(0).fault(), None);
    machine.faults[0].read.insert(64 + 400);
    machine.copier.verify(1);
    machine.run_until(|machine| machine.tracker(0).fault().is_some());
    let part = PartIndex(0);
    let named = Operation::Unreadable { part, sectors: 400..401, error: 61 };
    assert!(machine.asked.contains(&named), "{:?}", machine.asked);
}

#[test]
fn who_is_in_charge_is_not_written_over() {
    let mut machine = verified(3);
    machine.run_until(compared);
    let _ = machine.tracker(0).decided(crate::chunk::Authority::Destination);
    machine.disks[1][(512 + 7) * 512] ^= 1;
    let wrong = machine.disks[1][(512 + 7) * 512];
    machine.copier.verify(1);
    for _ in 0..100 {
        let until = machine.run().expect("not stopped");
        machine.now = until.max(Nanos(machine.now.0 + 1));
    }
    assert_eq!(machine.disks[1][(512 + 7) * 512], wrong);
    let writes = machine.asked.iter().filter(|op| matches!(op, Operation::Differs { .. }));
    assert_eq!(writes.count(), 0);
}

#[test]
fn a_last_look_waits_for_what_is_compared() {
    let mut machine = verified(3);
    machine.run_until(compared);
    machine.copier.verify(1);
    while machine.in_flight.is_empty() {
        machine.now = machine.ask().expect("not stopped");
    }
    machine.copier.confirm(1);
    machine.ask();
    assert!(!machine.confirmed(1), "reads of a comparison are in flight");
    machine.run_until(|machine| machine.confirmed(1));
    assert_eq!(machine.disks[0][64 * 512..65 * 512], machine.disks[1][512 * 512..513 * 512]);
}

#[test]
fn a_comparison_that_a_leg_does_not_answer_fails_its_part_and_holds_no_write_any_more() {
    for (silent, leg) in [(SOURCE, Leg::Source), (DESTINATION, Leg::Destination)] {
        let deadline = Some(Nanos(1000 * MS));
        let mut machine = Machine::new(6, Tuning { deadline, ..Tuning::default() });
        machine.run_until(Machine::is_equal);
        machine.copier.verify(1);
        let answered = |io: &Operation| match io {
            Operation::Read { at, .. } => at.device != silent,
            _ => true,
        };
        machine.ask();
        while let Some(at) = machine.in_flight.iter().position(answered) {
            machine.carry_out(at);
            machine.ask();
        }
        assert!(!machine.in_flight.is_empty(), "it compares");
        assert!(machine.admit(0, 0, 1).is_none(), "a write waits for what is compared");
        machine.now = Nanos(machine.now.0 + 999 * MS);
        machine.ask();
        assert_eq!(machine.tracker(0).fault(), None);
        machine.now = Nanos(machine.now.0 + 2 * MS);
        machine.ask();
        assert_eq!(machine.tracker(0).fault(), Some(Fault { leg, fault: LegFault::Silent }));
        assert!(machine.copier.has_late() && !machine.woken.is_empty());
        let ticket = machine.admit(0, 0, 1).expect("nothing holds it");
        machine.complete(0, ticket);
        // What was given up keeps its buffers until it has ended, and ends nothing then.
        while !machine.in_flight.is_empty() {
            machine.carry_out(0);
            machine.ask();
        }
        assert!(!machine.copier.has_late());
        assert_eq!(machine.copier.verified().1, 1, "whoever has asked is answered");
    }
}
