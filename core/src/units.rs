//! Units as types: a sector count is not an extent count, an index is not a size.

use core::fmt;

pub use lvshift_on_disk_format::Uuid;

/// Bytes in a sector, as Linux counts them whatever the disk's own sector size is.
pub const SECTOR_SIZE: u64 = 512;

/// A count of 512-byte sectors, or an offset in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sectors(pub u64);

impl Sectors {
    /// This many sectors in bytes, or `None` past 2^64.
    pub const fn bytes(self) -> Option<u64> {
        self.0.checked_mul(SECTOR_SIZE)
    }

    /// `self + other`, or `None` past 2^64.
    pub const fn checked_add(self, other: Sectors) -> Option<Sectors> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Sectors(sum)),
            None => None,
        }
    }
}

impl fmt::Display for Sectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A number of extents (a length, never a position).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Extents(pub u32);

/// The index of a logical extent in its LV.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Le(pub u32);

/// The index of a physical extent on its PV.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pe(pub u32);

/// Where a PV stands in its VG's list of PVs.
///
/// Good only within one metadata sequence number; across a reread, use the PV's UUID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PvIndex(pub u16);

impl PvIndex {
    /// The index into the VG's list.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where an LV stands in its VG's list of LVs; see [`PvIndex`] for how long that holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LvIndex(pub u16);

impl LvIndex {
    /// The index into the VG's list.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a move stands in its VG's list of moves; see [`PvIndex`] for how long that holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MoveIndex(pub u16);

impl MoveIndex {
    /// The index into the VG's list.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A block device's number, as `major:minor`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceNumber {
    /// The driver's number.
    pub major: u32,
    /// The device's number within the driver.
    pub minor: u32,
}

impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// The size of an extent: a power of two of sectors, from 8 (4 KiB) to 2^23 (4 GiB).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtentSize(u32);

impl ExtentSize {
    /// LVM's default, 4 MiB.
    pub const DEFAULT: ExtentSize = ExtentSize(8192);

    /// The size if it is a power of two within the limits.
    pub const fn new(sectors: u32) -> Option<ExtentSize> {
        if sectors.is_power_of_two() && sectors >= 8 && sectors <= 1 << 23 {
            Some(ExtentSize(sectors))
        } else {
            None
        }
    }

    /// Sectors in one extent.
    pub const fn sectors(self) -> u32 {
        self.0
    }

    /// How many sectors `extents` are; cannot overflow (2^32 * 2^23).
    pub const fn span(self, extents: Extents) -> Sectors {
        Sectors(extents.0 as u64 * self.0 as u64)
    }
}
