//! What does a disk look like that moves are made away from?

use std::ops::Range;

use lvshift_core::metadata::{MovePart, MoveState};
use lvshift_core::units::{MoveIndex, PvIndex, Uuid};
use lvshift_on_disk_format::dirty_log::Log;

use super::Seen;
use crate::device::Aligned;
use crate::drive;
use crate::front_end::PvSectors;
use crate::lvm2::each;
use crate::lvm2::id;
use crate::lvm2::text::{Record, Shape};
use crate::lvm2::vg::LvmVg;
use crate::progress::DiskMap;
use crate::vg::OpenVg;

impl Seen {
    /// A picture of each PV that a recorded move is away from. `bad` is what is known to be unreadable.
    pub(in crate::commands) fn disks(&self, bad: &[PvSectors]) -> Vec<DiskMap> {
        match self {
            Seen::Own(open) => of_own(open, bad),
            Seen::Lvm2(vg) => of_lvm2(vg, bad),
        }
    }
}

/// Marks the sectors of a piece that is at `first` of what moves and at `on` of its disk, chunk by chunk.
fn mark(
    map: &mut DiskMap,
    (first, on): (u64, u64),
    sectors: u64,
    chunk: u64,
    is_equal: impl Fn(u64) -> bool,
) {
    let (end, chunk) = (first + sectors, chunk.max(1));
    for number in first / chunk..end.div_ceil(chunk) {
        let within = (number * chunk).max(first)..((number + 1) * chunk).min(end);
        map.moves(on + (within.start - first)..on + (within.end - first), is_equal(number));
    }
}

/// The bytes where a log lies, and how many chunks it is of.
type Image = (Aligned, u32);

/// The log that these bytes are, if they are one.
fn log_in(image: &Option<Image>) -> Option<Log<'_>> {
    image.as_ref().and_then(|(bytes, chunks)| Log::of(bytes, *chunks).ok())
}

/// What a log says of a chunk; nothing is equal where there is none.
fn is_clean(log: Option<Log<'_>>, chunk: u64) -> bool {
    log.zip(u32::try_from(chunk).ok()).is_some_and(|(log, chunk)| log.is_clean(chunk))
}

fn on_disk(bad: &[PvSectors], pv: Uuid, start: u64) -> impl Iterator<Item = Range<u64>> {
    let of_pv = bad.iter().filter(move |place| place.pv == pv);
    of_pv.filter_map(move |place| {
        Some(place.sectors.start.checked_sub(start)?..place.sectors.end.checked_sub(start)?)
    })
}

fn of_own(open: &OpenVg, bad: &[PvSectors]) -> Vec<DiskMap> {
    let vg = open.vg();
    let parts: Vec<(MoveIndex, &MovePart)> = vg
        .move_indices()
        .flat_map(|of| vg.parts_of(of).iter().map(move |part| (of, part)))
        .collect();
    let mut pvs: Vec<PvIndex> = parts.iter().map(|(_, part)| part.source.pv).collect();
    pvs.sort_unstable();
    pvs.dedup();
    let extent = u64::from(vg.extent_size().sectors());
    let disk = |pv: PvIndex| {
        let record = vg.pv(pv)?;
        let path = super::super::lookup::pv_path(open, pv);
        let mut map = DiskMap::new(path, extent, record.pe_count.0);
        for segment in vg.segments().iter().filter(|segment| segment.place.pv == pv) {
            map.uses(segment.place.pe.0..segment.place.pe.0.saturating_add(segment.count.0));
        }
        for (of, part) in parts.iter().filter(|(_, part)| part.source.pv == pv) {
            let entry = vg.move_at(*of)?;
            let image = (entry.state == MoveState::Copying).then(|| image_of(open, part)).flatten();
            let log = log_in(&image);
            let moved = entry.state == MoveState::Moved;
            let (on, sectors) = (u64::from(part.source.pe.0) * extent, part.count.0);
            let chunk = u64::from(entry.chunk_sectors);
            mark(&mut map, (0, on), u64::from(sectors) * extent, chunk, |chunk| {
                moved || is_clean(log, chunk)
            });
        }
        on_disk(bad, record.uuid, record.pe_start.0).for_each(|sectors| map.is_bad(sectors));
        Some(map)
    };
    pvs.into_iter().filter_map(disk).collect()
}

fn image_of(open: &OpenVg, part: &MovePart) -> Option<Image> {
    let image = drive::log::read(open.view(), part).ok()?;
    Some((image, open.vg().log_image(part)?.chunks))
}

fn of_lvm2(vg: &LvmVg, bad: &[PvSectors]) -> Vec<DiskMap> {
    let text = vg.text();
    let extent = u64::from(text.extent_size());
    let parts = vg.moves().iter().flat_map(|record| &record.parts);
    let keys = each(parts.map(|part| part.source.of.clone()));
    let images: Vec<_> = vg.moves().iter().map(|record| image(vg, record)).collect();
    let pvs = text.pvs();
    let disk = |key: &String| {
        let pv = pvs.iter().find(|pv| pv.key == *key)?;
        let mut map = DiskMap::new(vg.path_of(key), extent, pv.pe_count);
        for segment in text.lv_names().iter().flat_map(|lv| text.segments(lv)) {
            let Shape::Striped { areas, .. } = &segment.shape else { continue };
            let len = segment.shape.area_len(segment.count).unwrap_or(0);
            for area in areas.iter().filter(|area| area.of == *key) {
                map.uses(area.extent..area.extent.saturating_add(len));
            }
        }
        for (record, image) in vg.moves().iter().zip(&images) {
            let (chunk, mut first) = (u64::from(record.region_size), 0);
            let moved = record.state == MoveState::Moved;
            let log = log_in(image);
            for part in &record.parts {
                let sectors = u64::from(part.count) * extent;
                if part.source.of == *key {
                    let on = u64::from(part.source.extent) * extent;
                    mark(&mut map, (first, on), sectors, chunk, |chunk| {
                        moved || is_clean(log, chunk)
                    });
                }
                first += sectors;
            }
        }
        on_disk(bad, id::uuid(&pv.id), pv.pe_start).for_each(|sectors| map.is_bad(sectors));
        Some(map)
    };
    keys.iter().filter_map(disk).collect()
}

/// Where the log of a move that copies lies.
fn image(vg: &LvmVg, record: &Record) -> Option<Image> {
    (record.state == MoveState::Copying).then(|| super::log_of_lvm2(vg, record)).flatten()
}
