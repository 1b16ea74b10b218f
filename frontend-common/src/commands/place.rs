//! How large, and where: what `lvcreate`, `lvextend` and `pvmove` ask of the allocator.

use lvshift_core::metadata::{AllocError, Area, Policy};
use lvshift_core::units::{Extents, LvIndex, PvIndex};

use super::Context;
use super::lookup::{pv_path, refuse};
use crate::cli::values::AllocPolicy;
use crate::error::{Error, Kind, Result};
use crate::size::{Amount, Long, Of, Sign, Size, percent_of, to_extents};
use crate::vg::OpenVg;

/// LVM's policy names as the core has them.
pub(super) fn policy(policy: AllocPolicy) -> Policy {
    match policy {
        AllocPolicy::Contiguous => Policy::Contiguous,
        AllocPolicy::Cling => Policy::Cling,
        AllocPolicy::Normal => Policy::Normal,
        AllocPolicy::Anywhere => Policy::Anywhere,
        AllocPolicy::Inherit => Policy::Inherit,
    }
}

/// What was asked for: by size or by extents.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted {
    Size(Size),
    Extents(Amount),
}

/// The extents of it; a size is rounded up, and that is said.
pub(super) fn extents(
    context: &Context<'_>,
    open: &OpenVg,
    wanted: Wanted,
    areas: &[Area],
    lv: Option<LvIndex>,
) -> Result<Extents> {
    let vg = open.vg();
    let too_large = || refuse(Kind::Usage, "the size is too large");
    let extents = match wanted {
        Wanted::Size(size) => {
            let (extents, rounded) = to_extents(size.0, vg.extent_size()).ok_or_else(too_large)?;
            if rounded {
                let full = Long(vg.extent_size().span(extents));
                context.say(format!("Rounding up size to full physical extent {full}"));
            }
            extents
        }
        Wanted::Extents(Amount::Count(count)) => Extents(count),
        Wanted::Extents(Amount::Percent(percent, of)) => {
            let all = |pv: &PvIndex| u64::from(vg.pv(*pv).map_or(0, |pv| pv.pe_count.0));
            let every: Vec<PvIndex> = vg.pv_indices().collect();
            let whole = match of {
                Of::Free => u64::from(vg.free_in(areas, &avoid(open, areas)).0),
                Of::Vg => every.iter().map(all).sum(),
                Of::Pvs if areas.is_empty() => every.iter().map(all).sum(),
                Of::Pvs => {
                    let named = |pv: &&PvIndex| areas.iter().any(|area| area.pv == **pv);
                    every.iter().filter(named).map(all).sum()
                }
                Of::Lv => match lv.and_then(|lv| vg.lv(lv)) {
                    Some(lv) => u64::from(lv.le_count.0),
                    None => return Err(refuse(Kind::Usage, "%LV goes with lvextend only")),
                },
            };
            percent_of(whole, percent).ok_or_else(too_large)?
        }
    };
    if extents.0 == 0 {
        let none = match wanted {
            Wanted::Extents(Amount::Percent(_, Of::Free)) => (Kind::NoSpace, "nothing is free"),
            _ => (Kind::Usage, "the size is 0"),
        };
        return Err(refuse(none.0, none.1));
    }
    Ok(extents)
}

/// What is not to be used where no PVs are named: PVs that are missing or were left behind. One that is named is
/// refused by its name.
pub(super) fn avoid(open: &OpenVg, areas: &[Area]) -> Vec<Area> {
    if areas.is_empty() { open.unusable() } else { Vec::new() }
}

/// Only lvextend takes `+`.
pub(super) fn absolute(sign: Sign) -> Result<()> {
    match sign {
        Sign::Absolute => Ok(()),
        Sign::Plus => Err(refuse(Kind::Usage, "+ goes with lvextend only")),
    }
}

/// Why there is no room, with numbers.
pub(super) fn no_room(open: &OpenVg, error: AllocError) -> Error {
    let size = |extents: Extents| Long(open.vg().extent_size().span(extents));
    match error {
        AllocError::NoSpace { wanted, free } => refuse(
            Kind::NoSpace,
            format!(
                "not enough free extents: {} are needed ({}), {} are free there ({})",
                wanted.0,
                size(wanted),
                free.0,
                size(free)
            ),
        )
        .next("`pvs --segments` shows what is free; vgextend adds room"),
        AllocError::NotContiguous { wanted, longest } => refuse(
            Kind::NoSpace,
            format!(
                "not enough free extents in one piece: {} are needed, the longest run has {}",
                wanted.0, longest.0
            ),
        )
        .next("do without --alloc contiguous"),
        AllocError::IsLeaving { pv } => {
            refuse(Kind::State, format!("{} takes no changes and is being left", pv_path(open, pv)))
                .next("name another PV, or none")
        }
        AllocError::NoSuchPv { pv } => refuse(
            Kind::NotFound,
            format!("{} is not a PV of VG {}", pv_path(open, pv), open.vg().name()),
        ),
        AllocError::TooFragmented { limit } => {
            refuse(Kind::Limit, format!("the free extents lie in more than {limit} pieces"))
        }
        AllocError::Nothing => refuse(Kind::Usage, "the size is 0"),
    }
}
