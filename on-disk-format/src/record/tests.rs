use super::*;
use crate::Uuid;
use crate::layout::{self, Field};
use crate::payload::{Counts, Payload, PayloadError};

const UUID: Uuid = Uuid([9; 16]);

/// Each record comes back as it was; a set reserved byte, or flag, does not pass.
macro_rules! round_trip {
    ($test:ident, $record:ident, $layout:ident, [$($reserved:ident)?], $value:expr) => {
        #[test]
        fn $test() {
            let record: $record = $value;
            let mut bytes = [0xEE; $record::SIZE];
            record.encode(&mut bytes);
            assert_eq!($record::decode(&bytes), Ok(record));
            $(for place in layout::$layout::$reserved.start()..layout::$layout::$reserved.end() {
                let mut bad = bytes;
                bad[place] = 1;
                assert_eq!($record::decode(&bad), Err(RecordError::ReservedNotZero));
            })?
            layout::$layout::FLAGS.put(&mut bytes, 4u32.to_le_bytes());
            assert_eq!(
                $record::decode(&bytes),
                Err(RecordError::UnknownFlags { flags: RecordFlags::from_bits_retain(4) })
            );
        }
    };
}

fn name(text: &str) -> RawName {
    RawName::new(text.as_bytes()).unwrap()
}

round_trip!(
    vg,
    VgRecord,
    vg,
    [RESERVED],
    VgRecord {
        uuid: UUID,
        name: name("vg"),
        extent_size: 8192,
        pv_count: 1,
        lv_count: 2,
        segment_count: 3,
        move_count: 4,
        part_count: 5,
        system_id: RawSystemId::new(b"host").unwrap(),
        no_autoactivation: true,
    }
);
round_trip!(
    pv,
    PvRecord,
    pv,
    [],
    PvRecord {
        uuid: UUID,
        device_size: 1,
        pe_start: 2,
        log_start: 3,
        log_size: 4,
        pe_count: 5,
        behind: 6,
        leaving: true
    }
);
round_trip!(
    lv,
    LvRecord,
    lv,
    [RESERVED],
    LvRecord { uuid: UUID, name: name("lv"), le_count: 6, no_autoactivation: true }
);
round_trip!(
    segment,
    SegmentRecord,
    segment,
    [RESERVED],
    SegmentRecord { lv: 1, pv: 2, first: 3, count: 4, pe: 5 }
);
round_trip!(
    moves,
    MoveRecord,
    moves,
    [RESERVED],
    MoveRecord { uuid: UUID, command: Uuid([8; 16]), state: MoveState::Aborting, chunk_sectors: 7 }
);
round_trip!(
    part,
    PartRecord,
    part,
    [RESERVED_1],
    PartRecord {
        of: 1,
        lv: 2,
        first: 3,
        count: 4,
        source_pv: 5,
        destination_pv: 6,
        source_pe: 7,
        destination_pe: 8,
        log_offset: 9,
    }
);

#[test]
fn the_last_reserved_bytes_of_a_part_are_checked_too() {
    let mut bytes = [0; PartRecord::SIZE];
    bytes[63] = 1;
    assert_eq!(PartRecord::decode(&bytes), Err(RecordError::ReservedNotZero));
}

#[test]
fn names_have_a_length_and_zeros_behind() {
    assert_eq!(RawName::new(b""), None);
    assert_eq!(RawName::new(&[b'x'; 128]), None);
    let longest = [b'x'; 127];
    assert_eq!(RawName::new(&longest).unwrap().as_bytes(), longest);
    let mut field = [0; 128];
    assert_eq!(RawName::decode(&field), Err(RecordError::BadName), "length 0");
    field[0] = 128;
    assert_eq!(RawName::decode(&field), Err(RecordError::BadName), "length 128");
    field[0] = 1;
    field[2] = b'y';
    assert_eq!(RawName::decode(&field), Err(RecordError::BadName), "bytes behind the end");
}

#[test]
fn a_system_id_has_a_length_and_zeros_behind_and_may_be_absent() {
    assert_eq!(RawSystemId::new(&[b'x'; 68]), None);
    let longest = [b'x'; 67];
    assert_eq!(RawSystemId::new(&longest).unwrap().as_bytes(), longest);
    let mut field = [0; 68];
    assert_eq!(RawSystemId::decode(&field), Ok(RawSystemId::NONE), "as an older VG has it");
    assert!(RawSystemId::NONE.as_bytes().is_empty());
    field[0] = 68;
    assert_eq!(RawSystemId::decode(&field), Err(RecordError::BadSystemId), "length 68");
    field[0] = 1;
    field[2] = b'y';
    assert_eq!(RawSystemId::decode(&field), Err(RecordError::BadSystemId), "bytes behind the end");
}

#[test]
fn move_states_have_fixed_numbers() {
    let states = [MoveState::Queued, MoveState::Copying, MoveState::Aborting, MoveState::Moved];
    for (number, state) in (1u32..).zip(states) {
        let record = MoveRecord { uuid: UUID, command: UUID, state, chunk_sectors: 8 };
        let mut bytes = [0; MoveRecord::SIZE];
        record.encode(&mut bytes);
        let field: Field<4> = layout::moves::STATE;
        assert_eq!(field.get(&bytes), number.to_le_bytes());
        field.put(&mut bytes, (number + 4).to_le_bytes());
        let error = RecordError::UnknownState { state: number + 4 };
        assert_eq!(MoveRecord::decode(&bytes), Err(error));
    }
}

#[test]
fn counts_that_do_not_fit_the_payload_are_refused() {
    let mut payload = [0; VgRecord::SIZE + PvRecord::SIZE];
    let mut record = VgRecord {
        uuid: UUID,
        name: name("vg"),
        extent_size: 8,
        pv_count: 1,
        lv_count: 0,
        segment_count: 0,
        move_count: 0,
        part_count: 0,
        system_id: RawSystemId::NONE,
        no_autoactivation: false,
    };
    record.encode(payload.first_chunk_mut().unwrap());
    assert_eq!(Payload::decode(&payload).unwrap().pvs.len(), 1);
    record.part_count = u32::MAX;
    record.encode(payload.first_chunk_mut().unwrap());
    let counts = Counts { pvs: 1, parts: u32::MAX, ..Counts::default() };
    let error = PayloadError::WrongSize { expected: counts.payload_size(), found: 320 };
    assert_eq!(Payload::decode(&payload).unwrap_err(), error);
    let error = PayloadError::WrongSize { expected: 256, found: 255 };
    assert_eq!(Payload::decode(&payload[..255]).unwrap_err(), error);
}
