//! A table in the form in which queue threads use it: slots of their rings, no device names.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use lvshift_core::Leg;
use lvshift_core::chunk::{Effects, FlushGate};
use lvshift_core::device::{self, DeviceIndex, MAX_DEVICES};
use lvshift_core::mirror::{Moment, Part, PartIndex, PartPlace, Volume, flush_failed};
use lvshift_core::table::{Area, Log, Mirror, Segment, Table, Target};
use lvshift_core::units::{DeviceNumber, SECTOR_SIZE, Sectors};
use lvshift_frontend_common::error::{Error, Kind, Result};

use crate::backing::BackingDevice;
use crate::failpoint::{self, Point};
use crate::mirror::{Storage, Unreadable, new_part};
use crate::platform::{At, Slot, Wakeup};
use crate::protocol::Dev;
use crate::queues::Queues;

/// Runs of unreadable sectors that are remembered; more are not worth a message.
const MAX_UNREADABLE: usize = 64;

/// What a run of sectors maps to.
#[derive(Clone, Debug)]
pub(crate) enum LiveTarget {
    /// Sectors of one device, from this one on.
    Linear { file: Slot, sector: u64 },
    /// A part that is being moved.
    Mirror(PartIndex),
    /// Nothing.
    Error,
}

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct LiveSegment {
    pub(crate) start: u64,
    pub(crate) len: u64,
    pub(crate) target: LiveTarget,
}

/// A table and the devices that it keeps open.
#[derive(Debug, Default)]
pub(crate) struct LiveTable {
    segments: Vec<LiveSegment>,
    /// Every device below, once.
    pub(crate) devices: Vec<Arc<BackingDevice>>,
    /// What a flush goes to for the data to be safe with the source in charge.
    pub(crate) flushed: Vec<Slot>,
    /// The application's flushes in flight, which settle rounds must not overtake.
    pub(crate) flushes: FlushGate,
    /// The commit of a move is under way.
    pub(crate) committing: AtomicBool,
    /// The moving parts.
    pub(crate) parts: Vec<Part<Storage>>,
    /// Wakes who copies them.
    wakeup: Option<Arc<Wakeup>>,
    /// What could not be copied since it could not be read.
    unreadable: Mutex<Vec<Unreadable>>,
    /// The lines as they were loaded, for whoever asks.
    pub(crate) lines: Vec<Segment<Dev>>,
}

impl LiveTable {
    /// Compiles lines whose devices `devices` holds; lines on the shadow go to where `shadow` maps.
    pub(crate) fn new(
        lines: Vec<Segment<Dev>>,
        shadow: Option<&[Segment<Dev>]>,
        devices: &[Arc<BackingDevice>],
        wakeup: &Arc<Wakeup>,
    ) -> Result<LiveTable> {
        Table::new(&lines).map_err(|error| wrong(error.to_string()))?;
        let shadow = shadow.map(Table::new).transpose().map_err(|e| wrong(e.to_string()))?;
        let wakeup = Some(Arc::clone(wakeup));
        let mut table = LiveTable { lines, wakeup, ..LiveTable::default() };
        for n in 0..table.lines.len() {
            let line = table.lines[n];
            match line.target {
                Target::Linear(area) => {
                    for (into, len, place) in through(area, line.len, shadow.as_ref())? {
                        let (_, device) = table.hold(place.device, devices)?;
                        fits(&device, place.offset.0, len)?;
                        table.flush_too(device.slot);
                        let target =
                            LiveTarget::Linear { file: device.slot, sector: place.offset.0 };
                        table.push(line.start.0 + into, len, target);
                    }
                }
                Target::Mirror(mirror) => {
                    table.mirror(line, mirror, shadow.as_ref(), devices)?;
                }
                Target::Error => table.push(line.start.0, line.len.0, LiveTarget::Error),
            }
        }
        Ok(table)
    }

    /// The run that maps `sector`.
    pub(crate) fn lookup(&self, sector: u64) -> Option<&LiveSegment> {
        let after = self.segments.partition_point(|segment| segment.start <= sector);
        let segment = self.segments.get(after.checked_sub(1)?)?;
        (sector - segment.start < segment.len).then_some(segment)
    }

    /// One of the devices below.
    pub(crate) fn backing(&self, device: DeviceIndex) -> Option<&Arc<BackingDevice>> {
        self.devices.get(usize::from(device.0))
    }

    /// Where an area is for a ring.
    pub(crate) fn at(&self, area: Area<DeviceIndex>) -> Option<At> {
        let file = self.backing(area.device)?.slot;
        Some(At { file, offset: area.offset.0 * SECTOR_SIZE })
    }

    /// The device of this index has failed to make durable what it was to, and may have dropped any of
    /// it: the parts that have one of these `legs` there do not believe it any more.
    pub(crate) fn flush_failed(&self, device: usize, legs: &[Leg], queues: &Queues) {
        if let Ok(device) = u8::try_from(device) {
            self.pass_on(flush_failed(self, DeviceIndex(device), legs), queues);
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
        if let Some(wakeup) = &self.wakeup {
            wakeup.wake();
        }
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

    /// How many sectors it maps.
    pub(crate) fn sectors(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.start + segment.len)
    }

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
        self.flush_too(source_device.slot);
        let place = PartPlace {
            start: line.start,
            source: Area { device: from, offset: source.offset },
            destination: Area { device: to, offset: mirror.destination.offset },
            log: Area { device: log_on, offset: Sectors(log) },
        };
        let (chunk, length) = (mirror.chunk_sectors, line.len);
        let part = new_part(place, length, chunk, &source_device, &destination_device)?;
        let number = u16::try_from(self.parts.len()).map_err(|_| wrong("too many moving parts"))?;
        self.parts.push(part);
        self.push(line.start.0, line.len.0, LiveTarget::Mirror(PartIndex(number)));
        Ok(())
    }

    fn push(&mut self, start: u64, len: u64, target: LiveTarget) {
        self.segments.push(LiveSegment { start, len, target });
    }

    fn flush_too(&mut self, slot: Slot) {
        if !self.flushed.contains(&slot) {
            self.flushed.push(slot);
        }
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
        let held = self.devices.iter().position(|held| held.number == number);
        let index = held.unwrap_or(self.devices.len());
        if index == self.devices.len() {
            self.devices.push(Arc::clone(device));
        }
        let index = u8::try_from(index).ok().filter(|index| usize::from(*index) < MAX_DEVICES);
        let index = index.ok_or_else(|| wrong("it lies on too many devices"))?;
        Ok((DeviceIndex(index), Arc::clone(device)))
    }
}

impl Volume for LiveTable {
    type Cells = Storage;

    fn parts(&self) -> &[Part<Storage>] {
        &self.parts
    }

    fn device(&self, device: DeviceIndex) -> Option<&device::Device> {
        self.backing(device).map(|device| &device.below)
    }

    fn flushes(&self) -> &FlushGate {
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

impl LiveSegment {
    /// The place of `sector`, of a linear run.
    pub(crate) fn place(&self, sector: u64) -> Option<At> {
        match self.target {
            LiveTarget::Linear { file, sector: first } => {
                Some(At { file, offset: (first + (sector - self.start)) * 512 })
            }
            LiveTarget::Mirror(_) | LiveTarget::Error => None,
        }
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
