//! What metadata mean: a VG that decodes is valid, maps every sector, and can be moved.

use std::cell::RefCell;

use lvshift_core::metadata::{Change, ChooseError, Found, FoundSlot, Vg, newest_here};
use lvshift_core::mover::Mapping;
use lvshift_core::table::{BuildError, Devices, Log, Segment, Shadow, Table, build};
use lvshift_core::units::{DeviceNumber, LvIndex, MoveIndex, PvIndex, Sectors};
use lvshift_on_disk_format::layout::{bounds, slot as slot_at, vg as vg_at};
use lvshift_on_disk_format::payload::Counts;

use crate::format::{array, repair_slot, uuid};

thread_local! {
    /// A VG is large; one is enough.
    static VG: RefCell<[Box<Vg>; 2]> = RefCell::new([Box::new(Vg::empty()), Box::new(Vg::empty())]);
}

/// A slot, then the same bytes as a payload whose header and counts are made right.
pub fn vg(data: &[u8]) {
    try_vg(data);
    let mut slot = vec![0; slot_at::HEADER_SIZE];
    slot.extend_from_slice(data);
    slot.resize(slot_at::HEADER_SIZE + stated_size(data), 0);
    slot.copy_within(slot_at::HEADER_SIZE..slot_at::HEADER_SIZE + 16, slot_at::VG_UUID.start());
    slot[slot_at::PV_UUID.start()..slot_at::PV_UUID.end()].fill(0x77);
    slot[slot_at::SEQUENCE.start()] = 3;
    repair_slot(&mut slot);
    try_vg(&slot);
}

/// The bytes that the counts in a VG record ask for, while they are few.
fn stated_size(data: &[u8]) -> usize {
    let record: [u8; vg_at::SIZE] = array(data);
    let count = |bytes| u32::from_le_bytes(bytes) % 100;
    let counts = Counts {
        pvs: count(vg_at::PV_COUNT.get(&record)),
        lvs: count(vg_at::LV_COUNT.get(&record)),
        segments: count(vg_at::SEGMENT_COUNT.get(&record)),
        moves: count(vg_at::MOVE_COUNT.get(&record)),
        parts: count(vg_at::PART_COUNT.get(&record)),
    };
    usize::try_from(counts.payload_size()).expect("counts are small")
}

fn try_vg(slot: &[u8]) {
    VG.with_borrow_mut(|[vg, other]| {
        let Ok(info) = vg.decode_from(slot) else {
            assert!(vg.uuid().is_nil() && vg.pvs().is_empty(), "something is left of a bad VG");
            return;
        };
        vg.validate().expect("what decodes is valid");
        let mut again = vec![0xEE; usize::try_from(bounds::MIN_SLOT_SIZE * 512).expect("small")];
        let size = vg.encode(info.pv, &mut again).expect("a valid VG can be written");
        other.decode_from(&again[..size]).expect("what is written is read");
        assert!(**vg == **other, "a VG changes when it is written again");
        let header = slot_at::COMPAT.start()..slot_at::INCOMPAT.end();
        if slot[header].iter().all(|&byte| byte == 0) {
            let payload = u32::from_le_bytes(array(&again[slot_at::PAYLOAD_SIZE.start()..]));
            let end = slot_at::HEADER_SIZE + payload as usize;
            assert!(again[..end] == slot[..end], "its bytes change when it is written again");
        }
        maps_everything(vg);
        moves_stay_valid(vg, other);
    });
}

/// Devices that are their indices.
struct Numbers;

impl Devices for Numbers {
    type Device = DeviceNumber;

    fn pv(&self, pv: PvIndex) -> Option<DeviceNumber> {
        Some(DeviceNumber { major: 1, minor: u32::from(pv.0) })
    }

    fn shadow(&self, lv: LvIndex) -> Option<Shadow> {
        Some(Shadow::Device(DeviceNumber { major: 2, minor: u32::from(lv.0) }))
    }

    fn log(&self, part: usize) -> Option<Log> {
        Some(Log::Disk(DeviceNumber { major: 3, minor: u32::try_from(part).ok()? }))
    }
}

fn maps_everything(vg: &Vg) {
    for (index, lv) in (0u16..).zip(vg.lvs()) {
        let lv_index = LvIndex(index);
        let views = vg.move_of_lv(lv_index).into_iter().flat_map(|of: MoveIndex| {
            [Mapping::Source, Mapping::Mirrored, Mapping::Final].map(|mapping| Some((of, mapping)))
        });
        for view in views.chain([None]) {
            let lines: Result<Vec<Segment>, BuildError> =
                build(vg, lv_index, view, &Numbers).collect();
            let lines = lines.expect("a valid VG has a table for each LV");
            let table = Table::new(&lines).expect("what is built is a table");
            assert_eq!(table.len(), vg.extent_size().span(lv.le_count), "it covers the LV");
            for sector in [0, table.len().0 / 2, table.len().0 - 1] {
                let segment = table.lookup(Sectors(sector)).expect("every sector is mapped");
                assert!(segment.start.0 <= sector && sector < segment.start.0 + segment.len.0);
            }
            let split = table.split(Sectors(0), Sectors(table.len().0.min(4096)), true);
            let mut at = 0;
            for piece in split.expect("it lies within").take(5000) {
                assert_eq!(piece.segment.start.0 + piece.into.0, at);
                at += piece.len.0;
            }
        }
    }
}

fn moves_stay_valid(vg: &Vg, other: &mut Vg) {
    for entry in vg.moves() {
        for change in [Change::Begin, Change::Moved, Change::Aborting, Change::Forget] {
            other.clone_from(vg);
            if other.apply(entry.uuid, change).is_ok() {
                other.validate().expect("a change that applies leaves the VG valid");
            } else {
                assert!(*other == *vg, "a change that is refused changes something");
            }
        }
    }
}

/// Some devices with slots of two VGs: what is chosen is the newest, or nothing is.
pub fn choose(data: &[u8]) {
    let devices: Vec<Found> = data.chunks_exact(6).take(6).map(device).collect();
    let vg = uuid(0);
    let valid = |found: &Found| newest_here(vg, found).map(|(_, header)| header);
    let newest = devices.iter().filter_map(valid).map(|header| header.sequence).max();
    match lvshift_core::metadata::choose(vg, &devices) {
        Ok(choice) => {
            assert_eq!(Some(choice.sequence), newest);
            let header = valid(&devices[choice.device]).expect("it is valid");
            assert_eq!(header.sequence, choice.sequence);
            for (at, found) in devices.iter().enumerate() {
                let twice = devices[..at].iter().any(|other| other.pv == found.pv);
                assert!(!twice || valid(found).is_none(), "a clone is not noticed");
                let same = valid(found).filter(|other| other.sequence == choice.sequence);
                assert!(same.is_none_or(|other| other.payload_crc == header.payload_crc));
            }
        }
        // A device may disagree with itself: two slots of one number.
        Err(ChooseError::SamePv { first, second }) => {
            assert_eq!(devices[first].pv, devices[second].pv);
        }
        Err(ChooseError::SplitBrain { sequence, .. }) => assert_eq!(Some(sequence), newest),
        Err(ChooseError::NoMetadata) => assert_eq!(newest, None),
    }
}

/// Six bytes to a device: its PV, then for each slot what it is and whose.
fn device(bytes: &[u8]) -> Found {
    let pv = uuid(bytes[0] % 4);
    let slot = |kind: u8, content: u8| {
        let mut slot = [0u8; 8192];
        if kind & 3 == 0 {
            return FoundSlot::Blank;
        }
        let payload = lvshift_on_disk_format::slot::payload_mut(&mut slot, 1).expect("room");
        payload[0] = content & 1;
        let (vg, holder) = (uuid(kind >> 7), if kind & 0x40 == 0 { pv } else { uuid(5) });
        let sequence = 1 + u64::from(content >> 5);
        lvshift_on_disk_format::slot::seal(&mut slot, vg, holder, sequence, 1).expect("sealed");
        if kind & 3 == 1 {
            slot[usize::from(content) * 16] ^= 0x10;
        }
        FoundSlot::read(&slot)
    };
    Found { pv, slots: [slot(bytes[1], bytes[2]), slot(bytes[3], bytes[4])] }
}
