//! The PVs' devices that the daemon holds.

use std::sync::Arc;
use std::time::Duration;

use lvshift_frontend_common::error::{Error, Kind, Result};

use crate::lower::{FENCE_LIMIT, Lower};
use crate::protocol::{Dev, WirePv, WireTable};
use crate::queue::FIRST_LOWER;
use crate::ring::{FILES, Slot};

/// How long another holder may take to let go, outside of a recovery.
const PATIENCE: Duration = Duration::from_secs(10);

/// The devices, each once.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) lowers: Vec<Arc<Lower>>,
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

    fn hold_one(&mut self, pv: &WirePv, patience: Duration) -> Result<()> {
        if self.lowers.iter().any(|lower| lower.number == pv.number()) {
            return Ok(());
        }
        let taken = |slot: &u32| self.lowers.iter().any(|lower| lower.slot.0 == *slot);
        let slot = (FIRST_LOWER..FILES).find(|slot| !taken(slot));
        let slot = slot.ok_or_else(|| {
            Error::new(Kind::Limit, "more devices than one daemon holds").device(&pv.path)
        })?;
        let lower = Lower::open(pv, Slot(slot), patience)?;
        self.lowers.push(Arc::new(lower));
        Ok(())
    }

    /// Lets go of what nobody else refers to.
    pub(super) fn release(&mut self) {
        self.lowers.retain(|lower| Arc::strong_count(lower) > 1);
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
