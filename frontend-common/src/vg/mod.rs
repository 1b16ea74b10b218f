//! Volume groups: opening one by name, changing its metadata, saying how sound it is.

mod commit;
mod health;
mod heap;
mod membership;
mod open;
mod read;
#[cfg(test)]
mod tests;
mod wipe;

pub use health::{Health, PvHealth};
pub use heap::{Growing, Heap, Vg};
pub use open::{Hold, OpenVg};

use lvshift_core::units::Uuid;

use crate::error::Result;
use crate::pv::FoundPv;

/// The PVs of a VG, as the newest metadata on one of them say.
pub(crate) fn listed_by(pv: FoundPv) -> Result<Vec<Uuid>> {
    let Some((vg, ..)) = pv.vg else { return Ok(Vec::new()) };
    let read = read::read(vg, vec![pv.into()])?;
    Ok(read.vg.pvs().iter().map(|pv| pv.uuid).collect())
}
