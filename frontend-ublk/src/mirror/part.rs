//! One moving part: its legs, its tracker, and how to wake its copier.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use lvshift_core::Leg;
use lvshift_core::chunk::{Cells, ChunkCell, Effects, Geometry, Group, Tracker, WritePolicy};
use lvshift_core::io::{Discards, Zeroing};
use lvshift_core::units::Sectors;
use lvshift_frontend_common::error::{Error, Kind, Result};

use crate::backing::BackingDevice;
use crate::platform::{At, Wakeup};
use crate::queues::Queues;

/// Where a leg, or a dirty-log image, starts.
#[derive(Clone, Debug)]
pub(crate) struct PartPlace {
    pub(crate) device: Arc<BackingDevice>,
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

/// Runs of unreadable sectors that are remembered; more are not worth a message.
const MAX_UNREADABLE: usize = 64;

/// Sectors of a part's source that could not be read one by one, counted from the part's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    pub(crate) sectors: Range<u64>,
    pub(crate) errno: i32,
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
    pub(crate) wakeup: Arc<Wakeup>,
    source_first: AtomicBool,
    /// How often the destination's device had failed to make something durable before this part.
    failures_before: u32,
    unreadable: Mutex<Vec<Unreadable>>,
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
        wakeup: Arc<Wakeup>,
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
            if place.device.limits.zeroes { Zeroing::Offloaded } else { Zeroing::ByWriting }
        };
        let discards = Discards::for_legs(zeroing(&source), zeroing(&destination));
        let source_first = AtomicBool::new(false);
        let failures_before = destination.device.flush_failures.load(Ordering::SeqCst);
        let unreadable = Mutex::default();
        Ok(Part {
            start,
            source,
            destination,
            log,
            tracker,
            discards,
            wakeup,
            source_first,
            failures_before,
            unreadable,
        })
    }

    /// Where a sector of the part, counted from its start, is on a leg.
    pub(crate) fn at(&self, leg: Leg, sector: u64) -> At {
        let place = match leg {
            Leg::Source => &self.source,
            Leg::Destination => &self.destination,
        };
        At { file: place.device.slot, offset: (place.sector + sector) * 512 }
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

    /// Looks whether the destination's device has failed to make something durable, for whichever
    /// LV: it may have dropped what this part had written.
    pub(crate) fn look_at_destination(&self, queues: &Queues) {
        let failures = self.destination.device.flush_failures.load(Ordering::SeqCst);
        if failures != self.failures_before && !self.tracker.is_abandoned() {
            self.pass_on(self.tracker.flush_failed(Leg::Destination), queues);
            self.wakeup.wake();
        }
    }

    /// The copier could not read these sectors of the source.
    pub(crate) fn note_unreadable(&self, sectors: Range<u64>, errno: i32) {
        let mut all = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < MAX_UNREADABLE {
            all.push(Unreadable { sectors, errno });
        }
    }

    /// What the copier could not read.
    pub(crate) fn unreadable(&self) -> Vec<Unreadable> {
        self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Passes on what other threads have to do now.
    pub(crate) fn pass_on(&self, effects: Effects, queues: &Queues) {
        if !effects.wake.is_empty() {
            queues.wake(effects.wake.bits());
        }
        if effects.copier || effects.log {
            self.wakeup.wake();
        }
    }
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Part").field("start", &self.start).finish_non_exhaustive()
    }
}
