//! Moves of the parts of other LVs: what goes with what, what is LOCKED, what is refused.

use super::moves::find;
use super::roles::{Layer, Uses};
use super::tests::{area, begin, part, real};
use super::*;

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

#[test]
fn what_an_lv_is_part_of_goes_with_it() {
    for (kind, lv, family) in [
        ("linear", "home", &["home"][..]),
        ("raid1", "r_rimage_0", &["r", "r_rimage_0"]),
        ("raid5", "r_rmeta_2", &["r", "r_rmeta_2"]),
        ("mirror", "m_mlog", &["m", "m_mlog"]),
        ("thin", "pool_tdata", &["pool", "pool_tdata", "t", "u"]),
        ("thin", "lvol0_pmspare", &["lvol0_pmspare"]),
        ("snapshot", "base", &["base", "snap", "snapshot0"]),
        ("snapshot", "snap", &["base", "snap", "snapshot0"]),
        ("cache", "slow_corig", &["slow", "slow_corig"]),
        ("cache", "fast_cpool_cdata", &["fast_cpool", "fast_cpool_cdata", "slow"]),
        ("writecache", "fast_cvol", &["fast_cvol", "slow"]),
    ] {
        let text = real(kind);
        assert_eq!(sorted(Uses::of(&text).family(lv)), family, "{kind}/{lv}");
    }
}

#[test]
fn a_name_stands_for_all_that_the_lv_is_made_of() {
    for (kind, lv, below) in [
        ("linear", "home", &["home"][..]),
        ("raid1", "r", &["r", "r_rimage_0", "r_rimage_1", "r_rmeta_0", "r_rmeta_1"]),
        ("mirror", "m", &["m", "m_mimage_0", "m_mimage_1", "m_mlog"]),
        ("thin", "pool", &["pool", "pool_tdata", "pool_tmeta"]),
        // Its extents are the pool's.
        ("thin", "t", &["t"]),
        ("snapshot", "base", &["base"]),
        (
            "cache",
            "slow",
            &["fast_cpool", "fast_cpool_cdata", "fast_cpool_cmeta", "slow", "slow_corig"],
        ),
        ("writecache", "slow", &["fast_cvol", "slow", "slow_wcorig"]),
    ] {
        let text = real(kind);
        assert_eq!(sorted(Uses::of(&text).below(lv)), below, "{kind}/{lv}");
    }
}

#[test]
fn the_device_of_an_lv_is_the_one_with_its_segments() {
    let named = |suffix| Some(Layer { suffix, named: true });
    let plain = |suffix| Some(Layer { suffix, named: false });
    for (kind, lv, layer) in [
        ("linear", "home", None),
        ("raid1", "r_rimage_0", None),
        ("mirror", "m_mimage_1", None),
        ("thin", "pool_tdata", plain("tdata")),
        ("thin", "pool_tmeta", plain("tmeta")),
        ("thin", "lvol0_pmspare", None),
        ("snapshot", "base", named("real")),
        ("snapshot", "snap", named("cow")),
        ("cache", "slow_corig", plain("real")),
        ("cache", "fast_cpool_cdata", plain("cdata")),
        ("cache", "fast_cpool_cmeta", plain("cmeta")),
        ("writecache", "slow_wcorig", plain("real")),
        ("writecache", "fast_cvol", plain("cvol")),
    ] {
        let text = real(kind);
        assert_eq!(Uses::of(&text).layer(lv), layer, "{kind}/{lv}");
    }
}

#[test]
fn images_know_their_siblings() {
    for (kind, lv, siblings) in [
        ("raid1", "r_rimage_0", &["r_rimage_1", "r_rmeta_1"][..]),
        ("raid1", "r_rmeta_1", &["r_rimage_0", "r_rmeta_0"]),
        ("raid5", "r_rimage_1", &["r_rimage_0", "r_rimage_2", "r_rmeta_0", "r_rmeta_2"]),
        ("mirror", "m_mimage_0", &["m_mimage_1"]),
        ("mirror", "m_mlog", &[]),
        ("thin", "pool_tdata", &[]),
        ("cache", "slow_corig", &[]),
    ] {
        let text = real(kind);
        assert_eq!(Uses::of(&text).siblings(lv), siblings, "{kind}/{lv}");
    }
}

/// While a part moves, it and all that it is a part of are LOCKED, and nothing else; afterwards each word is as
/// before.
#[test]
fn what_goes_with_a_part_is_locked_for_as_long_as_it_moves() {
    for (kind, parts, locked) in [
        (
            "raid1",
            vec![
                part("r_rimage_0", ("pv0", 1), ("pv3", 0), 8),
                part("r_rmeta_0", ("pv0", 0), ("pv3", 8), 1),
            ],
            &["r", "r_rimage_0", "r_rmeta_0"][..],
        ),
        (
            "thin",
            vec![part("pool_tdata", ("pv0", 2), ("pv1", 0), 8)],
            &["pool", "pool_tdata", "t", "u"],
        ),
        ("snapshot", vec![part("base", ("pv0", 0), ("pv1", 0), 6)], &["base", "snap"]),
        (
            "cache",
            vec![part("fast_cpool_cmeta", ("pv1", 5), ("pv2", 0), 5)],
            &["fast_cpool", "fast_cpool_cmeta", "slow"],
        ),
        (
            "writecache",
            vec![part("slow_wcorig", ("pv0", 0), ("pv2", 0), 8)],
            &["slow", "slow_wcorig"],
        ),
        ("mirror", vec![part("m_mimage_1", ("pv1", 0), ("pv3", 0), 8)], &["m", "m_mimage_1"]),
    ] {
        let before = real(kind);
        let mut text = before.clone();
        begin(&mut text, &parts, area("pv3", 40)).expect("they lie there");
        let ours = |name: &str| moves::is_ours(name);
        let mut found: Vec<&str> = text.lv_names();
        found.retain(|lv| !ours(lv) && text.lv_status(lv).contains(&moves::LOCKED));
        found.sort_unstable();
        assert_eq!(found, locked, "{kind}");
        let record = find(&text).expect("a move").moves.remove(0);
        assert_eq!(record.parts, parts, "{kind}");
        text.set_move(&record, State::Copying).expect("it follows");
        let record = find(&text).expect("a move").moves.remove(0);
        let mut back = text.clone();
        back.set_move(&record, State::Aborting).expect("it follows");
        let aborting = find(&back).expect("a move").moves.remove(0);
        back.end_move(&aborting).expect("it went back");
        assert_eq!(back, before, "{kind}");
        text.set_move(&record, State::Moved).expect("it follows");
        let record = find(&text).expect("a move").moves.remove(0);
        text.end_move(&record).expect("it has moved");
        for lv in before.lv_names() {
            assert_eq!(text.lv_status(lv), before.lv_status(lv), "{kind}/{lv}");
        }
        assert_eq!(
            text.segments(&parts[0].lv)[0].shape,
            Shape::Striped { stripe_size: 0, areas: vec![parts[0].destination.clone()] }
        );
    }
}

/// Two moves of parts of one LV: what the other needs stays LOCKED when one ends.
#[test]
fn what_another_move_needs_stays_locked() {
    let mut text = real("thin");
    begin(&mut text, &[part("pool_tdata", ("pv0", 2), ("pv1", 0), 8)], area("pv1", 40))
        .expect("it");
    begin(&mut text, &[part("pool_tmeta", ("pv3", 0), ("pv1", 8), 2)], area("pv1", 41))
        .expect("it");
    let record = find(&text).expect("moves").moves.remove(0);
    text.end_move(&record).expect("it was not begun");
    let locked = |text: &Metadata, lv| text.lv_status(lv).contains(&moves::LOCKED);
    assert!(!locked(&text, "pool_tdata"));
    assert!(["pool_tmeta", "pool", "t", "u"].iter().all(|lv| locked(&text, lv)));
    let record = find(&text).expect("a move").moves.remove(0);
    text.end_move(&record).expect("it was not begun");
    assert!(["pool_tmeta", "pool", "t", "u"].iter().all(|lv| !locked(&text, lv)));
}

#[test]
fn what_is_not_handled_or_about_to_change_is_refused_with_the_reason() {
    for (kind, of, key, value, lv, why) in [
        ("raid1", "r", "type", "raid1+RESHAPE", "r_rimage_0", "a reshape is under way"),
        ("raid1", "r", "type", "raid1+NEW_FLAG", "r_rimage_0", "the flag NEW_FLAG"),
        ("raid1", "r", "type", "raid0", "r_rimage_0", "type raid0, which is not handled"),
        ("raid1", "r_rimage_0", "type", "integrity", "r_rimage_0", "type integrity"),
        ("raid1", "r_rimage_0", "type", "error", "r_rimage_0", "type error"),
        ("snapshot", "snapshot0", "merging_store", "snap", "base", "a merge is under way"),
        ("thin", "t", "merge", "u", "pool_tdata", "a merge is under way"),
        ("thin", "t", "external_origin", "u", "pool_tmeta", "external origin"),
        ("cache", "slow", "type", "vdo", "slow_corig", "LV vg/slow, which is of type vdo"),
        ("cache", "fast_cpool", "type", "vdo-pool", "fast_cpool_cdata", "vdo-pool"),
    ] {
        let mut text = real(kind);
        let section = text.lv_mut(of).and_then(|lv| lv.section_mut("segment1"));
        section.expect("it is there").set(key, value.into());
        let text = Metadata::parse(&text.print()).expect("valid");
        let said = refuse::lv(&text, lv).unwrap_or_default();
        assert!(said.contains(why), "{kind}/{lv}: {said:?}");
    }
    for (kind, of, word, lv, why) in [
        ("raid1", "r_rimage_0", "REBUILD", "r_rimage_0", "is being repaired"),
        ("raid1", "r_rimage_1", "VISIBLE", "r_rimage_1", "split off, and is tracked"),
        ("thin", "t", "LOCKED", "pool_tdata", "LV vg/t, which is LOCKED"),
    ] {
        let mut text = real(kind);
        let section = text.lv_mut(of).expect("it is there");
        let mut words: Vec<Value> = section.texts("status").into_iter().map(Value::from).collect();
        words.push(word.into());
        section.set("status", Value::List(words));
        let said = refuse::lv(&text, lv).unwrap_or_default();
        assert!(said.contains(why), "{kind}/{lv}: {said:?}");
    }
}
