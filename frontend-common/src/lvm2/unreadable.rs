//! Where the sectors of a mirror lie that a copy of our own could not read: on which PV, and of which LV.

use std::io;
use std::ops::Range;

use lvshift_core::Leg;

use super::engine::Lies;
use super::id;
use super::text::{Metadata, Record, Segment, Shape};
use crate::drive::Piece;
use crate::front_end::BadPlace;

/// The places of a run of the mirror's sectors that the source could not give.
pub(super) fn places(
    text: &Metadata,
    record: &Record,
    run: Range<u64>,
    errno: i32,
) -> Vec<BadPlace> {
    let error = format!("reading failed: {}", io::Error::from_raw_os_error(errno));
    on_leg(text, record, Leg::Source, run, &error)
}

/// The same on the destination, of a run that was compared.
pub(super) fn differing(
    text: &Metadata,
    record: &Record,
    run: Range<u64>,
    again: bool,
) -> Vec<BadPlace> {
    on_leg(text, record, Leg::Destination, run, &BadPlace::differs(again))
}

/// More than one where it lies in pieces.
fn on_leg(
    text: &Metadata,
    record: &Record,
    leg: Leg,
    run: Range<u64>,
    error: &str,
) -> Vec<BadPlace> {
    let image = match leg {
        Leg::Source => &record.names.source,
        Leg::Destination => &record.names.destination,
    };
    let mut places = Vec::new();
    let mut at = run.start;
    while at < run.end {
        let (Some((pv, sector, left)), Some((lv, on_lv, left_on_lv))) =
            (on_image(text, image, at), on_lv(text, record, at))
        else {
            break;
        };
        let len = (run.end - at).min(left).min(left_on_lv);
        places.push(BadPlace {
            leg,
            pv: id::uuid(&pv),
            device_sectors: sector..sector + len,
            lv: id::uuid(&lv),
            lv_sectors: on_lv..on_lv + len,
            error: error.to_owned(),
        });
        at += len;
    }
    places
}

/// Where the source of a move lies.
pub(super) fn lies(text: &Metadata, record: &Record) -> Vec<Lies> {
    let extent = u64::from(text.extent_size());
    let mut all = Vec::new();
    for segment in text.segments(&record.names.source) {
        let sector = u64::from(segment.start) * extent;
        let Some((pv, on_pv, sectors)) = on_image(text, &record.names.source, sector) else {
            continue;
        };
        all.push(Lies { sector, pv: id::uuid(&pv), on_pv, sectors });
    }
    all
}

/// Both sides of a move; a sector is called by its number in the mirror.
pub(super) fn pieces(text: &Metadata, record: &Record) -> Vec<Piece> {
    let end = u64::from(record.extents) * u64::from(text.extent_size());
    let mut pieces = Vec::new();
    let mut first = 0;
    while first < end {
        let sides = (
            on_image(text, &record.names.source, first),
            on_image(text, &record.names.destination, first),
        );
        let (Some((from, on_from, left)), Some((to, on_to, also))) = sides else { break };
        let sectors = left.min(also).min(end - first);
        let (source, destination) = ((id::uuid(&from), on_from), (id::uuid(&to), on_to));
        pieces.push(Piece { source, destination, sectors, first });
        first += sectors;
    }
    pieces
}

/// The PV's id, the sector on its device, and how many follow there.
fn on_image(text: &Metadata, image: &str, at: u64) -> Option<(String, u64, u64)> {
    let extent = u64::from(text.extent_size());
    let segments = text.segments(image);
    let (segment, into) = segments.iter().find_map(|segment| {
        let into = at.checked_sub(u64::from(segment.start) * extent)?;
        (into < u64::from(segment.count) * extent).then_some((segment, into))
    })?;
    let Shape::Striped { areas, .. } = &segment.shape else { return None };
    let area = areas.first()?;
    let pv = text.pvs().into_iter().find(|pv| pv.key == area.of)?;
    let left = u64::from(segment.count) * extent - into;
    Some((pv.id, text.sector_of(area)? + into, left))
}

/// The LV's id, the sector on it, and how many follow there.
fn on_lv(text: &Metadata, record: &Record, at: u64) -> Option<(String, u64, u64)> {
    for part in &record.parts {
        if let Some((sector, left)) = sector_on(text, &part.lv, &record.names.mirror, at) {
            return Some((text.lv_id(&part.lv)?.to_owned(), sector, left));
        }
    }
    None
}

/// The sector of an LV that lies at sector `at` of what `of` names, a PV (counted from its extent 0) or another
/// LV, and how many follow there.
pub(crate) fn sector_on(text: &Metadata, lv: &str, of: &str, at: u64) -> Option<(u64, u64)> {
    text.segments(lv).iter().find_map(|segment| on_segment(text, of, segment, at))
}

fn on_segment(text: &Metadata, of: &str, segment: &Segment, at: u64) -> Option<(u64, u64)> {
    let extent = u64::from(text.extent_size());
    let Shape::Striped { stripe_size, areas } = &segment.shape else { return None };
    let len = u64::from(segment.shape.area_len(segment.count)?) * extent;
    let start = u64::from(segment.start) * extent;
    (0u64..).zip(areas).find_map(|(number, area)| {
        if area.of != of {
            return None;
        }
        let into = at.checked_sub(u64::from(area.extent) * extent)?;
        if into >= len {
            return None;
        }
        let stripe = u64::from(*stripe_size);
        if areas.len() == 1 || stripe == 0 {
            return Some((start + into, len - into));
        }
        let stripes = u64::try_from(areas.len()).ok()?;
        let sector = start + (into / stripe * stripes + number) * stripe + into % stripe;
        Some((sector, stripe - into % stripe))
    })
}
