//! `vgck --choose`: which of the different metadata of a VG to keep.

use std::path::Path;

use super::Context;
use super::driven::{driver, is_driven};
use super::lookup::{device_number, full_name, refuse};
use crate::error::{Error, Kind, Result};
use crate::size::Units;
use crate::system_id::shown;
use crate::vg::{OpenVg, Rival};

/// Shows each, asks, and writes the one that was chosen to every PV. An empty `device` names none.
pub(super) fn run(context: &mut Context<'_>, name: &str, device: &str) -> Result<()> {
    let rivals = OpenVg::rivals(name)?;
    let [first, _, ..] = rivals.as_slice() else {
        context.say(format!("VG {name}: its PVs agree: there is nothing to choose"));
        return Ok(());
    };
    refuse_in_use(context, &rivals)?;
    for rival in &rivals {
        tell(context, rival);
    }
    if device.is_empty() {
        return ask_which(context, name, &rivals);
    }
    let number = device_number(Path::new(device))?;
    let on =
        |rival: &&Rival| rival.on.iter().any(|path| device_number(path).is_ok_and(|n| n == number));
    let rival = rivals.iter().find(on).ok_or_else(|| {
        let what = format!("it holds none of the newest metadata of VG {name}");
        refuse(Kind::NotFound, what).device(device).next(format!("name {}", paths(first)))
    })?;
    context.ask(&question(name, rival))?;
    keep(context, name, rival)
}

fn ask_which(context: &mut Context<'_>, name: &str, rivals: &[Rival]) -> Result<()> {
    if context.common.yes {
        let error = refuse(Kind::Usage, "--yes does not say which metadata to keep");
        return Err(with_choices(error, name, rivals));
    }
    let mut last: Result<()> = Ok(());
    for rival in rivals {
        last = context.ask(&question(name, rival));
        match &last {
            Ok(()) => return keep(context, name, rival),
            // Without a terminal the first question is the last.
            Err(error) if error.next.is_some() => break,
            Err(_) => {}
        }
    }
    last.map_err(|error| with_choices(error, name, rivals))
}

fn with_choices(error: Error, name: &str, rivals: &[Rival]) -> Error {
    let options: Vec<String> = rivals
        .iter()
        .filter_map(|rival| rival.on.first())
        .map(|path| format!("vgck --choose={} {name}", path.display()))
        .collect();
    error.next(format!("type {}", options.join(", or ")))
}

fn question(name: &str, rival: &Rival) -> String {
    format!(
        "Keep the metadata of VG {name} that {} holds, and drop the others, with what was changed in them, on whatever PV it is?",
        paths(rival)
    )
}

fn keep(context: &mut Context<'_>, name: &str, rival: &Rival) -> Result<()> {
    let dropped = OpenVg::keep(name, rival)?;
    context.say(format!("VG {name}: the metadata of {} were written to every PV", paths(rival)));
    for path in dropped {
        context.say(format!("  {} is a PV of no VG now", path.display()));
    }
    Ok(())
}

fn paths(rival: &Rival) -> String {
    let paths: Vec<String> = rival.on.iter().map(|path| path.display().to_string()).collect();
    paths.join(", ")
}

fn tell(context: &Context<'_>, rival: &Rival) {
    let vg = &rival.vg;
    context.say(format!(
        "On {}: VG {}, sequence {}, system id {}, {} PVs, {} LVs, {} moves",
        paths(rival),
        vg.name(),
        vg.sequence(),
        shown(vg.system_id()),
        vg.pvs().len(),
        vg.lvs().len(),
        vg.moves().len()
    ));
    for (lv, index) in vg.lvs().iter().zip(vg.lv_indices()) {
        let size = Units::default().show(vg.extent_size().span(lv.le_count));
        let moving = if vg.move_of_lv(index).is_some() { ", with a move recorded" } else { "" };
        context.say(format!("  LV {}, {size}{moving}", lv.name));
    }
}

/// What is in use here has a table of one of them.
fn refuse_in_use(context: &mut Context<'_>, rivals: &[Rival]) -> Result<()> {
    for rival in rivals {
        let vg = &rival.vg;
        if is_driven(vg.uuid()) {
            let what =
                format!("extents of VG {} are being moved by {}", vg.name(), driver(vg.uuid()));
            return Err(refuse(Kind::Locked, what).next("wait for it, or stop it"));
        }
        for index in vg.lv_indices() {
            if let Some(active) = context.front_end.active(vg, index)? {
                let what = format!("LV {} is active on this host", full_name(vg, index));
                return Err(refuse(Kind::InUse, what)
                    .device(active.node.display())
                    .next("unmount it and take the device away: it has the table of one of them"));
            }
        }
    }
    Ok(())
}
