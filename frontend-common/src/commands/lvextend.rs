//! `lvextend`.

use lvshift_core::metadata::AllocRequest;
use lvshift_core::units::Extents;

use super::Context;
use super::blocks;
use super::grow_fs;
use super::lookup::{self, full_name, refuse};
use super::place::{Wanted, avoid, extents, no_room, policy};
use super::take_down::not_moving;
use crate::cli::lv_args::Lvextend;
use crate::error::{Error, Kind, Result};
use crate::exclusive;
use crate::size::{Amount, Long, Of, Sign};
use crate::vg::{Hold, OpenVg};

pub(super) fn run(context: &mut Context<'_>, args: &Lvextend) -> Result<()> {
    let (vg, lv) = lookup::lv_name(&args.lv)?;
    let mut open = OpenVg::open(&vg, Hold::Keep)?;
    let lv = lookup::lv(open.vg(), &lv)?;
    exclusive::check(context.front_end.name(), open.vg(), lv)?;
    // A table that mirrors is not changed under the copy.
    not_moving(context.program, &open, lv)?;
    let name = full_name(open.vg(), lv);
    let before = open.vg().lv(lv).map_or(Extents(0), |lv| lv.le_count);
    let areas = lookup::areas(&open, &args.pvs)?;
    let (sign, wanted) = match (args.size, args.extents) {
        (Some(signed), _) => (signed.sign, Wanted::Size(signed.size)),
        (None, Some(argument)) => (argument.sign, Wanted::Extents(argument.amount)),
        // By all that is free on the PVs named.
        (None, None) if !areas.is_empty() => {
            (Sign::Plus, Wanted::Extents(Amount::Percent(100, Of::Free)))
        }
        (None, None) => return Err(refuse(Kind::Usage, "a size is needed: -L or -l")),
    };
    // "100%FREE" without a + can only mean what is free on top of what there is.
    let adds =
        sign == Sign::Plus || matches!(wanted, Wanted::Extents(Amount::Percent(_, Of::Free)));
    let amount = extents(context, &open, wanted, &areas, Some(lv))?;
    let more = if adds {
        amount
    } else {
        match amount.0.checked_sub(before.0) {
            Some(0) => {
                let (new, old) = (before.0, before.0);
                let what =
                    format!("New size ({new} extents) matches existing size ({old} extents)");
                return Err(refuse(Kind::State, format!("LV {name}: {what}")));
            }
            Some(more) => Extents(more),
            None => {
                let size = Long(open.vg().extent_size().span(before));
                return Err(refuse(
                    Kind::Usage,
                    format!("LV {name} is larger already ({size}); lvextend never shrinks"),
                ));
            }
        }
    };
    let avoid = avoid(&open, &areas);
    let request = AllocRequest {
        count: more,
        areas: &areas,
        avoid: &avoid,
        policy: policy(args.alloc),
        grows: Some(lv),
    };
    let runs = open.vg().allocate(&request).map_err(|error| no_room(&open, error))?;
    if !args.allow_mixed_block_sizes {
        let now = open.vg().segments_of(lv).iter().map(|segment| segment.place.pv);
        blocks::check(open.members(), &name, now, runs.iter().map(|run| run.place.pv))?;
    }
    let active = context.front_end.active(open.vg(), lv)?.is_some();
    if active {
        context.front_end.check_kernel(false)?;
        context.front_end.check_growth().map_err(|error| {
            Error::new(
                Kind::Unsupported,
                format!("LV {name} cannot be extended while it is active"),
            )
            .because(error)
            .state("nothing was changed")
            .next(format!(
                "lvchange -a n {name}, extend it, lvchange -a y {name}; or use a newer kernel"
            ))
        })?;
    }
    let growth = match (args.resizefs, context.front_end.active(open.vg(), lv)?) {
        (true, Some(device)) => Some(grow_fs::plan(&device.node)?),
        (true, None) => {
            let what = format!("LV {name} is not active: its file system cannot be grown");
            return Err(
                refuse(Kind::State, what).next(format!("lvchange -a y {name}, or leave -r out"))
            );
        }
        (false, _) => None,
    };
    open.commit(|vg| {
        vg.extend_lv(lv, &runs)
            .map_err(|e| refuse(Kind::State, format!("LV {name} cannot be extended")).because(e))
    })?;
    if active {
        context.front_end.refresh(open.view(), lv).map_err(|error| {
            Error::new(Kind::Kernel, format!("the device of LV {name} could not be made larger"))
                .because(error)
                .state("the metadata have the new size; the device still has the old one and works")
                .next(format!("lvchange -a n {name}, then lvchange -a y {name}"))
        })?;
    }
    let after = Extents(before.0.saturating_add(more.0));
    let size = |extents| Long(open.vg().extent_size().span(extents));
    context.say(format!(
        "Size of logical volume {name} changed from {} ({} extents) to {} ({} extents).",
        size(before),
        before.0,
        size(after),
        after.0
    ));
    context.say(format!("Logical volume {name} successfully resized."));
    // No command waits for the VG while a file system grows.
    drop(open);
    if let Some(growth) = growth {
        growth.run()?;
        context.say(format!("File system on {name} grown."));
    }
    Ok(())
}
