//! Opens the VG of an image: labels, slots, the newest metadata, tables; by the rules that the product
//! has for devices, with the core doing what the core does there.

use std::collections::HashMap;
use std::rc::Rc;

use lvshift_core::metadata::{Found, FoundSlot, MoveState, Standing, Vg, choose};
use lvshift_core::mover::Mapping;
use lvshift_core::table::{Devices, Log, Shadow, Target, build};
use lvshift_core::units::{LvIndex, PvIndex, Uuid};
use lvshift_on_disk_format::dirty_log;
use lvshift_on_disk_format::{Label, LabelCopy, SlotHeader, SlotIndex, slot};

use super::image::Image;
use super::sectors::{Id, Sectors};
use crate::disk_server::SECTOR;

/// A run of sectors of an LV on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first sector of the LV.
    pub start: u64,
    /// How many.
    pub sectors: u64,
    /// The disk that is read.
    pub disk: usize,
    /// The first sector on it.
    pub first: u64,
}

/// A mirrored part whose dirty log is believed.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Where it is read.
    pub source: Run,
    /// The other leg: disk and first sector.
    pub destination: (usize, u64),
    /// Sectors of a chunk.
    pub chunk_sectors: u32,
    /// Where the log's image starts.
    pub log: (usize, u64),
}

/// An LV as it would be activated.
#[derive(Clone, Debug)]
pub struct OpenLv {
    /// Its name.
    pub name: String,
    /// All its sectors, in order.
    pub runs: Vec<Run>,
    /// Those of them that are mirrored.
    pub parts: Vec<Part>,
    /// What is recorded of the move that touches it.
    pub record: Option<MoveState>,
}

/// A VG that could be opened.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The sequence number of its metadata.
    pub sequence: u64,
    /// Its LVs.
    pub lvs: Vec<OpenLv>,
}

type Verdict<T> = Result<T, String>;

/// Opens images; what was decoded once is not decoded again.
#[derive(Debug, Default)]
pub struct Opener {
    labels: HashMap<Vec<Id>, Option<Rc<Label>>>,
    headers: HashMap<Vec<Id>, Option<SlotHeader>>,
    slots: HashMap<Vec<Id>, FoundSlot>,
    vgs: HashMap<Key, Verdict<Rc<Opened>>>,
}

/// Of each disk: its number, its PV, and of each slot sequence, size and checksum.
type Key = Vec<KeyOfPv>;
type KeyOfPv = (usize, [u8; 16], [Option<(u64, u32, u32)>; 2]);

struct OnDisk {
    disk: usize,
    label: Rc<Label>,
    found: Found,
}

impl Opener {
    /// Opens the VG that lies on the image's disks.
    ///
    /// # Errors
    /// Why the product would refuse it.
    pub fn open(&mut self, image: &Image, sectors: &Sectors) -> Verdict<Rc<Opened>> {
        let mut pvs = Vec::new();
        for disk in 0..image.disks() {
            if let Some(label) = self.label(image, sectors, disk)? {
                let found =
                    SlotIndex::ALL.map(|index| self.slot(image, sectors, disk, &label, index));
                let found = Found { pv: label.pv(), slots: found };
                pvs.push(OnDisk { disk, label, found });
            }
        }
        let key: Key = pvs.iter().map(key).collect();
        if let Some(known) = self.vgs.get(&key) {
            return known.clone();
        }
        let opened = open(image, sectors, &pvs).map(Rc::new);
        self.vgs.insert(key, opened.clone());
        opened
    }

    /// How many different sets of metadata were decoded.
    #[must_use]
    pub fn decoded(&self) -> usize {
        self.vgs.len()
    }

    fn label(
        &mut self,
        image: &Image,
        sectors: &Sectors,
        disk: usize,
    ) -> Verdict<Option<Rc<Label>>> {
        const SECTORS: u64 = (Label::SIZE / SECTOR) as u64;
        let mut copies = [None, None];
        for (copy, read) in LabelCopy::ALL.into_iter().zip(&mut copies) {
            if image.sectors(disk) < copy.start() + SECTORS {
                return Ok(None);
            }
            let ids = image.run(disk, copy.start(), SECTORS);
            if !self.labels.contains_key(ids) {
                let bytes = sectors.concat(ids);
                let label = bytes.first_chunk().and_then(|bytes| Label::decode(bytes).ok());
                self.labels.insert(ids.to_vec(), label.map(Rc::new));
            }
            *read = self.labels[ids].clone().filter(|label| label.copy() == copy);
        }
        match copies {
            [None, None] => Ok(None),
            [Some(one), Some(two)] if one.pv() != two.pv() || one.geometry() != two.geometry() => {
                Err(format!("disk {disk}: the two label copies name different PVs"))
            }
            [Some(label), _] | [None, Some(label)] => Ok(Some(label)),
        }
    }

    fn slot(
        &mut self,
        image: &Image,
        sectors: &Sectors,
        disk: usize,
        label: &Label,
        index: SlotIndex,
    ) -> FoundSlot {
        let start = label.geometry().slot(index).start;
        let ids = slot_ids(&mut self.headers, image, sectors, disk, start);
        if let Some(known) = self.slots.get(ids) {
            return *known;
        }
        let bytes = sectors.concat(ids);
        let found = match slot::open(&bytes) {
            Ok(None) => FoundSlot::Blank,
            Ok(Some((header, _))) => FoundSlot::Valid(header),
            Err(error) => FoundSlot::Bad(Some(error)),
        };
        self.slots.insert(ids.to_vec(), found);
        found
    }
}

/// The sectors of a slot as far as its header says that they mean something.
fn slot_ids<'a>(
    headers: &mut HashMap<Vec<Id>, Option<SlotHeader>>,
    image: &'a Image,
    sectors: &Sectors,
    disk: usize,
    start: u64,
) -> &'a [Id] {
    const SECTORS: u64 = (SlotHeader::SIZE / SECTOR) as u64;
    let ids = image.run(disk, start, SECTORS);
    if !headers.contains_key(ids) {
        let bytes = sectors.concat(ids);
        let header = bytes.first_chunk().and_then(|b| SlotHeader::decode(b).ok()).flatten();
        headers.insert(ids.to_vec(), header);
    }
    let payload = headers[ids].map_or(0, |header| u64::from(header.payload_size));
    let most = image.sectors(disk) - start;
    image.run(disk, start, (SECTORS + payload.div_ceil(SECTOR as u64)).min(most))
}

fn key(pv: &OnDisk) -> KeyOfPv {
    let slots = pv.found.slots.map(|slot| match slot {
        FoundSlot::Valid(h) => Some((h.sequence, h.payload_size, h.payload_crc)),
        FoundSlot::Blank | FoundSlot::Bad(_) => None,
    });
    (pv.disk, pv.found.pv.0, slots)
}

fn open(image: &Image, sectors: &Sectors, pvs: &[OnDisk]) -> Verdict<Opened> {
    let found: Vec<Found> = pvs.iter().map(|pv| pv.found).collect();
    let uuid = found.iter().flat_map(|found| found.slots).find_map(|slot| match slot {
        FoundSlot::Valid(header) => Some(header.vg),
        _ => None,
    });
    let uuid = uuid.ok_or("no disk has valid metadata")?;
    let choice = choose(uuid, &found).map_err(|error| error.to_string())?;
    let chosen = &pvs[choice.device];
    let start = chosen.label.geometry().slot(choice.slot).start;
    let ids = slot_ids(&mut HashMap::new(), image, sectors, chosen.disk, start);
    let mut vg = Box::new(Vg::empty());
    vg.decode_from(&sectors.concat(ids))
        .map_err(|error| format!("the newest metadata make no sense: {error}"))?;
    for pv in vg.pvs() {
        let here = pvs.iter().find(|here| here.found.pv == pv.uuid);
        let here = here.ok_or_else(|| format!("PV {} has no label", pv.uuid))?;
        let log = here.label.geometry().log();
        if image.sectors(here.disk) < pv.device_size.0
            || (pv.log_start.0, pv.log_size.0) != (log.start, log.size)
        {
            return Err(format!("the label of PV {} and the VG disagree", pv.uuid));
        }
    }
    // What goes on after the crash commits first, and that refuses a PV that was away.
    for pv in pvs {
        match vg.standing_of_device(&pv.found) {
            Standing::Current => {}
            Standing::Stale { sequence } if vg.sequence() - sequence == 1 => {}
            other => return Err(format!("disk {} would be refused: {other:?}", pv.disk)),
        }
    }
    let lvs = (0..vg.lvs().len()).map(|at| open_lv(&vg, LvIndex(at as u16), pvs)).collect();
    Ok(Opened {
        sequence: vg.sequence(),
        lvs: {
            let lvs: Verdict<Vec<OpenLv>> = lvs;
            lvs?
        },
    })
}

/// The disks by the names of the metadata.
struct OnDisks<'a> {
    vg: &'a Vg,
    pvs: &'a [OnDisk],
}

impl OnDisks<'_> {
    fn disk(&self, uuid: Uuid) -> Option<usize> {
        self.pvs.iter().find(|pv| pv.found.pv == uuid).map(|pv| pv.disk)
    }
}

impl Devices for OnDisks<'_> {
    type Device = (usize, u64);

    fn pv(&self, pv: PvIndex) -> Option<(usize, u64)> {
        Some((self.disk(self.vg.pv(pv)?.uuid)?, 0))
    }

    fn shadow(&self, _: LvIndex) -> Option<Shadow<(usize, u64)>> {
        Some(Shadow::Through)
    }

    fn log(&self, part: usize) -> Option<Log<(usize, u64)>> {
        let part = self.vg.parts().get(part)?;
        let (disk, _) = self.pv(part.destination.pv)?;
        let start = self.vg.pv(part.destination.pv)?.log_start.checked_add(part.log_offset)?;
        Some(Log::Disk((disk, start.0)))
    }
}

/// The mapping that activation chooses by what is recorded.
fn open_lv(vg: &Vg, index: LvIndex, pvs: &[OnDisk]) -> Verdict<OpenLv> {
    let name = vg.lv(index).map(|lv| lv.name.to_string()).unwrap_or_default();
    let of = vg.move_of_lv(index);
    let record = of.and_then(|of| vg.move_at(of)).map(|record| record.state);
    let mapping = match record {
        None | Some(MoveState::Queued | MoveState::Aborting) => Mapping::Source,
        Some(MoveState::Copying) => Mapping::Mirrored,
        Some(MoveState::Moved) => Mapping::Final,
    };
    let devices = OnDisks { vg, pvs };
    let (mut runs, mut parts) = (Vec::new(), Vec::new());
    for segment in build(vg, index, of.map(|of| (of, mapping)), &devices) {
        let segment = segment.map_err(|error| format!("no table for LV {name}: {error}"))?;
        let run = |device: (usize, u64), offset: u64| Run {
            start: segment.start.0,
            sectors: segment.len.0,
            disk: device.0,
            first: offset,
        };
        match segment.target {
            Target::Linear(area) => runs.push(run(area.device, area.offset.0)),
            Target::Mirror(mirror) => {
                let source = run(mirror.source.device, mirror.source.offset.0);
                runs.push(source);
                let Log::Disk(log) = mirror.log else { return Err("a mirror without log".into()) };
                let destination = (mirror.destination.device.0, mirror.destination.offset.0);
                let chunk_sectors = mirror.chunk_sectors;
                parts.push(Part { source, destination, chunk_sectors, log });
            }
            Target::Error => return Err(format!("LV {name} has a hole")),
        }
    }
    Ok(OpenLv { name, runs, parts, record })
}

impl Part {
    /// How many chunks it has.
    #[must_use]
    pub fn chunks(&self) -> u32 {
        u32::try_from(self.source.sectors.div_ceil(u64::from(self.chunk_sectors)))
            .unwrap_or(u32::MAX)
    }

    /// The bytes where its dirty log lies.
    #[must_use]
    pub fn log_image(&self, image: &Image, sectors: &Sectors) -> Vec<u8> {
        let size = dirty_log::image_size(self.chunks()) / SECTOR as u64;
        sectors.concat(image.run(self.log.0, self.log.1, size))
    }
}
