//! Where the areas of a PV are, checked against each other.

use core::fmt;

use crate::layout::ALIGNMENT_SECTORS;
use crate::layout::{bounds, defaults};
use crate::slot::SlotIndex;

/// A run of sectors of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Its first sector.
    pub start: u64,
    /// How many sectors.
    pub size: u64,
}

impl Area {
    /// The sector after its last; `None` past 2^64.
    pub const fn end(self) -> Option<u64> {
        self.start.checked_add(self.size)
    }
}

/// The areas of a PV, all in sectors of 512 bytes: aligned, inside the device, apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    device_size: u64,
    slot_starts: [u64; 2],
    slot_size: u64,
    log: Area,
    data_start: u64,
}

/// Why areas make no sense. All numbers are sectors.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeometryError {
    /// The device is larger than Linux can address.
    DeviceTooLarge {
        /// Its size.
        size: u64,
    },
    /// The device ends before the data would start.
    DeviceTooSmall {
        /// Its size.
        size: u64,
        /// The smallest size that does.
        needed: u64,
    },
    /// A start or size is not a multiple of 4096 bytes.
    Unaligned {
        /// The start or size.
        value: u64,
    },
    /// A slot is smaller or larger than this format allows.
    BadSlotSize {
        /// Its size.
        size: u64,
    },
    /// The dirty-log area is smaller or larger than this format allows.
    BadLogSize {
        /// Its size.
        size: u64,
    },
    /// Two areas, or an area and the labels or the data, overlap.
    Overlap {
        /// Where the one that is in the way starts.
        start: u64,
    },
}

impl Geometry {
    /// Checks areas given in sectors.
    ///
    /// # Errors
    /// [`GeometryError`] names the first thing that is wrong.
    pub fn new(
        device_size: u64,
        slot_starts: [u64; 2],
        slot_size: u64,
        log: Area,
        data_start: u64,
    ) -> Result<Geometry, GeometryError> {
        if device_size > bounds::MAX_DEVICE_SIZE {
            return Err(GeometryError::DeviceTooLarge { size: device_size });
        }
        if !(bounds::MIN_SLOT_SIZE..=bounds::MAX_SLOT_SIZE).contains(&slot_size) {
            return Err(GeometryError::BadSlotSize { size: slot_size });
        }
        if !(bounds::MIN_LOG_SIZE..=bounds::MAX_LOG_SIZE).contains(&log.size) {
            return Err(GeometryError::BadLogSize { size: log.size });
        }
        let [first, second] = slot_starts;
        for value in [first, second, slot_size, log.start, log.size, data_start] {
            if value % ALIGNMENT_SECTORS != 0 {
                return Err(GeometryError::Unaligned { value });
            }
        }
        if data_start > device_size {
            return Err(GeometryError::DeviceTooSmall { size: device_size, needed: data_start });
        }
        let areas =
            [Area { start: first, size: slot_size }, Area { start: second, size: slot_size }, log];
        for (i, area) in areas.iter().enumerate() {
            let overlap = GeometryError::Overlap { start: area.start };
            let end = area.end().ok_or(overlap)?;
            if area.start < bounds::FIRST_AREA || end > data_start {
                return Err(overlap);
            }
            for other in areas.iter().skip(i + 1) {
                let other_end = other.end().ok_or(GeometryError::Overlap { start: other.start })?;
                if area.start < other_end && other.start < end {
                    return Err(GeometryError::Overlap { start: other.start });
                }
            }
        }
        Ok(Geometry { device_size, slot_starts, slot_size, log, data_start })
    }

    /// The areas that `pvcreate` gives a device of this many sectors.
    ///
    /// # Errors
    /// [`GeometryError::DeviceTooSmall`] or `DeviceTooLarge`.
    pub fn for_device(device_size: u64) -> Result<Geometry, GeometryError> {
        Geometry::new(
            device_size,
            [defaults::SLOT_0_START, defaults::SLOT_1_START],
            defaults::SLOT_SIZE,
            Area { start: defaults::LOG_START, size: defaults::LOG_SIZE },
            defaults::DATA_START,
        )
    }

    /// Sectors of the device when it became a PV.
    pub fn device_size(&self) -> u64 {
        self.device_size
    }

    /// Where a metadata slot is.
    pub fn slot(&self, index: SlotIndex) -> Area {
        let [first, second] = self.slot_starts;
        let start = match index {
            SlotIndex::Zero => first,
            SlotIndex::One => second,
        };
        Area { start, size: self.slot_size }
    }

    /// Where the dirty-log area is.
    pub fn log(&self) -> Area {
        self.log
    }

    /// The same areas on a device of this many sectors.
    ///
    /// # Errors
    /// [`GeometryError::DeviceTooSmall`] and its like.
    pub fn with_device_size(&self, device_size: u64) -> Result<Geometry, GeometryError> {
        Geometry::new(device_size, self.slot_starts, self.slot_size, self.log, self.data_start)
    }

    /// Where extent 0 starts.
    pub fn data_start(&self) -> u64 {
        self.data_start
    }

    /// Sectors from the start of extent 0 to the end of the device.
    pub fn data_size(&self) -> u64 {
        self.device_size.saturating_sub(self.data_start)
    }

    /// Whether a device that has `actual_size` sectors now can be this PV. A larger one can.
    ///
    /// # Errors
    /// [`GeometryError::DeviceTooSmall`] where the device has shrunk.
    pub fn check_device(&self, actual_size: u64) -> Result<(), GeometryError> {
        if actual_size < self.device_size {
            let needed = self.device_size;
            return Err(GeometryError::DeviceTooSmall { size: actual_size, needed });
        }
        Ok(())
    }
}

impl fmt::Display for GeometryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GeometryError::DeviceTooLarge { size } => {
                write!(f, "a device of {size} sectors is larger than 2^54 sectors")
            }
            GeometryError::DeviceTooSmall { size, needed } => {
                write!(f, "the device has {size} sectors, at least {needed} are needed")
            }
            GeometryError::Unaligned { value } => {
                write!(f, "sector {value} is not a multiple of 4096 bytes")
            }
            GeometryError::BadSlotSize { size } => {
                write!(f, "a metadata slot of {size} sectors is not allowed")
            }
            GeometryError::BadLogSize { size } => {
                write!(f, "a dirty-log area of {size} sectors is not allowed")
            }
            GeometryError::Overlap { start } => {
                write!(f, "the area at sector {start} overlaps another or the data")
            }
        }
    }
}

impl core::error::Error for GeometryError {}
