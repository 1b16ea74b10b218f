//! Tests of how mirrors grow.

use super::*;

const CHUNK: u64 = 4096;

fn parts() -> Vec<Part> {
    vec![
        Part { index: 3, start: Sectors(0), len: 3 * CHUNK },
        Part { index: 4, start: Sectors(100_000), len: 2 * CHUNK + 8 },
    ]
}

fn chunks(reach: &Reach) -> Vec<(usize, u64)> {
    reach.iter().map(|(index, sectors)| (*index, sectors.0.div_ceil(CHUNK))).collect()
}

#[test]
fn one_part_grows_after_the_other() {
    let stage = Stage { chunks: 2, one_by_one: true };
    let mut reach = Reach::new();
    let mut seen = Vec::new();
    while let Some(grown) = more(&parts(), &reach, stage, CHUNK) {
        seen.push(chunks(&grown));
        reach = grown;
    }
    assert_eq!(seen, [vec![(3, 2)], vec![(3, 3), (4, 1)], vec![(3, 3), (4, 3)]]);
    assert_eq!(reach, [(3, Sectors(3 * CHUNK)), (4, Sectors(2 * CHUNK + 8))]);
}

#[test]
fn all_parts_grow_alike_where_the_lv_is_not_used() {
    let stage = Stage { chunks: 3, one_by_one: false };
    let reach = more(&parts(), &Reach::new(), stage, CHUNK).expect("more");
    assert_eq!(chunks(&reach), [(3, 2), (4, 2)]);
    let huge = Stage { chunks: u64::MAX, one_by_one: false };
    let reach = more(&parts(), &reach, huge, CHUNK).expect("more");
    assert_eq!(chunks(&reach), [(3, 3), (4, 3)]);
    assert_eq!(more(&parts(), &reach, huge, CHUNK), None);
}

#[test]
fn a_table_tells_how_far_its_mirrors_reach() {
    let mirror = "mirror disk 2 254:5 4096 2 254:0 0 254:1 0 1 handle_errors";
    let line = |text: String| -> Segment { text.parse().expect("a line") };
    let table = [
        line("0 100000 linear 254:0 0".to_owned()),
        line(format!("100000 4096 {mirror}")),
        line("104096 4104 linear 254:0 104096".to_owned()),
    ];
    assert_eq!(found(&parts(), &table), Some(vec![(4, Sectors(4096))]));
    assert_eq!(found(&parts(), &table[..1]), None);
}
