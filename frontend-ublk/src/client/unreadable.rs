//! Where on the source the sectors lie that a copy could not read.

use std::io;

use lvshift_core::Leg;
use lvshift_core::units::{MoveIndex, Uuid};
use lvshift_frontend_common::front_end::{BadPlace, View};

use crate::protocol::WireUnreadable;

/// The place of a run of sectors of an LV on the source of its part of the move.
pub(super) fn place(view: View<'_>, of: MoveIndex, run: &WireUnreadable) -> Option<BadPlace> {
    let (first, end) = run.sectors;
    let extent = u64::from(view.vg.extent_size().sectors());
    let part = view.vg.parts_of(of).iter().find(|part| {
        let start = u64::from(part.first.0) * extent;
        let ours = view.vg.lv(part.lv).is_some_and(|lv| lv.uuid == Uuid(run.lv));
        ours && start <= first && end <= start + u64::from(part.count.0) * extent
    })?;
    let into = first - u64::from(part.first.0) * extent;
    let start = view.vg.sector_of(part.source)?.0 + into;
    Some(BadPlace {
        leg: Leg::Source,
        pv: view.members.get(part.source.pv)?.uuid,
        device_sectors: start..start + (end - first),
        lv: Uuid(run.lv),
        lv_sectors: first..end,
        error: format!("reading failed: {}", io::Error::from_raw_os_error(run.errno)),
    })
}
