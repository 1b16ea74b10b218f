extern crate std;

use std::boxed::Box;
use std::vec::Vec;

use super::super::testing::*;
use super::*;
use crate::heap::Vg;
use crate::metadata::Change;

type Row = (u32, u32, u16, u32, Option<usize>);

fn rows(vg: &Vg, lv: u16, view: Option<Mapping>) -> Vec<Row> {
    let view = view.map(|mapping| (MoveIndex(0), mapping));
    vg.pieces(LvIndex(lv), view)
        .map(|p| (p.first.0, p.count.0, p.place.pv.0, p.place.pe.0, p.part))
        .collect()
}

fn moving() -> Box<Vg> {
    let mut vg = vg(&[30, 30, 30, 30]);
    add_lv(&mut vg, "other", &[run(0, 20, 4)]);
    add_lv(&mut vg, "lv", &[run(0, 0, 10), run(1, 5, 10), run(2, 0, 10)]);
    plan(&mut vg, &request(&[area(1, 7, 4)], &[whole(3)])).unwrap();
    vg
}

const SOURCE: [Row; 3] = [(0, 10, 0, 0, None), (10, 10, 1, 5, None), (20, 10, 2, 0, None)];
const MIRRORED: [Row; 5] = [
    (0, 10, 0, 0, None),
    (10, 2, 1, 5, None),
    (12, 4, 1, 7, Some(0)),
    (16, 4, 1, 11, None),
    (20, 10, 2, 0, None),
];
const FINAL: [Row; 5] = [
    (0, 10, 0, 0, None),
    (10, 2, 1, 5, None),
    (12, 4, 3, 0, None),
    (16, 4, 1, 11, None),
    (20, 10, 2, 0, None),
];

#[test]
fn each_mapping_is_the_same_before_and_after_the_hand_over() {
    let mut vg = moving();
    let of = vg.moves()[0].uuid;
    for change in [Change::Confirm, Change::Begin, Change::Moved] {
        vg.apply(of, change).unwrap();
        assert_eq!(rows(&vg, 1, Some(Mapping::Source)), SOURCE, "{change:?}");
        assert_eq!(rows(&vg, 1, Some(Mapping::Mirrored)), MIRRORED, "{change:?}");
        assert_eq!(rows(&vg, 1, Some(Mapping::Final)), FINAL, "{change:?}");
        assert_eq!(rows(&vg, 0, Some(Mapping::Mirrored)), [(0, 4, 0, 20, None)]);
        let now = rows(&vg, 1, None);
        assert_eq!(now, if change == Change::Moved { FINAL.to_vec() } else { SOURCE.to_vec() });
    }
}

#[test]
fn parts_side_by_side_stay_apart_only_while_mirrored() {
    let mut vg = vg(&[30, 30]);
    add_lv(&mut vg, "lv", &[run(0, 0, 16)]);
    plan(&mut vg, &request(&[whole(0)], &[])).unwrap();
    let parts: Vec<_> = rows(&vg, 0, Some(Mapping::Mirrored)).iter().map(|row| row.4).collect();
    assert_eq!(parts, [Some(0), Some(1), Some(2), Some(3)]);
    assert_eq!(rows(&vg, 0, Some(Mapping::Final)), [(0, 16, 1, 0, None)]);
    assert_eq!(rows(&vg, 0, Some(Mapping::Source)), [(0, 16, 0, 0, None)]);
    assert_eq!(rows(&vg, 5, None), []);
}
