use super::super::testing::*;
use super::Lag;
use crate::heap::Vg;
use crate::metadata::{AllocError, AllocRequest, Area, Change, MoveRequest, PlanError, Policy};
use crate::units::{Extents, LvIndex, PvIndex};

fn concerned(old: &Vg, new: &Vg) -> [bool; 3] {
    [0, 1, 2].map(|at| old.concerns(new, old.pv(PvIndex(at)).unwrap().uuid))
}

#[test]
fn what_a_pv_may_hold_that_was_left_behind_is_known() {
    let mut vg = vg(&[5, 5, 5]);
    vg.sequence = 20;
    let pv = PvIndex(1);
    let all = |vg: &Vg, from: core::ops::RangeInclusive<u64>, lag| {
        from.for_each(|at| assert_eq!(vg.lag(pv, at), lag, "{at}"));
    };
    all(&vg, 20..=21, Lag::None);
    all(&vg, 19..=19, Lag::Known);
    all(&vg, 1..=18, Lag::Unknown);
    vg.set_behind(pv, Some(10));
    assert!(vg.is_behind(pv) && !vg.is_behind(PvIndex(0)));
    all(&vg, 1..=8, Lag::Unknown);
    all(&vg, 9..=10, Lag::Known);
    all(&vg, 11..=11, Lag::Unknown);
    all(&vg, 12..=19, Lag::Known);
    all(&vg, 20..=20, Lag::None);
    vg.validate().unwrap();
    vg.set_behind(pv, Some(20));
    assert!(vg.validate().is_err(), "behind what was not committed yet");
}

#[test]
fn a_change_concerns_the_pvs_whose_extents_it_is_about() {
    let mut old = vg(&[20, 20, 20]);
    add_lv(&mut old, "one", &[run(0, 0, 4)]);
    add_lv(&mut old, "two", &[run(2, 0, 4), run(0, 8, 1)]);
    let changed = |change: &dyn Fn(&mut Vg)| {
        let mut new = old.clone();
        new.bump();
        change(&mut new);
        new
    };
    assert_eq!(concerned(&old, &changed(&|_| ())), [false; 3]);
    let made = changed(&|vg| assert_eq!(add_lv(vg, "new", &[run(1, 3, 1)]), LvIndex(2)));
    assert_eq!(concerned(&old, &made), [false, true, false]);
    // The others' indices change with it, and mean the same.
    let removed = changed(&|vg| vg.remove_lv(LvIndex(0)).unwrap());
    assert_eq!(concerned(&old, &removed), [false; 3], "nothing new is there");
    let renamed = changed(&|vg| vg.rename_lv(LvIndex(1), name("other")).unwrap());
    assert_eq!(concerned(&old, &renamed), [true, false, true]);
    let grown = changed(&|vg| vg.extend_lv(LvIndex(0), &[run(1, 0, 1)]).unwrap());
    assert_eq!(concerned(&old, &grown), [true, true, false]);
    assert_eq!(concerned(&old, &changed(&|vg| vg.rename(name("other")))), [true; 3]);
    let left = changed(&|vg| vg.set_behind(PvIndex(1), Some(1)));
    assert_eq!(concerned(&old, &left), [false; 3]);
}

#[test]
fn a_move_concerns_its_sides_and_no_third_pv() {
    let mut vg = vg(&[20, 20, 20]);
    add_lv(&mut vg, "one", &[run(0, 0, 4), run(2, 0, 4)]);
    let old = vg.clone();
    plan(&mut vg, &request(&[whole(0)], &[whole(1)])).unwrap();
    assert_eq!(concerned(&old, &vg), [true, true, false]);
    // Queued: nothing of it is on any device.
    let queued = vg.clone();
    assert_eq!(concerned(&queued, &old), [false; 3]);
    assert_eq!(concerned(&vg, &vg), [false; 3]);
    for change in [Change::Begin, Change::Moved, Change::Forget] {
        let old = vg.clone();
        vg.apply(vg.moves()[0].uuid, change).unwrap();
        assert_eq!(concerned(&old, &vg), [true, true, false], "{change:?}");
        let begun = !vg.moves().is_empty();
        assert_eq!(concerned(&vg, &vg), [begun, begun, false], "{change:?}");
    }
}

#[test]
fn more_than_half_are_a_majority() {
    for (all, enough) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)] {
        let vg = vg(&[5; 5][..all]);
        for count in 0..=all {
            let those = |of| vg.pv_by_uuid(of).is_some_and(|at| usize::from(at.0) < count);
            assert_eq!(vg.is_majority(those), count >= enough, "{count} of {all}");
        }
    }
}

#[test]
fn a_pv_that_is_being_left_loses_what_it_holds_and_gains_nothing() {
    let mut vg = vg(&[20, 20, 20]);
    vg.sequence = 5;
    add_lv(&mut vg, "one", &[run(0, 0, 4), run(2, 0, 4)]);
    let leaving = PvIndex(0);
    assert!(vg.set_leaving(leaving, 4) && vg.is_leaving(leaving) && vg.is_behind(leaving));
    vg.validate().unwrap();
    let changed = |change: &dyn Fn(&mut Vg)| {
        let mut new = vg.clone();
        new.bump();
        change(&mut new);
        concerned(&vg, &new)
    };
    let areas = [Area::whole(leaving)];
    let count = Extents(1);
    let onto =
        |areas| AllocRequest { count, areas, avoid: &[], policy: Policy::Normal, grows: None };
    let refused = AllocError::IsLeaving { pv: leaving };
    assert_eq!(vg.allocate(&onto(&areas)), Err(refused));
    assert_eq!(vg.allocate(&onto(&[])).unwrap()[0].place.pv, PvIndex(1), "where none is named");
    let sources = [Area::whole(PvIndex(2))];
    let onto_it = MoveRequest {
        command: crate::metadata::testing::uuid(77),
        sources: &sources,
        only_lv: None,
        destinations: &areas,
        policy: Policy::Normal,
        atomic: false,
    };
    let planned = vg.clone().plan(&onto_it, &mut || crate::metadata::testing::uuid(78));
    assert_eq!(planned, Err(PlanError::Alloc(refused)));
    assert_eq!(changed(&|vg| vg.rename_lv(LvIndex(0), name("x")).unwrap()), [false, false, true]);
    assert_eq!(changed(&|vg| vg.remove_lv(LvIndex(0)).unwrap()), [false; 3]);
    assert_eq!(
        changed(&|vg| assert_eq!(add_lv(vg, "new", &[run(0, 4, 1)]), LvIndex(1))),
        [true, false, false],
        "it would hold something new"
    );
    assert_eq!(changed(&|vg| vg.rename(name("other"))), [true; 3]);

    // A move away from it, there and back.
    let mut moving = vg.clone();
    plan(&mut moving, &request(&[whole(0)], &[whole(1)])).unwrap();
    assert_eq!(concerned(&vg, &moving), [false, true, false]);
    for end in [Change::Moved, Change::Aborting] {
        let mut vg = moving.clone();
        for change in [Change::Begin, end, Change::Forget] {
            let old = vg.clone();
            vg.apply(vg.moves()[0].uuid, change).unwrap();
            vg.validate().unwrap();
            assert_eq!(concerned(&old, &vg)[..2], [false, true], "{change:?}");
        }
    }
    // Nothing is being left that something moves to.
    assert!(!moving.set_leaving(PvIndex(1), 4) && !moving.is_leaving(PvIndex(1)));
    // Brought back it is one as any other.
    vg.set_behind(leaving, None);
    assert!(!vg.is_leaving(leaving));
}

#[test]
fn a_pv_that_is_being_left_does_not_count_and_two_majorities_share_a_pv_all_the_same() {
    for all in 2..=5usize {
        let mut after = vg(&[5; 5][..all]);
        after.sequence = 5;
        let before = after.clone();
        assert!(after.set_leaving(PvIndex(0), 4));
        let majority = |vg: &Vg, set: u32| {
            vg.is_majority(|of| vg.pv_by_uuid(of).is_some_and(|at| set >> at.0 & 1 == 1))
        };
        assert!(majority(&after, (1 << all) - 2) && !majority(&after, 1));
        let sets = 0..1u32 << all;
        for (one, two) in sets.clone().flat_map(|one| sets.clone().map(move |two| (one, two))) {
            if majority(&before, one) && majority(&after, two) {
                assert!(one & two != 0, "{one:b} and {two:b} of {all}");
            }
        }
    }
}
