//! Whatever the bytes are: an answer, never a panic.

use lvshift_on_disk_format::payload::Payload;
use lvshift_on_disk_format::record::{
    LvRecord, MoveRecord, PartRecord, PvRecord, SegmentRecord, VgRecord,
};
use lvshift_on_disk_format::{Label, SlotHeader, checksum, dirty_log, layout, slot};

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Bytes of which many are 0 or 255, since those meet the edges.
    fn fill(&mut self, bytes: &mut [u8]) {
        let kind = self.next() % 4;
        for byte in bytes {
            let random = self.next();
            *byte = match (kind, random % 3) {
                (0, _) => random as u8,
                (1, 0) | (2, 1..) => 0,
                (3, 0) => 0xFF,
                (_, which) => which as u8,
            };
        }
    }
}

fn feed(bytes: &[u8; 8192]) {
    let first = bytes.first_chunk().expect("8192 bytes are there");
    let _ = Label::decode(first);
    let _ = SlotHeader::decode(first);
    let _ = slot::open(bytes);
    let _ = Payload::decode(bytes);
    let _ = VgRecord::decode(bytes.first_chunk().expect("8192 bytes are there"));
    let _ = PvRecord::decode(bytes.first_chunk().expect("8192 bytes are there"));
    let _ = LvRecord::decode(bytes.first_chunk().expect("8192 bytes are there"));
    let _ = SegmentRecord::decode(bytes.first_chunk().expect("8192 bytes are there"));
    let _ = MoveRecord::decode(bytes.first_chunk().expect("8192 bytes are there"));
    let _ = PartRecord::decode(bytes.first_chunk().expect("8192 bytes are there"));
    let _ = dirty_log::check_header(bytes.first_chunk().expect("8192 bytes are there"), 1);
    let _ = dirty_log::count_clean(bytes, 77);
}

#[test]
fn random_bytes_never_panic() {
    let mut rng = Rng(0x9E37_79B9_7F4A_7C15);
    let mut bytes = [0; 8192];
    // Miri takes a second for each.
    let rounds = if cfg!(miri) { 10 } else { 400 };
    for _ in 0..rounds {
        rng.fill(&mut bytes);
        feed(&bytes);
        // As a label and as a slot with a right checksum, so that the fields behind are reached.
        bytes[..8].copy_from_slice(&layout::label::MAGIC_BYTES);
        bytes[8..12].copy_from_slice(&1u32.to_le_bytes());
        seal(&mut bytes);
        feed(&bytes);
        bytes[..8].copy_from_slice(&layout::slot::MAGIC_BYTES);
        seal(&mut bytes);
        feed(&bytes);
    }
}

fn seal(bytes: &mut [u8; 8192]) {
    let crc = checksum::crc32c(&bytes[..4092]);
    bytes[4092..4096].copy_from_slice(&crc.to_le_bytes());
}
