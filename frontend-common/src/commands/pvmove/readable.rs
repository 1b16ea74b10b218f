//! Refuses to begin a move whose source cannot be read, naming the sectors.

use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lvshift_core::metadata::{Area, Segment};
use lvshift_core::units::LvIndex;

use super::super::Context;
use super::super::lookup::{full_name, pv_path};
use crate::drive;
use crate::error::{Error, Kind, Result};
use crate::front_end::BadPlace;
use crate::output;
use crate::progress::{Event, Style};
use crate::vg::OpenVg;

/// Reads every sector that is to move, once.
pub(super) fn check(
    context: &Context<'_>,
    open: &OpenVg,
    sources: &[Area],
    only_lv: Option<LvIndex>,
) -> Result<()> {
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
    if bad.is_empty() { Ok(()) } else { Err(refusal(open, &pieces, &bad)) }
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

/// One error for all bad places; their LVs and sectors in its words.
fn refusal(open: &OpenVg, pieces: &[Segment], bad: &[BadPlace]) -> Error {
    let vg = open.vg();
    let mut what = String::from("the source has sectors that cannot be read:");
    for place in bad {
        let lv = vg.lvs().iter().position(|lv| lv.uuid == place.lv);
        let name = lv
            .and_then(|at| u16::try_from(at).ok())
            .map_or_else(|| place.lv.to_string(), |at| full_name(vg, LvIndex(at)));
        let device = open.members().by_uuid(place.pv).map(|m| m.path.display().to_string());
        let (on, of) = (&place.device_sectors, &place.lv_sectors);
        what.push_str(&format!(
            "\n  sectors {}-{} of {}, which are sectors {}-{} of LV {name}: {}",
            on.start,
            on.end - 1,
            device.unwrap_or_else(|| place.pv.to_string()),
            of.start,
            of.end - 1,
            place.error
        ));
    }
    let device = pieces.first().map(|piece| pv_path(open, piece.place.pv)).unwrap_or_default();
    Error::new(Kind::Io, what)
        .device(device)
        .sectors(bad.iter().map(|place| place.device_sectors.clone()).collect())
        .state("nothing was changed; the source is in charge, and all else on it can be read")
        .next(
            "move what can be read: ranges SRC:PE-PE around those extents, or -n for the other LVs; \
             restore what cannot be read from a backup by writing to the LV, then move the rest",
        )
}
