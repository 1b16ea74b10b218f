//! What is every recorded move doing now, in VGs of both kinds?

mod disks;

use lvshift_core::metadata::MoveState;
use lvshift_core::units::{MoveIndex, Sectors, Uuid};
use lvshift_on_disk_format::dirty_log::{self, Log};

use super::Context;
use super::driven::is_driven;
use super::reports;
use crate::device::{Aligned, sysfs};
use crate::drive;
use crate::error::{Error, Kind, Result};
use crate::front_end::{CopyStatus, FrontEnd};
use crate::lvm2::stack::Stack;
use crate::lvm2::text::{Record, Shape};
use crate::lvm2::vg::LvmVg;
use crate::lvm2::{self, id};
use crate::progress::ChunkMap;
use crate::report::{LvSample, MoveSample};
use crate::vg::{Hold, OpenVg};

/// A VG that is looked at again and again.
pub(super) enum Seen {
    Own(Box<OpenVg>),
    Lvm2(Box<LvmVg>),
}

/// One recorded move.
#[derive(Clone, Debug)]
pub(super) struct Sight {
    pub(super) of: Uuid,
    pub(super) vg: String,
    /// The paths of the PVs.
    pub(super) from: Vec<String>,
    pub(super) to: Vec<String>,
    pub(super) state: MoveState,
    /// A process carries it on, or its command's others first.
    pub(super) driven: bool,
    pub(super) bytes: u64,
    /// Where it can be said: while it copies and its devices are there.
    pub(super) copy: Option<CopyStatus>,
    /// An extent that lies there when the move is done.
    pub(super) landing: Landing,
}

impl Sight {
    fn sample(&self) -> MoveSample {
        MoveSample {
            vg: self.vg.clone(),
            of: self.of,
            source: self.from.join(" "),
            destination: self.to.join(" "),
            state: self.state,
            driven: self.driven,
            bytes: self.bytes,
            copy: self.copy,
        }
    }
}

/// An extent of a PV, as a place of an LV: by UUIDs, or by LVM2's ids and names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Landing {
    lv: String,
    pv: String,
    extent: u32,
}

/// All VGs with a recorded move, or this one. What cannot be opened is told.
pub(super) fn with_moves(context: &mut Context<'_>, only: Option<&str>) -> Result<Vec<Seen>> {
    let mut seen = Vec::new();
    for opened in OpenVg::open_all(Hold::Release)? {
        match opened {
            Ok(open) if !open.vg().moves().is_empty() => seen.push(Seen::Own(Box::new(open))),
            Ok(_) => {}
            Err(error) => context.fail(&error),
        }
    }
    seen.retain(|vg| only.is_none_or(|only| only == vg.name()));
    let Some(lvm) = lvm2::in_use().map(|lvm| lvm.within(lvm2::PATIENCE)) else { return Ok(seen) };
    match lvm.vgs_with_moves() {
        Ok(names) => {
            for name in names.iter().filter(|name| only.is_none_or(|only| only == *name)) {
                match LvmVg::open(&lvm, name) {
                    Ok(vg) => seen.push(Seen::Lvm2(Box::new(vg))),
                    Err(error) => context.fail(&error),
                }
            }
        }
        Err(error) => context.fail(&error),
    }
    Ok(seen)
}

impl Seen {
    /// A VG of our own.
    pub(super) fn own(name: &str) -> Result<Seen> {
        Ok(Seen::Own(Box::new(OpenVg::open(name, Hold::Release)?)))
    }

    /// A VG of LVM2's.
    pub(super) fn lvm2(name: &str) -> Result<Seen> {
        let lvm = lvm2::in_use().ok_or_else(|| Error::new(Kind::NotFound, "LVM2 has no VG"))?;
        Ok(Seen::Lvm2(Box::new(LvmVg::open(&lvm.within(lvm2::PATIENCE), name)?)))
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Seen::Own(open) => open.vg().name().as_str(),
            Seen::Lvm2(vg) => vg.name(),
        }
    }

    pub(super) fn reread(&mut self) -> Result<()> {
        match self {
            Seen::Own(open) => open.reread(),
            Seen::Lvm2(vg) => vg.reread(),
        }
    }

    /// The moves that it records now, in order.
    pub(super) fn sights(&self, front_end: &mut dyn FrontEnd) -> Vec<Sight> {
        match self {
            Seen::Own(open) => {
                open.vg().move_indices().filter_map(|of| own(open, of, front_end)).collect()
            }
            Seen::Lvm2(vg) => {
                vg.moves().iter().filter_map(|record| of_lvm2(vg, record, front_end)).collect()
            }
        }
    }

    /// For `metrics`: the moves, and the LVs of LVM2's that move; those of our own are known already.
    pub(super) fn samples(&self, front_end: &mut dyn FrontEnd) -> (Vec<MoveSample>, Vec<LvSample>) {
        let moves = self.sights(front_end).iter().map(Sight::sample).collect();
        let (Seen::Lvm2(vg), Ok(mapper)) = (self, front_end.lvm2()) else { return (moves, vec![]) };
        let parts = vg.moves().iter().flat_map(|record| &record.parts);
        let names = lvm2::each(parts.map(|part| part.lv.clone()));
        let lvs = names.into_iter().filter_map(|lv| {
            let uuid = id::dm_uuid(vg.text().id(), vg.text().lv_id(&lv)?);
            let number = mapper.find(&uuid).ok()??.number;
            Some(LvSample { vg: vg.name().to_owned(), lv, stat: sysfs::stat(number)? })
        });
        (moves, lvs.collect())
    }

    /// Which chunks of a move are equal, by its dirty logs on the disks: what a crash would not have copied again.
    /// `None` while it has none, or they cannot be read.
    pub(super) fn chunks(&self, of: Uuid) -> Option<ChunkMap> {
        match self {
            Seen::Own(open) => chunks_of_own(open, of),
            Seen::Lvm2(vg) => chunks_of_lvm2(vg, of),
        }
    }

    /// Whether this extent is the LV's.
    pub(super) fn has(&self, landing: &Landing) -> bool {
        match self {
            Seen::Own(open) => {
                let vg = open.vg();
                vg.segments().iter().any(|segment| {
                    let extents = segment.place.pe.0..segment.place.pe.0 + segment.count.0;
                    extents.contains(&landing.extent)
                        && vg.lv(segment.lv).is_some_and(|lv| lv.uuid.to_string() == landing.lv)
                        && vg
                            .pv(segment.place.pv)
                            .is_some_and(|pv| pv.uuid.to_string() == landing.pv)
                })
            }
            Seen::Lvm2(vg) => {
                let key = vg.text().pvs().into_iter().find(|pv| pv.id == landing.pv);
                let Some(key) = key.map(|pv| pv.key) else { return false };
                vg.text().segments(&landing.lv).iter().any(|segment| {
                    let Shape::Striped { areas, .. } = &segment.shape else { return false };
                    let len = segment.shape.area_len(segment.count).unwrap_or(0);
                    let here = |extent: u32| (extent..extent + len).contains(&landing.extent);
                    areas.iter().any(|area| area.of == key && here(area.extent))
                })
            }
        }
    }
}

fn own(open: &OpenVg, of: MoveIndex, front_end: &mut dyn FrontEnd) -> Option<Sight> {
    let vg = open.vg();
    let record = vg.move_at(of)?;
    let parts = vg.parts_of(of);
    let first = parts.first()?;
    let path = |pv| super::lookup::pv_path(open, pv);
    let extents = parts.iter().map(|part| part.count.0).sum();
    let span = vg.extent_size().span(lvshift_core::units::Extents(extents));
    Some(Sight {
        of: record.uuid,
        vg: vg.name().as_str().to_owned(),
        from: lvm2::each(parts.iter().map(|part| path(part.source.pv))),
        to: lvm2::each(parts.iter().map(|part| path(part.destination.pv))),
        state: record.state,
        driven: is_driven(vg.uuid()),
        bytes: span.bytes().unwrap_or(u64::MAX),
        copy: reports::copy(front_end, open, of)
            .or_else(|| reports::copy(front_end.beside()?, open, of)),
        landing: Landing {
            lv: vg.lv(first.lv)?.uuid.to_string(),
            pv: vg.pv(first.destination.pv)?.uuid.to_string(),
            extent: first.destination.pe.0,
        },
    })
}

fn chunks_of_own(open: &OpenVg, of: Uuid) -> Option<ChunkMap> {
    let vg = open.vg();
    let of = vg.move_by_uuid(of)?;
    vg.move_at(of).filter(|record| record.state == MoveState::Copying)?;
    let mut map = ChunkMap::default();
    for part in vg.parts_of(of) {
        let image = drive::log::read(open.view(), part).ok()?;
        add(&mut map, &image, vg.log_image(part)?.chunks)?;
    }
    Some(map)
}

fn chunks_of_lvm2(vg: &LvmVg, of: Uuid) -> Option<ChunkMap> {
    let record = vg.moves().iter().find(|record| id::uuid(&record.id) == of)?;
    if record.state != MoveState::Copying {
        return None;
    }
    let (image, chunks) = log_of_lvm2(vg, record)?;
    let mut map = ChunkMap::default();
    add(&mut map, &image, chunks)?;
    Some(map)
}

/// The image that a move's log would be, and how many chunks it is of.
fn log_of_lvm2(vg: &LvmVg, record: &Record) -> Option<(Aligned, u32)> {
    let sectors = u64::from(record.extents) * u64::from(vg.text().extent_size());
    let chunks = u32::try_from(sectors.div_ceil(u64::from(record.region_size))).ok()?;
    let (_, area) = vg.text().log_place(record)?;
    let start = vg.text().sector_of(&area)?;
    let mut image = Aligned::zeroed(usize::try_from(dirty_log::image_size(chunks)).ok()?);
    vg.members().get(&area.of)?.device.read(Sectors(start), &mut image).ok()?;
    Some((image, chunks))
}

/// Adds the chunks of a log's image, if it is that of so many.
fn add(map: &mut ChunkMap, image: &[u8], chunks: u32) -> Option<()> {
    let log = Log::of(image, chunks).ok()?;
    (0..chunks).for_each(|chunk| map.push(log.is_clean(chunk)));
    Some(())
}

fn of_lvm2(vg: &LvmVg, record: &Record, front_end: &mut dyn FrontEnd) -> Option<Sight> {
    let first = record.parts.first()?;
    let copy = match (record.state, front_end.lvm2()) {
        (MoveState::Copying, Ok(mapper)) => {
            Stack::new(mapper, vg.text(), vg.moves(), vg.members()).copy_status(record).ok()
        }
        _ => None,
    };
    let pv = vg.text().pvs().into_iter().find(|pv| pv.key == first.destination.of);
    Some(Sight {
        of: id::uuid(&record.id),
        vg: vg.name().to_owned(),
        from: lvm2::each(record.parts.iter().map(|part| vg.path_of(&part.source.of))),
        to: lvm2::each(record.parts.iter().map(|part| vg.path_of(&part.destination.of))),
        state: record.state,
        driven: is_driven(vg.uuid()),
        bytes: u64::from(record.extents) * u64::from(vg.text().extent_size()) * 512,
        copy,
        landing: Landing {
            lv: first.lv.clone(),
            pv: pv.map(|pv| pv.id).unwrap_or_default(),
            extent: first.destination.extent,
        },
    })
}
