//! Sectors of sources that are given up, as sectors of what is mirrored.

use std::ops::Range;

use lvshift_core::units::{LvIndex, MoveIndex, Uuid};
use lvshift_frontend_common::front_end::{PvSectors, View};
use lvshift_frontend_common::lvm2::engine::Lies;

/// Those of an LV that moves, counted on the LV.
pub(super) fn of_lv(
    view: View<'_>,
    of: MoveIndex,
    lv: LvIndex,
    all: &[PvSectors],
) -> Vec<(u64, u64)> {
    let extent = view.vg.extent_size();
    let parts = view.vg.parts_of(of).iter().filter(|part| part.lv == lv);
    let lies = parts.filter_map(|part| {
        Some(Lies {
            sector: u64::from(part.first.0) * u64::from(extent.sectors()),
            pv: view.vg.pv(part.source.pv)?.uuid,
            on_pv: view.vg.sector_of(part.source)?.0,
            sectors: extent.span(part.count).0,
        })
    });
    lies.flat_map(|lies| there(lies, all)).collect()
}

/// Those of a mirror in a VG of LVM2's that begins at sector `head` of its table.
pub(super) fn of_mirror(lies: &[Lies], head: u64, all: &[PvSectors]) -> Vec<(u64, u64)> {
    let lies = lies.iter().map(|lies| Lies { sector: lies.sector + head, ..*lies });
    lies.flat_map(|lies| there(lies, all)).collect()
}

fn there(lies: Lies, all: &[PvSectors]) -> impl Iterator<Item = (u64, u64)> + '_ {
    let on: Range<u64> = lies.on_pv..lies.on_pv + lies.sectors;
    let of_pv = move |place: &&PvSectors| place.pv == lies.pv && place.pv != Uuid::NIL;
    all.iter().filter(of_pv).filter_map(move |PvSectors { sectors, .. }| {
        let (first, end) = (sectors.start.max(on.start), sectors.end.min(on.end));
        (first < end).then(|| (lies.sector + (first - on.start), lies.sector + (end - on.start)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_up_is_cut_to_what_is_mirrored_and_counted_there() {
        let pv = Uuid([1; 16]);
        let place = |sectors| PvSectors { pv, sectors };
        let all = [place(90..110), place(150..152), place(195..300), place(300..301)];
        let other = PvSectors { pv: Uuid([2; 16]), sectors: 100..200 };
        let all = [&all[..], &[other]].concat();
        let lies = Lies { sector: 1000, pv, on_pv: 100, sectors: 100 };
        let runs = of_mirror(&[lies], 8, &all);
        assert_eq!(runs, [(1008, 1018), (1058, 1060), (1103, 1108)]);
    }
}
