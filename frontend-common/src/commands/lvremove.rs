//! `lvremove`.

use std::time::Duration;

use lvshift_core::units::{LvIndex, Uuid};

use super::Context;
use super::lookup::{self, full_name, refuse};
use super::vg::remove_all;
use crate::activation;
use crate::cli::lv_args::Lvremove;
use crate::device::sysfs;
use crate::error::{Kind, Result};
use crate::vg::{Hold, OpenVg};

/// How often, and after what pauses, an open LV that nothing is known to use is looked at again:
/// whoever looks for file systems on every new device has it open for a moment.
const LOOKS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

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

/// The LVs named, by VG in the order named; a VG alone (no LVs) means all of its LVs.
pub(super) fn by_vg(names: &[String]) -> Result<Vec<(String, Vec<String>)>> {
    let mut groups: Vec<(String, Vec<String>, bool)> = Vec::new();
    for text in names {
        let volume = lookup::volume(text)?;
        let at = groups.iter().position(|(vg, ..)| *vg == volume.vg).unwrap_or_else(|| {
            groups.push((volume.vg.clone(), Vec::new(), false));
            groups.len() - 1
        });
        match volume.lv {
            Some(lv) if !groups[at].1.contains(&lv) => groups[at].1.push(lv),
            Some(_) => {}
            None => groups[at].2 = true,
        }
    }
    let whole = |(vg, lvs, all)| (vg, if all { Vec::new() } else { lvs });
    Ok(groups.into_iter().map(whole).collect())
}

/// The LVs of these names, or all if there are none.
pub(super) fn chosen(open: &OpenVg, names: &[String]) -> Result<Vec<LvIndex>> {
    if names.is_empty() {
        let all = 0..open.vg().lvs().len();
        return Ok(all.filter_map(|at| u16::try_from(at).ok().map(LvIndex)).collect());
    }
    names.iter().map(|name| lookup::lv(open.vg(), name)).collect()
}

/// Refuses an LV that is open or has a recorded move.
pub(super) fn check_idle(context: &mut Context<'_>, open: &OpenVg, lv: LvIndex) -> Result<()> {
    let name = full_name(open.vg(), lv);
    not_moving(context.program, open, lv)?;
    let mut looks = 1;
    loop {
        let Some(device) = context.front_end.active(open.vg(), lv)? else { return Ok(()) };
        if device.open_count == 0 {
            return Ok(());
        }
        let user = sysfs::in_use(device.number);
        if looks == LOOKS || user.is_some() {
            let mut error = refuse(Kind::InUse, format!("logical volume {name} is in use"))
                .device(device.node.display())
                .next("unmount it, or stop what holds it open");
            if let Some(user) = user {
                error = error.because(user);
            }
            return Err(error);
        }
        std::thread::sleep(PAUSE);
        looks += 1;
    }
}

/// Refuses an LV of which a move is recorded.
pub(super) fn not_moving(program: &str, open: &OpenVg, lv: LvIndex) -> Result<()> {
    if open.vg().move_of_lv(lv).is_none() {
        return Ok(());
    }
    let what = format!("a move of LV {} is recorded", full_name(open.vg(), lv));
    Err(refuse(Kind::State, what).next(format!(
        "let it end, carry it on with `{program} pvmove`, or undo it with `{program} pvmove --abort`"
    )))
}

/// Takes the LV's device down if it has one.
pub(super) fn take_down(context: &mut Context<'_>, open: &OpenVg, lv: Uuid) -> Result<()> {
    let Some(index) = open.vg().lv_by_uuid(lv) else { return Ok(()) };
    if context.front_end.active(open.vg(), index)?.is_some() {
        activation::deactivate(open, context.front_end, lv)?;
    }
    Ok(())
}
