use super::super::testing::*;
use super::*;
use crate::heap::Vg;

#[test]
fn runs_that_touch_become_one_segment() {
    let mut vg = vg(&[20]);
    let lv = add_lv(&mut vg, "a", &[run(0, 0, 2), run(0, 2, 3)]);
    assert_eq!(vg.segments_of(lv).len(), 1);
    vg.extend_lv(lv, &[run(0, 5, 1), run(0, 8, 1)]).unwrap();
    assert_eq!(vg.segments_of(lv).len(), 2);
    assert_eq!(vg.lv(lv).unwrap().le_count, Extents(7));
    assert_eq!(vg.free_extents(crate::units::PvIndex(0)), Extents(13));
    vg.validate().unwrap();
}

#[test]
fn removing_an_lv_moves_the_others_up() {
    let mut vg = vg(&[20, 20]);
    let a = add_lv(&mut vg, "a", &[run(0, 0, 2)]);
    add_lv(&mut vg, "b", &[run(0, 2, 3)]);
    plan(&mut vg, &request(&[area(0, 2, 3)], &[])).unwrap();
    vg.remove_lv(a).unwrap();
    vg.validate().unwrap();
    assert_eq!(vg.lv_by_name("b"), Some(LvIndex(0)));
    assert_eq!(vg.parts()[0].lv, LvIndex(0));
    let error = vg.remove_lv(LvIndex(0)).unwrap_err();
    assert_eq!(error, LvError::Moving { by: MoveIndex(0) });
    assert_eq!(vg.remove_lv(LvIndex(1)), Err(LvError::NoSuchLv));
}

#[test]
fn refusals_name_their_reason_and_change_nothing() {
    let mut vg = vg(&[20]);
    let a = add_lv(&mut vg, "a", &[run(0, 0, 2)]);
    add_lv(&mut vg, "b", &[run(0, 10, 2)]);
    let before = vg.clone();
    let fresh = uuid(9);
    let add = |vg: &mut Vg, uuid, text, runs: &[Run]| vg.add_lv(uuid, name(text), runs);
    assert_eq!(add(&mut vg, fresh, "a", &[run(0, 5, 1)]), Err(LvError::NameTaken));
    assert_eq!(add(&mut vg, Uuid::NIL, "c", &[run(0, 5, 1)]), Err(LvError::BadUuid));
    let taken = vg.lvs()[0].uuid;
    assert_eq!(add(&mut vg, taken, "c", &[run(0, 5, 1)]), Err(LvError::BadUuid));
    assert_eq!(add(&mut vg, fresh, "c", &[]), Err(LvError::BadSize));
    let bad = [run(0, 1, 1), run(0, 0, 5), run(0, 18, 3), run(1, 0, 1), run(0, 5, 0)];
    for run in bad.into_iter().chain([run(0, u32::MAX, 5)]) {
        assert_eq!(add(&mut vg, fresh, "c", &[run]), Err(LvError::NotFree { run }));
    }
    let twice = [run(0, 3, 3), run(0, 5, 1)];
    assert_eq!(add(&mut vg, fresh, "c", &twice), Err(LvError::NotFree { run: twice[1] }));
    assert_eq!(vg.rename_lv(a, name("b")), Err(LvError::NameTaken));
    assert_eq!(vg.rename_lv(LvIndex(7), name("z")), Err(LvError::NoSuchLv));
    assert!(before == vg);
    vg.rename_lv(a, name("a")).unwrap();
    vg.rename_lv(a, name("z")).unwrap();
    assert_eq!(vg.lv_by_name("z"), Some(a));
}
