extern crate std;

use std::boxed::Box;
use std::vec::Vec;

use super::super::Pv;
use super::super::testing::*;
use super::*;
use crate::limits::{MAX_MOVES, MAX_PARTS};
use crate::metadata::Change;
use crate::units::ExtentSize;

const PV0: [Area; 1] = [Area::whole(PvIndex(0))];

#[test]
fn a_long_segment_is_split_for_several_targets_side_by_side() {
    let mut vg = vg(&[100, 100]);
    add_lv(&mut vg, "a", &[run(0, 0, 80)]);
    let planned = plan(&mut vg, &request(&[whole(0)], &[])).unwrap();
    assert_eq!((planned.moves, planned.parts, planned.extents), (1, 8, Extents(80)));
    assert!(vg.parts().iter().all(|part| part.count == Extents(10)));
    assert_eq!(vg.moves()[0].chunk_sectors, 4096);
    let offsets: Vec<u64> = vg.parts().iter().map(|part| part.log_offset.0).collect();
    assert_eq!(offsets, [0, 8, 16, 24, 32, 40, 48, 56]);
}

#[test]
fn no_split_below_sixteen_mib() {
    let mut vg = vg(&[100, 100]);
    add_lv(&mut vg, "a", &[run(0, 0, 7)]);
    plan(&mut vg, &request(&[whole(0)], &[])).unwrap();
    assert_eq!(vg.parts().len(), 1);
    let mut vg = self::vg(&[100, 100]);
    add_lv(&mut vg, "a", &[run(0, 0, 9)]);
    plan(&mut vg, &request(&[whole(0)], &[])).unwrap();
    let counts: Vec<u32> = vg.parts().iter().map(|part| part.count.0).collect();
    assert_eq!(counts, [4, 5]);
}

#[test]
fn ranges_clip_segments_and_each_lv_has_its_move() {
    let mut vg = vg(&[40, 40]);
    add_lv(&mut vg, "a", &[run(0, 0, 10)]);
    add_lv(&mut vg, "b", &[run(0, 20, 10)]);
    let sources = [area(0, 22, 2), area(0, 8, 4), area(0, 24, 1), area(0, 35, 5)];
    let planned = plan(&mut vg, &request(&sources, &[])).unwrap();
    assert_eq!((planned.moves, planned.extents), (2, Extents(5)));
    let parts: Vec<_> = vg.parts().iter().map(|p| (p.lv.0, p.first.0, p.source_run())).collect();
    assert_eq!(parts, [(0, 8, run(0, 8, 2)), (1, 2, run(0, 22, 3))]);
    assert_eq!(vg.parts()[0].log_offset, vg.parts()[1].log_offset, "they do not run at once");
    assert_eq!(vg.moves()[0].command, vg.moves()[1].command);
}

#[test]
fn only_the_lv_asked_for_and_destinations_in_order() {
    let mut vg = vg(&[40, 3, 3]);
    add_lv(&mut vg, "a", &[run(0, 0, 10)]);
    let b = add_lv(&mut vg, "b", &[run(0, 20, 5)]);
    let destinations = [whole(2), whole(1)];
    let asked = MoveRequest { only_lv: Some(b), ..request(&PV0, &destinations) };
    plan(&mut vg, &asked).unwrap();
    let runs: Vec<_> = vg.parts().iter().map(|part| part.destination_run()).collect();
    assert_eq!(runs, [run(2, 0, 3), run(1, 0, 2)]);
    assert_eq!(vg.parts()[1].log_offset.0, 0, "each destination has its own area");
}

#[test]
#[cfg_attr(miri, ignore = "the largest VG")]
fn many_segments_go_in_batches_unless_atomic() {
    let make = || {
        let mut vg = vg(&[400, 400]);
        let runs: Vec<_> = (0..70).map(|i| run(0, i * 2, 1)).collect();
        add_lv(&mut vg, "a", &runs);
        add_lv(&mut vg, "b", &[run(0, 300, 1)]);
        vg
    };
    let mut vg = make();
    let planned = plan(&mut vg, &request(&[whole(0)], &[])).unwrap();
    assert_eq!((planned.moves, planned.parts), (4, 71));
    let sizes: Vec<_> = (0..4).map(|of| vg.parts_of(MoveIndex(of)).len()).collect();
    assert_eq!(sizes, [32, 32, 6, 1]);
    // All of them, one after the other, to the end.
    for _ in 0..4 {
        let of = vg.moves()[0].uuid;
        for change in [Change::Begin, Change::Moved, Change::Forget] {
            vg.apply(of, change).unwrap();
            vg.validate().unwrap();
        }
    }
    assert_eq!(vg.free_extents(PvIndex(0)), Extents(400));
    assert_eq!(vg.segments().len(), 2, "moved side by side, they are one segment each");
    let mut vg = make();
    let asked = MoveRequest { atomic: true, ..request(&PV0, &[]) };
    let planned = plan(&mut vg, &asked).unwrap();
    assert_eq!((planned.moves, planned.parts), (1, 71));
    assert_eq!(vg.lvs_of_move(MoveIndex(0)).as_slice(), [LvIndex(0), LvIndex(1)]);
}

#[test]
fn refusals_name_their_reason_and_change_nothing() {
    let mut vg = vg(&[40, 8, 40]);
    add_lv(&mut vg, "a", &[run(0, 0, 10), run(2, 0, 1)]);
    let no_space = |wanted, free| {
        let (wanted, free) = (Extents(wanted), Extents(free));
        Err(PlanError::Alloc(AllocError::NoSpace { wanted, free }))
    };
    assert_eq!(plan(&mut vg, &request(&[whole(0)], &[whole(1)])), no_space(10, 8));
    assert_eq!(plan(&mut vg, &request(&[], &[])), Err(PlanError::NoSource));
    assert_eq!(plan(&mut vg, &request(&[whole(9)], &[])), Err(PlanError::NoSource));
    assert_eq!(plan(&mut vg, &request(&[whole(1)], &[])), Err(PlanError::NothingToMove));
    let (sources, destinations) = ([area(0, 0, 2)], [whole(1), area(0, 30, 5)]);
    let same = request(&sources, &destinations);
    let pv = PvIndex(0);
    assert_eq!(plan(&mut vg, &same), Err(PlanError::SourceIsDestination { pv }));
    let unknown = PlanError::Alloc(AllocError::NoSuchPv { pv: PvIndex(7) });
    assert_eq!(plan(&mut vg, &request(&[whole(0)], &[whole(7)])), Err(unknown));
    let twice = vg.plan(&request(&[whole(0)], &[]), &mut || Uuid::NIL);
    assert_eq!(twice, Err(PlanError::BadUuid));
    plan(&mut vg, &request(&[area(0, 0, 2)], &[])).unwrap();
    let by = vg.moves()[0].uuid;
    let error = plan(&mut vg, &request(&[whole(2)], &[])).unwrap_err();
    assert_eq!(error, PlanError::AlreadyMoving { lv: LvIndex(0), by });
}

#[test]
fn anywhere_allows_the_sources_own_pv() {
    let mut vg = vg(&[40]);
    add_lv(&mut vg, "a", &[run(0, 0, 10)]);
    assert!(plan(&mut vg, &request(&[whole(0)], &[])).is_err());
    let destinations = [area(0, 30, 10)];
    let asked = MoveRequest { policy: Policy::Anywhere, ..request(&PV0, &destinations) };
    plan(&mut vg, &asked).unwrap();
    assert_eq!(vg.parts()[0].destination, run(0, 30, 1).place);
}

#[test]
fn contiguous_keeps_each_segment_whole() {
    let mut vg = vg(&[40, 20]);
    add_lv(&mut vg, "a", &[run(0, 0, 10)]);
    add_lv(&mut vg, "in-the-way", &[run(1, 8, 1)]);
    let sources = [whole(0)];
    let mut asked = MoveRequest { policy: Policy::Contiguous, ..request(&sources, &[]) };
    let planned = plan(&mut vg, &asked).unwrap();
    assert_eq!(vg.parts()[0].destination_run().place, run(1, 9, 1).place);
    vg.apply(vg.moves()[planned.first.index()].uuid, Change::Forget).unwrap();
    let areas = [area(1, 0, 15)];
    asked.destinations = &areas;
    let error = plan(&mut vg, &asked).unwrap_err();
    assert!(matches!(error, PlanError::Alloc(AllocError::NotContiguous { .. })), "{error}");
}

#[test]
#[cfg_attr(miri, ignore = "the largest VG")]
fn too_many_parts_for_one_atomic_move() {
    let mut vg = vg(&[800, 400]);
    let runs: Vec<_> = (0..257).map(|i| run(0, i * 2, 1)).collect();
    add_lv(&mut vg, "a", &runs);
    let asked = MoveRequest { atomic: true, ..request(&PV0, &[]) };
    let error = plan(&mut vg, &asked).unwrap_err();
    assert_eq!(error, PlanError::TooManyParts { limit: MAX_PARTS_PER_MOVE as u32 });
}

#[test]
#[cfg_attr(miri, ignore = "the largest VG")]
fn too_many_lvs_and_too_many_moves() {
    let mut vg = vg(&[800, 800]);
    for lv in 0..256 {
        add_lv(&mut vg, &std::format!("lv{lv}"), &[run(0, lv * 2, 1)]);
    }
    let asked = MoveRequest { atomic: true, ..request(&PV0, &[]) };
    let error = plan(&mut vg, &asked).unwrap_err();
    assert_eq!(error, PlanError::TooManyLvs { limit: MAX_LVS_PER_MOVE as u32 });
    plan(&mut vg, &request(&[whole(0)], &[])).unwrap();
    assert_eq!(vg.moves().len(), MAX_MOVES);
    vg.remove_lv(LvIndex(0)).unwrap_err();
    let mut comb = Box::new(Vg::empty());
    comb.create(uuid(1), name("vg"), ExtentSize::new(8).unwrap());
    comb.bump();
    comb.add_pv(pv(0, comb.extent_size(), 20_000)).unwrap();
    comb.add_pv(pv(1, comb.extent_size(), 20_000)).unwrap();
    let runs: Vec<_> = (0..5000).map(|i| run(0, i * 2, 1)).collect();
    add_lv(&mut comb, "a", &runs);
    let error = plan(&mut comb, &request(&[whole(0)], &[])).unwrap_err();
    assert_eq!(error, PlanError::TooManyParts { limit: MAX_PARTS as u32 });
}

#[test]
fn a_log_area_that_is_too_small_is_an_error() {
    let mut vg = vg(&[40]);
    let small = Pv { log_size: Sectors(16), ..pv(5, ExtentSize::DEFAULT, 40) };
    vg.add_pv(small).unwrap();
    add_lv(&mut vg, "a", &[run(0, 0, 2), run(0, 4, 2), run(0, 8, 2)]);
    let error = plan(&mut vg, &request(&[whole(0)], &[])).unwrap_err();
    assert_eq!(error, PlanError::LogFull { pv: PvIndex(1) });
    let planned = plan(&mut vg, &request(&[area(0, 0, 8)], &[])).unwrap();
    assert_eq!(planned.parts, 2);
}

#[test]
fn a_chunk_is_never_longer_than_its_part() {
    let mut vg = Box::new(Vg::empty());
    vg.create(uuid(1), name("vg"), ExtentSize::new(8).unwrap());
    vg.bump();
    vg.add_pv(pv(0, vg.extent_size(), 20_000)).unwrap();
    vg.add_pv(pv(1, vg.extent_size(), 20_000)).unwrap();
    add_lv(&mut vg, "a", &[run(0, 0, 7), run(0, 100, 3000)]);
    plan(&mut vg, &request(&[whole(0)], &[])).unwrap();
    assert_eq!(vg.moves()[0].chunk_sectors, 32, "the largest power of two in 7 * 8 sectors");
}
