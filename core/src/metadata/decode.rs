//! A slot's bytes to a VG.

use lvshift_on_disk_format::payload::Payload;
use lvshift_on_disk_format::record::{
    LvRecord, MoveRecord, PartRecord, PvRecord, RawName, RawSystemId, RecordError, SegmentRecord,
};
use lvshift_on_disk_format::slot;

use super::{Invalid, Lv, MetadataError, Move, MovePart, Name, NameError, Place, Pv, Records};
use super::{Segment, Store, SystemId, Vg};
use crate::list::List;
use crate::units::{ExtentSize, Extents, Le, LvIndex, MoveIndex, Pe, PvIndex, Sectors, Uuid};

/// What a slot's header says beside the VG itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotInfo {
    /// The PV that the slot was written to.
    pub pv: Uuid,
    /// The sequence number, also in [`Vg::sequence`].
    pub sequence: u64,
    /// Whether this program knows enough of the VG's features to change it.
    pub writable: bool,
}

impl<S: Store> Vg<S> {
    /// Reads a slot in place of what was here, and checks all of it. After an error the VG is
    /// empty.
    ///
    /// # Errors
    /// [`MetadataError`] names what is wrong.
    pub fn decode_from(&mut self, slot: &[u8]) -> Result<SlotInfo, MetadataError> {
        self.clear();
        let result = self.fill_from(slot);
        if result.is_err() {
            self.clear();
        }
        result
    }

    fn fill_from(&mut self, slot: &[u8]) -> Result<SlotInfo, MetadataError> {
        let opened = slot::open(slot).map_err(MetadataError::Slot)?;
        let (header, payload) = opened.ok_or(MetadataError::Blank)?;
        let payload = Payload::decode(payload).map_err(MetadataError::Payload)?;
        if payload.vg.uuid != header.vg {
            return Err(MetadataError::OtherVg);
        }
        self.uuid = payload.vg.uuid;
        self.sequence = header.sequence;
        self.name = name(&payload.vg.name, Records::Vg, 0)?;
        let sectors = payload.vg.extent_size;
        self.extent_size = ExtentSize::new(sectors).ok_or(Invalid::ExtentSize { sectors })?;
        self.system_id = system_id(&payload.vg.system_id)?;
        self.no_autoactivation = payload.vg.no_autoactivation;
        fill(&mut self.pvs, payload.pvs, Records::Pv, |bytes, _| Ok(pv(PvRecord::decode(bytes)?)))?;
        fill(&mut self.lvs, payload.lvs, Records::Lv, |bytes, index| {
            let record = LvRecord::decode(bytes)?;
            Ok(Lv {
                uuid: record.uuid,
                name: name(&record.name, Records::Lv, index)?,
                le_count: Extents(record.le_count),
                no_autoactivation: record.no_autoactivation,
            })
        })?;
        fill(&mut self.segments, payload.segments, Records::Segment, |bytes, _| {
            Ok(segment(SegmentRecord::decode(bytes)?))
        })?;
        fill(&mut self.moves, payload.moves, Records::Move, |bytes, _| {
            Ok(move_(MoveRecord::decode(bytes)?))
        })?;
        fill(&mut self.parts, payload.parts, Records::Part, |bytes, _| {
            Ok(part(PartRecord::decode(bytes)?))
        })?;
        self.rebuild_used();
        self.validate()?;
        let writable = header.is_writable();
        Ok(SlotInfo { pv: header.pv, sequence: header.sequence, writable })
    }
}

/// What goes wrong in one record: with its bytes, or with a name in it.
enum Fault {
    Record(RecordError),
    Other(MetadataError),
}

impl From<RecordError> for Fault {
    fn from(error: RecordError) -> Fault {
        Fault::Record(error)
    }
}

impl From<MetadataError> for Fault {
    fn from(error: MetadataError) -> Fault {
        Fault::Other(error)
    }
}

fn fill<T, L: List<T>, const SIZE: usize>(
    list: &mut L,
    raw: &[[u8; SIZE]],
    records: Records,
    decode: impl Fn(&[u8; SIZE], u32) -> Result<T, Fault>,
) -> Result<(), MetadataError> {
    for (bytes, index) in raw.iter().zip(0u32..) {
        let entry = decode(bytes, index).map_err(|fault| match fault {
            Fault::Record(error) => MetadataError::Record { records, index, error },
            Fault::Other(error) => error,
        })?;
        list.push(entry).map_err(|_| MetadataError::TooMany {
            records,
            count: u32::try_from(raw.len()).unwrap_or(u32::MAX),
            limit: L::LIMIT as u32,
        })?;
    }
    Ok(())
}

fn name(raw: &RawName, records: Records, index: u32) -> Result<Name, MetadataError> {
    let text = core::str::from_utf8(raw.as_bytes()).map_err(|_| NameError::BadCharacter);
    let name = text.and_then(Name::new);
    name.map_err(|error| MetadataError::Invalid(Invalid::Name { records, index, error }))
}

fn system_id(raw: &RawSystemId) -> Result<Option<SystemId>, MetadataError> {
    if raw.as_bytes().is_empty() {
        return Ok(None);
    }
    let text = core::str::from_utf8(raw.as_bytes()).map_err(|_| NameError::BadCharacter);
    let id = text.and_then(SystemId::new);
    id.map(Some).map_err(|error| MetadataError::Invalid(Invalid::SystemId { error }))
}

fn pv(record: PvRecord) -> Pv {
    Pv {
        uuid: record.uuid,
        device_size: Sectors(record.device_size),
        pe_start: Sectors(record.pe_start),
        pe_count: Extents(record.pe_count),
        log_start: Sectors(record.log_start),
        log_size: Sectors(record.log_size),
        behind: Some(record.behind).filter(|behind| *behind > 0),
        leaving: record.leaving,
    }
}

fn segment(record: SegmentRecord) -> Segment {
    Segment {
        lv: LvIndex(record.lv),
        first: Le(record.first),
        count: Extents(record.count),
        place: Place { pv: PvIndex(record.pv), pe: Pe(record.pe) },
    }
}

fn move_(record: MoveRecord) -> Move {
    Move {
        uuid: record.uuid,
        command: record.command,
        state: record.state,
        chunk_sectors: record.chunk_sectors,
    }
}

fn part(record: PartRecord) -> MovePart {
    MovePart {
        of: MoveIndex(record.of),
        lv: LvIndex(record.lv),
        first: Le(record.first),
        count: Extents(record.count),
        source: Place { pv: PvIndex(record.source_pv), pe: Pe(record.source_pe) },
        destination: Place { pv: PvIndex(record.destination_pv), pe: Pe(record.destination_pe) },
        log_offset: Sectors(record.log_offset),
    }
}
