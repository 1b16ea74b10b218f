use lvshift_core::units::PvIndex;

use super::super::tests::{Disks, make_lv};
use super::*;

fn left(vg: &OpenVg) -> Vec<bool> {
    vg.vg().pvs().iter().map(|pv| pv.behind.is_some()).collect()
}

#[test]
fn a_change_is_made_without_a_missing_pv_which_is_brought_back_by_the_next_but_one() {
    let disks = Disks::new(3);
    let mut vg = disks.vg(&[0, 1, 2]);
    make_lv(&mut vg, "one");
    drop(vg);
    let mut vg = disks.open(&[0, 1]).expect("opened");
    make_lv(&mut vg, "two");
    assert_eq!(left(&vg), [false, false, true]);
    drop(vg);
    // Alone it is as it was; it does not win.
    let vg = disks.open(&[2]).expect("opened");
    assert!(vg.vg().lv_by_name("two").is_none());
    let mut vg = disks.open(&[0, 1, 2]).expect("opened");
    assert!(vg.vg().lv_by_name("two").is_some() && !vg.health().is_sound());
    assert!(vg.health().agrees_on(vg.vg().sequence()), "it was not cut off");
    vg.commit(|_| Ok(())).expect("committed");
    assert_eq!(left(&vg), [false; 3]);
    drop(vg);
    let vg = disks.open(&[0, 1, 2]).expect("opened");
    assert!(vg.health().is_sound(), "{:?}", vg.health());
    drop(vg);
    assert!(disks.open(&[2]).expect("opened").vg().lv_by_name("two").is_some());
}

#[test]
fn half_of_the_pvs_do_not_go_on_and_what_concerns_a_missing_pv_is_refused() {
    let disks = Disks::new(4);
    let mut vg = disks.vg(&[0, 1, 2, 3]);
    make_lv(&mut vg, "one");
    drop(vg);
    let mut vg = disks.open(&[1, 3]).expect("opened");
    let error = vg.commit(|_| Ok(())).expect_err("half of them");
    assert_eq!(error.kind, Kind::Missing);
    assert!(error.what.starts_with("2 of the 4 PVs"), "{error}");
    let remove = |vg: &mut Vg| {
        let one = vg.lv_by_name("one").expect("it is there");
        vg.remove_lv(one).map_err(|error| Error::new(Kind::State, error.to_string()))
    };
    let home = vg.vg().segments()[0].place.pv;
    assert_eq!(home, PvIndex(0));
    let mut vg = disks.open(&[1, 2, 3]).expect("opened");
    let error = vg.commit(remove).expect_err("it lies on what is missing");
    assert!(error.what.contains(&Uuid([1; 16]).to_string()), "{error}");
    vg.commit(|_| Ok(())).expect("three of four");
    let mut vg = disks.open(&[0, 1, 2, 3]).expect("opened");
    let error = vg.commit(remove).expect_err("it does not hold the newest yet");
    assert_eq!(error.kind, Kind::Stale);
    assert!(error.next.as_deref().is_some_and(|next| next.contains("vgck --updatemetadata vg")));
    vg.update_metadata().expect("brought back");
    vg.commit(remove).expect("removed");
}

#[test]
fn older_contents_than_were_left_behind_are_named_and_left_as_they_are() {
    let disks = Disks::new(3);
    let mut vg = disks.vg(&[0, 1, 2]);
    make_lv(&mut vg, "one");
    drop(vg);
    let old = std::fs::read(disks.path(0)).expect("read");
    let mut vg = disks.open(&[0, 1, 2]).expect("opened");
    (0..4).for_each(|_| vg.commit(|_| Ok(())).expect("committed"));
    drop(vg);
    disks.open(&[1, 2]).expect("opened").commit(|_| Ok(())).expect("without the first");
    std::fs::write(disks.path(0), &old).expect("written");
    let mut vg = disks.open(&[0, 1, 2]).expect("opened");
    vg.commit(|_| Ok(())).expect("committed");
    assert_eq!(left(&vg), [true, false, false]);
    drop(vg);
    assert!(std::fs::read(disks.path(0)).expect("read") == old, "it was written to");
    let mut vg = disks.open(&[0, 1, 2]).expect("opened");
    vg.update_metadata().expect("asked for");
    assert_eq!(left(&vg), [false; 3]);
}
