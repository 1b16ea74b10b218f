//! Plans in real texts.

use lvshift_core::metadata::Policy;
use lvshift_core::units::Uuid;

use super::plan::{Model, Planned, Wanted};
use super::text::{Area, Metadata};
use crate::error::Result;

fn real(kind: &str) -> Metadata {
    let text = match kind {
        "raid1" => include_str!("text/real/raid1.txt"),
        "raid5" => include_str!("text/real/raid5.txt"),
        "thin" => include_str!("text/real/thin.txt"),
        "cache" => include_str!("text/real/cache.txt"),
        _ => include_str!("text/real/linear.txt"),
    };
    Metadata::parse(text).expect("LVM2 wrote it")
}

fn wanted(text: &Metadata, from: &str, to: &[&str], lv: Option<&str>) -> Wanted {
    let whole = |key: &str| {
        let count = text.pvs().into_iter().find(|pv| pv.key == key).map_or(0, |pv| pv.pe_count);
        (key.to_owned(), 0, count)
    };
    Wanted {
        sources: vec![whole(from)],
        lv: lv.map(str::to_owned),
        destinations: to.iter().map(|key| whole(key)).collect(),
        policy: Policy::Normal,
        atomic: false,
    }
}

fn plan(text: &Metadata, wanted: &Wanted) -> Result<Vec<Planned>> {
    let mut next = 0;
    let mut fresh = || {
        next += 1;
        Uuid([next; 16])
    };
    Model::of(text)?.plan(text, wanted, &mut fresh)
}

fn lvs(planned: &[Planned]) -> Vec<Vec<(&str, u32)>> {
    planned
        .iter()
        .map(|one| one.parts.iter().map(|part| (part.lv.as_str(), part.count)).collect())
        .collect()
}

#[test]
fn all_that_lies_there_is_one_move() {
    let text = real("linear");
    let planned = plan(&text, &wanted(&text, "pv0", &["pv2"], None)).expect("there is room");
    assert_eq!(lvs(&planned), [[("home", 10), ("opt", 5)]]);
    assert_eq!(planned[0].log, (Area { of: "pv2".to_owned(), extent: 15 }, 1));
}

#[test]
fn an_image_goes_to_no_pv_that_has_another() {
    let text = real("raid1");
    let planned = plan(&text, &wanted(&text, "pv0", &[], None)).expect("there is room");
    assert_eq!(lvs(&planned), [[("r_rimage_0", 8), ("r_rmeta_0", 1)]]);
    for part in &planned[0].parts {
        assert!(["pv2", "pv3"].contains(&part.destination.of.as_str()), "{part:?}");
    }
    let error = plan(&text, &wanted(&text, "pv0", &["pv1"], None)).expect_err("it would be lost");
    assert!(error.to_string().contains("redundancy"), "{error}");
    let anywhere = Wanted { policy: Policy::Anywhere, ..wanted(&text, "pv0", &["pv1"], None) };
    assert!(plan(&text, &anywhere).is_ok());
    let text = real("raid5");
    let planned = plan(&text, &wanted(&text, "pv1", &[], Some("r"))).expect("there is room");
    assert!(planned[0].parts.iter().all(|part| part.destination.of == "pv3"), "{planned:?}");
}

#[test]
fn a_name_takes_the_parts_with_it_and_a_thin_lv_is_its_pools() {
    let text = real("cache");
    let planned = plan(&text, &wanted(&text, "pv1", &[], Some("slow"))).expect("there is room");
    assert_eq!(lvs(&planned), [[("fast_cpool_cmeta", 5), ("fast_cpool_cdata", 4)]]);
    let planned = plan(&text, &wanted(&text, "pv1", &[], Some("fast_cpool_cmeta")));
    assert_eq!(lvs(&planned.expect("there is room")), [[("fast_cpool_cmeta", 5)]]);
    let text = real("thin");
    let planned = plan(&text, &wanted(&text, "pv0", &[], Some("pool"))).expect("there is room");
    assert_eq!(lvs(&planned), [[("pool_tdata", 8)]]);
    let planned = plan(&text, &wanted(&text, "pv0", &[], None)).expect("there is room");
    assert_eq!(lvs(&planned), [[("lvol0_pmspare", 2), ("pool_tdata", 8)]]);
    let error = plan(&text, &wanted(&text, "pv0", &[], Some("t"))).expect_err("it has none");
    assert!(error.to_string().contains("its extents are its pool's"), "{error}");
}

/// Many segments are one move, and so four commits; extents may have any size that LVM2 takes.
#[test]
fn many_segments_are_one_move_with_extents_of_any_size() {
    let mut text = real("linear").print();
    let segment = |n: u32| {
        format!(
            "segment{n} {{\nstart_extent = {}\nextent_count = 1\ntype = \"striped\"\nstripe_count = 1\nstripes = [\"pv{}\", {}]\n}}\n",
            n - 1,
            (n - 1) % 2,
            // Backwards, so that no two go on from one to the next.
            62 - (n - 1) / 2,
        )
    };
    let many: String = (1..=80).map(segment).collect();
    let lv = format!(
        "many {{\nid = \"aaaaaa-bbbb-cccc-dddd-eeee-ffff-gggggg\"\nstatus = [\"READ\", \"WRITE\", \"VISIBLE\"]\nflags = []\nsegment_count = 80\n{many}}}\n"
    );
    text = text.replacen("logical_volumes {\n", &format!("logical_volumes {{\n{lv}"), 1);
    text = text.replacen("extent_size = 2048", "extent_size = 768", 1);
    let text = Metadata::parse(&text).expect("valid");
    assert_eq!(text.extent_size(), 768);
    let planned =
        plan(&text, &wanted(&text, "pv0", &["pv2"], Some("many"))).expect("there is room");
    let [planned] = planned.as_slice() else { panic!("{} moves", planned.len()) };
    assert_eq!(planned.parts.iter().map(|part| part.count).sum::<u32>(), 40);
    assert!(planned.parts.len() > 32, "{}", planned.parts.len());
    assert_eq!(40 * 768 % planned.region_size, 0);
    assert!(planned.region_size.is_power_of_two() && planned.region_size >= 256);
    let mut changed = text.clone();
    let mut next = 100;
    let mut fresh = || {
        next += 1;
        Uuid([next; 16])
    };
    planned.write(&mut changed, "command", &mut fresh).expect("they lie there");
    let found = super::text::moves::find(&changed).expect("a move").moves;
    assert_eq!((found.len(), found[0].extents), (1, 40));
}
