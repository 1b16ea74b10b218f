//! A table in the form in which it is served: core's own, whose devices are numbers.
//!
//! A device's number is its slot in every ring of the daemon, counted from the first one: the same in every
//! table, so that what is held when a table is exchanged finds its device in the next.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use lvshift_core::LegFault;
use lvshift_core::chunk::{Effects, Fault, FlushEpochs};
use lvshift_core::device::{self, DeviceIndex};
use lvshift_core::mirror::{DEADLINE, MAX_GIVEN_UP, Moment, Part, PartPlace, Volume};
use lvshift_core::serve::{Below, Served};
use lvshift_core::table::{Area, Log, Mirror, Segment, StoredTable, Table, Target};
use lvshift_core::units::{DeviceNumber, SECTOR_SIZE, Sectors};
use lvshift_frontend_common::error::{Error, Kind, Result};

use crate::backing::BackingDevice;
use crate::errors::{Op, Side};
use crate::failpoint::{self, Point};
use crate::limits::FIRST_BACKING;
use crate::mirror::{Differs, Storage, Unreadable, new_part};
use crate::platform::{At, Slot, Wakeup};
use crate::protocol::Dev;
use crate::queues::Queues;

/// Runs of unreadable sectors that are remembered; more are not worth a message.
const MAX_UNREADABLE: usize = 64;

type Line = Segment<DeviceIndex>;

/// A table and the devices that it keeps open.
#[derive(Debug)]
pub(crate) struct LiveTable {
    table: StoredTable<Vec<Line>, DeviceIndex>,
    below: Below,
    /// Every device below, once.
    pub(crate) devices: Vec<Arc<BackingDevice>>,
    /// The application's flushes in flight, which settle rounds must not overtake.
    pub(crate) flushes: FlushEpochs,
    /// The commit of a move is under way.
    pub(crate) committing: AtomicBool,
    /// The queues give up what destinations have not answered: another table follows at once.
    pub(crate) leaving: AtomicBool,
    /// How long a destination may take to answer, in nanoseconds; 0: for ever.
    pub(crate) deadline: AtomicU64,
    /// The moving parts.
    pub(crate) parts: Vec<Part<Storage>>,
    /// Wakes who copies them: no other thread, also when it has left and still has something in flight.
    pub(crate) wakeup: Arc<Wakeup>,
    /// What could not be copied since it could not be read.
    unreadable: Mutex<Vec<Unreadable>>,
    /// What was compared and differs.
    differs: Mutex<Vec<Differs>>,
}

impl LiveTable {
    /// Compiles lines whose devices `devices` holds; lines on the shadow go to where `shadow` maps.
    pub(crate) fn new(
        lines: &[Segment<Dev>],
        shadow: Option<&[Segment<Dev>]>,
        devices: &[Arc<BackingDevice>],
    ) -> Result<LiveTable> {
        Table::new(lines).map_err(|error| wrong(error.to_string()))?;
        let shadow = shadow.map(Table::new).transpose().map_err(|e| wrong(e.to_string()))?;
        let mut made = Made::default();
        for line in lines {
            let Segment { start, len, target } = *line;
            match target {
                Target::Linear(area) => {
                    for (into, len, place) in through(area, len, shadow.as_ref())? {
                        let (device, held) = made.hold(place.device, devices)?;
                        fits(&held, place.offset.0, len)?;
                        let target = Target::Linear(Area { device, offset: place.offset });
                        made.push(start.0 + into, len, target);
                    }
                }
                Target::Mirror(mirror) => made.mirror(*line, mirror, shadow.as_ref(), devices)?,
                Target::Error => made.push(start.0, len.0, Target::Error),
            }
        }
        let Made { segments, devices, parts } = made;
        let below = Below::of(&segments, &parts);
        let table = StoredTable::new(segments).map_err(|error| wrong(error.to_string()))?;
        let wakeup = Wakeup::new().map_err(|error| wrong(error.to_string()))?;
        Ok(LiveTable {
            table,
            below,
            devices,
            flushes: FlushEpochs::new(),
            committing: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            deadline: AtomicU64::new(DEADLINE.0),
            parts,
            wakeup: Arc::new(wakeup),
            unreadable: Mutex::default(),
            differs: Mutex::default(),
        })
    }

    /// Gives up sectors of what it maps, where they are of moving parts.
    pub(crate) fn give_up(&mut self, runs: &[(u64, u64)]) -> Result<()> {
        for part in &mut self.parts {
            let start = part.place().start.0;
            let end = start.saturating_add(part.tracker().geometry().length().0);
            for &(first, past) in runs {
                let (first, past) = (first.max(start), past.min(end));
                if first < past && !part.give_up(first - start..past - start) {
                    let what = format!("more than {MAX_GIVEN_UP} runs of sectors are given up");
                    return Err(Error::new(Kind::Limit, what)
                        .state("the table in use was not touched")
                        .next("move fewer extents at once: ranges, or -n LV"));
                }
            }
        }
        Ok(())
    }

    /// One of the devices below.
    pub(crate) fn backing(&self, device: DeviceIndex) -> Option<&Arc<BackingDevice>> {
        let slot = slot(device);
        self.devices.iter().find(|held| held.slot == slot)
    }

    /// An I/O on one of the devices below has failed.
    pub(crate) fn count_error(&self, device: DeviceIndex, op: Op) {
        let places = || self.parts.iter().map(|part| part.place());
        let side = if places().any(|place| place.destination.device == device) {
            Side::Destination
        } else if places().any(|place| place.source.device == device) {
            Side::Source
        } else {
            Side::None
        };
        if let Some(backing) = self.backing(device) {
            backing.errors.count(side, op);
        }
    }

    /// Passes on what other threads have to do now.
    pub(crate) fn pass_on(&self, effects: Effects, queues: &Queues) {
        if !effects.wake.is_empty() {
            queues.wake(effects.wake.bits());
        }
        if effects.copier || effects.log {
            self.wake_copier();
        }
    }

    /// Makes who copies its parts look up.
    pub(crate) fn wake_copier(&self) {
        self.wakeup.wake();
    }

    /// The copier could not read this.
    pub(crate) fn note_unreadable(&self, unreadable: Unreadable) {
        let mut all = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < MAX_UNREADABLE {
            all.push(unreadable);
        }
    }

    /// What the copier could not read.
    pub(crate) fn unreadable(&self) -> Vec<Unreadable> {
        self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The copier has found this to differ.
    pub(crate) fn note_differs(&self, differs: Differs) {
        let mut all = self.differs.lock().unwrap_or_else(PoisonError::into_inner);
        // What is not mended is the news, however much there is of what was.
        if all.len() < MAX_UNREADABLE || differs.again {
            all.push(differs);
        }
    }

    /// What was compared and differs.
    pub(crate) fn differs(&self) -> Vec<Differs> {
        self.differs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a destination is past its deadline, for whoever has asked it.
    pub(crate) fn is_silent(&self) -> bool {
        let silent = |fault: Option<Fault>| fault.is_some_and(|f| f.fault == LegFault::Silent);
        self.parts.iter().any(|part| silent(part.tracker().fault()))
    }

    /// Whether `other` copies, and nothing of this one to where it does.
    pub(crate) fn leaves_destinations_of(&self, other: &LiveTable) -> bool {
        let own = |to| self.parts.iter().any(|part| part.place().destination.device == to);
        let mut there = other.parts.iter().map(|part| part.place().destination.device);
        !other.parts.is_empty() && !there.any(own)
    }

    /// How many sectors it maps.
    pub(crate) fn sectors(&self) -> u64 {
        self.table.table().len().0
    }
}

/// A table that is being made.
#[derive(Default)]
struct Made {
    segments: Vec<Line>,
    devices: Vec<Arc<BackingDevice>>,
    parts: Vec<Part<Storage>>,
}

impl Made {
    fn mirror(
        &mut self,
        line: Segment<Dev>,
        mirror: Mirror<Dev>,
        shadow: Option<&Table<'_, Dev>>,
        devices: &[Arc<BackingDevice>],
    ) -> Result<()> {
        let sources = through(mirror.source, line.len, shadow)?;
        let &[(0, len, source)] = sources.as_slice() else {
            return Err(wrong("a part's source lies in more than one piece"));
        };
        let (from, source_device) = self.hold(source.device, devices)?;
        let (to, destination_device) = self.hold(mirror.destination.device, devices)?;
        fits(&source_device, source.offset.0, len)?;
        fits(&destination_device, mirror.destination.offset.0, len)?;
        let Log::Disk(Dev::Log { major, minor, sector: log }) = mirror.log else {
            return Err(wrong("a mirror without a dirty log on disk"));
        };
        let (log_on, _) = self.hold(Dev::Pv { major, minor }, devices)?;
        let place = PartPlace {
            start: line.start,
            source: Area { device: from, offset: source.offset },
            destination: Area { device: to, offset: mirror.destination.offset },
            log: Area { device: log_on, offset: Sectors(log) },
        };
        let (chunk, length) = (mirror.chunk_sectors, line.len);
        let part = new_part(place, length, chunk, &source_device, &destination_device)?;
        self.parts.push(part);
        let Mirror { chunk_sectors, sync, handle_errors, keep_log, .. } = mirror;
        let PartPlace { source, destination, log, .. } = place;
        let log = Log::Disk(log.device);
        let mirror =
            Mirror { source, destination, log, chunk_sectors, sync, handle_errors, keep_log };
        self.push(line.start.0, line.len.0, Target::Mirror(mirror));
        Ok(())
    }

    fn push(&mut self, start: u64, len: u64, target: Target<DeviceIndex>) {
        self.segments.push(Segment { start: Sectors(start), len: Sectors(len), target });
    }

    /// The device of this name, held from now on, and its index.
    fn hold(
        &mut self,
        dev: Dev,
        devices: &[Arc<BackingDevice>],
    ) -> Result<(DeviceIndex, Arc<BackingDevice>)> {
        let Dev::Pv { major, minor } = dev else {
            return Err(wrong("a line on a device that is no PV"));
        };
        let number = DeviceNumber { major, minor };
        let device = devices.iter().find(|device| device.number == number);
        let device = device.ok_or_else(|| wrong(format!("no PV with the number {number}")))?;
        if !self.devices.iter().any(|held| held.number == number) {
            self.devices.push(Arc::clone(device));
        }
        let index = device.slot.0.checked_sub(FIRST_BACKING).and_then(|n| u8::try_from(n).ok());
        let index = index.ok_or_else(|| wrong("it lies on too many devices"))?;
        Ok((DeviceIndex(index), Arc::clone(device)))
    }
}

/// The slot of a device in every ring.
pub(crate) fn slot(device: DeviceIndex) -> Slot {
    Slot(FIRST_BACKING + u32::from(device.0))
}

/// Where an area is for a ring.
pub(crate) fn at(area: Area<DeviceIndex>) -> At {
    At { file: slot(area.device), offset: area.offset.0 * SECTOR_SIZE }
}

impl Volume for LiveTable {
    type Cells = Storage;

    fn parts(&self) -> &[Part<Storage>] {
        &self.parts
    }

    fn device(&self, device: DeviceIndex) -> Option<&device::Device> {
        self.backing(device).map(|device| &device.below)
    }

    fn flushes(&self) -> &FlushEpochs {
        &self.flushes
    }

    fn passes(&self, moment: Moment) {
        failpoint::pass(match moment {
            Moment::CopyBegun => Point::CopyBegun,
            Moment::CopyDone => Point::CopyDone,
            Moment::LogWriting => Point::LogWriting,
            Moment::LogWritten => Point::LogWritten,
            Moment::SettleBegun => Point::SettleBegun,
            Moment::SettleDone => Point::SettleDone,
            _ => return,
        });
    }
}

impl Served for LiveTable {
    fn table(&self) -> Table<'_, DeviceIndex> {
        self.table.table()
    }

    fn below(&self) -> Below {
        self.below
    }

    fn is_committing(&self) -> bool {
        self.committing.load(Ordering::SeqCst)
    }
}

/// Where `len` sectors of an area are, each piece with its distance from the area's start: on the
/// device itself, or on what the shadow maps there.
fn through(
    area: Area<Dev>,
    len: Sectors,
    shadow: Option<&Table<'_, Dev>>,
) -> Result<Vec<(u64, u64, Area<Dev>)>> {
    if area.device != Dev::Shadow {
        return Ok(vec![(0, len.0, area)]);
    }
    let shadow = shadow.ok_or_else(|| wrong("a line on a shadow that does not exist"))?;
    let pieces = shadow.split(area.offset, len, false).map_err(|e| wrong(e.to_string()))?;
    let mut into = 0;
    let mut places = Vec::new();
    for piece in pieces {
        let place = piece.read_area().ok_or_else(|| wrong("a shadow that maps to nothing"))?;
        if place.device == Dev::Shadow {
            return Err(wrong("a shadow that lies on itself"));
        }
        places.push((into, piece.len.0, place));
        into += piece.len.0;
    }
    Ok(places)
}

fn fits(device: &BackingDevice, sector: u64, len: u64) -> Result<()> {
    if sector.checked_add(len).is_some_and(|end| end <= device.sectors) {
        return Ok(());
    }
    let what = format!("a table line ends past the device's {} sectors", device.sectors);
    Err(Error::new(Kind::Shrunk, what).device(device.path.display()))
}

fn wrong(what: impl Into<String>) -> Error {
    Error::new(Kind::Inconsistent, format!("the table cannot be served: {}", what.into()))
        .state("the table in use was not touched")
}
