//! Which sectors of the source cannot be read?

use std::collections::BTreeSet;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lvshift_core::metadata::{Area, Segment};
use lvshift_core::units::{DeviceNumber, LvIndex, SECTOR_SIZE, Uuid};

use super::super::Context;
use super::around::Unreadable;
use super::file::{self, FileSystem};
use super::pace;
use crate::cli::pv_args::Pvmove;
use crate::device::Aligned;
use crate::drive::{self, Gate, Names as _, READ_BYTES};
use crate::front_end::BadPlace;
use crate::output;
use crate::progress::{Event, Style};
use crate::vg::OpenVg;

/// Reads every sector that is to move, once, and makes way for the LVs' users unless they need none; what cannot
/// be read.
pub(super) fn check(
    context: &mut Context<'_>,
    args: &Pvmove,
    open: &OpenVg,
    sources: &[Area],
    only_lv: Option<LvIndex>,
) -> Vec<Unreadable> {
    let pieces: Vec<Segment> = open.vg().moving_pieces(sources, only_lv).collect();
    let sectors = |piece: &Segment| open.vg().extent_size().span(piece.count).0;
    let bytes = pieces.iter().map(sectors).sum::<u64>().saturating_mul(SECTOR_SIZE);
    let gate = gate(args, bytes, || devices(context, open, &pieces));
    let style = Style::choose(context.json, context.common.quiet > 0);
    let bar = (style == Style::Bar).then(bar);
    let begun = Instant::now();
    let mut bytes_total = 0;
    let bad = drive::read_check(open.view(), &pieces, &gate, &mut |done, total| {
        bytes_total = total;
        if let Some(bar) = &bar {
            bar.set_length(total);
            bar.set_position(done);
        }
        true
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let took = begun.elapsed();
    if context.json {
        let event = Event::checked(bytes_total, took, &bad);
        crate::output::out(&format!("{}\n", crate::report::to_json(&event)));
    } else {
        context.detail(format!(
            "the source was read once: {bytes_total} bytes in {:.2} s",
            took.as_secs_f64()
        ));
    }
    bad.iter().filter_map(|place| unreadable(open, place)).collect()
}

/// How fast so many bytes of the source may be read; `lvs` finds the devices whose users may feel it.
pub(super) fn gate(args: &Pvmove, bytes: u64, lvs: impl FnOnce() -> Vec<DeviceNumber>) -> Gate {
    if pace(args).is_polite() { Gate::polite(lvs(), READ_BYTES, bytes) } else { Gate::open() }
}

/// The devices of the LVs that lie there. One that cannot be found is told of by the move itself.
fn devices(context: &mut Context<'_>, open: &OpenVg, pieces: &[Segment]) -> Vec<DeviceNumber> {
    let lvs: BTreeSet<u16> = pieces.iter().map(|piece| piece.lv.0).collect();
    let device = |lv| context.front_end.active(open.vg(), LvIndex(lv)).ok().flatten();
    lvs.into_iter().filter_map(device).map(|active| active.number).collect()
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(
        None,
        ProgressDrawTarget::term_like(Box::<output::Term>::default()),
    );
    bar.set_style(
        ProgressStyle::with_template("  reading the source once {wide_bar} {bytes}/{total_bytes}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar
}

/// A bad place with its extents, and how its file is found.
fn unreadable(open: &OpenVg, place: &BadPlace) -> Option<Unreadable> {
    let vg = open.vg();
    let pv = vg.pvs().iter().find(|pv| pv.uuid == place.pv)?;
    let size = u64::from(vg.extent_size().sectors()).max(1);
    let extent = |sector: u64| u32::try_from(sector.checked_sub(pv.pe_start.0)? / size).ok();
    let on = place.device_sectors.clone();
    let lv = open.lv(place.lv).unwrap_or_else(|| place.lv.to_string());
    let file = file_system(open, place.lv)
        .and_then(|fs| fs.how_to_find(&place.lv_sectors, &format!("/dev/{lv}")));
    Some(Unreadable {
        pv: place.pv,
        device: open.pv(place.pv).unwrap_or_else(|| place.pv.to_string()),
        extents: extent(on.start)?..extent(on.end.checked_sub(1)?)?.checked_add(1)?,
        sectors: on,
        lv,
        lv_sectors: place.lv_sectors.clone(),
        error: place.error.clone(),
        file,
    })
}

/// The file system of an LV, if it can be read which.
fn file_system(open: &OpenVg, lv: Uuid) -> Option<FileSystem> {
    let vg = open.vg();
    let first = vg.segments_of(vg.lv_by_uuid(lv)?).first()?;
    let member = open.members().get(first.place.pv)?;
    let mut head = Aligned::zeroed(file::HEAD);
    member.pv.device.read(vg.sector_of(first.place)?, &mut head).ok()?;
    FileSystem::of(&head)
}
