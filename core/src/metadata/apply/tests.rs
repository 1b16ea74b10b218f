extern crate std;

use std::boxed::Box;

use super::super::testing::*;
use super::super::{MoveRequest, Run};
use super::*;
use crate::heap::Vg;
use crate::units::PvIndex;

const ALL: [Change; 5] =
    [Change::Confirm, Change::Begin, Change::Moved, Change::Aborting, Change::Forget];

/// The outline's LV over three PVs, with the middle one to move to the fourth.
fn outline() -> (Box<Vg>, Uuid) {
    let mut vg = vg(&[30, 30, 30, 30]);
    add_lv(&mut vg, "lv", &[run(0, 0, 10), run(1, 5, 10), run(2, 0, 10)]);
    plan(&mut vg, &request(&[whole(1)], &[whole(3)])).unwrap();
    let of = vg.moves()[0].uuid;
    (vg, of)
}

fn runs(vg: &Vg) -> std::vec::Vec<Run> {
    vg.segments().iter().map(|segment| segment.run()).collect()
}

fn change(vg: &mut Vg, of: Uuid, what: Change) {
    vg.apply(of, what).unwrap();
    vg.validate().unwrap();
}

#[test]
fn a_move_from_beginning_to_end() {
    let (mut vg, of) = outline();
    let before = runs(&vg);
    assert_eq!(vg.used_extents(PvIndex(3)).0, 10, "the destination is reserved");
    change(&mut vg, of, Change::Begin);
    assert_eq!(runs(&vg), before);
    change(&mut vg, of, Change::Moved);
    assert_eq!(runs(&vg), [run(0, 0, 10), run(3, 0, 10), run(2, 0, 10)]);
    assert_eq!(vg.used_extents(PvIndex(1)).0, 10, "the source is reserved");
    change(&mut vg, of, Change::Forget);
    assert_eq!(vg.used_extents(PvIndex(1)).0, 0, "the source is free");
    assert!(vg.moves().is_empty() && vg.parts().is_empty());
}

#[test]
fn an_abort_leaves_the_lv_where_it_was_and_frees_the_destination() {
    for begin in [false, true] {
        let (mut vg, of) = outline();
        let before = runs(&vg);
        if begin {
            change(&mut vg, of, Change::Begin);
        }
        change(&mut vg, of, Change::Aborting);
        change(&mut vg, of, Change::Forget);
        assert_eq!(runs(&vg), before);
        assert_eq!(vg.used_extents(PvIndex(3)).0, 0);
    }
}

#[test]
fn a_hand_over_that_failed_half_way_can_be_taken_back() {
    let (mut vg, of) = outline();
    let before = runs(&vg);
    change(&mut vg, of, Change::Begin);
    change(&mut vg, of, Change::Moved);
    change(&mut vg, of, Change::Aborting);
    assert_eq!(runs(&vg), before);
    assert_eq!(vg.used_extents(PvIndex(3)).0, 10);
}

#[test]
fn every_state_answers_every_change() {
    let reach: [&[Change]; 4] =
        [&[], &[Change::Begin], &[Change::Aborting], &[Change::Begin, Change::Moved]];
    // Rows: Queued, Copying, Aborting, Moved. y allowed, d done before, n not in this state.
    let answers = ["yynyy", "ydyyn", "ynndy", "yndyy"];
    for (path, expected) in reach.iter().zip(answers) {
        for (what, expected) in ALL.iter().zip(expected.chars()) {
            let (mut vg, of) = outline();
            path.iter().for_each(|&step| change(&mut vg, of, step));
            let before = vg.clone();
            let found = match vg.apply(of, *what) {
                Ok(()) => 'y',
                Err(ApplyError::AlreadyDone { .. }) => 'd',
                Err(ApplyError::WrongState { .. }) => 'n',
                Err(error) => panic!("{error}"),
            };
            assert_eq!(found, expected, "{path:?} then {what:?}");
            if found != 'y' {
                assert!(before == vg, "a refusal changed the VG");
            }
            vg.validate().unwrap();
        }
    }
}

#[test]
fn a_move_that_is_gone_is_no_move() {
    let (mut vg, of) = outline();
    change(&mut vg, of, Change::Forget);
    assert_eq!(vg.apply(of, Change::Forget), Err(ApplyError::NoSuchMove));
}

#[test]
fn two_moves_with_one_log_place_do_not_run_at_once() {
    let mut vg = vg(&[30, 30]);
    add_lv(&mut vg, "a", &[run(0, 0, 10)]);
    add_lv(&mut vg, "b", &[run(0, 10, 10)]);
    let planned = plan(&mut vg, &request(&[whole(0)], &[])).unwrap();
    assert_eq!(planned.moves, 2);
    let (first, second) = (vg.moves()[0].uuid, vg.moves()[1].uuid);
    change(&mut vg, first, Change::Begin);
    assert_eq!(vg.apply(second, Change::Begin), Err(ApplyError::LogBusy { other: first }));
    change(&mut vg, first, Change::Moved);
    change(&mut vg, second, Change::Begin);
    change(&mut vg, first, Change::Forget);
    assert_eq!(vg.move_by_uuid(second), Some(MoveIndex(0)));
    change(&mut vg, second, Change::Moved);
}

#[test]
fn other_commands_between_two_changes_do_no_harm() {
    let (mut vg, of) = outline();
    let other = add_lv(&mut vg, "other", &[run(0, 20, 2)]);
    change(&mut vg, of, Change::Begin);
    vg.extend_lv(LvIndex(0), &[run(1, 15, 3)]).unwrap();
    vg.rename_lv(LvIndex(0), name("renamed")).unwrap();
    vg.remove_lv(other).unwrap();
    vg.validate().unwrap();
    change(&mut vg, of, Change::Moved);
    assert_eq!(runs(&vg), [run(0, 0, 10), run(3, 0, 10), run(2, 0, 10), run(1, 15, 3)]);
    change(&mut vg, of, Change::Forget);
}

/// A part in the middle of a segment makes three of it; room for that is kept from the start.
#[test]
#[cfg_attr(miri, ignore = "the largest VG")]
fn a_move_that_began_always_has_room_to_finish() {
    let mut vg = vg(&[3000, 3000]);
    add_lv(&mut vg, "long", &[run(0, 0, 3000)]);
    let areas: std::vec::Vec<_> = (0..200).map(|i| area(0, i * 10 + 3, 4)).collect();
    let asked = MoveRequest { atomic: true, ..request(&areas, &[]) };
    let planned = plan(&mut vg, &asked).unwrap();
    assert_eq!(planned.parts, 200);
    assert_eq!(vg.segments().len(), 1);
    assert_eq!(vg.segments_fully_cut(), 401);
    let of = vg.moves()[0].uuid;
    change(&mut vg, of, Change::Begin);
    change(&mut vg, of, Change::Moved);
    assert_eq!(vg.segments().len(), 401);
    assert_eq!(vg.segments_fully_cut(), 401);
    change(&mut vg, of, Change::Aborting);
    assert_eq!(vg.segments().len(), 1);
}
