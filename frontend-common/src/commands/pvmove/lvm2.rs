//! `pvmove` in a VG of LVM2's own. Which kind a PV belongs to is found out from its device.

use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use lvshift_core::units::{DeviceNumber, SECTOR_SIZE, Sectors, Uuid};

use super::super::Context;
use super::super::driven::{driver, is_driven};
use super::super::lookup::{self, refuse};
use super::super::place::policy;
use super::super::sights::Seen;
use super::around::{Around, Unreadable};
use super::file::{self, FileSystem};
use super::rounds::{Asked, Rounds, in_rounds};
use super::{Ended, Telling, Way, background, estimate, readable, tell};
use crate::cli::pv_args::Pvmove;
use crate::cli::spec::PvSpec;
use crate::cli::values::AllocPolicy;
use crate::device::{Access, Aligned, BlockDevice};
use crate::drive::unreadable;
use crate::error::{Error, Kind, Result};
use crate::lvm2::mapper::Mapper;
use crate::lvm2::plan::{Model, Planned, Wanted};
use crate::lvm2::stack::Stack;
use crate::lvm2::table::Numbers as _;
use crate::lvm2::text::roles::Uses;
use crate::lvm2::text::{Metadata, Part, Shape};
use crate::lvm2::tools::Lvm;
use crate::lvm2::vg::LvmVg;
use crate::lvm2::{self, id};
use crate::output;
use crate::pause;
use crate::progress::Event;
use crate::signature;
use crate::size::Units;

/// The VG of the PV at this path, if it is one of LVM2's.
pub(super) fn vg_of(path: &Path) -> Result<Option<(LvmVg, String)>> {
    // What cannot be opened is told by who looks among PVs of ours.
    let Ok(device) = BlockDevice::open(path, Access::Read) else { return Ok(None) };
    if !signature::is_lvm2(&device) {
        return Ok(None);
    }
    let shown = path.display();
    let lvm = Lvm::find().ok_or_else(|| {
        refuse(Kind::Unsupported, format!("{shown} is a PV of LVM2, which this machine lacks"))
            .next("install LVM2 (the package lvm2)")
    })?;
    let all = lvm.pvs(None, &[])?;
    let found = all.iter().find(|pv| pv.number == Some(device.number()));
    let Some(found) = found else {
        return Err(refuse(Kind::NotFound, format!("LVM2 does not see a PV on {shown}"))
            .next("its devices file, filters or system id may exclude it: `pvs -a` shows"));
    };
    let Some(name) = found.vg.clone() else {
        return Err(refuse(Kind::State, format!("PV {shown} is in no VG")));
    };
    let vg = LvmVg::open_among(&lvm, &name, all)?;
    let key = vg.pv_at(device.number()).map(str::to_owned).ok_or_else(|| {
        refuse(Kind::State, format!("PV {shown} is not in VG {name} any more")).next("try again")
    })?;
    Ok(Some((vg, key)))
}

/// The VGs of LVM2's in which a move of ours is recorded, or this one if there is one in it; none without LVM2.
pub(super) fn with_moves(context: &mut Context<'_>, only: Option<&str>) -> Vec<LvmVg> {
    let Some(lvm) = lvm2::in_use() else { return Vec::new() };
    let names = match lvm.vgs_with_moves() {
        Ok(names) => names,
        Err(error) => {
            context.fail(&error);
            return Vec::new();
        }
    };
    let mut vgs = Vec::new();
    for name in names.into_iter().filter(|name| only.is_none_or(|only| only == name)) {
        match LvmVg::open(&lvm, &name) {
            Ok(vg) => vgs.push(vg),
            Err(error) => context.fail(&error),
        }
    }
    vgs
}

/// The recorded moves, all or those away from this PV.
fn moves_from(vg: &LvmVg, source: Option<&str>) -> Vec<Uuid> {
    let from_here = |key: &str, part: &crate::lvm2::text::Part| part.source.of == key;
    vg.moves()
        .iter()
        .filter(|record| {
            source.is_none_or(|key| record.parts.iter().any(|part| from_here(key, part)))
        })
        .map(|record| id::uuid(&record.id))
        .collect()
}

/// `pvmove SRC [DST]`.
pub(super) fn begin(
    context: &mut Context<'_>,
    args: &Pvmove,
    source: &PvSpec,
    vg: LvmVg,
    key: &str,
) -> Result<()> {
    let interrupted = moves_from(&vg, Some(key));
    let driven = is_driven(vg.uuid());
    if context.test {
        if interrupted.is_empty() {
            context.front_end.lvm2()?.check()?;
            let planned = plan(args, source, &vg, key)?;
            show(context, &vg, &planned)?;
        } else {
            let device = source.device.display();
            context.say(format!(
                "pvmove: the move from {device} that is recorded would be carried on"
            ));
            context.say("pvmove: with --test nothing was changed");
        }
        return Ok(());
    }
    if args.detached || (!interrupted.is_empty() && !driven) {
        if !args.detached {
            let device = source.device.display();
            context.say(format!("Detected pvmove in progress for {device}: carrying it on."));
            if !args.destinations.is_empty()
                || args.name.is_some()
                || args.atomic
                || args.fill_unreadable.is_some()
            {
                context.warn("Ignoring remaining command line arguments.");
            }
        }
        return carry_on(context, args, vg, &interrupted);
    }
    if driven {
        return Err(refuse(
            Kind::Locked,
            format!("extents of VG {} are being moved by {}", vg.name(), driver(vg.uuid())),
        )
        .next(format!("wait for it, or stop it with `{} pvmove --abort`", context.program)));
    }
    context.front_end.lvm2()?.check()?;
    in_rounds(context, Asked { args, source }, &mut OfKey { vg, key })
}

/// A VG of LVM2's, and the key of the source in its text.
struct OfKey<'a> {
    vg: LvmVg,
    key: &'a str,
}

impl Rounds for OfKey<'_> {
    fn vg_name(&self) -> String {
        self.vg.name().to_owned()
    }

    fn record(
        &mut self,
        context: &mut Context<'_>,
        Asked { args, source }: Asked<'_>,
        around: &mut Around,
    ) -> Result<Vec<Uuid>> {
        record(context, args, source, &mut self.vg, self.key, around)
    }

    fn drive(
        &mut self,
        context: &mut Context<'_>,
        Asked { args, .. }: Asked<'_>,
        around: &Around,
        moves: &[Uuid],
    ) -> Result<Ended> {
        drive(context, args, &mut self.vg, Way::Run, around, moves)
    }

    fn forget(&mut self, context: &mut Context<'_>, moves: &[Uuid]) {
        let _ = context.front_end.lvm2().map(|mapper| lvm2::forget(&mut self.vg, mapper, moves));
    }

    fn look_again(
        &self,
        context: &mut Context<'_>,
        Asked { args, source }: Asked<'_>,
        around: &mut Around,
    ) -> Result<bool> {
        look_again(context, args, source, &self.vg, self.key, around)
    }

    /// Every PV of LVM2's has to take each change.
    fn is_source_left(&mut self, _source: &PvSpec) -> bool {
        false
    }
}

/// The commit of a plan that failed may stand all the same: nothing has been begun, and no trace of it is left.
fn take_back(context: &mut Context<'_>, vg: &mut LvmVg, planned: &[Uuid], error: Error) -> Error {
    let reread = vg.reread();
    let new: Vec<Uuid> =
        moves_from(vg, None).into_iter().filter(|of| planned.contains(of)).collect();
    if reread.is_err() {
        return error;
    }
    if new.is_empty() {
        return error.state("nothing was changed");
    }
    let done = context.front_end.lvm2().and_then(|mapper| lvm2::forget(vg, mapper, &new));
    // What failed in the commit may fail in this one, too, and yet have been done.
    let gone = vg.reread().is_ok() && moves_from(vg, None).iter().all(|of| !new.contains(of));
    tracing::debug!(?done, gone, "the plan is taken back");
    if gone {
        error.state("nothing was moved, and the plan is taken back")
    } else {
        error
            .state("nothing was moved; the plan is recorded")
            .next("`pvmove --abort` takes it back")
    }
}

/// `pvmove` and `pvmove --abort` in this VG, of one PV or of everything. Whether there was something to do.
pub(super) fn recorded(
    context: &mut Context<'_>,
    args: &Pvmove,
    mut vg: LvmVg,
    source: Option<&str>,
) -> Result<bool> {
    let moves = moves_from(&vg, source);
    if moves.is_empty() {
        return Ok(false);
    }
    if context.test {
        context.say("pvmove: with --test nothing was changed");
        return Ok(true);
    }
    if args.abort {
        context.front_end.lvm2()?.check()?;
        let around = Around::default();
        drive(context, args, &mut vg, Way::Abort, &around, &moves)?.conclude(context, Way::Abort);
    } else {
        carry_on(context, args, vg, &moves)?;
    }
    Ok(true)
}

fn carry_on(context: &mut Context<'_>, args: &Pvmove, mut vg: LvmVg, moves: &[Uuid]) -> Result<()> {
    context.front_end.lvm2()?.check()?;
    if args.background {
        let first = vg.moves().first().and_then(|record| record.parts.first());
        let source = first.map(|part| vg.path_of(&part.source.of)).unwrap_or_default();
        let name = vg.name().to_owned();
        return background::leave(context, args, &name, source);
    }
    let around = Around::default();
    drive(context, args, &mut vg, Way::CarryOn, &around, moves)?.conclude(context, Way::CarryOn);
    Ok(())
}

fn drive(
    context: &mut Context<'_>,
    args: &Pvmove,
    vg: &mut LvmVg,
    way: Way,
    around: &Around,
    moves: &[Uuid],
) -> Result<Ended> {
    if !args.detached {
        pause::forget(vg.name())?;
    }
    let telling = Telling {
        vg: vg.name().to_owned(),
        open: Seen::lvm2,
        bad: around.bad(u64::from(vg.text().extent_size()).saturating_mul(SECTOR_SIZE)),
        mapper: around.mapper(),
    };
    tell(context, args, telling, |front_end, options| {
        let mapper = front_end.lvm2()?;
        match way {
            Way::Run | Way::CarryOn => lvm2::run(vg, mapper, moves, options),
            Way::Abort => lvm2::abort(vg, mapper, moves, options),
        }
    })
}

/// Plans what was asked, and refuses what can be refused before anything is written.
fn plan(args: &Pvmove, source: &PvSpec, vg: &LvmVg, key: &str) -> Result<Vec<Planned>> {
    let wanted = Wanted {
        sources: areas(vg.text(), key, source)?,
        lv: args.name.as_deref().map(|name| only_lv(vg, name)).transpose()?,
        destinations: destinations(vg, &args.destinations)?,
        policy: policy(args.alloc.unwrap_or(AllocPolicy::Normal)),
        atomic: args.atomic,
    };
    let mut model = Model::of(vg.text())?;
    let planned = model.plan(vg.text(), &wanted, &mut lookup::fresh)?;
    if !args.allow_mixed_block_sizes {
        check_blocks(vg, &planned)?;
    }
    Ok(planned)
}

/// Plans what was asked and has it committed as queued.
fn record(
    context: &mut Context<'_>,
    args: &Pvmove,
    source: &PvSpec,
    vg: &mut LvmVg,
    key: &str,
    around: &mut Around,
) -> Result<Vec<Uuid>> {
    let everything = plan(args, source, vg, key)?;
    let check_unless_told = !context.front_end.isolates_read_errors();
    let wanted = args.read_check || (check_unless_told && !args.skip_read_check);
    if wanted && around.is_empty() {
        around.add(unreadable_of(context, args, vg, &everything));
    }
    let planned = if around.is_empty() {
        everything
    } else {
        let parts = everything.iter().flat_map(|planned| &planned.parts);
        let nothing =
            around.keeps_all(parts.map(|part| part.source.extent..part.source.extent + part.count));
        if args.atomic || nothing {
            return Err(around.refusal(source, args.atomic));
        }
        around.warn(context, source);
        plan(args, &rest(source, vg, key, around)?, vg, key)?
    };
    let command = id::id(lookup::fresh());
    let seqno = vg.text().seqno();
    let moves: Vec<Uuid> = planned.iter().map(|planned| planned.uuid).collect();
    let done = vg.commit(&mut |locked| {
        // The plan is of the text that was read.
        if locked.text.seqno() != seqno {
            return Err(Error::changed_meanwhile("the VG"));
        }
        for planned in &planned {
            planned.write(locked.text, &command, &mut lookup::fresh)?;
        }
        Ok(())
    });
    if let Err(error) = done {
        return Err(take_back(context, vg, &moves, error));
    }
    announce(context, args, vg, &planned);
    Ok(moves)
}

fn areas(text: &Metadata, key: &str, spec: &PvSpec) -> Result<Vec<(String, u32, u32)>> {
    let pv = text.pvs().into_iter().find(|pv| pv.key == key);
    let count = pv.map_or(0, |pv| pv.pe_count);
    if spec.ranges.is_empty() {
        return Ok(vec![(key.to_owned(), 0, count)]);
    }
    let area = |range: &crate::cli::spec::PeRange| {
        let last = range.last.unwrap_or(count.saturating_sub(1));
        if last >= count || range.first > last {
            let device = spec.device.display();
            let what = format!(
                "{device} has extents 0-{}, not {}-{last}",
                count.saturating_sub(1),
                range.first
            );
            return Err(refuse(Kind::Usage, what));
        }
        Ok((key.to_owned(), range.first, last - range.first + 1))
    };
    spec.ranges.iter().map(area).collect()
}

fn destinations(vg: &LvmVg, specs: &[PvSpec]) -> Result<Vec<(String, u32, u32)>> {
    let mut all = Vec::new();
    for spec in specs {
        let number = lookup::device_number(&spec.device)?;
        let key = vg.pv_at(number).ok_or_else(|| {
            let shown = spec.device.display();
            refuse(Kind::NotFound, format!("{shown} is not a PV of VG {}", vg.name()))
                .next("`pvs -o pv_name,vg_name` shows whose it is")
        })?;
        all.extend(areas(vg.text(), key, spec)?);
    }
    Ok(all)
}

fn only_lv(vg: &LvmVg, text: &str) -> Result<String> {
    if !text.contains('/') {
        return Ok(text.to_owned());
    }
    let (other, name) = lookup::lv_name(text)?;
    if other != vg.name() {
        let what = format!("the PV is not in VG {other} but in {}", vg.name());
        return Err(refuse(Kind::Usage, what));
    }
    Ok(name)
}

/// A volume whose users write 512 bytes cannot move to a disk that only takes 4096.
fn check_blocks(vg: &LvmVg, planned: &[Planned]) -> Result<()> {
    let block = |key: &str| vg.members().get(key).map_or(512, |pv| pv.device.logical_block());
    for part in planned.iter().flat_map(|planned| &planned.parts) {
        let (old, new) = (block(&part.source.of), block(&part.destination.of));
        if new > old {
            let path = vg.path_of(&part.destination.of);
            let lv = format!("{}/{}", vg.name(), part.lv);
            let what = format!("{path} has blocks of {new} bytes, LV {lv} has blocks of {old}");
            return Err(refuse(Kind::State, what).device(path).next(
                "choose PVs with smaller blocks, or say --allow-mixed-block-sizes if nothing that uses \
                 the LV writes smaller ones",
            ));
        }
    }
    Ok(())
}

/// What is asked for, without what stays.
fn rest(source: &PvSpec, vg: &LvmVg, key: &str, around: &Around) -> Result<PvSpec> {
    let pv = vg.text().pvs().into_iter().find(|pv| pv.key == key);
    let count = pv.map_or(0, |pv| pv.pe_count);
    around.rest_of(source, count).ok_or_else(|| around.refusal(source, false))
}

/// Reads what is to be moved, but for what stays; adds what cannot be read, and answers whether that is news.
fn look_again(
    context: &mut Context<'_>,
    args: &Pvmove,
    source: &PvSpec,
    vg: &LvmVg,
    key: &str,
    around: &mut Around,
) -> Result<bool> {
    let planned = plan(args, &rest(source, vg, key, around)?, vg, key)?;
    Ok(around.add(unreadable_of(context, args, vg, &planned)))
}

/// Reads every sector that is to move, once: dm-mirror would fail the reads of whole regions around one that
/// it cannot copy. The LVs' users are made way for, unless they need none. What cannot be read.
fn unreadable_of(
    context: &mut Context<'_>,
    args: &Pvmove,
    vg: &LvmVg,
    planned: &[Planned],
) -> Vec<Unreadable> {
    let lvs = lvm2::each(planned.iter().flat_map(|one| &one.parts).map(|part| part.lv.clone()));
    let extents: u64 = planned.iter().flat_map(|one| &one.parts).map(|p| u64::from(p.count)).sum();
    let bytes = extents.saturating_mul(u64::from(vg.text().extent_size()) * SECTOR_SIZE);
    let gate = readable::gate(args, bytes, || match context.front_end.lvm2() {
        Ok(mapper) => devices(mapper, vg, &lvs),
        Err(_) => Vec::new(),
    });
    let begun = Instant::now();
    let mut bad = Vec::new();
    for part in planned.iter().flat_map(|planned| &planned.parts) {
        let Some(member) = vg.members().get(&part.source.of) else { continue };
        let Some(start) = vg.text().sector_of(&part.source) else { continue };
        let end = start + u64::from(part.count) * u64::from(vg.text().extent_size());
        for (sectors, error) in unreadable(&member.device, start..end, &gate, &mut |_| true) {
            bad.extend(runs(vg, part, start, sectors, &error));
        }
    }
    context.detail(format!("the source was read once in {:.2} s", begun.elapsed().as_secs_f64()));
    bad
}

/// The devices of these LVs that are active.
fn devices(mapper: &mut dyn Mapper, vg: &LvmVg, lvs: &[String]) -> Vec<DeviceNumber> {
    let stack = Stack::new(mapper, vg.text(), vg.moves(), vg.members());
    lvs.iter().filter_map(|lv| stack.lv(lv)).collect()
}

/// Unreadable sectors of a part that starts at this sector of its PV; in pieces where it is a stripe.
fn runs(vg: &LvmVg, part: &Part, start: u64, all: Range<u64>, error: &str) -> Vec<Unreadable> {
    let text = vg.text();
    let size = u64::from(text.extent_size()).max(1);
    let extent = |sector: u64| {
        let within = u32::try_from((sector - start) / size).unwrap_or(u32::MAX);
        part.source.extent.saturating_add(within)
    };
    let pv = text.pvs().into_iter().find(|pv| pv.key == part.source.of);
    let lv = format!("{}/{}", vg.name(), part.lv);
    let file_system = file_system(vg, &part.lv);
    let mut runs = Vec::new();
    let mut at = all.start;
    while at < all.end {
        let into = u64::from(part.source.extent) * size + (at - start);
        let (on_lv, left) = lvm2::sector_on(text, &part.lv, &part.source.of, into)
            .unwrap_or((at - start, all.end - at));
        let end = all.end.min(at + left.max(1));
        let lv_sectors = on_lv..on_lv + (end - at);
        runs.push(Unreadable {
            pv: pv.as_ref().map(|pv| id::uuid(&pv.id)).unwrap_or_default(),
            device: vg.path_of(&part.source.of),
            extents: extent(at)..extent(end - 1).saturating_add(1),
            sectors: at..end,
            lv: lv.clone(),
            file: file_system.and_then(|fs| fs.how_to_find(&lv_sectors, &format!("/dev/{lv}"))),
            lv_sectors,
            error: error.to_owned(),
        });
        at = end;
    }
    runs
}

/// The file system of an LV that no other LV is made of, if it can be read which.
fn file_system(vg: &LvmVg, lv: &str) -> Option<FileSystem> {
    let text = vg.text();
    if Uses::of(text).by(lv).next().is_some() {
        return None;
    }
    let first = text.segments(lv).into_iter().next()?;
    let Shape::Striped { areas, .. } = &first.shape else { return None };
    let area = areas.first()?;
    let device = &vg.members().get(&area.of)?.device;
    let mut head = Aligned::zeroed(file::HEAD);
    device.read(Sectors(text.sector_of(area)?), &mut head).ok()?;
    FileSystem::of(&head)
}

/// `--test`: what would be moved where, the room that is left then, and how long it takes.
fn show(context: &Context<'_>, vg: &LvmVg, planned: &[Planned]) -> Result<()> {
    for line in lines(vg, planned) {
        context.say(line);
    }
    let parts: Vec<_> = planned.iter().flat_map(|planned| &planned.parts).collect();
    let extents: u64 = parts.iter().map(|part| u64::from(part.count)).sum();
    let extent = u64::from(vg.text().extent_size());
    let size = |extents: u64| Units::default().show(Sectors(extents * extent));
    let count = planned.len();
    context.say(format!("pvmove: {} in {extents} extents, {count} moves", size(extents)));
    let model = Model::of(vg.text())?;
    let logs = planned.iter().map(|planned| (&planned.log.0.of, planned.log.1));
    let taken: Vec<(&String, u32)> =
        parts.iter().map(|part| (&part.destination.of, part.count)).chain(logs).collect();
    for key in lvm2::each(taken.iter().map(|(key, _)| (*key).clone())) {
        let here = taken.iter().filter(|(of, _)| **of == key).map(|(_, count)| u64::from(*count));
        let left = model.free(&key).saturating_sub(here.sum());
        context.say(format!("pvmove: {} would be left free on {}", size(left), vg.path_of(&key)));
    }
    let first = parts.first().and_then(|part| {
        let start = vg.text().sector_of(&part.source)?;
        let device = &vg.members().get(&part.source.of)?.device;
        Some((device, start..start + u64::from(part.count) * extent))
    });
    if let Some((device, sectors)) = first {
        let time = estimate::sentence(device, sectors, extents * extent * SECTOR_SIZE);
        context.say(format!("pvmove: {time}"));
    }
    context.say(
        "pvmove: with --test nothing was changed; sectors that cannot be read were not looked for",
    );
    Ok(())
}

/// What goes where.
fn lines(vg: &LvmVg, planned: &[Planned]) -> Vec<String> {
    let line = |part: &crate::lvm2::text::Part| {
        format!(
            "{}/{}: {} extents from {}:{} to {}:{}",
            vg.name(),
            part.lv,
            part.count,
            vg.path_of(&part.source.of),
            part.source.extent,
            vg.path_of(&part.destination.of),
            part.destination.extent
        )
    };
    planned.iter().flat_map(|planned| &planned.parts).map(line).collect()
}

fn announce(context: &Context<'_>, args: &Pvmove, vg: &LvmVg, planned: &[Planned]) {
    let extents: u64 =
        planned.iter().flat_map(|planned| &planned.parts).map(|part| u64::from(part.count)).sum();
    if context.json {
        let event = Event::Planned {
            vg: vg.name(),
            moves: planned.len(),
            bytes_total: extents * u64::from(vg.text().extent_size()) * 512,
            background: args.background,
        };
        output::out(&format!("{}\n", crate::report::to_json(&event)));
        return;
    }
    for line in lines(vg, planned) {
        context.detail(line);
    }
}
