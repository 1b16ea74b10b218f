//! `lvremove`.

use lvshift_core::units::Uuid;

use super::Context;
use super::chosen::{self, Chosen};
use super::lookup::full_name;
use super::take_down::{check_idle, take_down};
use crate::cli::lv_args::Lvremove;
use crate::error::{Error, Kind, Result};
use crate::vg::Vg;

pub(super) fn run(context: &mut Context<'_>, args: &Lvremove) -> Result<()> {
    // All is looked up, and everybody asked, before the first lock is taken.
    let chosen = chosen::look_up(&args.lvs)?;
    for of_vg in &chosen {
        for lv in &of_vg.lvs {
            check_idle(context, &of_vg.open, *lv)?;
        }
    }
    for of_vg in &chosen {
        ask(context, of_vg, args.force > 0)?;
    }
    for of_vg in chosen {
        let (mut open, uuids) = of_vg.lock()?;
        for lv in uuids.iter().filter_map(|uuid| open.vg().lv_by_uuid(*uuid)) {
            check_idle(context, &open, lv)?;
        }
        for uuid in &uuids {
            take_down(context, &open, *uuid)?;
        }
        for name in open.commit(|vg| remove_all(vg, &uuids))? {
            context.say(format!("Logical volume \"{name}\" successfully removed."));
        }
    }
    Ok(())
}

fn ask(context: &mut Context<'_>, of_vg: &Chosen, force: bool) -> Result<()> {
    let vg = of_vg.open.vg();
    if of_vg.whole && !of_vg.lvs.is_empty() {
        let (count, all) = (of_vg.lvs.len(), of_vg.names().join(", "));
        context.say(format!("{} names a volume group: all {count} of its LVs: {all}", vg.name()));
    }
    if force {
        return Ok(());
    }
    for lv in &of_vg.lvs {
        let name = full_name(vg, *lv);
        let active = context.front_end.active(vg, *lv)?.is_some();
        let state = if active { "active " } else { "" };
        context.ask(&format!("Do you really want to remove {state}logical volume {name}?"))?;
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
