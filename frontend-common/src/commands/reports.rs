//! `pvs`, `vgs`, `lvs`: gathers the facts; `crate::report` shows them.

mod lvm2;

use lvshift_core::metadata::MoveState;
use lvshift_core::units::{LvIndex, MoveIndex};

use super::Context;
use super::driven::is_driven;
use super::lookup::{self, device_number, refuse};
use super::sights;
use crate::cli::report_args::ReportArgs;
use crate::error::{Error, Kind, Result};
use crate::front_end::FrontEnd;
use crate::output::out as print;
use crate::pv::Scan;
use crate::report::{self, Facts, MemberFacts, Noun, OrphanPv, VgFacts, Wanted};
use crate::vg::{Hold, OpenVg};

pub(super) fn run(context: &mut Context<'_>, noun: Noun, args: &ReportArgs) -> Result<()> {
    if let Some(text) = report::help(args) {
        print(&text);
        return Ok(());
    }
    // A wrong field is said before anything is looked at.
    let wanted = Wanted::of(noun, args)?;
    let sought = Sought { wanted: Some(&wanted), all: args.all, names: &args.names };
    with_facts_of(context, noun, &sought, |context, facts| {
        print(&report::render(noun, &facts, args, &context.log)?);
        Ok(())
    })
}

/// `metrics`.
pub(super) fn metrics(context: &mut Context<'_>) -> Result<()> {
    with_facts(context, Noun::Vg, &[], |context, mut facts| {
        let (mut moves, mut lvs, mut counted) = (Vec::new(), Vec::new(), Vec::new());
        for vg in &mut facts.vgs {
            active_beside(context.front_end, vg);
            let name = vg.vg.name().as_str().to_owned();
            counted.extend(context.front_end.counted(vg.vg.uuid()).map(|told| (name, told)));
        }
        for vg in sights::with_moves(context, None)? {
            let (some, others) = vg.samples(context.front_end);
            moves.extend(some);
            lvs.extend(others);
            if let sights::Seen::Lvm2(vg) = &vg {
                let told = context.front_end.counted(vg.uuid());
                counted.extend(told.map(|told| (vg.name().to_owned(), told)));
            }
        }
        print(&report::metrics(&facts, &moves, &lvs, &counted));
        Ok(())
    })
}

/// Adds the devices that the other front end has made.
fn active_beside(front_end: &mut dyn FrontEnd, facts: &mut VgFacts<'_>) {
    let Some(beside) = front_end.beside() else { return };
    let all = facts.vg.lv_indices().zip(&mut facts.active);
    for (lv, active) in all.filter(|(_, active)| active.is_none()) {
        *active = beside.active(facts.vg, lv).ok().flatten();
    }
}

/// `fullreport`.
pub(super) fn full(context: &mut Context<'_>, args: &ReportArgs) -> Result<()> {
    if let Some(text) = report::help(args) {
        print(&text);
        return Ok(());
    }
    if !args.options.is_empty() || args.sort.is_some() || args.select.is_some() {
        return Err(refuse(Kind::Unsupported, "fullreport shows its own fields, of everything")
            .next("pvs, vgs and lvs take -o, -O and -S"));
    }
    let wanted = Wanted::of(Noun::Vg, args)?;
    with_all_facts(context, Noun::Vg, &wanted, &args.names, |context, mut facts| {
        let vgs = std::mem::take(&mut facts.foreign);
        let only = !args.names.is_empty();
        let silent = facts.lvm2_is_silent || (only && vgs.is_empty());
        let foreign = if silent { Vec::new() } else { lvm2::full(context, vgs, only, args)? };
        print(&report::render_full(facts, &foreign, args, &context.log)?);
        Ok(())
    })
}

/// What a report is to find out.
struct Sought<'a> {
    /// What of VGs of LVM2's; none: they are left out.
    wanted: Option<&'a Wanted>,
    /// What is hidden, too.
    all: bool,
    /// Only of these, if there are some.
    names: &'a [String],
}

/// Looks at every VG of ours on this host, changes nothing, and hands on what was found of those named.
pub(super) fn with_facts(
    context: &mut Context<'_>,
    noun: Noun,
    names: &[String],
    show: impl FnOnce(&mut Context<'_>, Facts<'_>) -> Result<()>,
) -> Result<()> {
    with_facts_of(context, noun, &Sought { wanted: None, all: false, names }, show)
}

/// The same, with what there is of VGs of LVM2's in `Facts::foreign`.
pub(super) fn with_all_facts(
    context: &mut Context<'_>,
    noun: Noun,
    wanted: &Wanted,
    names: &[String],
    show: impl FnOnce(&mut Context<'_>, Facts<'_>) -> Result<()>,
) -> Result<()> {
    with_facts_of(context, noun, &Sought { wanted: Some(wanted), all: false, names }, show)
}

fn with_facts_of(
    context: &mut Context<'_>,
    noun: Noun,
    sought: &Sought<'_>,
    show: impl FnOnce(&mut Context<'_>, Facts<'_>) -> Result<()>,
) -> Result<()> {
    context.front_end.look_only();
    let scan = Scan::run()?;
    for error in &scan.refused {
        context.warn_of(error);
        context.status = context.status.max(5);
    }
    let mut opened = Vec::new();
    for result in OpenVg::open_all(Hold::Release)? {
        match result {
            Ok(open) => opened.push(open),
            Err(error) => context.fail(&error),
        }
    }
    for found in &scan.pvs {
        for warning in &found.warnings {
            context.warn(format!("{}: {warning}", found.path.display()));
        }
    }
    let mut facts = Facts::default();
    for open in &opened {
        facts.vgs.push(gather(context, open)?);
    }
    facts.orphans = orphans(&scan, &opened);
    for vg in &facts.vgs {
        for interrupted in report::interrupted(vg) {
            context.warn(interrupted.sentence(context.program));
        }
    }
    let facts = chosen(context, noun, facts, sought)?;
    show(context, facts)
}

fn gather<'a>(context: &mut Context<'_>, open: &'a OpenVg) -> Result<VgFacts<'a>> {
    let vg = open.vg();
    for uuid in open.missing() {
        let name = vg.name();
        context.warn(format!("Couldn't find device with uuid {uuid}."));
        context.warn(format!("VG {name} is missing PV {uuid}."));
    }
    let mut facts = VgFacts {
        vg,
        members: Vec::new(),
        active: Vec::new(),
        copies: Vec::new(),
        driven: !vg.moves().is_empty() && is_driven(vg.uuid()),
    };
    for pv in facts.pv_indices() {
        facts.members.push(open.members().get(pv).map(|member| MemberFacts {
            path: member.path.display().to_string(),
            number: member.number,
            size: member.size,
        }));
    }
    for lv in facts.lv_indices() {
        facts.active.push(active(context, open, lv));
    }
    for of in facts.move_indices() {
        facts.copies.push(copy(context.front_end, open, of));
    }
    Ok(facts)
}

/// What cannot be asked of the kernel is told, and the report goes on without it.
fn active(
    context: &mut Context<'_>,
    open: &OpenVg,
    lv: LvIndex,
) -> Option<crate::front_end::ActiveLv> {
    match context.front_end.active(open.vg(), lv) {
        Ok(active) => active,
        Err(error) => {
            context.fail(&error);
            None
        }
    }
}

/// How far a move is: only known while its devices are there, and no failure if not.
pub(super) fn copy(
    front_end: &mut dyn FrontEnd,
    open: &OpenVg,
    of: MoveIndex,
) -> Option<crate::front_end::CopyStatus> {
    let copying = open.vg().move_at(of).is_some_and(|m| m.state == MoveState::Copying);
    let lvs = open.vg().lvs_of_move(of);
    let mirrored = copying
        && lvs.iter().all(|lv| {
            let live = front_end.observe(open.view(), of, *lv);
            matches!(
                live,
                Ok(lvshift_core::mover::Live::Is(lvshift_core::mover::Mapping::Mirrored))
            )
        });
    if mirrored { front_end.copy_status(open.view(), of).ok() } else { None }
}

/// The PVs that no VG claims (a VG that could not be opened still has its own).
fn orphans(scan: &Scan, opened: &[OpenVg]) -> Vec<OrphanPv> {
    scan.pvs
        .iter()
        .filter(|found| {
            found.vg.is_none() && !opened.iter().any(|o| o.members().by_uuid(found.uuid).is_some())
        })
        .map(|found| OrphanPv {
            path: found.path.display().to_string(),
            number: found.number,
            uuid: found.uuid,
            size: found.size,
        })
        .collect()
}

/// Only what was named; a name that is not there is told, and the rest is shown. LVM2 is not asked where all that
/// is named is ours.
fn chosen<'a>(
    context: &mut Context<'_>,
    noun: Noun,
    facts: Facts<'a>,
    sought: &Sought<'_>,
) -> Result<Facts<'a>> {
    let mut only = report::Only::default();
    let mut others = Vec::new();
    for name in sought.names {
        let ours = match noun {
            Noun::Pv => device_number(name.as_ref()).is_ok_and(|n| only.pv(&facts, n)),
            Noun::Vg => only.vg(&facts, &lookup::vg_name(name)?),
            Noun::Lv => {
                let volume = lookup::volume(name)?;
                match volume.lv {
                    None => only.vg(&facts, &volume.vg),
                    Some(lv) => only.lv(&facts, &volume.vg, &lv),
                }
            }
        };
        if !ours {
            others.push(name.as_str());
        }
    }
    let asked = match sought.wanted {
        Some(wanted) if sought.names.is_empty() || !others.is_empty() => {
            lvm2::rows(context, noun, wanted, sought.all)
        }
        _ => Some(Vec::new()),
    };
    let lvm2_is_silent = asked.is_none();
    let mut foreign = asked.unwrap_or_default();
    if sought.names.is_empty() {
        return Ok(Facts { foreign, lvm2_is_silent, ..facts });
    }
    let mut named = vec![false; foreign.len()];
    for name in others {
        let before = named.iter().filter(|named| **named).count();
        let device = device_number(name.as_ref()).ok();
        let volume = lookup::volume(name).ok();
        for (row, named) in foreign.iter().zip(&mut named) {
            *named |= match (noun, &volume) {
                (Noun::Pv, _) => device.is_some() && row.device() == device,
                (_, Some(volume)) => row.is_of(&volume.vg, volume.lv.as_deref()),
                (_, None) => false,
            };
        }
        if named.iter().filter(|named| **named).count() == before {
            context.fail(&not_there(noun, name, sought));
        }
    }
    let mut named = named.into_iter();
    foreign.retain(|_| named.next() == Some(true));
    Ok(Facts { only: Some(only), foreign, lvm2_is_silent, ..facts })
}

fn not_there(noun: Noun, name: &str, sought: &Sought<'_>) -> Error {
    let has_vg = |vg: &str| crate::lvm2::has_vg(vg);
    let vg = lookup::volume(name).ok().map(|volume| volume.vg);
    match (noun, vg) {
        // What shows nothing of LVM2's.
        (Noun::Vg | Noun::Lv, Some(vg)) if sought.wanted.is_none() && has_vg(&vg) => {
            return crate::lvm2::not_ours(format!("VG {vg} is one of LVM2's own"));
        }
        (Noun::Pv, _) if sought.wanted.is_none() => {
            let none = refuse(Kind::NotFound, format!("Failed to find physical volume \"{name}\""));
            return lookup::or_lvm2s(name.as_ref(), none);
        }
        _ => {}
    }
    let what = match noun {
        Noun::Pv => format!("Failed to find physical volume \"{name}\""),
        Noun::Vg => format!("Volume group \"{name}\" not found"),
        Noun::Lv if name.trim_start_matches("/dev/").contains('/') => {
            format!("Failed to find logical volume \"{name}\"")
        }
        Noun::Lv => format!("Volume group \"{name}\" not found"),
    };
    refuse(Kind::NotFound, what)
}
