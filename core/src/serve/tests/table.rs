//! What a request becomes, where it lies, and what the order of ends makes of it.

use super::super::*;
use super::machine::*;
use crate::Leg;
use crate::device::DeviceIndex;
use crate::io::{Discards, WriteOp};
use crate::units::Sectors;

const MIRRORED: Middle = Middle::Mirrored(Discards::AsZeroes);
const WRITE: Kind = Kind::Change(WriteOp::Write { fua: false });

#[test]
fn a_request_over_edges_is_served_piece_by_piece() {
    let mut machine = Machine::new(MIRRORED);
    machine.copy_all();
    machine.write(0, LAST - 4, 8, 7);
    assert_eq!(machine.in_flight.len(), 2, "both legs, and nothing of the next piece");
    machine.run();
    assert_eq!(machine.take_answers(), [(0, Answer::Done)]);
    for sector in CHUNKS * CHUNK - 4..CHUNKS * CHUNK {
        assert_eq!(machine.leg(Leg::Source, sector), 7);
        assert_eq!(machine.leg(Leg::Destination, sector), 7);
    }
    assert!(machine.disks[2][..4 * 512].iter().all(|byte| *byte == 7));
    assert_eq!(machine.disks[2][4 * 512], 0xC0);
    // And back: a read fills the buffer across the same edge.
    machine.buffers[1].fill(0);
    machine.came(1, Kind::Read, LAST - 5, 9);
    machine.run();
    assert_eq!(machine.take_answers(), [(1, Answer::Done)]);
    assert_eq!(machine.buffers[1][0], 0xA0);
    assert!(machine.buffers[1][512..9 * 512].iter().all(|byte| *byte == 7));
}

#[test]
fn a_read_of_a_mirror_goes_to_the_source_and_is_not_cut_at_chunks() {
    let mut machine = Machine::new(MIRRORED);
    machine.came(0, Kind::Read, MIRROR, CHUNKS * CHUNK);
    let [Operation::Read { at, into, .. }] = machine.in_flight.as_slice() else {
        panic!("{:?}", machine.in_flight)
    };
    assert_eq!((at.device, at.offset, into.len()), (DeviceIndex(0), Sectors(100), 32 * 512));
    machine.run();
    assert_eq!(machine.take_answers(), [(0, Answer::Done)]);
}

#[test]
fn what_cannot_be_served_is_refused_and_nothing_is_touched() {
    let not_mapped = Answer::Failed(Failure::NotMapped);
    for (kind, start, count, answer) in [
        (Kind::Read, 33, 2, not_mapped),
        (WRITE, 32, 1, not_mapped),
        (Kind::Read, END - 1, 2, not_mapped),
        (Kind::Read, u64::MAX, 2, not_mapped),
        (Kind::Read, 0, 33, Answer::Failed(Failure::Unsupported)),
        (Kind::Read, 0, 0, Answer::Done),
    ] {
        let mut machine = Machine::new(MIRRORED);
        machine.came(0, kind, start, count);
        assert!(machine.in_flight.is_empty());
        assert_eq!(machine.take_answers(), [(0, answer)], "{kind:?} {start} {count}");
    }
    let mut machine = Machine::new(MIRRORED);
    machine.came(0, Kind::Read, 0, 1);
    let request = Request { kind: Kind::Read, start: Sectors(0), count: Sectors(1) };
    assert_eq!(machine.queue.came(0, request), Err(TagInUse));
    assert_eq!(machine.queue.came(4, request), Err(TagInUse));
}

#[test]
fn an_interrupted_and_a_short_read_go_on() {
    let mut machine = Machine::new(MIRRORED);
    machine.disks[0][10 * 512..12 * 512].fill(9);
    machine.faults[0] = [Ended::Done(512), Ended::Again].to_vec();
    machine.came(0, Kind::Read, 0, 2);
    machine.run();
    assert_eq!(machine.take_answers(), [(0, Answer::Done)]);
    assert!(machine.buffers[0][..1024].iter().all(|byte| *byte == 9));
}

#[test]
fn a_write_to_a_chunk_that_is_not_copied_waits_for_its_copy() {
    let mut machine = Machine::new(MIRRORED);
    machine.write(0, MIRROR + 1, 2, 5);
    assert!(machine.in_flight.is_empty() && machine.answers.is_empty());
    assert!(machine.told.copier, "the copier is told that the chunk is wanted");
    assert!(machine.copy(0));
    machine.run();
    assert_eq!(machine.take_answers(), [(0, Answer::Done)]);
    assert_eq!((machine.leg(Leg::Source, 1), machine.leg(Leg::Destination, 1)), (5, 5));
    assert_eq!((machine.leg(Leg::Source, 3), machine.leg(Leg::Destination, 3)), (0xA0, 0xA0));
}

#[test]
fn two_writes_of_the_same_sectors_are_not_on_their_way_at_once() {
    let mut machine = Machine::new(MIRRORED);
    machine.copy_all();
    machine.write(0, MIRROR, 4, 1);
    machine.write(1, MIRROR + 2, 4, 2);
    assert_eq!(machine.in_flight.len(), 2, "only the first one's legs");
    machine.run();
    assert_eq!(machine.take_answers(), [(0, Answer::Done), (1, Answer::Done)]);
    for sector in 0..6 {
        let newest = if sector < 2 { 1 } else { 2 };
        assert_eq!(machine.leg(Leg::Source, sector), newest);
        assert_eq!(machine.leg(Leg::Destination, sector), newest);
    }
}

#[test]
fn any_order_of_ends_leaves_equal_legs_and_the_newest_bytes() {
    for seed in 0..200u64 {
        let mut machine = Machine::new(MIRRORED);
        let mut state = seed;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        // Each tag has a quarter of the middle segment to itself, so that what is newest is certain.
        let quarter = CHUNKS * CHUNK / 4;
        let mut newest = [0xA0; (CHUNKS * CHUNK) as usize];
        let mut busy = [None; 4];
        let mut byte = 0;
        for _ in 0..400 {
            let tag = random(4) as u16;
            match (busy[usize::from(tag)], random(6)) {
                (None, 0..4) => {
                    let first = random(quarter);
                    let count = 1 + random(quarter - first);
                    let start = u64::from(tag) * quarter + first;
                    byte = if byte == 0x7F { 1 } else { byte + 1 };
                    busy[usize::from(tag)] = Some((start, count, byte));
                    machine.write(tag, MIRROR + start, count, byte);
                }
                (_, 4) => {
                    machine.copy(random(CHUNKS));
                }
                _ if !machine.in_flight.is_empty() => {
                    machine.end(random(machine.in_flight.len() as u64) as usize);
                }
                _ => {}
            }
            for (tag, answer) in machine.take_answers() {
                assert_eq!(answer, Answer::Done);
                let (start, count, byte) = busy[usize::from(tag)].take().expect("asked");
                newest[start as usize..(start + count) as usize].fill(byte);
            }
        }
        machine.copy_all();
        machine.run();
        machine.copy_all();
        for (tag, _) in machine.take_answers() {
            let (start, count, byte) = busy[usize::from(tag)].take().expect("asked");
            newest[start as usize..(start + count) as usize].fill(byte);
        }
        assert!(busy.iter().all(Option::is_none), "seed {seed}: a request was forgotten");
        for sector in 0..CHUNKS * CHUNK {
            let source = machine.leg(Leg::Source, sector);
            assert_eq!(source, newest[sector as usize], "seed {seed} sector {sector}");
            assert_eq!(source, machine.leg(Leg::Destination, sector), "seed {seed}");
        }
    }
}

#[test]
fn a_suspended_queue_drains_and_serves_by_the_table_that_it_is_given() {
    let mut machine = Machine::new(MIRRORED);
    machine.copy_all();
    machine.write(0, MIRROR, 2, 1);
    machine.queue.suspend();
    machine.write(1, MIRROR + 8, 2, 2);
    assert_eq!(machine.in_flight.len(), 2, "what has come since waits");
    assert!(!machine.queue.is_drained());
    machine.run();
    assert_eq!(machine.take_answers(), [(0, Answer::Done)]);
    assert!(machine.queue.is_drained());
    let before = core::mem::replace(&mut machine.volume, volume(Middle::Only(Leg::Destination)));
    machine.queue.leave(&before);
    machine.queue.resume();
    machine.run();
    assert_eq!(machine.take_answers(), [(1, Answer::Done)]);
    assert_eq!((machine.leg(Leg::Source, 8), machine.leg(Leg::Destination, 8)), (0xA0, 2));
}

#[test]
fn a_discard_leaves_legs_that_are_equal_or_said_not_to_be() {
    for discards in [Discards::AsZeroes, Discards::SourceOnly] {
        let mut machine = Machine::new(Middle::Mirrored(discards));
        machine.copy_all();
        machine.came(0, Kind::Change(WriteOp::Discard), MIRROR, CHUNK);
        machine.run();
        assert_eq!(machine.take_answers(), [(0, Answer::Done)]);
        let left = machine.volume.parts[0].tracker().left();
        assert_eq!(left, u32::from(discards == Discards::SourceOnly));
        machine.copy_all();
        assert_eq!(machine.leg(Leg::Source, 0), machine.leg(Leg::Destination, 0));
    }
}
