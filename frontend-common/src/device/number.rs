//! The number of a device.

use lvshift_core::units::DeviceNumber;

/// A device number from what `stat` says.
pub(crate) fn number_of(device: u64) -> DeviceNumber {
    DeviceNumber { major: rustix::fs::major(device), minor: rustix::fs::minor(device) }
}
