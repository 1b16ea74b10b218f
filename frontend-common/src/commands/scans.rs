//! `pvscan`, `vgscan`, `lvscan`: lists in a sentence each, and what udev's rules ask.

use std::path::Path;

use super::Context;
use super::lookup::refuse;
use super::reports::with_all_facts;
use crate::activation;
use crate::cli::day_args::Scan as Args;
use crate::error::{Kind, Result};
use crate::output;
use crate::pv::Scan;
use crate::report::{ForeignRow, Noun, Wanted};
use crate::size::Long;
use crate::system_id;
use crate::vg::{Hold, OpenVg};

pub(super) fn pvs(context: &mut Context<'_>, args: &Args) -> Result<()> {
    if args.cache || args.listvg || args.activate.is_some() {
        return args.devices.iter().try_for_each(|path| event(context, args, path));
    }
    let wanted = wanted(&["pv_name", "vg_name", "pv_size", "pv_free"]);
    with_all_facts(context, Noun::Pv, &wanted, &[], |_, facts| {
        let mut text = String::new();
        let (mut count, mut used) = (0, 0);
        for vg in &facts.vgs {
            for pv in vg.pv_indices() {
                let Some(record) = vg.vg.pv(pv) else { continue };
                let size = |extents| Long(vg.vg.extent_size().span(extents));
                let (all, free) = (size(record.pe_count), size(vg.vg.free_extents(pv)));
                let (path, name) = (vg.path(pv), vg.vg.name());
                text.push_str(&format!(
                    "  PV {path}   VG {name}   lvshift [{all} / {free} free]\n"
                ));
                (count, used) = (count + 1, used + 1);
            }
        }
        for orphan in &facts.orphans {
            text.push_str(&format!("  PV {}      lvshift [{}]\n", orphan.path, Long(orphan.size)));
            count += 1;
        }
        for row in &facts.foreign {
            let (path, vg, size) = (row.cell("pv_name"), row.cell("vg_name"), long(row, "pv_size"));
            if vg.is_empty() {
                text.push_str(&format!("  PV {path}      lvm2 [{size}]\n"));
            } else {
                let free = long(row, "pv_free");
                text.push_str(&format!("  PV {path}   VG {vg}   lvm2 [{size} / {free} free]\n"));
                used += 1;
            }
            count += 1;
        }
        let tail = match count {
            0 => "  No matching physical volumes found\n".to_owned(),
            _ => format!("  Total: {count} / in use: {used} / in no VG: {}\n", count - used),
        };
        output::out(&format!("{text}{tail}"));
        Ok(())
    })
}

/// A device has appeared: which VG is it of, and is that complete?
fn event(context: &mut Context<'_>, args: &Args, path: &Path) -> Result<()> {
    let scan = Scan::run()?;
    // One that is no PV of ours concerns us not.
    let Some((_, name, _)) = scan.at(path).ok().and_then(|found| found.vg.clone()) else {
        return Ok(());
    };
    let mut open = OpenVg::open(&name, Hold::Release)?;
    let complete = open.missing().is_empty();
    if args.listvg {
        let text = match (args.udevoutput, args.checkcomplete, complete) {
            (true, _, true) => format!("LVM_VG_NAME_COMPLETE='{name}'\n"),
            (true, _, false) => format!("LVM_VG_NAME_INCOMPLETE='{name}'\n"),
            (false, true, false) => format!("  VG {name} incomplete\n"),
            (false, true, true) => format!("  VG {name} complete\n"),
            (false, false, _) => format!("  VG {name}\n"),
        };
        output::out(&text);
    }
    let ours = system_id::check(open.vg()).is_ok();
    if args.activate.is_some_and(|activate| activate.0) && complete && ours {
        drop(open);
        open = OpenVg::open(&name, Hold::Keep)?;
        context.front_end.check_kernel(false)?;
        let done = activation::activate_all(&mut open, context.front_end);
        done.notes.iter().for_each(|note| context.say(note));
        done.failed.iter().for_each(|error| context.fail(error));
    }
    Ok(())
}

pub(super) fn vgs(context: &mut Context<'_>, args: &Args) -> Result<()> {
    if args.mknodes {
        links(context)?;
    }
    with_all_facts(context, Noun::Vg, &wanted(&["vg_name"]), &[], |_, facts| {
        let line = |name: &str, kind| {
            format!("  Found volume group \"{name}\" using metadata type {kind}\n")
        };
        let ours = facts.vgs.iter().map(|vg| line(vg.vg.name().as_str(), "lvshift"));
        let others = facts.foreign.iter().map(|row| line(row.cell("vg_name"), "lvm2"));
        output::out(&ours.chain(others).collect::<String>());
        Ok(())
    })
}

/// Makes the links of LVs that are active and have none.
pub(super) fn links(context: &mut Context<'_>) -> Result<()> {
    for opened in OpenVg::open_all(Hold::Keep)? {
        let mut open = match opened {
            Ok(open) => open,
            Err(error) => {
                context.fail(&error);
                continue;
            }
        };
        refresh(context, &mut open);
    }
    Ok(())
}

/// The same for one VG.
pub(super) fn refresh(context: &mut Context<'_>, open: &mut OpenVg) {
    let uuids: Vec<_> = open.vg().lvs().iter().map(|lv| lv.uuid).collect();
    for uuid in uuids {
        let Some(lv) = open.vg().lv_by_uuid(uuid) else { continue };
        let made = match context.front_end.active(open.vg(), lv) {
            Ok(Some(_)) => activation::activate(open, context.front_end, uuid).map(drop),
            other => other.map(drop),
        };
        if let Err(error) = made {
            context.fail(&error);
        }
    }
}

pub(super) fn lvs(context: &mut Context<'_>, args: &Args) -> Result<()> {
    if !args.devices.is_empty() {
        return Err(refuse(Kind::Usage, "lvscan takes no devices").next("lvs -o +devices"));
    }
    let wanted = wanted(&["lv_path", "lv_size", "lv_active", "lv_allocation_policy"]);
    with_all_facts(context, Noun::Lv, &wanted, &[], |_, facts| {
        let mut text = String::new();
        for vg in &facts.vgs {
            for lv in vg.lv_indices() {
                let Some(record) = vg.vg.lv(lv) else { continue };
                let state = if vg.device(lv).is_some() { "ACTIVE  " } else { "inactive" };
                let size = Long(vg.vg.extent_size().span(record.le_count));
                let path = format!("/dev/{}/{}", vg.vg.name(), record.name);
                text.push_str(&format!("  {state}          '{path}' [{size}] inherit\n"));
            }
        }
        for row in &facts.foreign {
            let state = if row.cell("lv_active").is_empty() { "inactive" } else { "ACTIVE  " };
            let (path, size) = (row.cell("lv_path"), long(row, "lv_size"));
            let policy = row.cell("lv_allocation_policy");
            text.push_str(&format!("  {state}          '{path}' [{size}] {policy}\n"));
        }
        output::out(&text);
        Ok(())
    })
}

/// What is asked of LVM2.
fn wanted(fields: &[&'static str]) -> Wanted {
    Wanted { fields: fields.to_vec(), segments: false }
}

/// A size of LVM2's in our words.
fn long(row: &ForeignRow, field: &str) -> String {
    row.size(field).map_or_else(String::new, |size| Long(size).to_string())
}
