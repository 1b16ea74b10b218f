//! From the command line to records of moves. Everything that can be refused is refused before
//! they are written.

use lvshift_core::metadata::{Area, Change, MoveRequest, PlanError};
use lvshift_core::units::{Extents, LvIndex, MoveIndex, PvIndex, SECTOR_SIZE, Uuid};

use super::super::Context;
use super::super::blocks;
use super::super::lookup::{self, full_name, pv_path, refuse};
use super::super::place::{no_room, policy};
use super::around::Around;
use super::{announce, estimate, leave, readable};
use crate::cli::pv_args::Pvmove;
use crate::cli::spec::PvSpec;
use crate::cli::values::AllocPolicy;
use crate::error::{Error, Kind, Result};
use crate::exclusive;
use crate::pv::Members;
use crate::size::Units;
use crate::vg::{OpenVg, Vg};

/// Plans what was asked, without what stays, and commits it as queued; returns the new moves in order.
pub(super) fn record(
    context: &mut Context<'_>,
    args: &Pvmove,
    source: &PvSpec,
    open: &mut OpenVg,
    around: &mut Around,
) -> Result<Vec<Uuid>> {
    let mut asked = Asked::of(args, &rest(source, open, around)?, open)?;
    asked.holds_something(args, source, open, around)?;
    try_out(context, args, source, open, &asked.request(args))?;
    let check_unless_told = !context.front_end.isolates_read_errors();
    let wanted = args.read_check || (check_unless_told && !args.skip_read_check);
    if wanted
        && around.is_empty()
        && around.add(readable::check(context, args, open, &asked.sources, asked.only_lv))
    {
        asked = Asked::of(args, &rest(source, open, around)?, open)?;
        asked.holds_something(args, source, open, around)?;
        try_out(context, args, source, open, &asked.request(args))?;
    }
    around.warn(context, source);
    if let Some(uuid) = pv_of(source, open)? {
        leave::see_to(context, open, uuid)?;
        // The VG was read again.
        asked = Asked::of(args, &rest(source, open, around)?, open)?;
        asked.holds_something(args, source, open, around)?;
    }
    let request = asked.request(args);
    let sequence = open.vg().sequence();
    let planned = open.commit(|vg| {
        // The areas are indices, good for one sequence number only.
        if vg.sequence() != sequence {
            return Err(Error::changed_meanwhile("the VG"));
        }
        vg.plan(&request, &mut lookup::fresh)
            .map_err(|error| refuse(Kind::State, "there is no plan any more").because(error))
    })?;
    let first = planned.first.index();
    let moves: Vec<Uuid> = open.vg().moves().iter().skip(first).map(|m| m.uuid).collect();
    let span = open.vg().extent_size().span(planned.extents);
    announce(context, open, &moves, span.bytes().unwrap_or(u64::MAX), args.background);
    Ok(moves)
}

/// The PV that the source names.
pub(super) fn pv_of(source: &PvSpec, open: &OpenVg) -> Result<Option<Uuid>> {
    let number = lookup::device_number(&source.device)?;
    let member = open.members().iter().find(|(_, member)| member.pv.device.number() == number);
    Ok(member.map(|(_, member)| member.uuid))
}

/// What is asked for, without what stays.
fn rest(source: &PvSpec, open: &OpenVg, around: &Around) -> Result<PvSpec> {
    let number = lookup::device_number(&source.device)?;
    let member = open.members().iter().find(|(_, member)| member.pv.device.number() == number);
    let pv = member.and_then(|(pv, _)| open.vg().pvs().get(usize::from(pv.0)));
    let count = pv.map_or(0, |pv| pv.pe_count.0);
    around.rest_of(source, count).ok_or_else(|| around.refusal(source, false))
}

/// Reads what is to be moved of `source`, but for what stays; adds what cannot be read, and answers whether
/// that is news.
pub(super) fn look_again(
    context: &mut Context<'_>,
    args: &Pvmove,
    source: &PvSpec,
    open: &OpenVg,
    around: &mut Around,
) -> Result<bool> {
    let asked = Asked::of(args, &rest(source, open, around)?, open)?;
    Ok(around.add(readable::check(context, args, open, &asked.sources, asked.only_lv)))
}

/// What the arguments name, looked up.
struct Asked {
    sources: Vec<Area>,
    destinations: Vec<Area>,
    only_lv: Option<LvIndex>,
}

impl Asked {
    fn of(args: &Pvmove, source: &PvSpec, open: &OpenVg) -> Result<Asked> {
        let sources = lookup::areas(open, std::slice::from_ref(source))?;
        let mut destinations = lookup::areas(open, &args.destinations)?;
        let unusable = open.unusable();
        if destinations.is_empty() && !unusable.is_empty() {
            let not = |pv: PvIndex| sources.iter().chain(&unusable).any(|area| area.pv == pv);
            let all = open.vg().pv_indices();
            destinations = all.filter(|pv| !not(*pv)).map(Area::whole).collect();
        }
        let only_lv = args.name.as_deref().map(|name| only_lv(open.vg(), name)).transpose()?;
        Ok(Asked { sources, destinations, only_lv })
    }

    /// Fails if all of it stays, or if a part that stays is too much.
    fn holds_something(
        &self,
        args: &Pvmove,
        source: &PvSpec,
        open: &OpenVg,
        around: &Around,
    ) -> Result<()> {
        if around.is_empty() {
            return Ok(());
        }
        let nothing = open.vg().moving_pieces(&self.sources, self.only_lv).next().is_none();
        if args.atomic || nothing { Err(around.refusal(source, args.atomic)) } else { Ok(()) }
    }

    fn request(&self, args: &Pvmove) -> MoveRequest<'_> {
        MoveRequest {
            command: lookup::fresh(),
            sources: &self.sources,
            only_lv: self.only_lv,
            destinations: &self.destinations,
            policy: policy(args.alloc.unwrap_or(AllocPolicy::Normal)),
            atomic: args.atomic,
        }
    }
}

/// Plans on a copy: that gives a refusal its names, and shows what would be. The commit plans again on
/// what it reads.
fn try_out(
    context: &Context<'_>,
    args: &Pvmove,
    source: &PvSpec,
    open: &OpenVg,
    request: &MoveRequest<'_>,
) -> Result<Vg> {
    let mut trial = open.vg().clone();
    trial.plan(request, &mut lookup::fresh).map_err(|error| explain(open, args, source, error))?;
    check_exclusive(context.front_end.name(), &trial, trial.move_indices())?;
    if !args.allow_mixed_block_sizes {
        check_blocks(&trial, open.members())?;
    }
    Ok(trial)
}

/// `pvmove --test`: what would be moved where, and the room that is left then. Whatever would be refused
/// before the first change is refused here, but for sectors that cannot be read, which are not looked for.
pub(super) fn show(
    context: &mut Context<'_>,
    args: &Pvmove,
    source: &PvSpec,
    open: &OpenVg,
) -> Result<()> {
    context.front_end.check_kernel(true)?;
    let asked = Asked::of(args, source, open)?;
    let plan = try_out(context, args, source, open, &asked.request(args))?;
    let first = open.vg().moves().len();
    let size = |extents| Units::default().show(plan.extent_size().span(extents));
    let mut all = Extents(0);
    let mut to: Vec<PvIndex> = Vec::new();
    for of in plan.move_indices().skip(first) {
        for part in plan.parts_of(of) {
            all = Extents(all.0 + part.count.0);
            if !to.contains(&part.destination.pv) {
                to.push(part.destination.pv);
            }
            context.say(format!(
                "{}: extents {}-{} from {}:{} to {}:{}",
                full_name(&plan, part.lv),
                part.first.0,
                part.end().saturating_sub(1),
                pv_path(open, part.source.pv),
                part.source.pe.0,
                pv_path(open, part.destination.pv),
                part.destination.pe.0
            ));
        }
    }
    let moves = plan.moves().len() - first;
    context.say(format!("pvmove: {} in {} extents, {moves} moves", size(all), all.0));
    for pv in to {
        let left = size(plan.free_extents(pv));
        context.say(format!("pvmove: {left} would be left free on {}", pv_path(open, pv)));
    }
    if let Some(time) = time(&plan, open, first) {
        context.say(format!("pvmove: {time}"));
    }
    context.say(
        "pvmove: with --test nothing was changed; sectors that cannot be read were not looked for",
    );
    Ok(())
}

/// How long it takes, from where the first move begins.
fn time(plan: &Vg, open: &OpenVg, first: usize) -> Option<String> {
    let size = u64::from(plan.extent_size().sectors());
    let parts: Vec<_> = plan.move_indices().skip(first).flat_map(|of| plan.parts_of(of)).collect();
    let all: u64 = parts.iter().map(|part| u64::from(part.count.0) * size).sum();
    let part = parts.first()?;
    let start = plan.pv(part.source.pv)?.pe_start.0 + u64::from(part.source.pe.0) * size;
    let device = &open.members().get(part.source.pv)?.pv.device;
    let sectors = start..start + u64::from(part.count.0) * size;
    Some(estimate::sentence(device, sectors, all * SECTOR_SIZE))
}

fn only_lv(vg: &Vg, text: &str) -> Result<LvIndex> {
    if !text.contains('/') {
        return lookup::lv(vg, text);
    }
    let (other, name) = lookup::lv_name(text)?;
    if other != vg.name().as_str() {
        return Err(refuse(
            Kind::Usage,
            format!("the PV is not in VG {other} but in {}", vg.name()),
        ));
    }
    lookup::lv(vg, &name)
}

fn explain(open: &OpenVg, args: &Pvmove, source: &PvSpec, error: PlanError) -> Error {
    let device = source.device.display().to_string();
    let limit = |what: &str, limit: u32| {
        refuse(Kind::Limit, format!("{what} (the limit is {limit})"))
            .next("move fewer extents at once: ranges, or -n LV")
    };
    match error {
        PlanError::NoSource => refuse(Kind::NotFound, format!("{device} is not a PV of the VG")),
        PlanError::NothingToMove => {
            let whose = match &args.name {
                Some(name) => format!("no extents of LV {name} lie"),
                None => "no extents are in use".to_owned(),
            };
            refuse(Kind::State, format!("No data to move: {whose} there")).device(device)
        }
        PlanError::SourceIsDestination { pv } => {
            refuse(Kind::Usage, format!("{} is the source and a destination", pv_path(open, pv)))
                .next("say --alloc anywhere if extents shall move within one PV")
        }
        PlanError::AlreadyMoving { lv, .. } => refuse(
            Kind::State,
            format!("a move of LV {} is recorded already", full_name(open.vg(), lv)),
        )
        .next("`pvmove` carries it on, `pvmove --abort` undoes it"),
        PlanError::Alloc(error) => no_room(open, error),
        PlanError::TooManyParts { limit: n } => limit("the move would have too many pieces", n),
        PlanError::TooManyLvs { limit: n } => limit("too many LVs for one --atomic move", n),
        PlanError::TooManyMoves { limit: n } => limit("the VG would record too many moves", n),
        PlanError::TooManySegments { limit: n } => limit("the VG would have too many segments", n),
        PlanError::LogFull { pv } => refuse(
            Kind::Limit,
            format!("the dirty-log area of {} is too small for this move", pv_path(open, pv)),
        )
        .next("move fewer extents at once"),
        PlanError::BadUuid => refuse(Kind::State, "a random UUID was taken already: try again"),
    }
}

/// A volume whose users write 512 bytes cannot move to a disk that only takes 4096.
fn check_blocks(vg: &Vg, members: &Members) -> Result<()> {
    for part in vg.move_indices().flat_map(|of| vg.parts_of(of)) {
        let now = vg.segments_of(part.lv).iter().map(|s| s.place.pv);
        blocks::check(members, &full_name(vg, part.lv), now, std::iter::once(part.destination.pv))?;
    }
    Ok(())
}

/// Refuses moves of LVs that the other front end has active.
pub(super) fn check_exclusive(
    own: &str,
    vg: &Vg,
    moves: impl Iterator<Item = MoveIndex>,
) -> Result<()> {
    for of in moves {
        for lv in vg.lvs_of_move(of) {
            exclusive::check(own, vg, lv)?;
        }
    }
    Ok(())
}

/// Takes records out again that nothing was begun of. What fails here is found by the next run.
pub(super) fn forget(open: &mut OpenVg, moves: &[Uuid]) {
    let _ = open.commit(|vg| {
        for uuid in moves {
            vg.apply(*uuid, Change::Forget)
                .map_err(|e| refuse(Kind::State, "the plan stays recorded").because(e))?;
        }
        Ok(())
    });
}
