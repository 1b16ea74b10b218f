//! Opening a PV's device: the simulator's.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lvshift_core::device::Device;
use lvshift_frontend_common::error::{Error, Kind, Result};

use super::host::{asked, host};
use crate::backing::{BackingDevice, Limits};
use crate::errors::DeviceErrors;
use crate::platform::{Handle, Slot};
use crate::platform::{Instant, sleep};
use crate::protocol::WirePv;

const FENCE_STEP: Duration = Duration::from_millis(20);

impl BackingDevice {
    pub(crate) fn open(pv: &WirePv, slot: Slot, patience: Duration) -> Result<BackingDevice> {
        asked("opening a PV")?;
        let start = Instant::now();
        let sectors = loop {
            if let Some(sectors) = host().open(pv.minor, true) {
                break sectors;
            }
            if start.elapsed() > patience {
                return Err(Error::new(Kind::InUse, "a PV's device is held by something else"));
            }
            sleep(FENCE_STEP);
        };
        let limits = Limits { physical_block: 4096, discard_granularity: 4096 };
        Ok(BackingDevice {
            number: pv.number(),
            path: PathBuf::from(&pv.path),
            sectors,
            limits,
            file: Arc::new(Handle::Disk(pv.minor)),
            slot,
            below: Device::new(512, host().zeroes(pv.minor)),
            errors: DeviceErrors::default(),
        })
    }
}
