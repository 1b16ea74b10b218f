//! Where on its PVs the sectors lie that a copy could not read, or that were compared and differ.

use std::io;

use lvshift_core::Leg;
use lvshift_core::units::{MoveIndex, Uuid};
use lvshift_frontend_common::front_end::{BadPlace, View};

use crate::protocol::{WireDiffers, WireUnreadable};

/// The place of a run of sectors of an LV on the source of its part of the move.
pub(super) fn place(view: View<'_>, of: MoveIndex, run: &WireUnreadable) -> Option<BadPlace> {
    let error = format!("reading failed: {}", io::Error::from_raw_os_error(run.errno));
    on_leg(view, of, Leg::Source, (Uuid(run.lv), run.sectors), error)
}

/// The same, on the destination, of a run that was compared.
pub(super) fn differs(view: View<'_>, of: MoveIndex, run: &WireDiffers) -> Option<BadPlace> {
    let error = BadPlace::differs(run.again);
    on_leg(view, of, Leg::Destination, (Uuid(run.lv), run.sectors), error)
}

fn on_leg(
    view: View<'_>,
    of: MoveIndex,
    leg: Leg,
    (lv, (first, end)): (Uuid, (u64, u64)),
    error: String,
) -> Option<BadPlace> {
    let extent = u64::from(view.vg.extent_size().sectors());
    let part = view.vg.parts_of(of).iter().find(|part| {
        let start = u64::from(part.first.0) * extent;
        let ours = view.vg.lv(part.lv).is_some_and(|known| known.uuid == lv);
        ours && start <= first && end <= start + u64::from(part.count.0) * extent
    })?;
    let place = match leg {
        Leg::Source => part.source,
        Leg::Destination => part.destination,
    };
    let into = first - u64::from(part.first.0) * extent;
    let start = view.vg.sector_of(place)?.0 + into;
    Some(BadPlace {
        leg,
        pv: view.members.get(place.pv)?.uuid,
        device_sectors: start..start + (end - first),
        lv,
        lv_sectors: first..end,
        error,
    })
}
