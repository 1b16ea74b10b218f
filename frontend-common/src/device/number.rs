//! The number of a device.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use lvshift_core::units::DeviceNumber;

use crate::error::{Error, Kind, Result};

/// A device number from what `stat` says.
pub(crate) fn number_of(device: u64) -> DeviceNumber {
    DeviceNumber { major: rustix::fs::major(device), minor: rustix::fs::minor(device) }
}

/// The number of the device at this path.
pub(crate) fn number_at(path: &Path) -> Result<DeviceNumber> {
    let found = std::fs::metadata(path).map_err(|error| {
        Error::new(Kind::NotFound, "there is no such device").device(path.display()).because(error)
    })?;
    Ok(number_of(found.rdev()))
}
