//! Every offset and size of the format, each field chained to the one before it.
//!
//! `docs/on-disk-format.md` carries the CRC32C of this file, so that neither changes without the
//! other.

/// The version that this crate reads and writes.
pub const VERSION: u32 = 1;
/// Every structure starts at a multiple of this many bytes, whatever sector size the disk has.
pub const ALIGNMENT: u64 = 4096;
/// [`ALIGNMENT`] in sectors of 512 bytes.
pub const ALIGNMENT_SECTORS: u64 = ALIGNMENT / 512;

/// A field of `SIZE` bytes at a fixed place in its record.
#[derive(Clone, Copy, Debug)]
pub struct Field<const SIZE: usize> {
    start: usize,
}

impl<const SIZE: usize> Field<SIZE> {
    const fn first() -> Self {
        Field { start: 0 }
    }

    const fn after<const BEFORE: usize>(before: Field<BEFORE>) -> Self {
        Field { start: before.end() }
    }

    /// The offset of its first byte.
    pub const fn start(self) -> usize {
        self.start
    }

    /// The offset after its last byte.
    pub const fn end(self) -> usize {
        self.start + SIZE
    }

    /// The field's bytes. (That it lies inside the record is asserted at the end of this file, so
    /// the zeros for a field outside it are never seen.)
    pub fn get<const RECORD: usize>(self, record: &[u8; RECORD]) -> [u8; SIZE] {
        let tail = record.get(self.start..).unwrap_or_default();
        tail.first_chunk().copied().unwrap_or([0; SIZE])
    }

    /// Overwrites the field's bytes.
    pub fn put<const RECORD: usize>(self, record: &mut [u8; RECORD], bytes: [u8; SIZE]) {
        let tail = record.get_mut(self.start..).unwrap_or_default();
        if let Some(place) = tail.first_chunk_mut() {
            *place = bytes;
        }
    }

    /// Whether the field is zero, as reserved bytes must be.
    pub fn is_zero<const RECORD: usize>(self, record: &[u8; RECORD]) -> bool {
        // Without a way out in the middle the compiler takes many bytes at a time.
        record.iter().skip(self.start).take(SIZE).fold(0, |bits, &byte| bits | byte) == 0
    }
}

/// The label: what the PV is and where its areas are.
pub mod label {
    use super::Field;

    /// Bytes of a label.
    pub const SIZE: usize = 4096;
    /// Where the first copy starts, in sectors.
    pub const FIRST_SECTOR: u64 = 0;
    /// Where the second copy starts, in sectors: the last 4 KiB of the first MiB.
    pub const SECOND_SECTOR: u64 = 2048 - 8;
    /// What a label starts with.
    pub const MAGIC_BYTES: [u8; 8] = *b"LVSHIFT\0";

    /// [`MAGIC_BYTES`].
    pub const MAGIC: Field<8> = Field::first();
    /// Format version, le32.
    pub const VERSION: Field<4> = Field::after(MAGIC);
    /// 0 in the first copy, 1 in the second, le32.
    pub const COPY: Field<4> = Field::after(VERSION);
    /// Compatible feature bits, le64.
    pub const COMPAT: Field<8> = Field::after(COPY);
    /// Read-only compatible feature bits, le64.
    pub const RO_COMPAT: Field<8> = Field::after(COMPAT);
    /// Incompatible feature bits, le64.
    pub const INCOMPAT: Field<8> = Field::after(RO_COMPAT);
    /// The PV's UUID.
    pub const PV_UUID: Field<16> = Field::after(INCOMPAT);
    /// Size of the device when it became a PV, sectors, le64.
    pub const DEVICE_SIZE: Field<8> = Field::after(PV_UUID);
    /// Start of slot 0, sectors, le64.
    pub const SLOT_0_START: Field<8> = Field::after(DEVICE_SIZE);
    /// Start of slot 1, sectors, le64.
    pub const SLOT_1_START: Field<8> = Field::after(SLOT_0_START);
    /// Size of each slot, sectors, le64.
    pub const SLOT_SIZE: Field<8> = Field::after(SLOT_1_START);
    /// Start of the dirty-log area, sectors, le64.
    pub const LOG_START: Field<8> = Field::after(SLOT_SIZE);
    /// Size of the dirty-log area, sectors, le64.
    pub const LOG_SIZE: Field<8> = Field::after(LOG_START);
    /// Start of extent 0, sectors, le64.
    pub const DATA_START: Field<8> = Field::after(LOG_SIZE);
    /// Zero.
    pub const RESERVED: Field<3980> = Field::after(DATA_START);
    /// CRC32C of all bytes before it, le32. In this place in every version.
    pub const CRC: Field<4> = Field::after(RESERVED);
}

/// The header of a metadata slot.
pub mod slot {
    use super::Field;

    /// Bytes of a slot header; the payload follows it.
    pub const HEADER_SIZE: usize = 4096;
    /// What a slot starts with.
    pub const MAGIC_BYTES: [u8; 8] = *b"LVSHSLOT";

    /// [`MAGIC_BYTES`].
    pub const MAGIC: Field<8> = Field::first();
    /// Format version, le32.
    pub const VERSION: Field<4> = Field::after(MAGIC);
    /// Bytes of payload, le32.
    pub const PAYLOAD_SIZE: Field<4> = Field::after(VERSION);
    /// Compatible feature bits, le64.
    pub const COMPAT: Field<8> = Field::after(PAYLOAD_SIZE);
    /// Read-only compatible feature bits, le64.
    pub const RO_COMPAT: Field<8> = Field::after(COMPAT);
    /// Incompatible feature bits, le64.
    pub const INCOMPAT: Field<8> = Field::after(RO_COMPAT);
    /// The VG's UUID.
    pub const VG_UUID: Field<16> = Field::after(INCOMPAT);
    /// The UUID of the PV that this slot was written to.
    pub const PV_UUID: Field<16> = Field::after(VG_UUID);
    /// Rises by one with every commit, le64; never 0.
    pub const SEQUENCE: Field<8> = Field::after(PV_UUID);
    /// CRC32C of the payload, le32.
    pub const PAYLOAD_CRC: Field<4> = Field::after(SEQUENCE);
    /// Zero.
    pub const RESERVED: Field<4008> = Field::after(PAYLOAD_CRC);
    /// CRC32C of all header bytes before it, le32. In this place in every version.
    pub const CRC: Field<4> = Field::after(RESERVED);
}

/// A name: its length, its bytes, zeros.
pub mod name {
    use super::Field;

    /// Bytes of a name field.
    pub const SIZE: usize = 128;
    /// How many bytes of the name follow: 1 to 127.
    pub const LENGTH: Field<1> = Field::first();
    /// The name, padded with zeros.
    pub const BYTES: Field<127> = Field::after(LENGTH);
}

/// The VG record, the first of the payload.
pub mod vg {
    use super::Field;

    /// Bytes of the record.
    pub const SIZE: usize = 256;
    /// The VG's UUID, as in the slot header.
    pub const UUID: Field<16> = Field::first();
    /// The VG's name.
    pub const NAME: Field<128> = Field::after(UUID);
    /// Sectors of an extent, le32.
    pub const EXTENT_SIZE: Field<4> = Field::after(NAME);
    /// Zero in version 1, le32.
    pub const FLAGS: Field<4> = Field::after(EXTENT_SIZE);
    /// How many PV records follow, le32.
    pub const PV_COUNT: Field<4> = Field::after(FLAGS);
    /// How many LV records follow, le32.
    pub const LV_COUNT: Field<4> = Field::after(PV_COUNT);
    /// How many segment records follow, le32.
    pub const SEGMENT_COUNT: Field<4> = Field::after(LV_COUNT);
    /// How many move records follow, le32.
    pub const MOVE_COUNT: Field<4> = Field::after(SEGMENT_COUNT);
    /// How many move-part records follow, le32.
    pub const PART_COUNT: Field<4> = Field::after(MOVE_COUNT);
    /// The system id of the host that the VG belongs to; zeros for no host's.
    pub const SYSTEM_ID: Field<68> = Field::after(PART_COUNT);
    /// Zero.
    pub const RESERVED: Field<16> = Field::after(SYSTEM_ID);
}

/// A system id: its length, its bytes, zeros.
pub mod system_id {
    use super::Field;

    /// Bytes of a system id's field.
    pub const SIZE: usize = 68;
    /// How many bytes of it follow: 0 (there is none) to 67.
    pub const LENGTH: Field<1> = Field::first();
    /// The system id, padded with zeros.
    pub const BYTES: Field<67> = Field::after(LENGTH);
}

/// A PV record.
pub mod pv {
    use super::Field;

    /// Bytes of the record.
    pub const SIZE: usize = 64;
    /// The PV's UUID.
    pub const UUID: Field<16> = Field::first();
    /// Size of the device when it joined, sectors, le64.
    pub const DEVICE_SIZE: Field<8> = Field::after(UUID);
    /// Start of extent 0, sectors, le64.
    pub const PE_START: Field<8> = Field::after(DEVICE_SIZE);
    /// Start of the dirty-log area, sectors, le64.
    pub const LOG_START: Field<8> = Field::after(PE_START);
    /// Size of the dirty-log area, sectors, le64.
    pub const LOG_SIZE: Field<8> = Field::after(LOG_START);
    /// How many extents, le32.
    pub const PE_COUNT: Field<4> = Field::after(LOG_SIZE);
    /// Zero in version 1, le32.
    pub const FLAGS: Field<4> = Field::after(PE_COUNT);
    /// The newest commit that it may hold, if later ones were made without it, else zero; le64.
    pub const BEHIND: Field<8> = Field::after(FLAGS);
}

/// An LV record.
pub mod lv {
    use super::Field;

    /// Bytes of the record.
    pub const SIZE: usize = 192;
    /// The LV's UUID.
    pub const UUID: Field<16> = Field::first();
    /// The LV's name.
    pub const NAME: Field<128> = Field::after(UUID);
    /// How many extents, le32.
    pub const LE_COUNT: Field<4> = Field::after(NAME);
    /// Zero in version 1, le32.
    pub const FLAGS: Field<4> = Field::after(LE_COUNT);
    /// Zero.
    pub const RESERVED: Field<40> = Field::after(FLAGS);
}

/// A segment record.
pub mod segment {
    use super::Field;

    /// Bytes of the record.
    pub const SIZE: usize = 32;
    /// Index of the LV record, le16.
    pub const LV: Field<2> = Field::first();
    /// Index of the PV record, le16.
    pub const PV: Field<2> = Field::after(LV);
    /// Zero in version 1, le32.
    pub const FLAGS: Field<4> = Field::after(PV);
    /// First logical extent, le32.
    pub const FIRST: Field<4> = Field::after(FLAGS);
    /// How many extents, le32.
    pub const COUNT: Field<4> = Field::after(FIRST);
    /// First physical extent, le32.
    pub const PE: Field<4> = Field::after(COUNT);
    /// Zero.
    pub const RESERVED: Field<12> = Field::after(PE);
}

/// A move record.
pub mod moves {
    use super::Field;

    /// Bytes of the record.
    pub const SIZE: usize = 64;
    /// The move's UUID.
    pub const UUID: Field<16> = Field::first();
    /// The UUID that the moves of one command share.
    pub const COMMAND: Field<16> = Field::after(UUID);
    /// How far the move has come: 1 queued, 2 copying, 3 aborting, 4 moved, le32.
    pub const STATE: Field<4> = Field::after(COMMAND);
    /// Sectors of a chunk, le32.
    pub const CHUNK_SECTORS: Field<4> = Field::after(STATE);
    /// Zero in version 1, le32.
    pub const FLAGS: Field<4> = Field::after(CHUNK_SECTORS);
    /// Zero.
    pub const RESERVED: Field<20> = Field::after(FLAGS);
}

/// A move-part record.
pub mod part {
    use super::Field;

    /// Bytes of the record.
    pub const SIZE: usize = 64;
    /// Index of the move record, le16.
    pub const MOVE: Field<2> = Field::first();
    /// Index of the LV record, le16.
    pub const LV: Field<2> = Field::after(MOVE);
    /// Zero in version 1, le32.
    pub const FLAGS: Field<4> = Field::after(LV);
    /// First logical extent, le32.
    pub const FIRST: Field<4> = Field::after(FLAGS);
    /// How many extents, le32.
    pub const COUNT: Field<4> = Field::after(FIRST);
    /// Index of the source's PV record, le16.
    pub const SOURCE_PV: Field<2> = Field::after(COUNT);
    /// Index of the destination's PV record, le16.
    pub const DESTINATION_PV: Field<2> = Field::after(SOURCE_PV);
    /// First physical extent on the source, le32.
    pub const SOURCE_PE: Field<4> = Field::after(DESTINATION_PV);
    /// First physical extent on the destination, le32.
    pub const DESTINATION_PE: Field<4> = Field::after(SOURCE_PE);
    /// Zero.
    pub const RESERVED_1: Field<4> = Field::after(DESTINATION_PE);
    /// Start of the dirty-log image in the destination's dirty-log area, sectors, le64.
    pub const LOG_OFFSET: Field<8> = Field::after(RESERVED_1);
    /// Zero.
    pub const RESERVED_2: Field<24> = Field::after(LOG_OFFSET);
}

/// The kernel's dirty log (drivers/md/dm-log.c, `disk`).
pub mod dirty_log {
    use super::Field;

    /// Bytes of the header's fields.
    pub const HEADER_SIZE: usize = 16;
    /// The kernel's MIRROR_MAGIC, le32.
    pub const MAGIC: Field<4> = Field::first();
    /// The kernel's MIRROR_DISK_VERSION, le32.
    pub const VERSION: Field<4> = Field::after(MAGIC);
    /// How many regions (chunks) the bitset describes, le64.
    pub const CHUNKS: Field<8> = Field::after(VERSION);
    /// What [`MAGIC`] holds.
    pub const MAGIC_VALUE: u32 = 0x4D69_5272;
    /// What [`VERSION`] holds.
    pub const VERSION_VALUE: u32 = 2;
    /// Where the bitset starts in the image, bytes.
    pub const BITSET_OFFSET: u64 = 1024;
}

/// Where `pvcreate` puts the areas unless it is told otherwise, in sectors.
pub mod defaults {
    /// Start of slot 0: 1 MiB.
    pub const SLOT_0_START: u64 = 2048;
    /// Start of slot 1: 2 MiB.
    pub const SLOT_1_START: u64 = 2 * 2048;
    /// Size of each slot: 1 MiB.
    pub const SLOT_SIZE: u64 = 2048;
    /// Start of the dirty-log area: 4 MiB.
    pub const LOG_START: u64 = 4 * 2048;
    /// Size of the dirty-log area: 4 MiB.
    pub const LOG_SIZE: u64 = 4 * 2048;
    /// Start of extent 0: 8 MiB.
    pub const DATA_START: u64 = 8 * 2048;
}

/// Bounds on what a label may say, in sectors.
pub mod bounds {
    /// Nothing but the labels lies before this.
    pub const FIRST_AREA: u64 = 2048;
    /// The smallest slot: 1 MiB, which holds the largest metadata of this version's limits.
    pub const MIN_SLOT_SIZE: u64 = 2048;
    /// The largest slot: 16 MiB.
    pub const MAX_SLOT_SIZE: u64 = 16 * 2048;
    /// The smallest dirty-log area: 4 KiB, one image.
    pub const MIN_LOG_SIZE: u64 = 8;
    /// The largest dirty-log area: 1 GiB.
    pub const MAX_LOG_SIZE: u64 = 1024 * 2048;
    /// The largest device: 2^63 bytes, what Linux can address.
    pub const MAX_DEVICE_SIZE: u64 = 1 << 54;
}

const _: () = {
    assert!(label::CRC.end() == label::SIZE);
    assert!(label::SECOND_SECTOR * 512 + label::SIZE as u64 == bounds::FIRST_AREA * 512);
    assert!(slot::CRC.end() == slot::HEADER_SIZE);
    assert!(name::BYTES.end() == name::SIZE);
    assert!(vg::RESERVED.end() == vg::SIZE);
    assert!(system_id::BYTES.end() == system_id::SIZE);
    assert!(pv::BEHIND.end() == pv::SIZE);
    assert!(lv::RESERVED.end() == lv::SIZE);
    assert!(segment::RESERVED.end() == segment::SIZE);
    assert!(moves::RESERVED.end() == moves::SIZE);
    assert!(part::RESERVED_2.end() == part::SIZE);
    assert!(dirty_log::CHUNKS.end() == dirty_log::HEADER_SIZE);
    // Eight-byte fields lie at multiples of eight.
    assert!(
        label::DEVICE_SIZE.start().is_multiple_of(8) && slot::SEQUENCE.start().is_multiple_of(8)
    );
    assert!(
        pv::DEVICE_SIZE.start().is_multiple_of(8) && part::LOG_OFFSET.start().is_multiple_of(8)
    );
};
