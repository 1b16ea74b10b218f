//! The metadata as a stranger reads it: straight from the disks, with the format crate alone.
//!
//! No command of the product is asked here, so that a product that misreads what it wrote is seen.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use lvshift_on_disk_format::payload::Payload;
use lvshift_on_disk_format::record::{
    LvRecord, MoveRecord, MoveState, PartRecord, PvRecord, SegmentRecord,
};
use lvshift_on_disk_format::{Label, LabelCopy, SlotIndex, dirty_log, slot};

use crate::guest::{Guest, Region};

/// Where extents of an LV lie: the device, the first physical extent, how many.
pub(super) type Place = (PathBuf, u32, u32);

/// All that a VG's metadata says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) sequence: u64,
    pub(super) uuid: String,
    pub(super) name: String,
    pub(super) extent_sectors: u64,
    pub(super) pvs: Vec<PvRecord>,
    pub(super) lvs: Vec<LvRecord>,
    pub(super) segments: Vec<SegmentRecord>,
    pub(super) moves: Vec<MoveRecord>,
    pub(super) parts: Vec<PartRecord>,
    /// The device of each PV, in the order of `pvs`.
    pub(super) devices: Vec<PathBuf>,
}

/// The newest slot of one PV: its sequence number and its payload. A slot that cannot be decoded
/// is an error unless a crash may have torn it.
fn newest_slot(guest: &Guest, device: &Path, torn: bool) -> Result<(u64, Vec<u8>)> {
    let label = label(guest, device, LabelCopy::First)?;
    let second = label_of(guest, device, LabelCopy::Second)?;
    ensure!(label == second.as_copy(LabelCopy::First), "{}: two labels", device.display());
    let mut newest: Option<(u64, Vec<u8>)> = None;
    for index in SlotIndex::ALL {
        let area = label.geometry().slot(index);
        let bytes = guest.read_region(&Region::new(device, area.start, area.size))?;
        let (header, payload) = match slot::open(&bytes) {
            Ok(Some(opened)) => opened,
            Ok(None) => continue,
            Err(_) if torn => continue,
            Err(error) => bail!("{} {index:?}: {error}", device.display()),
        };
        ensure!(header.pv == label.pv(), "{}: a slot of another PV", device.display());
        if newest.as_ref().is_none_or(|(sequence, _)| *sequence < header.sequence) {
            newest = Some((header.sequence, payload.to_vec()));
        }
    }
    newest.with_context(|| format!("{} holds no metadata", device.display()))
}

/// A copy of a PV's label.
pub(super) fn label(guest: &Guest, device: &Path, copy: LabelCopy) -> Result<Label> {
    label_of(guest, device, copy)
}

fn label_of(guest: &Guest, device: &Path, copy: LabelCopy) -> Result<Label> {
    let sectors = (Label::SIZE / 512) as u64;
    let bytes = guest.read_region(&Region::new(device, copy.start(), sectors))?;
    let bytes = bytes.first_chunk().context("a label is 4096 bytes")?;
    Label::decode(bytes).map_err(|e| anyhow!("{} {copy:?} label: {e}", device.display()))
}

impl Meta {
    /// Reads the metadata of the VG over these devices; they must all hold the same.
    ///
    /// # Errors
    /// Which PV differs or cannot be decoded.
    pub(super) fn read(guest: &Guest, devices: &[PathBuf]) -> Result<Meta> {
        let mut first: Option<(u64, Vec<u8>)> = None;
        let mut found = Vec::new();
        for device in devices {
            let (sequence, payload) = newest_slot(guest, device, false)?;
            found.push((label(guest, device, LabelCopy::First)?.pv(), device.clone()));
            let (expected, bytes) = first.get_or_insert((sequence, payload.clone()));
            ensure!(
                *expected == sequence && *bytes == payload,
                "{} has sequence {sequence}, {} has {expected}, or their contents differ",
                device.display(),
                devices[0].display()
            );
        }
        let (sequence, payload) = first.context("no device was named")?;
        let mut meta = Meta::decode(sequence, &payload)?;
        ensure!(meta.pvs.len() == devices.len(), "the VG lists {} PVs", meta.pvs.len());
        for pv in &meta.pvs {
            let device = found.iter().find(|(uuid, _)| *uuid == pv.uuid);
            let (_, device) = device.with_context(|| format!("the VG lists {}", pv.uuid))?;
            meta.devices.push(device.clone());
        }
        meta.check_extents()?;
        Ok(meta)
    }

    /// What the PV with the highest sequence number says, whether the others agree or not; slots
    /// that cannot be read do not count.
    ///
    /// # Errors
    /// If there is no such PV.
    pub(super) fn read_newest(guest: &Guest, devices: &[PathBuf]) -> Result<Meta> {
        let slots = devices.iter().filter_map(|device| newest_slot(guest, device, true).ok());
        let (sequence, payload) =
            slots.max_by_key(|(sequence, _)| *sequence).context("no PV holds metadata")?;
        Meta::decode(sequence, &payload)
    }

    fn decode(sequence: u64, payload: &[u8]) -> Result<Meta> {
        let payload = Payload::decode(payload).map_err(|e| anyhow!("{e}"))?;
        fn each<T, const N: usize, E: std::fmt::Display>(
            records: &[[u8; N]],
            decode: impl Fn(&[u8; N]) -> Result<T, E>,
        ) -> Result<Vec<T>> {
            records.iter().map(|r| decode(r).map_err(|e| anyhow!("{e}"))).collect()
        }
        Ok(Meta {
            sequence,
            uuid: payload.vg.uuid.to_string(),
            name: String::from_utf8_lossy(payload.vg.name.as_bytes()).into_owned(),
            extent_sectors: payload.vg.extent_size.into(),
            pvs: each(payload.pvs, PvRecord::decode)?,
            lvs: each(payload.lvs, LvRecord::decode)?,
            segments: each(payload.segments, SegmentRecord::decode)?,
            moves: each(payload.moves, MoveRecord::decode)?,
            parts: each(payload.parts, PartRecord::decode)?,
            devices: Vec::new(),
        })
    }

    /// No extent belongs to two segments; every LV is covered without a gap.
    fn check_extents(&self) -> Result<()> {
        let mut taken = std::collections::BTreeSet::new();
        for segment in &self.segments {
            for pe in segment.pe..segment.pe + segment.count {
                ensure!(taken.insert((segment.pv, pe)), "extent {pe} of PV {} twice", segment.pv);
            }
            let pv = self.pvs.get(usize::from(segment.pv)).context("a segment on no PV")?;
            ensure!(segment.pe + segment.count <= pv.pe_count, "a segment past its PV's end");
        }
        for (index, lv) in self.lvs.iter().enumerate() {
            let mut next = 0;
            for segment in self.segments.iter().filter(|s| usize::from(s.lv) == index) {
                ensure!(segment.first == next, "LV {index} has a gap at extent {next}");
                next += segment.count;
            }
            ensure!(next == lv.le_count, "LV {index} has {next} extents of {}", lv.le_count);
        }
        Ok(())
    }

    fn lv_index(&self, lv: &str) -> Result<usize> {
        let index = self.lvs.iter().position(|l| l.name.as_bytes() == lv.as_bytes());
        index.with_context(|| format!("the metadata knows no LV {lv}"))
    }

    /// Where the LV's extents lie, in the LV's order; neighbours are joined.
    ///
    /// # Errors
    /// If there is no such LV.
    pub(super) fn places(&self, lv: &str) -> Result<Vec<Place>> {
        let index = self.lv_index(lv)?;
        let mut places: Vec<Place> = Vec::new();
        for segment in self.segments.iter().filter(|s| usize::from(s.lv) == index) {
            let device = &self.devices[usize::from(segment.pv)];
            match places.last_mut() {
                Some((last, pe, count)) if last == device && *pe + *count == segment.pe => {
                    *count += segment.count;
                }
                _ => places.push((device.clone(), segment.pe, segment.count)),
            }
        }
        Ok(places)
    }

    /// The first sector of a physical extent on its device.
    ///
    /// # Errors
    /// If the device is no PV of this VG.
    pub(super) fn sector_of(&self, device: &Path, pe: u32) -> Result<u64> {
        let index = self.devices.iter().position(|d| d == device).context("no PV of this VG")?;
        Ok(self.pvs[index].pe_start + u64::from(pe) * self.extent_sectors)
    }

    /// How many extents of a PV belong to no LV and no move.
    ///
    /// # Errors
    /// If the device is no PV of this VG.
    pub(super) fn free_on(&self, device: &Path) -> Result<u32> {
        let index = self.devices.iter().position(|d| d == device).context("no PV of this VG")?;
        ensure!(self.parts.is_empty(), "ask for free extents when nothing moves");
        let on_it = self.segments.iter().filter(|s| usize::from(s.pv) == index);
        Ok(self.pvs[index].pe_count - on_it.map(|s| s.count).sum::<u32>())
    }

    /// The state of every recorded move.
    pub(super) fn states(&self) -> Vec<MoveState> {
        self.moves.iter().map(|m| m.state).collect()
    }

    /// Reads the dirty logs of the move that is being copied: (clean chunks, all chunks).
    ///
    /// # Errors
    /// As [`Meta::log`].
    pub(super) fn clean_chunks(&self, guest: &Guest) -> Result<(u32, u32)> {
        let log = self.log(guest)?;
        let clean = log.iter().filter(|clean| **clean).count();
        Ok((u32::try_from(clean)?, u32::try_from(log.len())?))
    }

    /// Of each chunk that is being copied, whether the dirty log says that it is clean.
    ///
    /// # Errors
    /// If a log cannot be read or is none.
    pub(super) fn log(&self, guest: &Guest) -> Result<Vec<bool>> {
        let mut log = Vec::new();
        for part in &self.parts {
            let of = &self.moves[usize::from(part.of)];
            if of.state != MoveState::Copying {
                continue;
            }
            let chunks = self.chunks_of(part)?;
            let pv = &self.pvs[usize::from(part.destination_pv)];
            let device = &self.devices[usize::from(part.destination_pv)];
            let sectors = dirty_log::image_size(chunks) / 512;
            let region = Region::new(device, pv.log_start + part.log_offset, sectors);
            let image = guest.read_region(&region)?;
            let header = image.first_chunk().context("an image has a header")?;
            if let Err(error) = dirty_log::check_header(header, chunks) {
                bail!("{} at sector {}: {error}", device.display(), region.sector);
            }
            for chunk in 0..chunks {
                let clean = dirty_log::is_clean(&image, chunk);
                log.push(clean.context("an image without its last bits")?);
            }
        }
        Ok(log)
    }

    fn chunks_of(&self, part: &PartRecord) -> Result<u32> {
        let of = self.moves.get(usize::from(part.of)).context("a part of no move")?;
        let sectors = u64::from(part.count) * self.extent_sectors;
        Ok(u32::try_from(sectors.div_ceil(u64::from(of.chunk_sectors)))?)
    }
}
