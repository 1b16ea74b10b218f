//! Bytes to structures and back.

use lvshift_on_disk_format::layout::{self, label as label_at, slot as slot_at};
use lvshift_on_disk_format::payload::{Counts, Payload, PayloadMut};
use lvshift_on_disk_format::record::{
    LvRecord, MoveRecord, PartRecord, PvRecord, SegmentRecord, VgRecord,
};
use lvshift_on_disk_format::{Label, LabelCopy, Uuid, checksum, dirty_log as log, slot as slots};

/// The first bytes of `data`, with zeros behind where there are too few.
pub(crate) fn array<const SIZE: usize>(data: &[u8]) -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    let len = data.len().min(SIZE);
    bytes[..len].copy_from_slice(&data[..len]);
    bytes
}

/// A label: what decodes encodes to the same bytes, and is sound.
pub fn label(data: &[u8]) {
    let mut bytes: [u8; Label::SIZE] = array(data);
    try_label(&bytes);
    bytes[..8].copy_from_slice(&label_at::MAGIC_BYTES);
    bytes[8..12].copy_from_slice(&layout::VERSION.to_le_bytes());
    let crc = checksum::crc32c(&bytes[..label_at::CRC.start()]);
    label_at::CRC.put(&mut bytes, crc.to_le_bytes());
    try_label(&bytes);
}

fn try_label(bytes: &[u8; Label::SIZE]) {
    let Ok(label) = Label::decode(bytes) else { return };
    let mut again = [0xEE; Label::SIZE];
    label.encode(&mut again);
    assert!(again == *bytes, "a label changes when it is written again");
    assert!(!label.pv().is_nil());
    let geometry = label.geometry();
    assert!(geometry.data_start() <= geometry.device_size());
    for copy in LabelCopy::ALL {
        label.as_copy(copy).encode(&mut again);
        assert_eq!(Label::decode(&again), Ok(label.as_copy(copy)));
    }
}

/// A slot's header and payload: what opens is sealed to the same bytes.
pub fn slot(data: &[u8]) {
    try_slot(data);
    let mut bytes = data.to_vec();
    repair_slot(&mut bytes);
    try_slot(&bytes);
}

/// Makes magic, version, size and checksums of a slot right; the payload is all that there is.
pub(crate) fn repair_slot(bytes: &mut Vec<u8>) {
    if bytes.len() < slot_at::HEADER_SIZE {
        bytes.resize(slot_at::HEADER_SIZE, 0);
    }
    let (header, payload) =
        bytes.split_first_chunk_mut::<{ slot_at::HEADER_SIZE }>().expect("long enough");
    slot_at::MAGIC.put(header, slot_at::MAGIC_BYTES);
    slot_at::VERSION.put(header, layout::VERSION.to_le_bytes());
    let size = u32::try_from(payload.len()).expect("inputs are short");
    slot_at::PAYLOAD_SIZE.put(header, size.to_le_bytes());
    slot_at::PAYLOAD_CRC.put(header, checksum::crc32c(payload).to_le_bytes());
    let crc = checksum::crc32c(&header[..slot_at::CRC.start()]);
    slot_at::CRC.put(header, crc.to_le_bytes());
}

fn try_slot(bytes: &[u8]) {
    let Ok(Some((header, payload))) = slots::open(bytes) else { return };
    assert_eq!(payload.len(), header.payload_size as usize);
    let mut again = vec![0xEE; (slot_at::HEADER_SIZE + payload.len()).next_multiple_of(4096)];
    slots::payload_mut(&mut again, payload.len()).expect("room").copy_from_slice(payload);
    slots::seal(&mut again, header.vg, header.pv, header.sequence, payload.len()).expect("sealed");
    let same = slot_at::HEADER_SIZE + payload.len();
    // This program writes no feature bits; the others must come back.
    let featureless =
        bytes[slot_at::COMPAT.start()..slot_at::INCOMPAT.end()].iter().all(|&b| b == 0);
    assert!(!featureless || again[..same] == bytes[..same], "a slot changes when sealed again");
    assert!(slots::open(&again).is_ok_and(|opened| opened.is_some()));
}

/// The records, each from the same bytes.
pub fn records(data: &[u8]) {
    macro_rules! round_trip {
        ($($record:ident)*) => {
            $({
                let bytes: [u8; $record::SIZE] = array(data);
                if let Ok(record) = $record::decode(&bytes) {
                    let mut again = [0xEE; $record::SIZE];
                    record.encode(&mut again);
                    assert!(again == bytes, concat!(stringify!($record), " changes when written again"));
                }
            })*
        };
    }
    round_trip!(VgRecord PvRecord LvRecord SegmentRecord MoveRecord PartRecord);
}

/// A payload: what is cut into records is as long as its counts say.
pub fn payload(data: &[u8]) {
    let Ok(payload) = Payload::decode(data) else { return };
    let counts = Counts {
        pvs: payload.pvs.len() as u32,
        lvs: payload.lvs.len() as u32,
        segments: payload.segments.len() as u32,
        moves: payload.moves.len() as u32,
        parts: payload.parts.len() as u32,
    };
    assert_eq!(counts.payload_size(), data.len() as u64);
    let mut again = vec![0xEE; data.len()];
    let out = PayloadMut::new(&mut again, counts).expect("the same size");
    payload.vg.encode(out.vg);
    out.pvs.copy_from_slice(payload.pvs);
    out.lvs.copy_from_slice(payload.lvs);
    out.segments.copy_from_slice(payload.segments);
    out.moves.copy_from_slice(payload.moves);
    out.parts.copy_from_slice(payload.parts);
    assert!(again == data, "a payload changes when written again");
}

/// A dirty-log image: its header, its bits, and the count of them in pieces.
pub fn dirty_log(data: &[u8]) {
    let chunks = u32::from_le_bytes(array(data));
    let image = data.get(4..).unwrap_or_default();
    let header = array(image);
    if let Ok(described) = log::check_header(&header, chunks) {
        assert!(described <= chunks, "a log describes chunks that are not there");
        assert!(log::header(described) == header, "a log header changes when written again");
        if let Ok(read) = log::Log::of(image, chunks) {
            assert_eq!(read.described(), described);
            assert!(!read.is_clean(described), "a log knows of a chunk that it does not describe");
        }
    }
    assert!(log::check_header(&log::header(chunks), chunks) == Ok(chunks));
    assert!(log::image_size(chunks) >= log::BITSET_OFFSET + u64::from(chunks).div_ceil(8));
    let few = chunks % 40_000;
    let mut counter = log::CleanCounter::new(few);
    image.chunks(7).for_each(|piece| counter.feed(piece));
    let clean = (0..few).filter(|&chunk| log::is_clean(image, chunk) == Some(true)).count();
    assert_eq!(counter.clean() as usize, clean);
    assert_eq!(log::count_clean(image, few) as usize, clean);
    let mut image = image.to_vec();
    let before = log::is_clean(&image, chunks);
    if log::set_clean(&mut image, chunks, true).is_some() {
        assert_eq!(log::is_clean(&image, chunks), Some(true));
        log::set_clean(&mut image, chunks, before == Some(true)).expect("as before");
        assert!(image == data[4..]);
    }
}

/// A UUID that is not nil.
pub(crate) fn uuid(number: u8) -> Uuid {
    Uuid([number | 0x80; 16])
}
