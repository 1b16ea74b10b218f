//! `vgchange --systemid`: which host a VG belongs to.

use super::Context;
use super::driven::{driver, is_driven};
use super::lookup::refuse;
use crate::error::{Error, Kind, Result};
use crate::system_id::{self, shown};
use crate::vg::{Hold, OpenVg};

/// Gives the VG to the host with this system id, or to any ("").
pub(super) fn give(context: &mut Context<'_>, name: &str, id: &str, force: bool) -> Result<()> {
    let to = if id.is_empty() { None } else { Some(system_id::parse_id(id)?) };
    let host = system_id::local()?;
    let open = OpenVg::open(name, Hold::Release)?;
    let from = open.vg().system_id().cloned();
    if from == to {
        context
            .say(format!("Volume group \"{name}\" has system id {} already", shown(to.as_ref())));
        return Ok(());
    }
    let foreign = open.vg().is_foreign_to(host.as_ref());
    if foreign && !force {
        system_id::check(open.vg())?;
    }
    let leaves = to.is_some() && to != host;
    if leaves && !foreign {
        refuse_in_use(context, &open)?;
    }
    if foreign {
        context.ask(&format!(
            "VG {name} belongs to the host with system id {}. If that host still uses it, both will destroy \
             each other's data. Take it from there?",
            shown(from.as_ref())
        ))?;
    } else if leaves {
        context.ask(&format!(
            "VG {name} will belong to the host with system id {}: this host, {}, will neither activate nor \
             change it any more. Give it away?",
            shown(to.as_ref()),
            shown(host.as_ref())
        ))?;
    }
    let uuid = open.vg().uuid();
    drop(open);
    // Asked first, then locked and looked at again.
    let mut open = OpenVg::open(name, Hold::Keep)?;
    if open.vg().uuid() != uuid || open.vg().system_id() != from.as_ref() {
        return Err(Error::changed_meanwhile(format_args!("VG {name}")));
    }
    if leaves && !foreign {
        refuse_in_use(context, &open)?;
    }
    open.set_system_id(to, foreign)?;
    context.say(format!("Volume group \"{name}\" successfully changed"));
    Ok(())
}

/// What this host serves or moves is not given away under its users.
fn refuse_in_use(context: &mut Context<'_>, open: &OpenVg) -> Result<()> {
    let vg = open.vg();
    if is_driven(vg.uuid()) {
        let what = format!("extents of VG {} are being moved by {}", vg.name(), driver(vg.uuid()));
        return Err(refuse(Kind::Locked, what).next("wait for it, or stop it"));
    }
    for lv in super::lookup::chosen(open, &[])? {
        if context.front_end.active(vg, lv)?.is_some() {
            let lv = super::lookup::full_name(vg, lv);
            return Err(refuse(Kind::InUse, format!("LV {lv} is active on this host"))
                .next(format!("vgchange -an {}", vg.name())));
        }
    }
    Ok(())
}
