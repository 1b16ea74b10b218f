//! `vgcfgrestore`: the LVs of a VG lie again where a file says; the PVs stay those that there are. Of a VG of
//! which nothing is left, its PVs make it once more.

use std::path::Path;

use lvshift_core::metadata::{Name, Place, Run};
use lvshift_core::units::{ExtentSize, Extents, Pe, Uuid};

use super::super::Context;
use super::super::lookup::{self, refuse};
use super::super::take_down::check_idle;
use super::place;
use super::text::{self, FORMAT, LvText, VgText};
use crate::cli::day_args::Vgcfgrestore;
use crate::error::{Kind, Result};
use crate::exclusive;
use crate::links;
use crate::lvm2;
use crate::pv::Scan;
use crate::requests::parse_uuid;
use crate::system_id;
use crate::vg::{Hold, OpenVg, Vg};

/// More commits than a VG sees, and than a file may say that it has seen.
const MAX_SEQUENCE: u64 = 1 << 24;
/// What may have been committed after the file was written: a PV that was away must not look newer.
const HEADROOM: u64 = 1 << 10;

pub(in super::super) fn restore(context: &mut Context<'_>, args: &Vgcfgrestore) -> Result<()> {
    let name = lookup::vg_name(&args.vg)?;
    let scan = Scan::run()?;
    let is_there = OpenVg::names(&scan).contains(&name);
    if !is_there && lvm2::has_vg(&name) {
        return Err(lvm2::not_ours(format!("VG {name} is one of LVM2's own")));
    }
    let path = place(args.file.as_deref(), &name);
    let text = read(&path)?;
    if args.list {
        context.say(format!("File:    {}", path.display()));
        context.say(format!("VG name: {}", text.name));
        let (lvs, pvs, sequence) = (text.lvs.len(), text.pvs.len(), text.sequence);
        context.say(format!("Content: {lvs} LVs on {pvs} PVs, as of sequence number {sequence}"));
        return Ok(());
    }
    if text.name != name {
        let what = format!("{} is of VG {}, not of {name}", path.display(), text.name);
        return Err(refuse(Kind::Usage, what).next("vgrename gives a VG the name that it had"));
    }
    if text.moves_recorded > 0 {
        let what = format!("{} was written in the middle of a move", path.display());
        return Err(refuse(Kind::State, what).next("take a file from before it, or from after it"));
    }
    let mut open = if is_there {
        drop(scan);
        OpenVg::open(&name, Hold::Keep)?
    } else {
        again(context, scan, &path, &text)?
    };
    if Some(open.vg().uuid()) != parse_uuid(&text.uuid) {
        let what = format!("{} is of another VG with the name {name}", path.display());
        return Err(refuse(Kind::Usage, what));
    }
    system_id::check(open.vg())?;
    idle(context, &open)?;
    let planned = planned(&path, &text, open.vg())?;
    let lost = lost(&text, open.vg());
    if !lost.is_empty() && !args.force {
        let lost = lost.join(", ");
        context.ask(&format!(
            "What is on {lost} now is given up: the file knows nothing of it, or has it elsewhere. Go on?"
        ))?;
    }
    open.commit(|vg| put(vg, planned, text.autoactivation))?;
    context.say(format!("Restored volume group \"{name}\"."));
    Ok(())
}

fn read(path: &Path) -> Result<VgText> {
    let bytes = std::fs::read(path).map_err(|error| {
        refuse(Kind::NotFound, "the backup cannot be read").device(path.display()).because(error)
    })?;
    let damaged =
        || refuse(Kind::Damaged, "this is no file of vgcfgbackup's").device(path.display());
    let text: VgText = serde_json::from_slice(&bytes).map_err(|error| damaged().because(error))?;
    if text.format != FORMAT || text.sequence > MAX_SEQUENCE {
        return Err(damaged().next(format!("its first line has to say {FORMAT:?}")));
    }
    Ok(text)
}

/// The VG, of which no PV knows any more, over the PVs that it had.
fn again(context: &Context<'_>, scan: Scan, path: &Path, text: &VgText) -> Result<OpenVg> {
    let damaged = |what: &str| refuse(Kind::Damaged, what).device(path.display());
    let name = lookup::name(&text.name)?;
    links::check(name.as_str()).map_err(|error| error.state("nothing was changed"))?;
    let uuid = parse_uuid(&text.uuid).ok_or_else(|| damaged("the VG has no UUID"))?;
    let size = ExtentSize::new(text.extent_sectors).ok_or_else(|| damaged("no size of extents"))?;
    let mut pvs = Vec::new();
    for pv in &text.pvs {
        let of = parse_uuid(&pv.uuid).ok_or_else(|| damaged("a PV has no UUID"))?;
        let found = scan.by_uuid(of).ok_or_else(|| {
            let was = pv.device.as_deref().unwrap_or("an unknown device");
            refuse(Kind::Missing, format!("PV {of} is not there; it was {was}"))
                .next(format!("attach it; if only its label is gone: pvcreate --uuid {of} DEV"))
        })?;
        pvs.push(found.path.clone());
    }
    context.ask(&format!(
        "No PV knows of VG {name} any more. Make it once more over its {} PVs?",
        pvs.len()
    ))?;
    let paths: Vec<&Path> = pvs.iter().map(AsRef::as_ref).collect();
    OpenVg::create_again(uuid, name, size, text.sequence + HEADROOM, &paths)
}

/// Under an LV that is in use no extent may change its place, and no move its plan.
fn idle(context: &mut Context<'_>, open: &OpenVg) -> Result<()> {
    let vg = open.vg();
    if !vg.moves().is_empty() {
        let what = format!("a move is recorded in VG {}", vg.name());
        return Err(refuse(Kind::State, what).next("let it end, or undo it, with pvmove"));
    }
    for lv in lookup::chosen(open, &[])? {
        exclusive::check(context.front_end.name(), vg, lv)?;
        check_idle(context, open, lv)?;
        if context.front_end.active(vg, lv)?.is_some() {
            let what = format!("LV {} is active", lookup::full_name(vg, lv));
            let next = format!("take it down first: vgchange -an {}", vg.name());
            return Err(refuse(Kind::InUse, what).next(next));
        }
    }
    Ok(())
}

/// An LV as it is to be.
struct Planned {
    uuid: Uuid,
    name: Name,
    runs: Vec<Run>,
    autoactivation: bool,
}

/// The file's LVs on the PVs that the VG has now.
fn planned(path: &Path, text: &VgText, vg: &Vg) -> Result<Vec<Planned>> {
    let damaged = |what: String| refuse(Kind::Damaged, what).device(path.display());
    if vg.extent_size().sectors() != text.extent_sectors {
        return Err(damaged("extents of another size than the VG has".to_owned()));
    }
    let one = |lv: &LvText| {
        let mut runs = Vec::new();
        let mut next = 0u32;
        for segment in &lv.segments {
            if segment.first_extent != next {
                return Err(damaged(format!("the segments of LV {} have a gap", lv.name)));
            }
            next = next.saturating_add(segment.extents);
            let of = text.pvs.iter().find(|pv| pv.uuid == segment.pv);
            let pv = parse_uuid(&segment.pv).and_then(|uuid| vg.pv_by_uuid(uuid));
            let (Some(of), Some(pv)) = (of, pv) else {
                let what = format!("LV {} was on PV {}, which the VG has not", lv.name, segment.pv);
                return Err(refuse(Kind::Missing, what));
            };
            if vg.pv(pv).is_none_or(|pv| pv.pe_start.0 != of.data_start_sector) {
                return Err(damaged(format!("data of PV {} began elsewhere then", of.uuid)));
            }
            let at = Place { pv, pe: Pe(segment.pv_first_extent) };
            runs.push(Run { place: at, count: Extents(segment.extents) });
        }
        if next != lv.extents {
            return Err(damaged(format!("the segments of LV {} are not all of it", lv.name)));
        }
        Ok(Planned {
            uuid: parse_uuid(&lv.uuid).ok_or_else(|| damaged("an LV has no UUID".to_owned()))?,
            name: lookup::name(&lv.name)?,
            runs,
            autoactivation: lv.autoactivation,
        })
    };
    text.lvs.iter().map(one).collect()
}

/// The LVs of now that the file has not, or not where they are.
fn lost(text: &VgText, vg: &Vg) -> Vec<String> {
    let stays = |lv: &LvText| {
        text.lvs.iter().any(|of| {
            let places = |lv: &LvText| -> Vec<(u32, u32, String, u32)> {
                let all = lv.segments.iter();
                all.map(|s| (s.first_extent, s.extents, s.pv.clone(), s.pv_first_extent)).collect()
            };
            of.uuid == lv.uuid && places(of) == places(lv)
        })
    };
    let now = text::lvs(vg);
    now.iter().filter(|lv| !stays(lv)).map(|lv| format!("{}/{}", vg.name(), lv.name)).collect()
}

fn put(vg: &mut Vg, planned: Vec<Planned>, autoactivation: bool) -> Result<()> {
    let cannot = |name: &str, why: String| {
        refuse(Kind::State, format!("LV {name} cannot be put back")).because(why)
    };
    while let Some(lv) = vg.lvs().first() {
        let (uuid, name) = (lv.uuid, lv.name.to_string());
        let gone = vg.lv_by_uuid(uuid).map(|lv| vg.remove_lv(lv));
        gone.transpose().map_err(|error| cannot(&name, error.to_string()))?;
    }
    vg.set_autoactivation(autoactivation);
    for lv in planned {
        let name = lv.name.to_string();
        let made = vg.add_lv(lv.uuid, lv.name, &lv.runs);
        let set = made.and_then(|at| vg.set_autoactivation_of(at, lv.autoactivation));
        set.map_err(|error| cannot(&name, error.to_string()))?;
    }
    Ok(())
}
