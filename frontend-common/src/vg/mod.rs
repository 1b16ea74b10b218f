//! Volume groups: opening one by name, changing its metadata, saying how sound it is.

mod behind;
mod commit;
mod health;
mod heap;
mod leaving;
mod membership;
mod open;
mod patience;
mod read;
mod rivals;
#[cfg(test)]
mod tests;
mod wipe;

pub use health::{Health, PvHealth};
pub use heap::{Growing, Heap, Vg};
pub use open::{Hold, OpenVg};
pub use rivals::Rival;

use lvshift_core::units::Uuid;

use crate::error::Result;
use crate::pv::FoundPv;
use crate::system_id;

/// The PVs of a VG, as the newest metadata on one of them say, and whether it is another host's.
pub(crate) fn listed_by(pv: FoundPv) -> Result<(Vec<Uuid>, bool)> {
    let Some((vg, ..)) = pv.vg else { return Ok((Vec::new(), false)) };
    let read = read::read(vg, vec![pv.into()])?;
    let foreign = read.vg.is_foreign_to(system_id::local()?.as_ref());
    Ok((read.vg.pvs().iter().map(|pv| pv.uuid).collect(), foreign))
}
