//! `pvcreate` and `pvremove`, and making PVs on the way of `vgcreate` and `vgextend`.

use std::path::{Path, PathBuf};

use lvshift_core::units::Uuid;

use super::Context;
use super::ignored;
use super::lookup::{device_number, or_lvm2s, refuse, vg_of};
use crate::cli::pv_args::{Pvcreate, Pvremove};
use crate::device::users::in_use;
use crate::device::{Access, BlockDevice, filter};
use crate::error::{Error, Kind, Result};
use crate::lvm2;
use crate::pv::{self, CreateOptions, Scan};
use crate::requests::parse_uuid;
use crate::signature;
use crate::vg::{Hold, OpenVg};

pub(super) fn create(context: &mut Context<'_>, args: &Pvcreate) -> Result<()> {
    let uuid = match (&args.uuid, args.devices.len()) {
        (None, _) => None,
        (Some(_), 2..) => return Err(refuse(Kind::Usage, "--uuid is for one device only")),
        (Some(text), _) => Some(parse_uuid(text).ok_or_else(|| {
            refuse(Kind::Usage, format!("`{text}` is no UUID"))
                .next("write 32 hexadecimal digits, hyphens where you like")
        })?),
    };
    ignored::check_format(&args.format)?;
    distinct(&args.devices)?;
    let plans = args
        .devices
        .iter()
        .map(|path| check(context, path, args.force > 0))
        .collect::<Result<Vec<_>>>()?;
    for plan in plans {
        make(context, &plan, uuid)?;
    }
    Ok(())
}

/// What will be made a PV, after all checks.
pub(super) struct Plan {
    path: PathBuf,
    force: bool,
}

/// Looks whether a device may become a PV, and asks where a person must. Writes nothing.
pub(super) fn check(context: &mut Context<'_>, path: &Path, force: bool) -> Result<Plan> {
    let device = BlockDevice::open(path, Access::Read)?;
    filter::check(path, device.number())?;
    if let Some(user) = in_use(device.number()) {
        return Err(refuse(Kind::InUse, format!("cannot use {}: {user}", path.display()))
            .device(path.display()));
    }
    let exclusive = pv::claim(path)?;
    drop(device);
    if force {
        return Ok(Plan { path: path.to_owned(), force });
    }
    let found = signature::find_any(&exclusive)?;
    drop(exclusive);
    // One of our own labels is for `pv::create` to judge: it knows whether a VG has it, and then
    // no --yes makes up for a missing --force.
    let Some(first) = found.iter().find(|found| !found.name.starts_with("lvshift")) else {
        if !found.is_empty() {
            refuse_listed(path)?;
        }
        return Ok(Plan { path: path.to_owned(), force });
    };
    // As with a VG of ours: no --yes makes up for a missing --force.
    if let Some(vg) = lvm2::vg_of_pv(path) {
        let shown = path.display();
        let what = format!("{shown} is a PV of VG {vg}, which is one of LVM2's own");
        return Err(refuse(Kind::InUse, what).device(&shown).next(format!(
            "take it out first: `vgreduce {vg} {shown}`, `pvremove {shown}` of LVM2"
        )));
    }
    let question = format!(
        "WARNING: {} signature detected on {} at offset {}. Wipe it?",
        first.name,
        path.display(),
        first.offset
    );
    context.ask(&question).map_err(|_| foreign(first, path))?;
    Ok(Plan { path: path.to_owned(), force: true })
}

/// Refuses a PV whose slots are empty, by whatever cause, and which a VG lists all the same.
fn refuse_listed(path: &Path) -> Result<()> {
    let scan = Scan::run()?;
    let Ok(found) = scan.at(path) else { return Ok(()) };
    match vg_of(found)? {
        Some(vg) => Err(is_used(path, found.uuid, &vg)),
        None => Ok(()),
    }
}

fn foreign(found: &signature::Signature, path: &Path) -> Error {
    let what = format!(
        "{} holds the signature of {} at byte {}",
        path.display(),
        found.name,
        found.offset
    );
    let start = found.offset / 512;
    refuse(Kind::ForeignSignature, what)
        .device(path.display())
        .sector_run(start..start + 1)
        .next("if nothing on it is needed any more, say --yes or --force")
}

/// Makes the PV.
pub(super) fn make(context: &Context<'_>, plan: &Plan, uuid: Option<Uuid>) -> Result<()> {
    let uuid = pv::create(&plan.path, CreateOptions { force: plan.force, uuid })?;
    context.say(format!("Physical volume \"{}\" successfully created.", plan.path.display()));
    context.detail(format!("its UUID is {uuid}"));
    Ok(())
}

/// Which of these devices are no PVs yet, checked; those of other VGs are refused.
pub(super) fn missing_labels(
    context: &mut Context<'_>,
    devices: &[PathBuf],
    force: bool,
) -> Result<Vec<Plan>> {
    distinct(devices)?;
    let scan = Scan::run()?;
    let mut plans = Vec::new();
    for path in devices {
        match scan.at(path) {
            Ok(found) => {
                if let Some(vg) = vg_of(found)? {
                    let what = format!("{} is a PV of VG {vg} already", path.display());
                    return Err(refuse(Kind::State, what).device(path.display()));
                }
            }
            Err(error) if error.kind == Kind::NotFound => {
                plans.push(check(context, path, force)?);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(plans)
}

/// The same device twice, perhaps under two names, is a slip.
pub(super) fn distinct(devices: &[PathBuf]) -> Result<()> {
    let mut seen = Vec::new();
    for path in devices {
        let number = device_number(path)?;
        if seen.contains(&number) {
            return Err(refuse(Kind::Usage, format!("{} is named twice", path.display())));
        }
        seen.push(number);
    }
    Ok(())
}

pub(super) fn remove(context: &mut Context<'_>, args: &Pvremove) -> Result<()> {
    distinct(&args.devices)?;
    let force = args.force > 0;
    if force {
        let all: Vec<String> = args.devices.iter().map(|p| p.display().to_string()).collect();
        context
            .ask(&format!("Really wipe the labels of {} even if a VG has them?", all.join(", ")))?;
    } else {
        let scan = Scan::run()?;
        for path in &args.devices {
            let found = scan.at(path).map_err(|error| or_lvm2s(path, error))?;
            if let Some(vg) = vg_of(found)? {
                return Err(is_used(path, found.uuid, &vg));
            }
        }
    }
    for path in &args.devices {
        pv::remove(path, force)?;
        context
            .say(format!("Labels on physical volume \"{}\" successfully wiped.", path.display()));
    }
    Ok(())
}

/// Why a PV is neither wiped nor made anew: a VG uses it, or it was taken out of one and could not be wiped.
fn is_used(path: &Path, pv: Uuid, vg: &str) -> Error {
    let lists = |open: OpenVg| open.vg().pv_by_uuid(pv).is_some();
    let path = path.display();
    let (what, next) = if OpenVg::open(vg, Hold::Release).is_ok_and(|open| !lists(open)) {
        let what = format!("PV {path} says that it belongs to VG {vg}, which does not list it");
        (
            what,
            format!("what it holds of that VG counts for nothing there: pvremove --force {path}"),
        )
    } else {
        let what = format!("PV {path} is used by VG {vg}");
        (what, format!("take it out first: vgreduce {vg} {path}"))
    };
    refuse(Kind::State, what).device(path).next(next)
}
