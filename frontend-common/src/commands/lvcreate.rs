//! `lvcreate`.

use lvshift_core::metadata::AllocRequest;
use lvshift_core::units::Uuid;

use super::Context;
use super::blocks;
use super::ignored;
use super::lookup::{self, refuse};
use super::lvremove::remove_all;
use super::place::{Wanted, absolute, avoid, extents, no_room, policy};
use crate::activation;
use crate::cli::lv_args::Lvcreate;
use crate::cli::values::AllocPolicy;
use crate::error::{Error, Kind, Result};
use crate::vg::{Hold, OpenVg};

pub(super) fn run(context: &mut Context<'_>, args: &Lvcreate) -> Result<()> {
    ignored::check_activation_skip(args.setactivationskip)?;
    let volume = lookup::volume(&args.vg)?;
    let given = match (&args.name, volume.lv) {
        (Some(name), None) => Some(name.clone()),
        (None, lv) => lv,
        (Some(name), Some(lv)) if *name == lv => Some(lv),
        (Some(_), Some(_)) => {
            return Err(refuse(Kind::Usage, "the LV is named twice, and not the same"));
        }
    };
    // `-n VG/LV` is LVM's as well.
    let given = match given.as_deref().map(|name| name.rsplit_once('/').ok_or(name)) {
        None => None,
        Some(Err(name)) => Some(name.to_owned()),
        Some(Ok((vg, lv))) if vg.trim_start_matches("/dev/") == volume.vg => Some(lv.to_owned()),
        Some(Ok((vg, lv))) => {
            let what = format!("`{vg}/{lv}` is not in VG {}", volume.vg);
            return Err(refuse(Kind::Usage, what));
        }
    };
    let activate = args.activate.0;
    let zero = args.zero.map_or(activate, |zero| zero.0);
    if zero && !activate {
        return Err(
            refuse(Kind::Usage, "only an active LV can be zeroed").next("say -Z n with -a n")
        );
    }
    if activate {
        context.front_end.check_kernel(false)?;
    }
    let mut open = OpenVg::open(&volume.vg, Hold::Keep)?;
    let name = match given {
        Some(name) => name,
        None => (0..)
            .map(|n| format!("lvol{n}"))
            .find(|name| open.vg().lv_by_name(name).is_none())
            .unwrap_or_default(),
    };
    let name = lookup::name(&name)?;
    if open.vg().lv_by_name(name.as_str()).is_some() {
        return Err(refuse(
            Kind::Exists,
            format!("Logical Volume \"{name}\" already exists in volume group \"{}\"", volume.vg),
        ));
    }
    let wanted = match (args.size, args.extents) {
        (Some(size), _) => Wanted::Size(size),
        (None, Some(argument)) => {
            absolute(argument.sign)?;
            Wanted::Extents(argument.amount)
        }
        (None, None) => return Err(refuse(Kind::Usage, "a size is needed: -L or -l")),
    };
    let areas = lookup::areas(&open, &args.pvs)?;
    let count = extents(context, &open, wanted, &areas, None)?;
    let contiguous = args.contiguous.is_some_and(|wanted| wanted.0);
    let policy = policy(if contiguous { AllocPolicy::Contiguous } else { args.alloc });
    let avoid = avoid(&open, &areas);
    let request = AllocRequest { count, areas: &areas, avoid: &avoid, policy, grows: None };
    let runs = open.vg().allocate(&request).map_err(|error| no_room(&open, error))?;
    if !args.allow_mixed_block_sizes {
        let pvs = runs.iter().map(|run| run.place.pv);
        blocks::check(open.members(), name.as_str(), std::iter::empty(), pvs)?;
    }
    let uuid = lookup::fresh();
    open.commit(|vg| {
        let cannot = |e| refuse(Kind::State, format!("LV {name} cannot be made")).because(e);
        let lv = vg.add_lv(uuid, name.clone(), &runs).map_err(cannot)?;
        let by_itself = args.setautoactivation.is_none_or(|wanted| wanted.0);
        vg.set_autoactivation_of(lv, by_itself).map_err(cannot)
    })?;
    if activate {
        let signatures = args.wipesignatures.map_or(zero, |wipe| wipe.0);
        let started = wipe(context, &open, uuid, zero, signatures)
            .and_then(|()| start(context, &mut open, uuid));
        if let Err(error) = started {
            return Err(give_up(context, &mut open, uuid, error));
        }
    } else {
        context.warn(format!("Logical volume {}/{name} not zeroed.", volume.vg));
    }
    context.say(format!("Logical volume \"{name}\" created."));
    Ok(())
}

fn start(context: &mut Context<'_>, open: &mut OpenVg, lv: Uuid) -> Result<()> {
    let (_, notes) = activation::activate(open, context.front_end, lv)?;
    notes.iter().for_each(|note| context.say(note));
    Ok(())
}

/// Zeroes the head, and wipes what others have left, so that nothing old shows through: before the LV has a
/// device, since udev looks at every new one at once.
fn wipe(
    context: &mut Context<'_>,
    open: &OpenVg,
    uuid: Uuid,
    zero: bool,
    signatures: bool,
) -> Result<()> {
    let Some(lv) = open.vg().lv_by_uuid(uuid) else { return Ok(()) };
    let looked = if signatures { open.signatures_on(lv) } else { Ok(Vec::new()) };
    // What cannot be read shows nothing through.
    let found = looked.unwrap_or_else(|error| {
        context.warn_of(&error);
        Vec::new()
    });
    for found in &found {
        let name = lookup::full_name(open.vg(), lv);
        context
            .say(format!("Wiping {} signature on {name} at offset {}.", found.name, found.offset));
    }
    let head = zero.then_some(0);
    open.zero_blocks(lv, head.into_iter().chain(found.iter().map(|found| found.offset))).map_err(
        |error| Error::new(Kind::Io, "what is old on the new LV could not be wiped").because(error),
    )
}

/// An LV that could not be started is not left behind.
fn give_up(context: &mut Context<'_>, open: &mut OpenVg, lv: Uuid, error: Error) -> Error {
    let down = super::take_down::take_down(context, open, lv);
    let removed = down.and_then(|()| open.commit(|vg| remove_all(vg, &[lv])));
    match removed {
        Ok(_) => error.state("the LV was taken out again; nothing else was changed"),
        Err(second) => error
            .state(format!("the LV is in the metadata ({})", second.what))
            .next("remove it with lvremove"),
    }
}
