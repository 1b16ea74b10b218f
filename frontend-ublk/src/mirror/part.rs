//! One moving part: its legs, its tracker, and how to wake its copier.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lvshift_core::chunk::{Cells, ChunkCell, Effects, Geometry, Group, Tracker, WritePolicy};
use lvshift_core::io::{Discards, Zeroing};
use lvshift_core::mover::Leg;
use lvshift_core::units::Sectors;
use lvshift_frontend_common::error::{Error, Kind, Result};

use crate::gate::{Bell, Gate};
use crate::lower::Lower;
use crate::ring::At;

/// Where a leg, or a dirty-log image, starts.
#[derive(Clone, Debug)]
pub(crate) struct PartPlace {
    pub(crate) lower: Arc<Lower>,
    pub(crate) sector: u64,
}

/// The tracker's memory.
#[derive(Debug)]
pub(crate) struct Storage {
    cells: Box<[ChunkCell]>,
    groups: Box<[Group]>,
}

impl Cells for Storage {
    fn cells(&self) -> &[ChunkCell] {
        &self.cells
    }

    fn groups(&self) -> &[Group] {
        &self.groups
    }
}

/// A part. Shared by the queue threads and the copier's thread.
pub(crate) struct Part {
    /// Its first sector on the LV.
    pub(crate) start: u64,
    pub(crate) source: PartPlace,
    pub(crate) destination: PartPlace,
    pub(crate) log: PartPlace,
    pub(crate) tracker: Tracker<Storage>,
    /// How its discards are done.
    pub(crate) discards: Discards,
    /// Wakes its copier.
    pub(crate) bell: Arc<Bell>,
    source_first: AtomicBool,
}

impl Part {
    /// A part in which nothing is known equal yet.
    pub(crate) fn new(
        start: u64,
        len: u64,
        chunk_sectors: u32,
        source: PartPlace,
        destination: PartPlace,
        log: PartPlace,
        bell: Arc<Bell>,
    ) -> Result<Part> {
        let impossible = |what: String| {
            Error::new(Kind::Limit, format!("a part cannot be mirrored: {what}"))
                .state("the table in use was not touched")
        };
        let geometry = Geometry::new(Sectors(len), chunk_sectors);
        let geometry = geometry.map_err(|error| impossible(error.to_string()))?;
        let storage = Storage {
            cells: (0..geometry.chunks()).map(|_| ChunkCell::new()).collect(),
            groups: (0..geometry.groups()).map(|_| Group::new()).collect(),
        };
        let tracker = Tracker::new(geometry, storage);
        let tracker = tracker.map_err(|error| impossible(error.to_string()))?;
        let zeroing = |place: &PartPlace| {
            if place.lower.limits.zeroes { Zeroing::Offloaded } else { Zeroing::ByWriting }
        };
        let discards = Discards::for_legs(zeroing(&source), zeroing(&destination));
        let source_first = AtomicBool::new(false);
        Ok(Part { start, source, destination, log, tracker, discards, bell, source_first })
    }

    /// Where a sector of the part, counted from its start, is on a leg.
    pub(crate) fn at(&self, leg: Leg, sector: u64) -> At {
        let place = match leg {
            Leg::Source => &self.source,
            Leg::Destination => &self.destination,
        };
        At { file: place.lower.slot, offset: (place.sector + sector) * 512 }
    }

    /// What writes to chunks that are not copied yet do.
    pub(crate) fn policy(&self) -> WritePolicy {
        if self.source_first.load(Ordering::Relaxed) {
            WritePolicy::SourceFirst
        } else {
            WritePolicy::CopyFirst
        }
    }

    pub(crate) fn set_policy(&self, policy: WritePolicy) {
        self.source_first.store(policy == WritePolicy::SourceFirst, Ordering::Relaxed);
    }

    /// Passes on what other threads have to do now.
    pub(crate) fn pass_on(&self, effects: Effects, gate: &Gate) {
        if !effects.wake.is_empty() {
            gate.wake(effects.wake.bits());
        }
        if effects.copier || effects.log {
            self.bell.ring();
        }
    }
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Part").field("start", &self.start).finish_non_exhaustive()
    }
}
