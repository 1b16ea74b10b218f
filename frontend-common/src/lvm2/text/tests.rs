use super::edit::NewMove;
use super::moves::{Names, find, free_number, is_ours};
use super::*;

/// What `vgcfgbackup` of LVM2 2.03.16 wrote, by kind; made by the scenario `lvm2-texts`.
const REAL: &[(&str, &str)] = &[
    ("linear", include_str!("real/linear.txt")),
    ("striped", include_str!("real/striped.txt")),
    ("raid1", include_str!("real/raid1.txt")),
    ("raid5", include_str!("real/raid5.txt")),
    ("mirror", include_str!("real/mirror.txt")),
    ("thin", include_str!("real/thin.txt")),
    ("snapshot", include_str!("real/snapshot.txt")),
    ("cache", include_str!("real/cache.txt")),
    ("writecache", include_str!("real/writecache.txt")),
    ("tags", include_str!("real/tags.txt")),
    ("empty", include_str!("real/empty.txt")),
];

pub(super) fn real(kind: &str) -> Metadata {
    let text = REAL.iter().find(|(name, _)| *name == kind).expect("a kind").1;
    Metadata::parse(text).expect("LVM2 wrote it")
}

pub(super) fn area(of: &str, extent: u32) -> Area {
    Area { of: of.to_owned(), extent }
}

pub(super) fn part(lv: &str, source: (&str, u32), destination: (&str, u32), count: u32) -> Part {
    Part {
        lv: lv.to_owned(),
        source: area(source.0, source.1),
        destination: area(destination.0, destination.1),
        count,
    }
}

fn ids() -> [String; 4] {
    ["0", "1", "2", "3"].map(|n| format!("lvshft-0000-0000-0000-0000-0000-00000{n}"))
}

pub(super) fn begin(text: &mut Metadata, parts: &[Part], log: Area) -> Result<(), edit::EditError> {
    text.begin_move(&NewMove {
        number: free_number(text),
        ids: ids(),
        command: "a-command",
        region_size: 2048,
        parts,
        log: (log, 1),
        now: 1_700_000_000,
        host: "host",
    })
}

/// `home` has 10 extents on pv0 and 6 on pv1, `opt` 5 on pv0 behind those.
fn linear_parts() -> Vec<Part> {
    vec![
        part("home", ("pv0", 0), ("pv2", 0), 6),
        part("home", ("pv0", 6), ("pv2", 8), 4),
        part("opt", ("pv0", 10), ("pv3", 0), 5),
    ]
}

#[test]
fn every_real_text_comes_back_with_every_word() {
    for (kind, text) in REAL {
        let metadata = Metadata::parse(text).expect("LVM2 wrote it");
        let printed = metadata.print();
        let again = Metadata::parse(&printed).expect("we wrote it");
        assert_eq!(metadata, again, "{kind}");
        // Word by word, comments and blanks apart: nothing is lost that the parser does not know.
        let words = |text: &str| -> Vec<String> {
            let code = text.lines().map(|line| without_comment(line).trim());
            let joined = code.collect::<Vec<_>>().join(" ");
            joined.split_whitespace().map(str::to_owned).collect()
        };
        let flat = |words: Vec<String>| words.join("");
        assert_eq!(flat(words(text)), flat(words(&printed)), "{kind}");
        assert!(find(&metadata).expect("no LVs of ours").moves.is_empty(), "{kind}");
        assert!(metadata.says_the_same(&again));
    }
}

fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    for (at, c) in line.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '#' if !quoted => return &line[..at],
            _ => {}
        }
    }
    line
}

#[test]
fn lvs_of_many_kinds_are_taken_and_others_refused_by_name() {
    for (kind, lv, why) in [
        ("linear", "home", None),
        ("striped", "fast", None),
        ("raid1", "r_rimage_0", None),
        ("raid5", "r_rmeta_1", None),
        ("mirror", "m_mimage_0", None),
        ("mirror", "m_mlog", None),
        ("thin", "pool_tdata", None),
        ("thin", "pool_tmeta", None),
        ("thin", "lvol0_pmspare", None),
        ("snapshot", "base", None),
        ("snapshot", "snap", None),
        ("cache", "slow_corig", None),
        ("cache", "fast_cpool_cdata", None),
        ("cache", "fast_cpool_cmeta", None),
        ("writecache", "slow_wcorig", None),
        ("writecache", "fast_cvol", None),
        ("tags", "skip", None),
        ("tags", "ro", Some("read-only")),
        ("tags", "tagged", None),
    ] {
        let text = real(kind);
        assert!(text.lv_id(lv).is_some(), "{kind}: {:?}", text.lv_names());
        let refused = refuse::lv(&text, lv);
        match (&refused, why) {
            (None, None) => {}
            (Some(said), Some(why)) => assert!(said.contains(why), "{kind}/{lv}: {said}"),
            _ => panic!("{kind}/{lv}: {refused:?}"),
        }
        assert_eq!(refuse::vg(&text), None, "{kind}");
    }
}

#[test]
fn a_vg_in_a_strange_state_is_refused_by_name() {
    let plain = real("linear").print();
    for (from, to, why) in [
        ("\"RESIZEABLE\", \"READ\"", "\"RESIZEABLE\", \"EXPORTED\", \"READ\"", "EXPORTED"),
        ("\"RESIZEABLE\", \"READ\"", "\"RESIZEABLE\", \"CLUSTERED\", \"READ\"", "CLUSTERED"),
        ("\"RESIZEABLE\", \"READ\"", "\"READ\"", "lacks"),
        ("extent_size =", "lock_type = \"sanlock\"\n\textent_size =", "sanlock"),
        ("status = [\"ALLOCATABLE\"]", "status = [\"ALLOCATABLE\", \"MISSING\"]", "MISSING"),
        ("\"WRITE\", \"VISIBLE\"", "\"WRITE\", \"VISIBLE\", \"PVMOVE\"", "own pvmove"),
        ("\"WRITE\", \"VISIBLE\"", "\"WRITE\", \"VISIBLE\", \"MERGING\"", "merge"),
        ("\"WRITE\", \"VISIBLE\"", "\"WRITE\", \"VISIBLE\", \"CONVERTING\"", "conversion"),
    ] {
        let text = plain.replacen(from, to, 1);
        assert_ne!(text, plain, "{from}");
        let said = refuse::vg(&Metadata::parse(&text).expect("valid")).unwrap_or_default();
        assert!(said.contains(why), "{why}: {said}");
    }
}

#[test]
fn a_move_is_told_from_its_structure_in_each_state() {
    let before = real("linear");
    let mut text = before.clone();
    begin(&mut text, &linear_parts(), area("pv2", 20)).expect("they lie there");
    let mut seen = Vec::new();
    for state in [State::Copying, State::Moved] {
        let text_now = Metadata::parse(&text.print()).expect("we wrote it");
        let found = find(&text_now).expect("a move");
        let [record] = found.moves.as_slice() else { panic!("{found:?}") };
        assert_eq!((record.number, record.extents, record.region_size), (0, 15, 2048));
        assert_eq!(record.parts, linear_parts());
        assert_eq!(record.command, "a-command");
        assert_eq!(text.log_place(record), Some((1, area("pv2", 20))));
        seen.push(record.state);
        text.set_move(record, state).expect("it follows");
    }
    let record = find(&text).expect("a move").moves.remove(0);
    assert_eq!((seen, record.state), (vec![State::Queued, State::Copying], State::Moved));
    text.end_move(&record).expect("it has moved");
    assert!(find(&text).expect("none").moves.is_empty());
    let lies = |lv: &str| -> Vec<(u32, u32, Shape)> {
        text.segments(lv).into_iter().map(|s| (s.start, s.count, s.shape)).collect()
    };
    let on = |pv, extent| Shape::Striped { stripe_size: 0, areas: vec![area(pv, extent)] };
    assert_eq!(lies("home"), [(0, 6, on("pv2", 0)), (6, 4, on("pv2", 8)), (10, 6, on("pv1", 0))]);
    assert_eq!(lies("opt"), [(0, 5, on("pv3", 0))]);
    for lv in ["home", "opt"] {
        assert_eq!(text.lv_status(lv), before.lv_status(lv));
    }
}

#[test]
fn an_abort_leaves_every_word_as_it_was() {
    for (kind, parts) in [
        ("linear", linear_parts()),
        ("linear", vec![part("home", ("pv0", 3), ("pv3", 7), 4)]),
        // One stripe of two, from the middle, and one of three.
        (
            "striped",
            vec![
                part("fast", ("pv0", 2), ("pv3", 0), 3),
                part("faster", ("pv1", 6), ("pv3", 9), 3),
            ],
        ),
    ] {
        let before = real(kind);
        let mut text = before.clone();
        begin(&mut text, &parts, area("pv3", 40)).expect("they lie there");
        for state in [State::Copying, State::Aborting] {
            let record = find(&text).expect("a move").moves.remove(0);
            assert_eq!(record.parts, parts);
            text.set_move(&record, state).expect("it follows");
        }
        let record = find(&text).expect("a move").moves.remove(0);
        assert_eq!(record.state, State::Aborting);
        text.end_move(&record).expect("it went back");
        assert_eq!(text, before, "{kind}");
        assert!(text.says_the_same(&before));
    }
}

#[test]
fn a_stripe_moves_alone_and_only_it() {
    let before = real("striped");
    let mut text = before.clone();
    let parts = vec![part("fast", ("pv0", 2), ("pv3", 0), 3)];
    begin(&mut text, &parts, area("pv3", 40)).expect("it lies there");
    let shapes: Vec<(u32, u32, Vec<Area>)> = text
        .segments("fast")
        .into_iter()
        .map(|segment| {
            let Shape::Striped { areas, stripe_size: 128 } = segment.shape else { panic!("shape") };
            (segment.start, segment.count, areas)
        })
        .collect();
    let other = |extent| area("pv1", extent);
    assert_eq!(
        shapes,
        [
            (0, 4, vec![area("pv0", 0), other(0)]),
            (4, 6, vec![area("lvshift0", 0), other(2)]),
            (10, 2, vec![area("pv0", 5), other(5)]),
        ]
    );
}

#[test]
fn what_does_not_lie_where_it_was_planned_is_not_recorded() {
    let before = real("linear");
    for wrong in [
        part("home", ("pv0", 8), ("pv2", 0), 4),
        part("home", ("pv1", 6), ("pv2", 0), 1),
        part("none", ("pv0", 0), ("pv2", 0), 1),
    ] {
        let mut text = before.clone();
        let done = begin(&mut text, &[wrong], area("pv2", 20));
        assert!(matches!(done, Err(edit::EditError::NotThere { .. })), "{done:?}");
        assert_eq!(text, before);
    }
}

#[test]
fn states_follow_in_their_order_alone() {
    let mut queued = real("linear");
    begin(&mut queued, &linear_parts(), area("pv2", 20)).expect("they lie there");
    let record = |text: &Metadata| find(text).expect("a move").moves.remove(0);
    let after = |text: &Metadata, states: &[State]| {
        let mut text = text.clone();
        for state in states {
            text.set_move(&record(&text), *state).expect("it follows");
        }
        text
    };
    use State::{Aborting, Copying, Moved, Queued};
    let all = [Queued, Copying, Moved, Aborting];
    for (path, may) in [
        (&[][..], &[Queued, Copying, Aborting][..]),
        (&[Copying], &[Copying, Moved, Aborting]),
        (&[Copying, Moved], &[Moved, Aborting]),
        (&[Copying, Aborting], &[Aborting]),
    ] {
        let text = after(&queued, path);
        for state in all {
            let done = text.clone().set_move(&record(&text), state);
            assert_eq!(done.is_ok(), may.contains(&state), "{path:?} -> {state:?}");
        }
    }
    let copying = after(&queued, &[Copying]);
    assert!(copying.clone().end_move(&record(&copying)).is_err());
}

/// Whatever is touched by hand in a move's LVs makes the VG one that nothing is done with.
#[test]
fn a_move_that_was_changed_by_hand_is_no_move() {
    let mut text = real("linear");
    begin(&mut text, &linear_parts(), area("pv2", 20)).expect("they lie there");
    let record = find(&text).expect("a move").moves.remove(0);
    text.set_move(&record, State::Copying).expect("it follows");
    let printed = text.print();
    for (from, to) in [
        ("\"lvshift.region=2048\"", "\"lvshift.region=1024\""),
        ("\"lvshift.region=2048\"", "\"lvshift.region=0\""),
        ("mirror_log = \"lvshift0_mlog\"", "mirror_log = \"opt\""),
        ("[\"lvshift0_mimage_0\", 0, ", "[\"lvshift0_mimage_1\", 0, "),
        ("tags = [\"lvshift\"]", "tags = [\"other\"]"),
        ("\"VISIBLE\", \"LOCKED\"", "\"VISIBLE\""),
        ("[\"READ\", \"WRITE\", \"LOCKED\"]", "[\"READ\", \"WRITE\", \"VISIBLE\", \"LOCKED\"]"),
        ("lvshift0_mlog {", "lvshift1_mlog {"),
        ("\"lvshift0\", 10", "\"lvshift0\", 9"),
    ] {
        let changed = printed.replacen(from, to, 1);
        assert_ne!(changed, printed, "{from}");
        let changed = Metadata::parse(&changed).expect("LVM2 would read it");
        assert!(find(&changed).is_err(), "{from} -> {to}");
    }
}

#[test]
fn names_of_ours_are_told_exactly() {
    for ours in ["lvshift0", "lvshift12_mlog", "lvshift3_mimage_0", "lvshift3_mimage_1"] {
        assert!(is_ours(ours), "{ours}");
    }
    for other in ["lvshift", "lvshift01", "lvshift1_mimage_2", "lvshift1_", "home", "lvshift1x"] {
        assert!(!is_ours(other), "{other}");
    }
    assert_eq!(
        Names::of(7).all(),
        ["lvshift7", "lvshift7_mimage_0", "lvshift7_mimage_1", "lvshift7_mlog"]
    );
}

#[test]
fn nonsense_is_refused_and_says_where() {
    for (text, line) in [
        ("vg {\n", 2),
        ("a = 1\na = 2\n", 2),
        ("vg {\n id = \n}", 3),
        ("x = \"no end", 1),
        ("x = [1, 2", 1),
        ("}", 1),
        ("vg { }", 1),
    ] {
        let error = Metadata::parse(text).expect_err(text);
        assert!(error.line >= line.min(1), "{text:?}: {error}");
    }
    let deep = "a {".repeat(40);
    assert!(Section::parse(&deep).is_err());
}

/// The four texts of a move, for a reader: what LVM2 is shown, and which lines differ.
#[test]
fn the_states_are_as_documented() {
    let mut text = real("linear");
    begin(&mut text, &linear_parts(), area("pv2", 20)).expect("they lie there");
    let mut all = String::new();
    let mut show = |state: &str, text: &Metadata| {
        all.push_str(&format!("# {state}\n"));
        let lvs = text.vg().section("logical_volumes").expect("LVs");
        for lv in lvs.sections() {
            let segments = text.segments(&lv.name);
            let (status, tags) = (text.lv_status(&lv.name), text.lv_tags(&lv.name));
            all.push_str(&format!("{} {status:?} {tags:?}\n", lv.name));
            for segment in segments {
                all.push_str(&format!(
                    "  {}+{} {}\n",
                    segment.start,
                    segment.count,
                    words(&segment.shape)
                ));
            }
        }
    };
    show("Queued", &text);
    for (name, state) in [("Copying", State::Copying), ("Moved", State::Moved)] {
        let record = find(&text).expect("a move").moves.remove(0);
        text.set_move(&record, state).expect("it follows");
        show(name, &text);
    }
    let record = find(&text).expect("a move").moves.remove(0);
    let mut back = text.clone();
    back.set_move(&record, State::Aborting).expect("it follows");
    show("Aborting", &back);
    text.end_move(&record).expect("it has moved");
    show("gone", &text);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/lvm2/text/states.txt");
    if std::env::var_os("LVSHIFT_BLESS").is_some() {
        std::fs::write(path, &all).expect("the golden file can be written");
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(golden, all, "cargo xtask bless rewrites it");
}

fn words(shape: &Shape) -> String {
    let list = |areas: &[Area]| {
        areas.iter().map(|a| format!("{}:{}", a.of, a.extent)).collect::<Vec<_>>().join(" ")
    };
    match shape {
        Shape::Striped { areas, .. } if areas.len() == 1 => format!("linear {}", list(areas)),
        Shape::Striped { stripe_size, areas } => format!("striped {stripe_size} {}", list(areas)),
        Shape::Mirror { log, region_size, areas } => {
            format!("mirror {} {region_size} {}", log.as_deref().unwrap_or("core"), list(areas))
        }
        Shape::Other(kind) => kind.clone(),
    }
}

#[test]
fn a_destination_that_is_gone_for_good_leaves_the_vg_and_the_move_goes_back() {
    let before = real("linear");
    let mut text = before.clone();
    let first = vec![part("home", ("pv0", 0), ("pv3", 0), 10)];
    begin(&mut text, &first, area("pv3", 40)).expect("they lie there");
    let record = find(&text).expect("a move").moves.remove(0);
    text.set_move(&record, State::Copying).expect("it follows");
    assert!(matches!(
        text.clone().lose_pvs(&["pv0".to_owned()]),
        Err(edit::EditError::InUse { .. })
    ));
    text.lose_pvs(&["pv3".to_owned()]).expect("nothing else lies there");
    let text = Metadata::parse(&text.print()).expect("we wrote it");
    let record = find(&text).expect("a move").moves.remove(0);
    assert_eq!(record.state, State::Aborting);
    assert_eq!(record.lost_id("lvshift0_mimage_1"), Some(ids()[2].as_str()));
    assert_eq!(record.lost_id("lvshift0_mlog"), Some(ids()[3].as_str()));
    assert_eq!(record.parts.len(), 1);
    assert_eq!((&record.parts[0].source, record.parts[0].count), (&area("pv0", 0), 10));
    let mut after = text.clone();
    after.end_move(&record).expect("it went back");
    assert_eq!(after.segments("home"), before.segments("home"));
    assert_eq!(after.lv_status("home"), before.lv_status("home"));
    assert_eq!(after.pvs().len(), before.pvs().len() - 1);
    assert!(!after.print().contains("pv3"));
}
