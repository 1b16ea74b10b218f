//! A table in the form in which queue threads use it: slots of their rings, no device names.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lvshift_core::Leg;
use lvshift_core::chunk::FlushGate;
use lvshift_core::table::{Area, Log, Mirror, Segment, Table, Target};
use lvshift_core::units::{DeviceNumber, Sectors};
use lvshift_frontend_common::error::{Error, Kind, Result};

use crate::backing::BackingDevice;
use crate::mirror::{Part, PartPlace};
use crate::platform::{At, Slot, Wakeup};
use crate::protocol::Dev;
use crate::queues::Queues;

/// What a run of sectors maps to.
#[derive(Clone, Debug)]
pub(crate) enum LiveTarget {
    /// Sectors of one device, from this one on.
    Linear { file: Slot, sector: u64 },
    /// A part that is being moved.
    Mirror(Arc<Part>),
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
    pub(crate) parts: Vec<Arc<Part>>,
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
        let mut table = LiveTable { lines, ..LiveTable::default() };
        for n in 0..table.lines.len() {
            let line = table.lines[n];
            match line.target {
                Target::Linear(area) => {
                    for (into, len, place) in through(area, line.len, shadow.as_ref())? {
                        let device = table.hold(place.device, devices)?;
                        fits(&device, place.offset.0, len)?;
                        table.flush_too(device.slot);
                        let target =
                            LiveTarget::Linear { file: device.slot, sector: place.offset.0 };
                        table.push(line.start.0 + into, len, target);
                    }
                }
                Target::Mirror(mirror) => {
                    table.mirror(line, mirror, shadow.as_ref(), devices, wakeup)?;
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

    /// A device has failed to make durable what it was to, and may have dropped any of it: the
    /// parts that have one of these `legs` there do not believe it any more.
    pub(crate) fn flush_failed(&self, device: &BackingDevice, legs: &[Leg], queues: &Queues) {
        device.flush_failures.fetch_add(1, Ordering::SeqCst);
        for part in &self.parts {
            for (leg, place) in [(Leg::Source, &part.source), (Leg::Destination, &part.destination)]
            {
                if place.device.slot == device.slot && legs.contains(&leg) {
                    part.pass_on(part.tracker.flush_failed(leg), queues);
                    part.wakeup.wake();
                }
            }
        }
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
        wakeup: &Arc<Wakeup>,
    ) -> Result<()> {
        let sources = through(mirror.source, line.len, shadow)?;
        let &[(0, len, source)] = sources.as_slice() else {
            return Err(wrong("a part's source lies in more than one piece"));
        };
        let (from, to) =
            (self.hold(source.device, devices)?, self.hold(mirror.destination.device, devices)?);
        fits(&from, source.offset.0, len)?;
        fits(&to, mirror.destination.offset.0, len)?;
        let Log::Disk(Dev::Log { major, minor, sector: log }) = mirror.log else {
            return Err(wrong("a mirror without a dirty log on disk"));
        };
        let log_on = self.hold(Dev::Pv { major, minor }, devices)?;
        self.flush_too(from.slot);
        let at = |device: &Arc<BackingDevice>, sector: u64| PartPlace {
            device: Arc::clone(device),
            sector,
        };
        let part = Part::new(
            line.start.0,
            line.len.0,
            mirror.chunk_sectors,
            at(&from, source.offset.0),
            at(&to, mirror.destination.offset.0),
            at(&log_on, log),
            Arc::clone(wakeup),
        )?;
        let part = Arc::new(part);
        self.parts.push(Arc::clone(&part));
        self.push(line.start.0, line.len.0, LiveTarget::Mirror(part));
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

    fn hold(&mut self, dev: Dev, devices: &[Arc<BackingDevice>]) -> Result<Arc<BackingDevice>> {
        let Dev::Pv { major, minor } = dev else {
            return Err(wrong("a line on a device that is no PV"));
        };
        let number = DeviceNumber { major, minor };
        let device = devices.iter().find(|device| device.number == number);
        let device = device.ok_or_else(|| wrong(format!("no PV with the number {number}")))?;
        if !self.devices.iter().any(|held| held.number == number) {
            self.devices.push(Arc::clone(device));
        }
        Ok(Arc::clone(device))
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
