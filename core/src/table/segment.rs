//! One line of a mapping table.
//!
//! The device is a type parameter: device-mapper names devices by number, another front end may
//! name them by descriptor.

use crate::units::{DeviceNumber, Sectors};

/// Where a run of sectors starts on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Area<D = DeviceNumber> {
    /// The device.
    pub device: D,
    /// The first sector on it.
    pub offset: Sectors,
}

/// Where a mirror keeps which chunks are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Log<D = DeviceNumber> {
    /// In memory, lost with the table. lvshift's own moves never use it.
    Core,
    /// On this device, from its first sector.
    Disk(D),
}

/// Whether a mirror is to distrust or to take for granted what its log says at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SyncHint {
    /// Copy everything, whatever the log says.
    Sync,
    /// Take the legs for equal where the log says nothing.
    NoSync,
}

/// Two legs that are made equal and kept so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mirror<D = DeviceNumber> {
    /// The leg that is read and copied from.
    pub source: Area<D>,
    /// The leg that is copied to.
    pub destination: Area<D>,
    /// What remembers which chunks are equal.
    pub log: Log<D>,
    /// Sectors of a chunk (dm: region), counted from the start of the segment.
    pub chunk_sectors: u32,
    /// Whether the log is believed; `None` is "as it says".
    pub sync: Option<SyncHint>,
    /// Hold a write that one leg did not take, instead of pretending that it did.
    pub handle_errors: bool,
    /// Keep the log's state when a leg fails.
    pub keep_log: bool,
}

/// What a segment's sectors map to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target<D = DeviceNumber> {
    /// One run of sectors on one device.
    Linear(Area<D>),
    /// Two legs.
    Mirror(Mirror<D>),
    /// Nothing: every access fails.
    Error,
}

/// One line of a mapping table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Segment<D = DeviceNumber> {
    /// The first sector of the LV that it maps.
    pub start: Sectors,
    /// How many sectors.
    pub len: Sectors,
    /// What they map to.
    pub target: Target<D>,
}

impl<D: Copy> Area<D> {
    /// The area `sectors` further on, or `None` past 2^64.
    pub const fn after(self, sectors: Sectors) -> Option<Area<D>> {
        match self.offset.checked_add(sectors) {
            Some(offset) => Some(Area { device: self.device, offset }),
            None => None,
        }
    }
}

impl<D> Segment<D> {
    /// The sector after its last, or `None` past 2^64.
    pub const fn end(&self) -> Option<Sectors> {
        self.start.checked_add(self.len)
    }
}
