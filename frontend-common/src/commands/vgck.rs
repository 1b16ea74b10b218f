//! `vgck`: how sound the metadata is on every PV.

use std::path::PathBuf;

use super::Context;
use super::lookup::{self, or_lvm2s, refuse};
use super::vgchoose;
use crate::cli::day_args::Pvck;
use crate::cli::vg_args::Vgck;
use crate::error::{Kind, Result};
use crate::pv::Scan;
use crate::vg::{Hold, OpenVg};

pub(super) fn run(context: &mut Context<'_>, args: &Vgck) -> Result<()> {
    if let Some(device) = &args.choose {
        let names: Vec<String> =
            args.vgs.iter().map(|n| lookup::vg_name(n)).collect::<Result<_>>()?;
        return names.iter().try_for_each(|name| vgchoose::run(context, name, device));
    }
    context.front_end.look_only();
    let scan = Scan::run()?;
    for error in &scan.refused {
        context.fail(error);
    }
    let names = if args.vgs.is_empty() {
        OpenVg::names(&scan)
    } else {
        args.vgs.iter().map(|n| lookup::vg_name(n)).collect::<Result<_>>()?
    };
    if names.is_empty() {
        context.say("No volume groups found.");
    }
    for name in names {
        match OpenVg::open(&name, Hold::Release) {
            Ok(mut open) => {
                if args.updatemetadata {
                    match open.update_metadata() {
                        Ok(()) => {
                            context.say(open.was_updated());
                            // Judged by what is there now.
                            drop(open);
                            open = OpenVg::open(&name, Hold::Release)?;
                        }
                        Err(error) => context.fail(&error),
                    }
                }
                check(context, &open);
            }
            Err(error) => context.fail(&error),
        }
    }
    Ok(())
}

fn check(context: &mut Context<'_>, open: &OpenVg) {
    let health = open.health();
    let vg = open.vg();
    context.say(format!("VG {}: {} PVs, sequence {}", vg.name(), vg.pvs().len(), vg.sequence()));
    for pv in &health.pvs {
        let path = match &pv.path {
            Some(path) => path.display().to_string(),
            None => format!("[unknown] {}", pv.uuid),
        };
        let sequence = match pv.sequence {
            Some(sequence) => format!("sequence {sequence}"),
            None => "no metadata that can be believed".to_owned(),
        };
        let verdict = if pv.findings.is_empty() { "sound" } else { "NOT SOUND" };
        context.say(format!("  {path}: {verdict}, {sequence}"));
        for finding in &pv.findings {
            context.say(format!("    {finding}"));
        }
    }
    let stray = |path: &PathBuf| {
        format!("{} says that it belongs to this VG, which does not list it", path.display())
    };
    let strays: Vec<String> = health.strays.iter().map(stray).collect();
    for finding in health.findings.iter().chain(&strays) {
        context.say(format!("  {finding}"));
    }
    if health.is_sound() {
        context.say(format!("VG {}: everything is sound.", vg.name()));
        return;
    }
    let wrong: Vec<String> = health
        .pvs
        .iter()
        .filter(|pv| !pv.findings.is_empty())
        .map(|pv| {
            let path = pv.path.as_ref().map_or("[unknown]".into(), |p| p.display().to_string());
            format!("{path}: {}", pv.findings.join("; "))
        })
        .chain(health.findings.iter().cloned())
        .chain(strays)
        .collect();
    let what = format!("the metadata of VG {} are not sound: {}", vg.name(), wrong.join(" | "));
    let missing = !open.missing().is_empty();
    let next = if missing {
        "attach the missing PVs, or give them up with vgreduce --removemissing".to_owned()
    } else if health.is_sound_itself() {
        let paths: Vec<String> = health.strays.iter().map(|p| p.display().to_string()).collect();
        format!(
            "the VG's own PVs are sound, and nothing is read from the other: detach it, or wipe it, if it takes changes: pvremove --force {}",
            paths.join(" ")
        )
    } else {
        "the newest copy is used; the next change of the VG, or vgck --updatemetadata, writes a good \
         one to every PV".to_owned()
    };
    context.fail(&refuse(Kind::Damaged, what).next(next));
}

/// `pvck`: the labels and slots on devices, whatever VG they are of.
pub(super) fn pvs(context: &mut Context<'_>, args: &Pvck) -> Result<()> {
    let scan = Scan::run()?;
    for path in &args.devices {
        let found = match scan.at(path) {
            Ok(found) => found,
            Err(error) => {
                context.fail(&or_lvm2s(path, error));
                continue;
            }
        };
        let of = match &found.vg {
            Some((_, name, sequence)) => format!("of VG {name}, sequence {sequence}"),
            None => "of no VG".to_owned(),
        };
        context.say(format!("{}: PV {} {of}", path.display(), found.uuid));
        for warning in &found.warnings {
            context.fail(&refuse(Kind::Damaged, warning.clone()).device(path.display()));
        }
    }
    Ok(())
}
