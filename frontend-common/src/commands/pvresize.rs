//! `pvresize`.

use super::Context;
use super::lookup::{or_lvm2s, pv_path, refuse, vg_of};
use super::pv::distinct;
use crate::cli::day_args::Pvresize;
use crate::error::{Kind, Result};
use crate::pv::Scan;
use crate::size::Long;
use crate::vg::{Hold, OpenVg};

pub(super) fn run(context: &mut Context<'_>, args: &Pvresize) -> Result<()> {
    distinct(&args.devices)?;
    let scan = Scan::run()?;
    let mut found = Vec::new();
    for path in &args.devices {
        let pv = scan.at(path).map_err(|error| or_lvm2s(path, error))?;
        if args.size.is_some_and(|size| size.0 > pv.size) {
            let what = format!("{} is smaller than that: {}", path.display(), Long(pv.size));
            return Err(refuse(Kind::Usage, what).device(path.display()));
        }
        let Some(vg) = vg_of(pv)? else {
            let what = format!("{} is in no VG", path.display());
            return Err(refuse(Kind::State, what).device(path.display()).next(
                "it gets its size when a VG takes it: vgcreate, vgextend; or pvcreate it anew",
            ));
        };
        found.push((pv.uuid, vg));
    }
    drop(scan);
    for (uuid, vg) in &found {
        let mut open = OpenVg::open(vg, Hold::Keep)?;
        let size = args.size.map(|size| size.0);
        open.resize_pv(*uuid, size)?;
        let path = open.vg().pv_by_uuid(*uuid).map(|pv| pv_path(&open, pv)).unwrap_or_default();
        context.say(format!("Physical volume \"{path}\" changed"));
    }
    let count = found.len();
    context.say(format!(
        "{count} physical volume(s) resized or updated / 0 physical volume(s) not resized"
    ));
    Ok(())
}
