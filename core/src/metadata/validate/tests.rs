//! One lie for each thing that is checked: without its check, its row here fails.

extern crate std;

use std::boxed::Box;

use super::super::testing::*;
use super::super::{NameError, Place};
use super::*;
use crate::heap::Vg;
use crate::metadata::Change;
use crate::units::{Extents, Le, Pe, PvIndex};

/// Two LVs, the first with a move that copies, the second with a queued one.
fn good() -> Box<Vg> {
    let mut vg = vg(&[100, 100, 100]);
    add_lv(&mut vg, "a", &[run(0, 0, 10), run(1, 0, 10)]);
    add_lv(&mut vg, "b", &[run(0, 20, 10), run(0, 40, 2)]);
    plan(&mut vg, &request(&[whole(0)], &[whole(2)])).unwrap();
    let of = vg.moves()[0].uuid;
    vg.apply(of, Change::Begin).unwrap();
    vg
}

fn lie(spoil: impl Fn(&mut Vg)) -> Invalid {
    let mut vg = good();
    spoil(&mut vg);
    vg.rebuild_used();
    vg.validate().unwrap_err()
}

#[test]
fn lies_about_the_vg_its_pvs_and_lvs() {
    assert_eq!(lie(|vg| vg.sequence = 0), Invalid::Sequence);
    assert_eq!(lie(|vg| vg.sequence = u64::MAX), Invalid::Sequence);
    let empty = Invalid::Name { records: Records::Vg, index: 0, error: NameError::Empty };
    assert_eq!(lie(|vg| vg.name = super::super::Name::none()), empty);
    let nil = |records, index| Invalid::NilUuid { records, index };
    let same = |records, index| Invalid::SameUuid { records, index };
    assert_eq!(lie(|vg| vg.uuid = Uuid::NIL), nil(Records::Vg, 0));
    assert_eq!(lie(|vg| vg.pvs[1].uuid = Uuid::NIL), nil(Records::Pv, 1));
    assert_eq!(lie(|vg| vg.pvs[2].uuid = vg.pvs[0].uuid), same(Records::Pv, 2));
    assert_eq!(lie(|vg| vg.pvs[1].device_size.0 -= 8), Invalid::PvAreas { index: 1 });
    assert_eq!(lie(|vg| vg.lvs[1].uuid = vg.lvs[0].uuid), same(Records::Lv, 1));
    assert_eq!(lie(|vg| vg.lvs[1].name = name("a")), Invalid::SameName { index: 1 });
    assert_eq!(lie(|vg| vg.moves[1].uuid = vg.moves[0].uuid), same(Records::Move, 1));
    assert_eq!(lie(|vg| vg.moves[1].command = Uuid::NIL), nil(Records::Move, 1));
}

#[test]
fn lies_about_segments() {
    assert_eq!(lie(|vg| vg.segments[1].lv.0 = 9), Invalid::SegmentIndex { index: 1 });
    assert_eq!(lie(|vg| vg.segments[1].place.pv.0 = 9), Invalid::SegmentIndex { index: 1 });
    assert_eq!(lie(|vg| vg.segments[1].first.0 = 11), Invalid::SegmentOrder { index: 1 });
    assert_eq!(lie(|vg| vg.segments[1].first.0 = 9), Invalid::SegmentOrder { index: 1 });
    assert_eq!(lie(|vg| vg.segments[2].first.0 = 1), Invalid::SegmentOrder { index: 2 });
    assert_eq!(lie(|vg| vg.segments[0].first.0 = 1), Invalid::SegmentOrder { index: 0 });
    assert_eq!(lie(|vg| vg.segments[3].count.0 = 3), Invalid::SegmentOrder { index: 3 });
    assert_eq!(lie(|vg| vg.segments[3].count.0 = 0), Invalid::SegmentOrder { index: 3 });
    assert_eq!(lie(|vg| vg.segments.swap(0, 2)), Invalid::SegmentOrder { index: 1 });
    assert_eq!(lie(|vg| vg.segments[1].place.pe.0 = 95), Invalid::SegmentOutside { index: 1 });
    assert_eq!(
        lie(|vg| vg.segments[1].place.pe.0 = u32::MAX),
        Invalid::SegmentOutside { index: 1 }
    );
    let glued = run(0, 10, 1).place;
    assert_eq!(lie(|vg| vg.segments[1].place = glued), Invalid::SegmentNotMerged { index: 1 });
    assert_eq!(lie(|vg| vg.lvs[1].le_count.0 = 13), Invalid::NotCovered { index: 1 });
    assert_eq!(lie(|vg| vg.segments[3].count.0 = 1), Invalid::NotCovered { index: 1 });
    let (pv, pe) = (PvIndex(0), Pe(25));
    let over = lie(|vg| vg.segments[1].place = Place { pv, pe });
    assert_eq!(over, Invalid::Overlap { pv, pe });
}

#[test]
fn lies_about_moves_and_parts() {
    // Parts 0 and 1 are of move 0 (5 extents each), 2 to 4 of move 1.
    assert_eq!(good().parts().len(), 5);
    assert_eq!(lie(|vg| vg.moves[0].chunk_sectors = 24), Invalid::ChunkSize { index: 0 });
    assert_eq!(lie(|vg| vg.moves[0].chunk_sectors = 4), Invalid::ChunkSize { index: 0 });
    assert_eq!(lie(|vg| vg.moves[0].chunk_sectors = 0), Invalid::ChunkSize { index: 0 });
    let no_parts = lie(|vg| {
        let mut extra = vg.moves[0].clone();
        extra.uuid = uuid(1234);
        vg.moves.push(extra).unwrap();
    });
    assert_eq!(no_parts, Invalid::MoveSize { index: 2 });
    assert_eq!(lie(|vg| vg.parts[4].of.0 = 2), Invalid::PartIndex { index: 4 });
    assert_eq!(lie(|vg| vg.parts[4].lv.0 = 2), Invalid::PartIndex { index: 4 });
    assert_eq!(lie(|vg| vg.parts[4].source.pv.0 = 3), Invalid::PartIndex { index: 4 });
    assert_eq!(lie(|vg| vg.parts[4].destination.pv.0 = 3), Invalid::PartIndex { index: 4 });
    assert_eq!(lie(|vg| vg.parts[1].first.0 = 4), Invalid::PartOrder { index: 1 });
    assert_eq!(lie(|vg| vg.parts[1].count.0 = 0), Invalid::PartOrder { index: 1 });
    assert_eq!(lie(|vg| vg.parts.swap(0, 1)), Invalid::PartOrder { index: 1 });
    let outside = |vg: &mut Vg| vg.parts[1].destination.pe.0 = 96;
    assert_eq!(lie(outside), Invalid::PartOutside { index: 1 });
    assert_eq!(lie(|vg| vg.parts[1].source.pe.0 = u32::MAX), Invalid::PartOutside { index: 1 });
    assert_eq!(lie(|vg| vg.parts[1].source.pe.0 = 6), Invalid::PartDisagrees { index: 1 });
    assert_eq!(lie(|vg| vg.parts[1].count.0 = 6), Invalid::PartDisagrees { index: 1 });
    let moved = |vg: &mut Vg| vg.moves[0].state = MoveState::Moved;
    assert_eq!(lie(moved), Invalid::PartDisagrees { index: 0 });
    assert_eq!(lie(|vg| vg.moves[1].chunk_sectors = 1 << 15), Invalid::PartTooShort { index: 4 });
    let (pv, pe) = (PvIndex(2), Pe(2));
    let over = lie(|vg| vg.parts[1].destination = Place { pv, pe });
    assert_eq!(over, Invalid::Overlap { pv, pe });
    let moved_twice = lie(|vg| {
        let mut part = vg.parts[0];
        part.of = MoveIndex(1);
        part.first = Le(3);
        part.source.pe = Pe(3);
        part.count = Extents(1);
        part.destination.pe = Pe(90);
        vg.parts.insert(2, part);
    });
    assert_eq!(moved_twice, Invalid::PartOverlap { index: 2 });
}

#[test]
fn lies_about_dirty_logs() {
    assert_eq!(lie(|vg| vg.parts[1].log_offset.0 = 4), Invalid::LogOutside { index: 1 });
    assert_eq!(lie(|vg| vg.parts[1].log_offset.0 = 8192), Invalid::LogOutside { index: 1 });
    assert_eq!(lie(|vg| vg.parts[1].log_offset.0 = !7), Invalid::LogOutside { index: 1 });
    assert_eq!(lie(|vg| vg.parts[1].log_offset.0 = 0), Invalid::LogOverlap { index: 1 });
    // The queued move may have the room of the other; two that copy may not.
    let both = lie(|vg| vg.moves[1].state = MoveState::Copying);
    assert!(matches!(both, Invalid::LogOverlap { .. }), "{both}");
}
