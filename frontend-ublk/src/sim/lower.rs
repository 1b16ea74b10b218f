//! The disks as the daemon holds them, from the simulator.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use lvshift_core::units::DeviceNumber;
use lvshift_frontend_common::error::{Error, Kind, Result};

use crate::host::host;
use crate::os::{Instant, sleep};
use crate::protocol::WirePv;
use crate::ring::{Handle, Slot};

pub(crate) const FENCE_LIMIT: Duration = Duration::from_secs(60);
const FENCE_STEP: Duration = Duration::from_millis(20);

/// What a device can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) logical_block: u32,
    pub(crate) physical_block: u32,
    pub(crate) zeroes: bool,
    pub(crate) discard_granularity: u32,
}

/// One PV's device, held.
#[derive(Debug)]
pub(crate) struct Lower {
    pub(crate) number: DeviceNumber,
    pub(crate) path: PathBuf,
    pub(crate) sectors: u64,
    pub(crate) limits: Limits,
    pub(crate) file: Arc<Handle>,
    pub(crate) slot: Slot,
    /// How often it has failed to make something durable, for whichever LV.
    pub(crate) flush_failures: AtomicU32,
}

impl Lower {
    pub(crate) fn open(pv: &WirePv, slot: Slot, patience: Duration) -> Result<Lower> {
        let start = Instant::now();
        let sectors = loop {
            let unfenced = lvshift_core::planted::is("fence-left-out");
            if let Some(sectors) = host().open(pv.minor, !unfenced) {
                break sectors;
            }
            if start.elapsed() > patience {
                return Err(Error::new(Kind::InUse, "a PV's device is held by something else"));
            }
            sleep(FENCE_STEP);
        };
        let limits = Limits {
            logical_block: 512,
            physical_block: 4096,
            zeroes: host().zeroes(pv.minor),
            discard_granularity: 4096,
        };
        Ok(Lower {
            number: pv.number(),
            path: PathBuf::from(&pv.path),
            sectors,
            limits,
            file: Arc::new(Handle::Disk(pv.minor)),
            slot,
            flush_failures: AtomicU32::new(0),
        })
    }
}
