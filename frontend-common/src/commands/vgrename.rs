//! `vgrename`.

use lvshift_core::metadata::MoveState;
use lvshift_core::mover::Mapping;

use super::Context;
use super::lookup::{self, full_name, refuse};
use super::vg::not_lvm2s;
use crate::cli::day_args::Vgrename;
use crate::error::{Error, Kind, Result};
use crate::exclusive;
use crate::links;
use crate::pv::Scan;
use crate::requests::parse_uuid;
use crate::vg::{Hold, OpenVg};

pub(super) fn run(context: &mut Context<'_>, args: &Vgrename) -> Result<()> {
    let new = lookup::name(&lookup::vg_name(&args.new)?)?;
    let scan = Scan::run()?;
    let taken = OpenVg::names(&scan).iter().any(|other| other == new.as_str());
    if taken {
        return Err(refuse(Kind::Exists, format!("New volume group \"{new}\" already exists")));
    }
    not_lvm2s(new.as_str())?;
    links::check(new.as_str()).map_err(|error| error.state("nothing was changed"))?;
    let mut open = match parse_uuid(&args.old) {
        Some(uuid) => OpenVg::open_by_uuid(scan, uuid, Hold::Keep)?,
        None => OpenVg::open(&lookup::vg_name(&args.old)?, Hold::Keep)?,
    };
    let old = open.vg().name().as_str().to_owned();
    if open.vg().moves().iter().any(|of| of.state != MoveState::Queued) {
        let what = format!("a move is recorded in VG {old}");
        return Err(refuse(Kind::State, what).next("let it end, or undo it, with pvmove"));
    }
    let all = lookup::chosen(&open, &[])?;
    let mut active = Vec::new();
    for lv in all {
        exclusive::check(context.front_end.name(), open.vg(), lv)?;
        if context.front_end.active(open.vg(), lv)?.is_some() {
            active.push(lv);
        }
    }
    open.commit(|vg| {
        vg.rename(new.clone());
        Ok(())
    })?;
    for lv in active {
        let Some(name) = open.vg().lv(lv).map(|lv| lv.name.as_str().to_owned()) else { continue };
        let renamed = links::remove(&old, &name)
            .and_then(|()| context.front_end.rename(open.vg(), lv, &name))
            .and_then(|()| {
                context.front_end.activate(open.view(), lv, Mapping::Source, false).map(drop)
            });
        renamed.map_err(|error| {
            let lv = full_name(open.vg(), lv);
            Error::new(Kind::Kernel, format!("the device of {lv} could not be renamed"))
                .because(error)
                .state(format!("the metadata have the name {new}; the device works"))
                .next(format!("lvchange -a n {lv}, then lvchange -a y {lv}"))
        })?;
    }
    context.say(format!("Volume group \"{old}\" successfully renamed to \"{new}\""));
    Ok(())
}
