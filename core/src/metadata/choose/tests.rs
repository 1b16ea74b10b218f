use super::super::testing::*;
use super::*;
use lvshift_on_disk_format::SlotHeader;

/// A slot of the VG `uuid(1)` with this sequence number and payload checksum.
fn slot(pv: u64, sequence: u64, crc: u32) -> FoundSlot {
    let mut bytes = [0; 8192];
    let payload = lvshift_on_disk_format::slot::payload_mut(&mut bytes, 4).unwrap();
    payload.copy_from_slice(&crc.to_le_bytes());
    lvshift_on_disk_format::slot::seal(&mut bytes, uuid(1), uuid(pv), sequence, 4).unwrap();
    FoundSlot::Valid(SlotHeader::decode(bytes.first_chunk().unwrap()).unwrap().unwrap())
}

fn found(pv: u64, slots: [FoundSlot; 2]) -> Found {
    Found { pv: uuid(pv), slots }
}

const BAD: FoundSlot = FoundSlot::Bad(Some(SlotError::NotASlot));

#[test]
fn the_newest_wins_wherever_it_is() {
    let devices = [
        found(1000, [slot(1000, 4, 4), slot(1000, 5, 5)]),
        found(1001, [slot(1001, 6, 6), slot(1001, 5, 5)]),
        found(1002, [BAD, FoundSlot::Bad(None)]),
        found(1003, [FoundSlot::Blank, FoundSlot::Blank]),
    ];
    let choice = choose(uuid(1), &devices).unwrap();
    assert_eq!(choice, Choice { device: 1, slot: SlotIndex::Zero, sequence: 6 });
    assert_eq!(choose(uuid(2), &devices), Err(ChooseError::NoMetadata));
    let mut vg = vg(&[5, 5, 5]);
    vg.sequence = 6;
    assert_eq!(vg.standing_of_pv(uuid(1000), &devices), Standing::Stale { sequence: 5 });
    assert_eq!(vg.standing_of_pv(uuid(1001), &devices), Standing::Current);
    assert_eq!(vg.standing_of_pv(uuid(1002), &devices), Standing::NoMetadata);
    assert_eq!(vg.standing_of_device(&devices[3]), Standing::NotListed);
    assert_eq!(vg.standing_of_pv(uuid(1001), &devices[..1]), Standing::Absent);
}

#[test]
fn one_sequence_number_over_two_contents_is_refused() {
    let devices = [
        found(1000, [slot(1000, 6, 1), slot(1000, 5, 5)]),
        found(1001, [slot(1001, 6, 2), slot(1001, 5, 5)]),
    ];
    let error = ChooseError::SplitBrain { sequence: 6, first: 0, second: 1 };
    assert_eq!(choose(uuid(1), &devices), Err(error));
    // Older quarrels are over.
    let devices = [
        found(1000, [slot(1000, 6, 1), slot(1000, 7, 7)]),
        found(1001, [slot(1001, 6, 2), slot(1001, 7, 7)]),
    ];
    assert_eq!(choose(uuid(1), &devices).unwrap().sequence, 7);
}

#[test]
fn a_person_decides_between_rivals_of_the_newest_number_alone() {
    let devices = [
        found(1000, [slot(1000, 6, 1), slot(1000, 5, 5)]),
        found(1001, [slot(1001, 6, 2), slot(1001, 5, 5)]),
        found(1002, [slot(1002, 6, 1), slot(1002, 5, 5)]),
        found(1003, [slot(1003, 4, 4), slot(1003, 5, 5)]),
    ];
    assert!(rivals(uuid(1), &devices).eq([0, 1]));
    let choice = choose_on(uuid(1), &devices, 1).unwrap();
    assert_eq!(choice, Choice { device: 1, slot: SlotIndex::Zero, sequence: 6 });
    assert_eq!(choose_on(uuid(1), &devices, 2).unwrap().device, 2);
    for older in [3, 4] {
        assert_eq!(choose_on(uuid(1), &devices, older), Err(ChooseError::NoMetadata));
    }
    assert!(rivals(uuid(1), &devices[3..]).eq([0]), "all agree");
    assert!(rivals(uuid(2), &devices).eq([]));
}

#[test]
fn a_cloned_pv_is_refused_and_a_copied_slot_does_not_count() {
    let one = found(1000, [slot(1000, 6, 6), FoundSlot::Blank]);
    let error = ChooseError::SamePv { first: 0, second: 1 };
    assert_eq!(choose(uuid(1), &[one, one]), Err(error));
    let wiped = found(1000, [FoundSlot::Blank; 2]);
    assert_eq!(choose(uuid(1), &[wiped, one]), Err(error));
    let copied = found(1001, [slot(1000, 9, 9), FoundSlot::Blank]);
    assert_eq!(choose(uuid(1), &[one, copied]).unwrap().sequence, 6);
    let vg = vg(&[5, 5]);
    let holder = uuid(1000);
    assert_eq!(vg.standing_of_device(&copied), Standing::Foreign { holder });
}

#[test]
fn of_two_slots_with_one_number_the_first_is_taken() {
    let device = found(1000, [slot(1000, 4, 4), slot(1000, 4, 4)]);
    assert_eq!(newest_here(uuid(1), &device).map(|(at, _)| at), Some(SlotIndex::Zero));
}

#[test]
fn every_refusal_says_why() {
    extern crate std;
    for (error, word) in [
        (ChooseError::NoMetadata, "no device"),
        (ChooseError::SamePv { first: 0, second: 1 }, "claim to be one PV"),
        (ChooseError::SplitBrain { sequence: 6, first: 0, second: 1 }, "sequence number 6"),
    ] {
        assert!(std::format!("{error}").contains(word));
    }
}

#[test]
fn a_slot_whose_payload_is_damaged_is_bad() {
    let mut bytes = [0; 8192];
    lvshift_on_disk_format::slot::seal(&mut bytes, uuid(1), uuid(1000), 5, 4).unwrap();
    assert!(matches!(FoundSlot::read(&bytes), FoundSlot::Valid(_)));
    lvshift_on_disk_format::slot::payload_mut(&mut bytes, 4).unwrap()[0] ^= 1;
    assert!(matches!(FoundSlot::read(&bytes), FoundSlot::Bad(Some(_))));
    assert_eq!(FoundSlot::read(&[0; 8192]), FoundSlot::Blank);
}
