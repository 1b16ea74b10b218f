//! `vgreduce`.

use lvshift_core::metadata::Segment;
use lvshift_core::units::{LvIndex, PvIndex, Uuid};

use super::Context;
use super::lookup::{self, full_name, pv_path, refuse};
use super::take_down::{check_idle, take_down};
use crate::cli::vg_args::Vgreduce;
use crate::error::{Error, Kind, Result};
use crate::vg::{Hold, OpenVg};

pub(super) fn run(context: &mut Context<'_>, args: &Vgreduce) -> Result<()> {
    let name = lookup::vg_name(&args.vg)?;
    if args.removemissing {
        return remove_missing(context, &name, args.force);
    }
    let mut open = OpenVg::open(&name, Hold::Keep)?;
    let vg = open.vg();
    let unused = |pv: &PvIndex| vg.used_extents(*pv).0 == 0;
    let chosen: Vec<PvIndex> = if args.all {
        // One PV must stay, even if nothing is on any of them.
        let spare: Vec<PvIndex> = vg.pv_indices().filter(unused).collect();
        let keep = usize::from(spare.len() == vg.pvs().len());
        spare.into_iter().skip(keep).collect()
    } else {
        args.devices.iter().map(|path| lookup::pv(&open, path)).collect::<Result<_>>()?
    };
    for pv in &chosen {
        if !unused(pv) {
            let path = pv_path(&open, *pv);
            let what = format!("{} extents of {path} are in use", vg.used_extents(*pv).0);
            let error = refuse(Kind::State, what).device(&path);
            return Err(error.next(format!("move them away first: pvmove {path}")));
        }
    }
    if chosen.len() >= vg.pvs().len() {
        return Err(refuse(Kind::State, "a VG cannot lose its last PV").next("use vgremove"));
    }
    let uuids: Vec<(Uuid, String)> =
        chosen.iter().filter_map(|pv| Some((vg.pv(*pv)?.uuid, pv_path(&open, *pv)))).collect();
    if uuids.is_empty() {
        nothing(context, &name);
    }
    for (uuid, path) in uuids {
        open.reduce(uuid)?;
        context.say(format!("Removed \"{path}\" from volume group \"{name}\""));
    }
    Ok(())
}

fn nothing(context: &Context<'_>, vg: &str) {
    context.say(format!("Volume group \"{vg}\" has nothing to take out."));
}

/// What is given up: the PVs that are missing, and the LVs that lie on them.
#[derive(PartialEq)]
struct Lost {
    pvs: Vec<Uuid>,
    lvs: Vec<Uuid>,
}

impl Lost {
    fn of(open: &OpenVg) -> Lost {
        let vg = open.vg();
        let is_lost = |segment: &&Segment| open.members().get(segment.place.pv).is_none();
        let mut lvs: Vec<LvIndex> = vg.segments().iter().filter(is_lost).map(|s| s.lv).collect();
        lvs.dedup();
        let lvs = lvs.into_iter().filter_map(|lv| Some(vg.lv(lv)?.uuid)).collect();
        Lost { pvs: open.missing(), lvs }
    }
}

/// `--removemissing`. No lock is held while it asks.
fn remove_missing(context: &mut Context<'_>, name: &str, force: bool) -> Result<()> {
    let open = OpenVg::open(name, Hold::Release)?;
    let lost = Lost::of(&open);
    if lost.pvs.is_empty() {
        nothing(context, name);
        return Ok(());
    }
    let vg = open.vg();
    let indices: Vec<LvIndex> = lost.lvs.iter().filter_map(|lv| vg.lv_by_uuid(*lv)).collect();
    let names: Vec<String> = indices.iter().map(|lv| full_name(vg, *lv)).collect();
    let pvs = lost.pvs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if !force && !names.is_empty() {
        let what = format!("{} would be lost with the missing PV {pvs}", names.join(", "));
        return Err(refuse(Kind::State, what).next(format!(
            "attach it; or copy what can still be read of these LVs, and give them and the PV up, with what of them is on other PVs: \
             vgreduce --removemissing --force {name}"
        )));
    }
    for lv in &indices {
        check_idle(context, &open, *lv)?;
    }
    let left: Vec<Uuid> =
        open.unusable().iter().filter_map(|area| Some(vg.pv(area.pv)?.uuid)).collect();
    let there = |pv: Uuid| !left.contains(&pv);
    if !names.is_empty() {
        context.ask(&format!(
            "Do you really want to give up PV {pvs} of VG {name} and to remove {} with all data in it?",
            names.join(", ")
        ))?;
    } else if !vg.is_majority(there) {
        context.ask(&format!(
            "Do you really want to give up PV {pvs} of VG {name}? The PVs that are left are not more than half: nothing shows that they hold the newest"
        ))?;
    }
    drop(open);
    let mut open = OpenVg::open(name, Hold::Keep)?;
    if Lost::of(&open) != lost {
        return Err(Error::changed_meanwhile(format_args!("VG {name}")));
    }
    for lv in &lost.lvs {
        take_down(context, &open, *lv)?;
    }
    open.give_up(&lost.pvs, &lost.lvs)?;
    for lv in names {
        context.say(format!("Logical volume \"{lv}\" successfully removed."));
    }
    for pv in lost.pvs {
        context.say(format!("Removed missing PV {pv} from volume group \"{name}\""));
    }
    Ok(())
}
