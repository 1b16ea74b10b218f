//! `lvchange` and `vgchange`: devices for LVs.

use lvshift_core::units::Uuid;

use super::Context;
use super::autoactivation;
use super::chosen::look_up;
use super::lookup::{self, chosen};
use super::scans::refresh;
use super::take_down::take_down;
use super::vgsystemid;
use crate::activation;
use crate::cli::lv_args::Lvchange;
use crate::cli::values::Activate;
use crate::cli::vg_args::Vgchange;
use crate::error::Result;
use crate::system_id;
use crate::vg::{Hold, OpenVg};

pub(super) fn lvs(context: &mut Context<'_>, args: &Lvchange) -> Result<()> {
    for of_vg in look_up(&args.lvs)? {
        let (mut open, uuids) = of_vg.lock()?;
        if let Some(wanted) = args.setautoactivation {
            autoactivation::of_lvs(&mut open, &uuids, wanted.0)?;
            for lv in uuids.iter().filter_map(|lv| open.vg().lv_by_uuid(*lv)) {
                let name = lookup::full_name(open.vg(), lv);
                context.say(format!("Logical volume {name} changed."));
            }
            continue;
        }
        match args.activate {
            Some(activate) => change(context, &mut open, uuids, activate)?,
            None => refresh(context, &mut open),
        }
    }
    Ok(())
}

pub(super) fn vgs(context: &mut Context<'_>, args: &Vgchange) -> Result<()> {
    if let Some(id) = &args.systemid {
        for name in &args.vgs {
            vgsystemid::give(context, &lookup::vg_name(name)?, id, args.force > 0)?;
        }
        return Ok(());
    }
    let opened = if args.vgs.is_empty() {
        OpenVg::open_all(Hold::Keep)?
    } else {
        let names: Vec<String> =
            args.vgs.iter().map(|n| lookup::vg_name(n)).collect::<Result<_>>()?;
        // A name that is not there is told before anything is changed.
        for name in &names {
            drop(OpenVg::open(name, Hold::Release)?);
        }
        names.iter().map(|name| OpenVg::open(name, Hold::Keep)).collect()
    };
    for opened in opened {
        let mut open = match opened {
            Ok(open) => open,
            Err(error) => {
                context.fail(&error);
                continue;
            }
        };
        let uuids: Vec<Uuid> = open.vg().lvs().iter().map(|lv| lv.uuid).collect();
        if let Some(wanted) = args.setautoactivation {
            match autoactivation::of_vg(&mut open, wanted.0) {
                Ok(()) => {
                    let name = open.vg().name();
                    context.say(format!("Volume group \"{name}\" successfully changed"));
                }
                Err(error) => context.fail(&error),
            }
            continue;
        }
        let Some(activate) = args.activate else {
            refresh(context, &mut open);
            continue;
        };
        if let (true, true, Err(error)) =
            (activate.on, args.vgs.is_empty(), system_id::check(open.vg()))
        {
            // This one was not asked for.
            context.warn_of(&error);
            continue;
        }
        if let Err(error) = change(context, &mut open, uuids, activate) {
            context.fail(&error);
        }
        let indices = chosen(&open, &[])?;
        let mut active = 0;
        for lv in indices {
            active += usize::from(context.front_end.active(open.vg(), lv)?.is_some());
        }
        let name = open.vg().name();
        context.say(format!("{active} logical volume(s) in volume group \"{name}\" now active"));
    }
    Ok(())
}

/// Does what can be done; what cannot is told and shows in the exit status.
fn change(
    context: &mut Context<'_>,
    open: &mut OpenVg,
    lvs: Vec<Uuid>,
    activate: Activate,
) -> Result<()> {
    let lvs = if activate.by_itself { autoactivation::among(open.vg(), lvs) } else { lvs };
    if activate.on && !lvs.is_empty() {
        context.front_end.check_kernel(false)?;
    }
    for lv in &lvs {
        let done = if activate.on {
            activation::activate(open, context.front_end, *lv).map(|(device, notes)| {
                context.detail(format!("{} is {}", device.node.display(), device.number));
                notes
            })
        } else {
            take_down(context, open, *lv).map(|()| Vec::new())
        };
        match done {
            Ok(notes) => notes.iter().for_each(|note| context.say(note)),
            Err(error) => context.fail(&error),
        }
    }
    Ok(())
}
