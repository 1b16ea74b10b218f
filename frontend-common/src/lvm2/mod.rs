//! VGs of LVM2's own: read, planned in and committed through LVM2's tools and in LVM2's words, so that at
//! every instant the LVM2 of the machine activates each LV rightly. See `docs/lvm2.md`.

mod command;
mod host;
pub mod id;
pub mod lock;
pub mod mapper;
pub mod plan;
pub mod stack;
pub mod table;
pub mod text;
pub mod tools;
pub mod vg;
use std::path::Path;

use crate::device::{self, Access, BlockDevice};
use crate::signature;

pub use command::{abort, forget, run};

/// LVM2, if it is here and there is a PV of its own. It looks at every device, also at such as block whoever
/// reads them: where it has nothing it is not asked.
pub(crate) fn in_use() -> Option<tools::Lvm> {
    let is_pv = |path: &Path| {
        BlockDevice::open(path, Access::Read).is_ok_and(|device| signature::is_lvm2(&device))
    };
    let candidates = device::candidates().unwrap_or_default();
    candidates.iter().any(|device| is_pv(&device.path)).then(tools::Lvm::find)?
}

/// Whether LVM2 has a VG of this name. What it cannot tell is no.
pub(crate) fn has_vg(name: &str) -> bool {
    let pvs = in_use().and_then(|lvm| lvm.pvs(None, &[]).ok()).unwrap_or_default();
    pvs.iter().any(|pv| pv.vg.as_deref() == Some(name))
}
