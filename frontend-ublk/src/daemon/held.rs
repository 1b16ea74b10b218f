//! The PVs' devices that the daemon holds.

use std::sync::Arc;
use std::time::Duration;

use lvshift_frontend_common::error::{Error, Kind, Result};

use crate::backing::{BackingDevice, FENCE_LIMIT};
use crate::limits::{FILES, FIRST_BACKING};
use crate::platform::Slot;
use crate::protocol::{Dev, WirePv, WireTable};

/// How long another holder may take to let go, outside of a recovery.
const PATIENCE: Duration = Duration::from_secs(10);

/// The devices, each once.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) devices: Vec<Arc<BackingDevice>>,
}

impl Held {
    /// Opens what these tables need and is not held yet. With `fence`, waits as long as a dead
    /// daemon's writes may take, on every device of the VG.
    pub(super) fn hold(&mut self, tables: &[&WireTable], fence: bool) -> Result<()> {
        for table in tables {
            let needed = devices(table);
            for pv in &table.pvs {
                if fence || needed.contains(&(pv.major, pv.minor)) {
                    self.hold_one(pv, if fence { FENCE_LIMIT } else { PATIENCE })?;
                }
            }
        }
        Ok(())
    }

    /// Opens every device of a table, and gives them: they are held until the last of these is dropped.
    pub(super) fn hold_all(
        &mut self,
        table: &WireTable,
        fence: bool,
    ) -> Result<Vec<Arc<BackingDevice>>> {
        let patience = if fence { FENCE_LIMIT } else { PATIENCE };
        let all = table.pvs.iter().map(|pv| self.hold_one(pv, patience));
        let done: Result<Vec<()>> = all.collect();
        if let Err(error) = done {
            self.release();
            return Err(error);
        }
        let of_table =
            |device: &&Arc<BackingDevice>| table.pvs.iter().any(|pv| device.number == pv.number());
        Ok(self.devices.iter().filter(of_table).map(Arc::clone).collect())
    }

    fn hold_one(&mut self, pv: &WirePv, patience: Duration) -> Result<()> {
        if self.devices.iter().any(|device| device.number == pv.number()) {
            return Ok(());
        }
        let taken = |slot: &u32| self.devices.iter().any(|device| device.slot.0 == *slot);
        let slot = (FIRST_BACKING..FILES).find(|slot| !taken(slot));
        let slot = slot.ok_or_else(|| {
            Error::new(Kind::Limit, "more devices than one daemon holds").device(&pv.path)
        })?;
        let device = BackingDevice::open(pv, Slot(slot), patience)?;
        self.devices.push(Arc::new(device));
        Ok(())
    }

    /// Lets go of what nothing else refers to.
    pub(super) fn release(&mut self) {
        self.devices.retain(|device| Arc::strong_count(device) > 1);
    }
}

/// The numbers of the devices that a table's lines name.
fn devices(table: &WireTable) -> Vec<(u32, u32)> {
    let mut numbers = Vec::new();
    for dev in table.devices() {
        match dev {
            Dev::Pv { major, minor } | Dev::Log { major, minor, .. } => {
                if !numbers.contains(&(major, minor)) {
                    numbers.push((major, minor));
                }
            }
            Dev::Shadow => {}
        }
    }
    numbers
}
