//! A VG to a slot's bytes.

use lvshift_on_disk_format::layout::{bounds, slot as slot_layout};
use lvshift_on_disk_format::payload::{Counts, PayloadMut};
use lvshift_on_disk_format::record::{
    LvRecord, MoveRecord, PartRecord, PvRecord, RawName, RawSystemId, SegmentRecord, VgRecord,
};
use lvshift_on_disk_format::slot;

use super::{Invalid, MetadataError, Name, NameError, Records, Store, SystemId, Vg};
use crate::limits::{MAX_LVS, MAX_MOVES, MAX_PARTS, MAX_PVS, MAX_SEGMENTS};
use crate::units::Uuid;

/// The largest metadata that the limits allow go into the smallest slot.
const _: () = {
    let largest = Counts {
        pvs: MAX_PVS as u32,
        lvs: MAX_LVS as u32,
        segments: MAX_SEGMENTS as u32,
        moves: MAX_MOVES as u32,
        parts: MAX_PARTS as u32,
    };
    let slot = bounds::MIN_SLOT_SIZE * 512;
    assert!(slot_layout::HEADER_SIZE as u64 + largest.payload_size() <= slot);
};

impl<S: Store> Vg<S> {
    /// Writes the metadata, with the present sequence number, as they go into a slot of the PV
    /// `holder`, and says how many bytes of `slot` are to be written to the device (a multiple
    /// of 4096). A slot of 1 MiB is always large enough.
    ///
    /// # Errors
    /// [`MetadataError`]: `slot` is too short, or the VG is not valid (one that was changed only
    /// by its own operations, has a PV and was bumped, always is).
    pub fn encode(&self, holder: Uuid, slot: &mut [u8]) -> Result<usize, MetadataError> {
        self.validate()?;
        let counts = self.counts();
        let size = usize::try_from(counts.payload_size()).unwrap_or(usize::MAX);
        let payload = slot::payload_mut(slot, size).map_err(MetadataError::Slot)?;
        let out = PayloadMut::new(payload, counts).map_err(MetadataError::Payload)?;
        self.vg_record(counts)?.encode(out.vg);
        for (pv, bytes) in self.pvs.iter().zip(out.pvs) {
            PvRecord {
                uuid: pv.uuid,
                device_size: pv.device_size.0,
                pe_start: pv.pe_start.0,
                log_start: pv.log_start.0,
                log_size: pv.log_size.0,
                pe_count: pv.pe_count.0,
                behind: pv.behind.unwrap_or(0),
                leaving: pv.leaving,
            }
            .encode(bytes);
        }
        for ((lv, bytes), index) in self.lvs.iter().zip(out.lvs).zip(0..) {
            let name = raw_name(&lv.name, Records::Lv, index)?;
            LvRecord {
                uuid: lv.uuid,
                name,
                le_count: lv.le_count.0,
                no_autoactivation: lv.no_autoactivation,
            }
            .encode(bytes);
        }
        for (segment, bytes) in self.segments.iter().zip(out.segments) {
            SegmentRecord {
                lv: segment.lv.0,
                pv: segment.place.pv.0,
                first: segment.first.0,
                count: segment.count.0,
                pe: segment.place.pe.0,
            }
            .encode(bytes);
        }
        for (entry, bytes) in self.moves.iter().zip(out.moves) {
            MoveRecord {
                uuid: entry.uuid,
                command: entry.command,
                state: entry.state,
                chunk_sectors: entry.chunk_sectors,
            }
            .encode(bytes);
        }
        for (part, bytes) in self.parts.iter().zip(out.parts) {
            PartRecord {
                of: part.of.0,
                lv: part.lv.0,
                first: part.first.0,
                count: part.count.0,
                source_pv: part.source.pv.0,
                destination_pv: part.destination.pv.0,
                source_pe: part.source.pe.0,
                destination_pe: part.destination.pe.0,
                log_offset: part.log_offset.0,
            }
            .encode(bytes);
        }
        slot::seal(slot, self.uuid, holder, self.sequence, size).map_err(MetadataError::Slot)
    }

    fn counts(&self) -> Counts {
        // Each list is bounded far below 2^32.
        Counts {
            pvs: self.pvs.len() as u32,
            lvs: self.lvs.len() as u32,
            segments: self.segments.len() as u32,
            moves: self.moves.len() as u32,
            parts: self.parts.len() as u32,
        }
    }

    fn vg_record(&self, counts: Counts) -> Result<VgRecord, MetadataError> {
        Ok(VgRecord {
            uuid: self.uuid,
            name: raw_name(&self.name, Records::Vg, 0)?,
            extent_size: self.extent_size.sectors(),
            pv_count: counts.pvs,
            lv_count: counts.lvs,
            segment_count: counts.segments,
            move_count: counts.moves,
            part_count: counts.parts,
            system_id: raw_system_id(self.system_id.as_ref())?,
            no_autoactivation: self.no_autoactivation,
        })
    }
}

fn raw_system_id(id: Option<&SystemId>) -> Result<RawSystemId, MetadataError> {
    let raw = id.map_or(Some(RawSystemId::NONE), |id| RawSystemId::new(id.as_str().as_bytes()));
    raw.ok_or(MetadataError::Invalid(Invalid::SystemId { error: NameError::TooLong }))
}

fn raw_name(name: &Name, records: Records, index: u32) -> Result<RawName, MetadataError> {
    let error = Invalid::Name { records, index, error: NameError::Empty };
    RawName::new(name.as_str().as_bytes()).ok_or(MetadataError::Invalid(error))
}
