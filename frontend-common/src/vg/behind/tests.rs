use lvshift_core::metadata::Name;
use lvshift_core::units::PvIndex;

use super::super::tests::{Disks, make_lv};
use super::*;

/// Disks of a VG with an LV on the first.
fn with_an_lv(count: u8) -> Disks {
    let disks = Disks::new(count);
    make_lv(&mut disks.vg(&Vec::from_iter(0..usize::from(count))), "one");
    disks
}

fn rename(vg: &mut Vg) -> Result<()> {
    let one = vg.lv_by_name("one").expect("it is there");
    let name = Name::new("other").expect("legal");
    vg.rename_lv(one, name).map_err(|error| Error::new(Kind::State, error.to_string()))
}

fn left(vg: &OpenVg) -> Vec<bool> {
    vg.vg().pvs().iter().map(|pv| pv.behind.is_some()).collect()
}

#[test]
fn a_change_is_made_without_a_missing_pv_which_is_brought_back_by_the_next_but_one() {
    let disks = with_an_lv(3);
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
fn a_late_pv_of_another_hosts_vg_is_not_written_to() {
    let disks = with_an_lv(3);
    let there = lvshift_core::metadata::SystemId::new("there").expect("legal");
    // A test has no system id: from here on the VG is another host's.
    let mut vg = disks.open(&[0, 1, 2]).expect("opened");
    vg.set_system_id(Some(there), true).expect("given away");
    drop(vg);
    // Which has changed it without one PV since.
    let mut vg = disks.open(&[0, 1]).expect("opened");
    let error = vg.set_system_id(None, true).expect_err("every PV has to say it");
    assert!(error.next.is_some_and(|next| next.contains("system_id")), "the way out is not told");
    vg.write_as_any_host(rename, &|_, _| false, false).expect("committed");
    drop(vg);
    let contents = |disks: &Disks| -> Vec<Vec<u8>> {
        (0..3).map(|disk| std::fs::read(disks.path(disk)).expect("a file")).collect()
    };
    let before = contents(&disks);
    let mut vg = disks.open(&[0, 1, 2]).expect("opened");
    assert_eq!(left(&vg), [false, false, true]);
    for refused in [vg.commit(rename), vg.update_metadata(), vg.set_system_id(None, false)] {
        assert_eq!(refused.expect_err("it is another host's").kind, Kind::State);
    }
    drop(vg);
    assert!(contents(&disks) == before, "another host's PV was written to");
}

#[test]
fn half_of_the_pvs_do_not_go_on_and_what_concerns_a_missing_pv_is_refused() {
    let disks = with_an_lv(4);
    let mut vg = disks.open(&[1, 3]).expect("opened");
    let error = vg.commit(|_| Ok(())).expect_err("half of them");
    assert_eq!(error.kind, Kind::Missing);
    assert!(error.what.starts_with("2 of the 4 PVs"), "{error}");
    let home = vg.vg().segments()[0].place.pv;
    assert_eq!(home, PvIndex(0));
    let mut vg = disks.open(&[1, 2, 3]).expect("opened");
    let error = vg.commit(rename).expect_err("it lies on what is missing");
    assert!(error.what.contains(&Uuid([1; 16]).to_string()), "{error}");
    vg.commit(|_| Ok(())).expect("three of four");
    let mut vg = disks.open(&[0, 1, 2, 3]).expect("opened");
    vg.commit(rename).expect("it is brought back first");
    assert_eq!(left(&vg), [false; 4]);
}

#[test]
fn a_pv_that_was_left_behind_is_brought_back_where_another_has_died_since() {
    let disks = with_an_lv(3);
    disks.open(&[1, 2]).expect("opened").commit(|_| Ok(())).expect("without the first");
    let mut vg = disks.open(&[0, 2]).expect("opened");
    make_lv(&mut vg, "two");
    assert_eq!(left(&vg), [false, true, false]);
    drop(vg);
    // Alone it is behind, and no two of it.
    disks.open(&[1]).expect("opened").commit(|_| Ok(())).expect_err("one of three");
    assert!(disks.open(&[0, 1]).expect("opened").vg().lv_by_name("two").is_some());
    // Two of three are gone: a person gives them up, and the one that is left needs no other.
    let mut vg = disks.open(&[0]).expect("opened");
    let error = vg.commit(|_| Ok(())).expect_err("one of three");
    assert!(error.next.is_some_and(|next| next.contains("vgreduce --removemissing vg")));
    let gone = vg.missing();
    vg.give_up(&gone, &[]).expect("given up");
    vg.commit(|_| Ok(())).expect("it is alone now");
}

#[test]
fn a_pv_that_was_left_behind_and_is_well_counts_where_another_takes_no_writes() {
    let disks = with_an_lv(3);
    disks.open(&[0, 1]).expect("opened").commit(|_| Ok(())).expect("without the last");
    let mut vg = disks.open_though(1, &[0, 1, 2]).expect("opened");
    assert_eq!(left(&vg), [false, false, true]);
    make_lv(&mut vg, "two");
    assert_eq!(left(&vg), [false, true, false]);
    let said = vg.was_updated();
    assert!(said.contains("to every PV but /") && said.ends_with("pv2"), "{said}");
    drop(vg);
    for there in [[0, 2], [0, 1]] {
        let vg = disks.open(&there).expect("opened");
        assert!(vg.vg().lv_by_name("two").is_some());
    }
}

#[test]
fn older_contents_than_were_left_behind_are_named_and_left_as_they_are() {
    let disks = with_an_lv(3);
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

#[test]
fn an_lv_on_a_missing_pv_is_removed_and_does_not_come_back_with_it() {
    let disks = with_an_lv(3);
    let mut vg = disks.open(&[1, 2]).expect("opened");
    let one = vg.vg().lvs()[0].uuid;
    vg.commit(|vg| {
        let at = vg.lv_by_uuid(one).expect("it is there");
        vg.remove_lv(at).map_err(|error| Error::new(Kind::State, error.to_string()))
    })
    .expect("removed");
    drop(vg);
    let mut vg = disks.open(&[0, 1, 2]).expect("opened");
    assert!(vg.vg().lvs().is_empty());
    vg.commit(|_| Ok(())).expect("committed");
    drop(vg);
    assert!(disks.open(&[0]).expect("opened").vg().lvs().is_empty());
}

#[test]
fn a_person_gives_up_one_of_two_and_two_that_gave_each_other_up_are_refused() {
    let disks = Disks::new(2);
    let mut vg = disks.vg(&[0, 1]);
    make_lv(&mut vg, "one");
    drop(vg);
    let first = std::fs::read(disks.path(0)).expect("read");
    for (stays, gone) in [(1, 0), (0, 1)] {
        let mut vg = disks.open(&[stays]).expect("opened");
        vg.commit(|_| Ok(())).expect_err("one of two");
        let (pvs, lvs) = (vg.missing(), vg.vg().lvs().iter().map(|lv| lv.uuid).collect::<Vec<_>>());
        let lost = if gone == 0 { &lvs[..] } else { &[] };
        vg.give_up(&pvs, lost).expect("given up");
        vg.commit(|_| Ok(())).expect("it is alone now");
        if gone == 0 {
            // What was given up is back: it does not win.
            drop(vg);
            let vg = disks.open(&[0, 1]).expect("opened");
            assert!(vg.vg().lvs().is_empty() && vg.missing().is_empty());
            assert!(!vg.health().is_sound(), "nothing is said of it");
            assert!(std::fs::read(disks.path(0)).expect("read") == first, "it was written to");
        }
    }
    let error = disks.open(&[0, 1]).expect_err("each went on without the other");
    assert_eq!(error.kind, Kind::Inconsistent);
}

#[test]
fn one_of_two_that_is_being_left_does_not_count_gains_nothing_and_is_taken_out() {
    let disks = Disks::new(2);
    let mut vg = disks.vg(&[0, 1]);
    make_lv(&mut vg, "one");
    let old = vg.vg().pvs()[0].uuid;
    vg.try_write(old).expect("it takes changes");
    vg.begin_leaving(old).expect("recorded");
    assert!(vg.is_leaving(old) && left(&vg) == [true, false]);
    // What concerns it is committed without it, and nothing brings it back that does not ask for it.
    vg.commit(rename).expect("the other is more than half of what counts");
    drop(vg);
    assert!(disks.open(&[0]).expect("opened").vg().lv_by_name("other").is_none());
    let mut vg = disks.open(&[0, 1]).expect("opened");
    assert!(vg.is_leaving(old) && vg.vg().lv_by_name("other").is_some());
    assert_eq!(vg.unusable().len(), 1);
    vg.update_metadata().expect("asked for, it takes changes again");
    assert!(!vg.is_leaving(old) && left(&vg) == [false; 2]);
    drop(vg);
    assert!(disks.open(&[0, 1]).expect("opened").health().is_sound());
}

#[test]
fn a_pv_that_takes_no_changes_is_left_though_another_is_late_which_is_brought_back_with_that() {
    let disks = Disks::new(3);
    let mut vg = disks.vg(&[0, 1, 2]);
    make_lv(&mut vg, "one");
    let dying = vg.vg().pvs()[0].uuid;
    drop(vg);
    disks.open(&[0, 1]).expect("opened").commit(|_| Ok(())).expect("without the last");
    let before = std::fs::read(disks.path(0)).expect("read");
    let mut vg = disks.open(&[0, 1, 2]).expect("opened");
    assert_eq!(left(&vg), [false, false, true]);
    vg.begin_leaving(dying).expect("two of the other two");
    assert_eq!(left(&vg), [true, false, false]);
    assert!(std::fs::read(disks.path(0)).expect("read") == before, "it was written to");
    drop(vg);
    // The late one missing, it is refused, and nothing is changed.
    let disks = with_an_lv(3);
    let mut vg = disks.open(&[0, 1]).expect("opened");
    vg.commit(|_| Ok(())).expect("without the last");
    let error = vg.begin_leaving(dying).expect_err("one of the other two");
    assert!(error.what.starts_with("1 of the 2 PVs"), "{error}");
    assert_eq!(left(&vg), [false, false, true]);
}

#[test]
fn a_pv_that_cannot_be_left_is_not_told_to_take_changes_again() {
    let disks = with_an_lv(3);
    let dying = disks.open(&[0, 1, 2]).expect("opened").vg().pvs()[0].uuid;
    disks.open(&[1, 2]).expect("opened").commit(|_| Ok(())).expect("without the first");
    let mut vg = disks.open_though(0, &[0, 1]).expect("opened");
    vg.leaves(dying);
    assert_eq!(left(&vg), [true, false, false]);
    let error = vg.begin_leaving(dying).expect_err("one of the other two");
    let next = error.next.clone().unwrap_or_default();
    assert!(next.starts_with("attach the device") && !next.contains("updatemetadata"), "{error}");
}

#[test]
fn a_pv_that_takes_no_changes_is_left_though_it_lacks_the_commit_that_put_an_lv_on_it() {
    let disks = Disks::new(3);
    let mut vg = disks.vg(&[0, 1, 2]);
    let before = std::fs::read(disks.path(0)).expect("read");
    make_lv(&mut vg, "one");
    let dying = vg.vg().pvs()[0].uuid;
    drop(vg);
    // The power failed when the others had it.
    std::fs::write(disks.path(0), &before).expect("written");
    let mut vg = disks.open_though(0, &[0, 1, 2]).expect("opened");
    assert!(vg.try_write(dying).is_err() && !vg.health().is_sound());
    vg.begin_leaving(dying).expect("the others are all that count");
    assert!(vg.is_leaving(dying) && left(&vg) == [true, false, false]);
    drop(vg);
    for there in [&[0, 1, 2][..], &[1, 2], &[0, 1], &[1]] {
        let vg = disks.open(there).expect("opened");
        assert!(vg.is_leaving(dying) && vg.vg().lv_by_name("one").is_some());
    }
    // Nothing else goes on without what it lacks.
    let disks = Disks::new(3);
    let mut vg = disks.vg(&[0, 1, 2]);
    let before = std::fs::read(disks.path(0)).expect("read");
    make_lv(&mut vg, "one");
    drop(vg);
    std::fs::write(disks.path(0), &before).expect("written");
    let mut vg = disks.open_though(0, &[0, 1, 2]).expect("opened");
    assert_eq!(vg.commit(|_| Ok(())).expect_err("refused").kind, Kind::Io);
}

#[test]
fn a_source_that_takes_no_changes_any_more_is_left_under_its_move_though_another_is_late() {
    for has_come_back in [true, false] {
        let disks = Disks::new(3);
        let mut vg = disks.vg(&[0, 1, 2]);
        make_lv(&mut vg, "one");
        let dying = vg.vg().pvs()[0].uuid;
        drop(vg);
        disks.open(&[0, 1]).expect("opened").commit(|_| Ok(())).expect("without the last");
        let there = if has_come_back { &[0, 1, 2][..] } else { &[0, 1] };
        let mut vg = disks.open_though(0, there).expect("opened");
        vg.leaves(dying);
        // As the mover commits: what it says concerns the source, and it brings none back.
        let done = vg.commit_without(rename, &|_, _| false);
        assert_eq!(done.is_ok(), has_come_back, "{done:?}");
        assert_eq!(left(&vg), [has_come_back, false, !has_come_back]);
        drop(vg);
        if has_come_back {
            let vg = disks.open(&[1, 2]).expect("opened");
            assert!(vg.vg().lv_by_name("other").is_some() && vg.is_leaving(dying));
        }
    }
}
