//! Which sectors of the source cannot be read?

use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lvshift_core::metadata::{Area, Segment};
use lvshift_core::units::{LvIndex, Uuid};

use super::super::Context;
use super::around::Unreadable;
use super::file::{self, FileSystem};
use crate::device::Aligned;
use crate::drive::{self, Names as _};
use crate::front_end::BadPlace;
use crate::output;
use crate::progress::{Event, Style};
use crate::vg::OpenVg;

/// Reads every sector that is to move, once; what cannot be read.
pub(super) fn check(
    context: &Context<'_>,
    open: &OpenVg,
    sources: &[Area],
    only_lv: Option<LvIndex>,
) -> Vec<Unreadable> {
    let pieces: Vec<Segment> = open.vg().moving_pieces(sources, only_lv).collect();
    let style = Style::choose(context.json, context.common.quiet > 0);
    let bar = (style == Style::Bar).then(bar);
    let begun = Instant::now();
    let mut bytes_total = 0;
    let bad = drive::read_check(open.view(), &pieces, &mut |done, total| {
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
