//! Which VG and which recorded moves are meant.

use std::path::Path;

use lvshift_core::units::Uuid;

use super::super::lookup::{self, refuse};
use crate::cli::pv_args::Pvmove;
use crate::error::{Kind, Result};
use crate::lvm2;
use crate::pv::Scan;
use crate::vg::{Hold, OpenVg};

/// The name of the VG that has this PV.
pub(super) fn vg_of(device: &Path) -> Result<String> {
    let scan = Scan::run()?;
    let found = scan.at(device)?;
    match lookup::vg_of(found)? {
        Some(name) => Ok(name),
        None => Err(refuse(Kind::State, format!("PV {} is in no VG", device.display()))),
    }
}

/// The same, whoever's the PV is.
pub(super) fn vg_of_either(device: &Path) -> Result<String> {
    match super::lvm2::vg_of(device)? {
        Some((vg, _)) => Ok(vg.name().to_owned()),
        None => vg_of(device),
    }
}

/// Whether a VG of this name is LVM2's and none is ours.
pub(super) fn is_not_ours(name: &str) -> Result<bool> {
    let ours = OpenVg::names(&Scan::run()?);
    Ok(!ours.iter().any(|other| other == name) && lvm2::has_vg(name))
}

/// The VGs to look into: that of SRC, or all.
pub(super) fn vgs(args: &Pvmove) -> Result<Vec<Result<OpenVg>>> {
    if let Some(name) = &args.vg {
        return Ok(vec![OpenVg::open(name, Hold::Release)]);
    }
    match &args.source {
        Some(source) => Ok(vec![OpenVg::open(&vg_of(&source.device)?, Hold::Release)]),
        None => OpenVg::open_all(Hold::Release),
    }
}

/// The recorded moves away from this PV, in order.
pub(super) fn moves_from(open: &OpenVg, device: &Path) -> Result<Vec<Uuid>> {
    let pv = lookup::pv(open, device)?;
    let vg = open.vg();
    let from_here = |uuid: &Uuid| {
        let parts = vg.move_by_uuid(*uuid).map(|of| vg.parts_of(of)).unwrap_or_default();
        parts.iter().any(|part| part.source.pv == pv)
    };
    Ok(vg.moves().iter().map(|m| m.uuid).filter(from_here).collect())
}
