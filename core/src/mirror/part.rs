//! One moving part: where its legs and its dirty log are, its tracker, its write policy.

use core::ops::Range;

use crate::Leg;
use crate::chunk::{Cells, Tracker, WritePolicy};
use crate::device::{Device, DeviceIndex};
use crate::io::Discards;
use crate::sync::{AtomicU32, Ordering};
use crate::table::Area;
use crate::units::Sectors;

/// A part of a volume: its place in [`Volume::parts`](super::Volume::parts).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartIndex(pub u16);

impl PartIndex {
    /// The index into the volume's list.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a part lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartPlace {
    /// Its first sector on the volume.
    pub start: Sectors,
    /// Where its source begins.
    pub source: Area<DeviceIndex>,
    /// Where its destination begins.
    pub destination: Area<DeviceIndex>,
    /// Where its dirty-log image begins.
    pub log: Area<DeviceIndex>,
}

/// Runs of sectors of a part that can be given up.
pub const MAX_GIVEN_UP: usize = 64;

/// A part that is being moved. The threads that serve requests and the one that copies share it.
pub struct Part<S> {
    place: PartPlace,
    tracker: Tracker<S>,
    discards: Discards,
    source_first: AtomicU32,
    /// Sectors, counted from its start, that are given up: where one cannot be read, its copy is zeroes.
    given_up: heapless::Vec<Range<u64>, MAX_GIVEN_UP>,
    /// How often the destination's device had failed to make something durable before this part.
    failures_before: u32,
}

impl<S: Cells> Part<S> {
    /// A part of which `tracker` knows nothing yet, whose destination is on `destination`.
    pub fn new(
        place: PartPlace,
        tracker: Tracker<S>,
        discards: Discards,
        destination: &Device,
    ) -> Part<S> {
        let source_first = AtomicU32::new(0);
        let failures_before = destination.flush_failures();
        let given_up = heapless::Vec::new();
        Part { place, tracker, discards, source_first, given_up, failures_before }
    }

    /// Gives these sectors up, counted from the part's start: where one of them cannot be read alone, its copy
    /// is zeroes. What can be read is copied all the same. False if there are too many runs.
    #[must_use]
    pub fn give_up(&mut self, sectors: Range<u64>) -> bool {
        self.given_up.push(sectors).is_ok()
    }

    /// Whether all of these sectors are given up.
    pub(super) fn is_given_up(&self, sectors: &Range<u64>) -> bool {
        self.given_up.iter().any(|run| run.start <= sectors.start && sectors.end <= run.end)
    }

    /// Where it lies.
    pub const fn place(&self) -> &PartPlace {
        &self.place
    }

    /// What is known of its chunks.
    pub const fn tracker(&self) -> &Tracker<S> {
        &self.tracker
    }

    /// How its discards are done.
    pub const fn discards(&self) -> Discards {
        self.discards
    }

    /// Where a leg begins.
    pub const fn leg(&self, leg: Leg) -> Area<DeviceIndex> {
        match leg {
            Leg::Source => self.place.source,
            Leg::Destination => self.place.destination,
        }
    }

    /// Where a sector of the part, counted from its start, is on a leg. A place past 2^64 is 2^64 - 1,
    /// which no device has.
    pub fn at(&self, leg: Leg, sector: Sectors) -> Area<DeviceIndex> {
        let Area { device, offset } = self.leg(leg);
        Area { device, offset: Sectors(offset.0.saturating_add(sector.0)) }
    }

    /// What writes to chunks that are not copied yet do.
    pub fn policy(&self) -> WritePolicy {
        match self.source_first.load(Ordering::Relaxed) {
            0 => WritePolicy::CopyFirst,
            _ => WritePolicy::SourceFirst,
        }
    }

    /// Sets what such writes do: for the one that copies.
    pub fn set_policy(&self, policy: WritePolicy) {
        self.source_first.store(u32::from(policy == WritePolicy::SourceFirst), Ordering::Relaxed);
    }

    /// Whether `device`, the destination's, has failed to make something durable since this part was
    /// made.
    pub(super) fn may_have_lost(&self, device: &Device) -> bool {
        device.flush_failures() != self.failures_before
    }
}

impl<S> core::fmt::Debug for Part<S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Part").field("place", &self.place).finish_non_exhaustive()
    }
}
