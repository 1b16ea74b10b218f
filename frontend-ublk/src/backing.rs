//! The PVs' devices as the daemon holds them: exclusively, by descriptor, without page cache.
//!
//! The exclusive open is the fence: the kernel grants it only when the last write of a dead holder
//! has landed, so nothing is read or written before.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lvshift_core::device::Device;
use lvshift_core::units::DeviceNumber;

use crate::errors::DeviceErrors;
use crate::platform::{Handle, Slot};

/// How long a dead process's last writes may take before a recovery gives up for now.
pub(crate) const FENCE_LIMIT: Duration = Duration::from_secs(60);

/// What a device can do beyond what the data plane asks of it, as the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes that the device writes at once inside.
    pub(crate) physical_block: u32,
    /// The discard granularity in bytes; 0: it discards nothing.
    pub(crate) discard_granularity: u32,
}

/// One PV's device, held. [`BackingDevice::open`] is the platform's.
#[derive(Debug)]
pub(crate) struct BackingDevice {
    pub(crate) number: DeviceNumber,
    pub(crate) path: PathBuf,
    pub(crate) sectors: u64,
    pub(crate) limits: Limits,
    pub(crate) file: Arc<Handle>,
    /// Its slot in every ring of this daemon.
    pub(crate) slot: Slot,
    /// What the data plane knows of it, for all LVs that have something there.
    pub(crate) below: Device,
    /// How much of its I/O has failed.
    pub(crate) errors: DeviceErrors,
}
