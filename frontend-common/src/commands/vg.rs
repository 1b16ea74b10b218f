//! `vgcreate`, `vgextend`, `vgremove`.

use std::path::{Path, PathBuf};

use lvshift_core::units::ExtentSize;

use super::Context;
use super::autoactivation;
use super::chosen::{self, Chosen};
use super::ignored;
use super::lookup::{self, refuse};
use super::lvremove::remove_all;
use super::pv;
use super::take_down::{check_idle, take_down};
use crate::cli::vg_args::{Vgcreate, Vgextend, Vgremove};
use crate::error::{Error, Kind, Result};
use crate::links;
use crate::lvm2;
use crate::pv::Scan;
use crate::system_id;
use crate::vg::{Hold, OpenVg};

pub(super) fn create(context: &mut Context<'_>, args: &Vgcreate) -> Result<()> {
    ignored::check_format(&args.format)?;
    let name = lookup::name(&lookup::vg_name(&args.vg)?)?;
    let sectors = args.extent_size.0.0;
    let size = u32::try_from(sectors).ok().and_then(ExtentSize::new).ok_or_else(|| {
        refuse(Kind::Usage, "the extent size must be a power of two from 4 KiB to 4 GiB")
    })?;
    if OpenVg::names(&Scan::run()?).iter().any(|other| other == name.as_str()) {
        return Err(refuse(Kind::Exists, format!("A volume group called {name} already exists")));
    }
    not_lvm2s(name.as_str())?;
    links::check(name.as_str())
        .map_err(|error| error.state("nothing was changed").next("choose another name"))?;
    let new = pv::missing_labels(context, &args.devices, args.force > 0)?;
    for plan in &new {
        pv::make(context, plan, None)?;
    }
    let host = match &args.systemid {
        Some(id) if id.is_empty() => None,
        Some(id) => Some(system_id::parse_id(id)?),
        None => system_id::local()?,
    };
    let mut open = OpenVg::create(name.clone(), size, host, &paths(&args.devices))?;
    if let Some(wanted) = args.setautoactivation.filter(|wanted| !wanted.0) {
        autoactivation::of_vg(&mut open, wanted.0)?;
    }
    context.say(format!("Volume group \"{name}\" successfully created"));
    Ok(())
}

/// Two VGs of one name would have one directory below /dev.
pub(super) fn not_lvm2s(name: &str) -> Result<()> {
    if lvm2::has_vg(name) {
        let what = format!("LVM2 has a volume group called {name}");
        return Err(refuse(Kind::Exists, what).next("choose another name"));
    }
    Ok(())
}

fn paths(devices: &[PathBuf]) -> Vec<&Path> {
    devices.iter().map(PathBuf::as_path).collect()
}

pub(super) fn extend(context: &mut Context<'_>, args: &Vgextend) -> Result<()> {
    ignored::check_format(&args.format)?;
    let name = lookup::vg_name(&args.vg)?;
    let open = OpenVg::open(&name, Hold::Release)?;
    // Before a label is written anywhere.
    system_id::check(open.vg())?;
    open.check_missing()?;
    drop(open);
    // It may ask, so the VG is not locked yet.
    let new = pv::missing_labels(context, &args.devices, args.force > 0)?;
    let mut open = OpenVg::open(&name, Hold::Keep)?;
    open.check_missing()?;
    for plan in &new {
        pv::make(context, plan, None)?;
    }
    open.extend(&paths(&args.devices))?;
    context.say(format!("Volume group \"{}\" successfully extended", open.vg().name()));
    Ok(())
}

/// What is removed is wiped on every PV.
fn complete(open: &OpenVg) -> Result<()> {
    match open.missing().as_slice() {
        [] => Ok(()),
        missing => {
            let uuids: Vec<String> = missing.iter().map(ToString::to_string).collect();
            let what = format!("VG {} lacks PV {}", open.vg().name(), uuids.join(", "));
            Err(refuse(Kind::Missing, what)
                .next("attach it, or give it up with vgreduce --removemissing"))
        }
    }
}

pub(super) fn remove(context: &mut Context<'_>, args: &Vgremove) -> Result<()> {
    let names: Vec<String> = args.vgs.iter().map(|n| lookup::vg_name(n)).collect::<Result<_>>()?;
    let chosen = chosen::look_up(&names)?;
    for of_vg in &chosen {
        complete(&of_vg.open)?;
        for lv in &of_vg.lvs {
            check_idle(context, &of_vg.open, *lv)?;
        }
    }
    for of_vg in &chosen {
        if !of_vg.lvs.is_empty() && args.force == 0 {
            context.ask(&format!(
                "Do you really want to remove volume group \"{}\" containing {} logical volumes?",
                of_vg.open.vg().name(),
                of_vg.lvs.len()
            ))?;
        }
    }
    chosen.into_iter().try_for_each(|of_vg| remove_one(context, of_vg))
}

/// An LV that came since the question was asked is no part of the answer.
fn remove_one(context: &mut Context<'_>, of_vg: Chosen) -> Result<()> {
    let (mut open, uuids) = of_vg.lock()?;
    complete(&open)?;
    if open.vg().lvs().len() != uuids.len() {
        return Err(Error::changed_meanwhile(format_args!("VG {}", open.vg().name())));
    }
    let name = open.vg().name().as_str().to_owned();
    for lv in uuids.iter().filter_map(|uuid| open.vg().lv_by_uuid(*uuid)) {
        check_idle(context, &open, lv)?;
    }
    for uuid in &uuids {
        take_down(context, &open, *uuid)?;
    }
    if !uuids.is_empty() {
        let removed = open.commit(|vg| remove_all(vg, &uuids))?;
        for lv in removed {
            context.say(format!("Logical volume \"{lv}\" successfully removed."));
        }
    }
    open.destroy()?;
    context.say(format!("Volume group \"{name}\" successfully removed"));
    Ok(())
}
