//! `lvremove`.

use lvshift_core::metadata::Vg;
use lvshift_core::units::Uuid;

use super::Context;
use super::lookup::{by_vg, chosen, full_name};
use super::take_down::{check_idle, take_down};
use crate::cli::lv_args::Lvremove;
use crate::error::{Error, Kind, Result};
use crate::vg::{Hold, OpenVg};

pub(super) fn run(context: &mut Context<'_>, args: &Lvremove) -> Result<()> {
    for (vg, lvs) in by_vg(&args.lvs)? {
        let mut open = OpenVg::open(&vg, Hold::Keep)?;
        let chosen = chosen(&open, &lvs)?;
        for lv in &chosen {
            check_idle(context, &open, *lv)?;
        }
        for lv in &chosen {
            let name = full_name(open.vg(), *lv);
            let active = context.front_end.active(open.vg(), *lv)?.is_some();
            let state = if active { "active " } else { "" };
            if args.force == 0 {
                context
                    .ask(&format!("Do you really want to remove {state}logical volume {name}?"))?;
            }
        }
        let uuids: Vec<Uuid> =
            chosen.iter().filter_map(|lv| Some(open.vg().lv(*lv)?.uuid)).collect();
        for uuid in &uuids {
            take_down(context, &open, *uuid)?;
        }
        for name in open.commit(|vg| remove_all(vg, &uuids))? {
            context.say(format!("Logical volume \"{name}\" successfully removed."));
        }
    }
    Ok(())
}

/// Takes these LVs out of the metadata and returns their names.
pub(super) fn remove_all(vg: &mut Vg, uuids: &[Uuid]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for uuid in uuids {
        let Some(lv) = vg.lv_by_uuid(*uuid) else { continue };
        let name = full_name(vg, lv);
        vg.remove_lv(lv).map_err(|error| {
            Error::new(Kind::State, format!("LV {name} cannot be removed"))
                .because(error)
                .state("the metadata are as they were")
        })?;
        names.push(name);
    }
    Ok(names)
}
