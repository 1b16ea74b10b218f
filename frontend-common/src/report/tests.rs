//! Golden reports of a VG with an interrupted move, a missing PV and a PV without a VG.

mod habits;

use std::path::PathBuf;

use lvshift_core::metadata::{Area, Change, MoveRequest, MoveState, Name, Place, Policy, Pv, Run};
use lvshift_core::units::{DeviceNumber, ExtentSize, Extents, Pe, PvIndex, Sectors, Uuid};

use super::*;
use crate::counted::{Counted, Latency, LvCounted, PvErrors};
use crate::device::sysfs;
use crate::front_end::{ActiveLv, CopyStatus};
use crate::vg::Vg;

fn vg() -> Vg {
    let mut vg = Vg::empty();
    vg.create(Uuid([9; 16]), Name::new("vg0").unwrap(), ExtentSize::DEFAULT);
    for n in 1..=4 {
        vg.add_pv(Pv {
            uuid: Uuid([n; 16]),
            device_size: Sectors(2 << 20),
            pe_start: Sectors(8192),
            pe_count: Extents(255),
            log_start: Sectors(4096),
            log_size: Sectors(4096),
            behind: None,
            leaving: false,
        })
        .unwrap();
    }
    let run =
        |pv, pe, count| Run { place: Place { pv: PvIndex(pv), pe: Pe(pe) }, count: Extents(count) };
    let three = [run(0, 0, 10), run(1, 0, 20), run(2, 0, 10)];
    vg.add_lv(Uuid([0x11; 16]), Name::new("three").unwrap(), &three).unwrap();
    vg.add_lv(Uuid([0x12; 16]), Name::new("idle").unwrap(), &[run(0, 10, 5)]).unwrap();
    vg.bump();
    vg
}

/// PV2's extents on their way to PV4, unless `change` leaves them queued.
fn moving(change: Option<Change>) -> Vg {
    let mut vg = vg();
    let request = MoveRequest {
        command: Uuid([0x21; 16]),
        sources: &[Area::whole(PvIndex(1))],
        only_lv: None,
        destinations: &[Area::whole(PvIndex(3))],
        policy: Policy::Normal,
        atomic: false,
    };
    let mut n = 0x30;
    vg.plan(&request, &mut || {
        n += 1;
        Uuid([n; 16])
    })
    .unwrap();
    let uuids: Vec<Uuid> = vg.moves().iter().map(|m| m.uuid).collect();
    for uuid in uuids {
        if let Some(change) = change {
            vg.apply(uuid, change).unwrap();
        }
    }
    vg
}

/// Nothing moves.
pub(super) fn idle() -> Vg {
    vg()
}

/// Something is being copied.
pub(super) fn moving_facts() -> Vg {
    moving(Some(Change::Begin))
}

pub(super) fn facts(vg: &Vg) -> Facts<'_> {
    let member = |n: u32| {
        Some(MemberFacts {
            path: format!("/dev/vd{}", char::from(b'a' + n as u8)),
            number: DeviceNumber { major: 252, minor: 16 * n },
            size: Sectors(2 << 20),
        })
    };
    let device = ActiveLv {
        number: DeviceNumber { major: 253, minor: 0 },
        node: PathBuf::from("/dev/dm-0"),
        open_count: 1,
        suspended: false,
    };
    let copy = CopyStatus { bytes_done: 20 << 20, bytes_total: 80 << 20, ..CopyStatus::default() };
    Facts {
        vgs: vec![VgFacts {
            vg,
            members: vec![member(1), member(2), None, member(4)],
            active: vec![Some(device), None],
            copies: vg.moves().iter().map(|_| Some(copy)).collect(),
            driven: false,
        }],
        orphans: vec![OrphanPv {
            path: "/dev/vdf".to_owned(),
            number: DeviceNumber { major: 252, minor: 80 },
            uuid: Uuid([7; 16]),
            size: Sectors(2 << 20),
        }],
        only: None,
        foreign: Vec::new(),
        lvm2_is_silent: false,
    }
}

fn args(line: &str) -> ReportArgs {
    use clap::Parser;
    let words = format!("lvshift-dm lvs {line}");
    match crate::cli::Cli::try_parse_from(words.split_whitespace()).unwrap().command {
        crate::cli::Command::Lvs(args) => args,
        other => panic!("{other:?}"),
    }
}

fn report(noun: Noun, line: &'static str) -> String {
    let vg = moving(Some(Change::Begin));
    render(noun, &facts(&vg), &args(line), &Log::default()).unwrap()
}

#[test]
fn pvs_as_lvm_prints_it() {
    assert_eq!(
        report(Noun::Pv, ""),
        "  PV        VG  Fmt     Attr PSize    PFree\n\
         \x20 /dev/vdb  vg0 lvshift a--  1020.00m 960.00m\n\
         \x20 /dev/vdc  vg0 lvshift a--  1020.00m 940.00m\n\
         \x20 /dev/vde  vg0 lvshift a--  1020.00m 940.00m\n\
         \x20 /dev/vdf      lvshift ---     1.00g   1.00g\n\
         \x20 [unknown] vg0 lvshift a-m  1020.00m 980.00m\n"
    );
}

#[test]
fn vgs_as_lvm_prints_it() {
    assert_eq!(
        report(Noun::Vg, ""),
        "  VG  #PV #LV #SN Attr   VSize VFree\n\
         \x20 vg0   4   2   0 wz-pn- 3.98g 3.73g\n"
    );
}

#[test]
fn lvs_shows_the_move() {
    assert_eq!(
        report(Noun::Lv, "-o lv_name,vg_name,lv_attr,lv_size,move_pv,copy_percent,move_state"),
        "  LV    VG  Attr       LSize   Move     Cpy%Sync MState\n\
         \x20 idle  vg0 -wi-------  20.00m\n\
         \x20 three vg0 -wI-ao--p- 160.00m /dev/vdc    25.00 interrupted\n"
    );
}

#[test]
fn lvs_all_shows_the_helper_devices() {
    let text = report(Noun::Lv, "-a -o lv_name,lv_role,lv_parent --noheadings --separator ,");
    assert!(text.contains("  [three-shadow],private,pvmove,three\n"), "{text}");
    assert!(text.contains("  [three-log0],private,pvmove,three\n"), "{text}");
    assert!(!report(Noun::Lv, "").contains("shadow"));
}

#[test]
fn segments_with_their_devices() {
    assert_eq!(
        report(Noun::Lv, "-o lv_name,seg_start_pe,seg_size_pe,devices,seg_pe_ranges"),
        "  LV    Start SSize Devices      PE Ranges\n\
         \x20 idle      0     5 /dev/vdb(10) /dev/vdb:10-14\n\
         \x20 three     0    10 /dev/vdb(0)  /dev/vdb:0-9\n\
         \x20 three    10    20 /dev/vdc(0)  /dev/vdc:0-19\n\
         \x20 three    30    10 [unknown](0) [unknown]:0-9\n"
    );
}

#[test]
fn pv_segments_account_for_every_extent() {
    let text =
        report(Noun::Pv, "--segments --noheadings -o pv_name,pvseg_start,pvseg_size,segtype");
    let mut sums = std::collections::BTreeMap::new();
    for line in text.lines().filter(|line| !line.contains("vdf")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        *sums.entry(words[0].to_owned()).or_insert(0) += words[2].parse::<u32>().unwrap();
    }
    assert!(sums.values().all(|sum| *sum == 255), "{text}");
    assert!(text.contains("reserved"), "{text}");
}

#[test]
fn json_has_lvms_shape() {
    let text = report(Noun::Lv, "-o lv_name,lv_size --units b --nosuffix --reportformat json");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let rows = &json["report"][0]["lv"];
    assert_eq!(rows[0]["lv_name"], "idle");
    assert_eq!(rows[1]["lv_size"], "167772160");
    assert!(json.get("log").is_none());
    assert!(text.starts_with("  {\n      \"report\": [\n          {\n              \"lv\": [\n"));
    for (noun, line, key) in [
        (Noun::Pv, "--reportformat json", "pv"),
        (Noun::Pv, "--segments --reportformat json", "pvseg"),
        (Noun::Lv, "--segments --reportformat json", "seg"),
        (Noun::Vg, "--reportformat json", "vg"),
    ] {
        let json: serde_json::Value = serde_json::from_str(&report(noun, line)).unwrap();
        assert!(json["report"][0][key].is_array(), "{key}");
    }
}

#[test]
fn json_carries_warnings_and_errors_and_stays_json() {
    let mut log = Log::default();
    log.warning("a \"quoted\"\nline");
    let error = crate::error::Error::new(crate::error::Kind::Cloned, "twice");
    log.error(&error.device("/dev/vdb").sector_run(8..16));
    let line = "--reportformat json";
    let text = render(Noun::Pv, &Facts::default(), &args(line), &log).unwrap();
    for text in [text, log.document()] {
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["log"][0]["log_message"], "a \"quoted\"\nline");
        assert_eq!(json["log"][1]["kind"], "Cloned");
        assert_eq!(json["log"][1]["sectors"][0][1], 15);
    }
}

#[test]
fn sorting_goes_by_meaning() {
    assert_eq!(
        report(Noun::Lv, "-o lv_name,lv_size --noheadings -O -lv_size"),
        "  three 160.00m\n  idle   20.00m\n"
    );
    assert_eq!(
        report(Noun::Pv, "-o pv_name --noheadings -O pv_used,-pv_name").lines().next(),
        Some("  /dev/vdf")
    );
}

#[test]
fn fields_are_added_replaced_and_refused() {
    assert!(report(Noun::Lv, "-o +lv_uuid").starts_with("  LV    VG  Attr"));
    assert!(report(Noun::Lv, "-o size").starts_with("  LSize"));
    assert!(report(Noun::Vg, "-o vg_name,lv_name").contains("vg0 three"));
    for (noun, line) in [
        (Noun::Lv, "-o nonsense"),
        (Noun::Lv, "-o pv_name"),
        (Noun::Vg, "--segments"),
        (Noun::Lv, "-O x"),
    ] {
        let error = render(noun, &Facts::default(), &args(line), &Log::default()).unwrap_err();
        assert_eq!(error.exit_status(), 3, "{line}");
    }
}

#[test]
fn an_interrupted_move_says_what_to_type() {
    let vg = moving(Some(Change::Begin));
    let found = interrupted(&facts(&vg).vgs[0]);
    assert_eq!(
        found[0].sentence("lvshift-dm"),
        "move of vg0/three from /dev/vdc to /dev/vde is interrupted: run `lvshift-dm pvmove` \
             to carry on, `lvshift-dm pvmove --abort` to undo it"
    );
    let queued = moving(None);
    let text = interrupted(&facts(&queued).vgs[0])[0].sentence("x");
    assert!(text.contains("planned but not begun"), "{text}");
}

#[test]
fn what_was_named_is_all_that_is_shown() {
    let vg = vg();
    let mut facts = facts(&vg);
    let mut only = Only::default();
    assert!(only.lv(&facts, "vg0", "idle"));
    assert!(!only.lv(&facts, "vg0", "none"));
    assert!(!only.vg(&facts, "vg1"));
    facts.only = Some(only);
    let text = render(Noun::Lv, &facts, &args("-o lv_name --noheadings"), &Log::default()).unwrap();
    assert_eq!(text, "  idle\n");
}

#[test]
fn help_lists_every_field_with_words() {
    let text = help(&args("-o help")).unwrap();
    for name in ["pv_pe_alloc_count", "vg_seqno", "lv_kernel_major", "seg_pe_ranges", "pvseg_size"]
    {
        assert!(text.contains(name), "{name}");
    }
    assert!(help(&args("-o lv_name")).is_none());
}

#[test]
fn metrics_of_a_move_and_a_missing_pv() {
    let vg = moving(Some(Change::Begin));
    let one = MoveSample {
        vg: "lvg".into(),
        of: Uuid([3; 16]),
        source: "/dev/vdc".into(),
        destination: "/dev/vde".into(),
        state: MoveState::Copying,
        driven: true,
        bytes: 83886080,
        copy: Some(CopyStatus { bytes_done: 20971520, ..CopyStatus::default() }),
    };
    let stat = sysfs::Stat { reads: 5, read_ms: 1250, writes: 7, write_ms: 3 };
    let lv = LvSample { vg: "lvg".into(), lv: "home".into(), stat };
    let reads =
        Latency { below: vec![(16_384, 2), (1 << 35, 3)], count: 4, nanoseconds: 40_000_050_000 };
    let counted = LvCounted {
        lv: vg.lvs()[0].uuid,
        reads,
        errors: vec![("read", 2)],
        ..LvCounted::default()
    };
    let pv = PvErrors { path: "/dev/vdc".into(), side: "source", op: "read", count: 7 };
    let counted = vec![("vg0".to_owned(), Counted { lvs: vec![counted], pvs: vec![pv] })];
    let mut facts = facts(&vg);
    // None that this machine could have.
    let nowhere = DeviceNumber { major: 4095, minor: 1 << 19 };
    facts.vgs[0].active[0].as_mut().expect("an active LV").number = nowhere;
    let text = metrics(&facts, &[one], &[lv], &counted);
    well_formed(&text);
    for line in [
        "lvshift_vg_missing_pvs{vg=\"vg0\"} 1",
        "lvshift_vg_size_bytes{vg=\"vg0\"} 4278190080",
        "lvshift_vg_moves_driven{vg=\"vg0\"} 0",
        "lvshift_vg_moves_driven{vg=\"lvg\"} 1",
        "# TYPE lvshift_move_copied_bytes gauge",
        "lvshift_lv_reads_total{vg=\"lvg\",lv=\"home\"} 5",
        "lvshift_lv_read_seconds_total{vg=\"lvg\",lv=\"home\"} 1.250",
        "lvshift_lv_write_seconds_total{vg=\"lvg\",lv=\"home\"} 0.003",
        "# TYPE lvshift_lv_request_seconds histogram",
        "lvshift_lv_request_seconds_bucket{vg=\"vg0\",lv=\"LV\",op=\"read\",le=\"0.000016384\"} 2",
        "lvshift_lv_request_seconds_bucket{vg=\"vg0\",lv=\"LV\",op=\"read\",le=\"34.359738368\"} 3",
        "lvshift_lv_request_seconds_bucket{vg=\"vg0\",lv=\"LV\",op=\"read\",le=\"+Inf\"} 4",
        "lvshift_lv_request_seconds_sum{vg=\"vg0\",lv=\"LV\",op=\"read\"} 40.00005",
        "lvshift_lv_request_seconds_count{vg=\"vg0\",lv=\"LV\",op=\"write\"} 0",
        "lvshift_lv_request_errors_total{vg=\"vg0\",lv=\"LV\",op=\"read\"} 2",
        "lvshift_pv_io_errors_total{vg=\"vg0\",pv=\"/dev/vdc\",leg=\"source\",op=\"read\"} 7",
    ] {
        let line = line.replace("LV", vg.lvs()[0].name.as_str());
        assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
    }
    let of_move = |start: &str, end: &str| {
        assert!(
            text.lines().any(|line| line.starts_with(start) && line.ends_with(end)),
            "no {start} ... {end} in\n{text}"
        );
    };
    of_move(
        "lvshift_move_size_bytes{vg=\"lvg\",move=",
        "source=\"/dev/vdc\",destination=\"/dev/vde\"} 83886080",
    );
    of_move("lvshift_move_copied_bytes{", "} 20971520");
    of_move("lvshift_move_state{", "state=\"copying\"} 1");
    of_move("lvshift_move_state{", "state=\"queued\"} 0");
    // `cargo xtask dist --check` has promtool look at it.
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/report/metrics/golden.prom");
    if std::env::var_os("LVSHIFT_BLESS").is_some() {
        std::fs::write(path, &text).expect("the golden file can be written");
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(golden, text, "cargo xtask bless rewrites it");
}

/// What `promtool check metrics` asks of names and texts.
fn well_formed(text: &str) {
    let (mut name, mut kind) = ("", "");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (of, help) = rest.split_once(' ').expect("a name and a sentence");
            assert!(help.ends_with('.') && of.starts_with("lvshift_"), "{line}");
            name = of;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (of, is) = rest.split_once(' ').expect("a name and a kind");
            assert_eq!(of, name, "a metric's lines stand together");
            assert_eq!(of.ends_with("_total"), is == "counter", "{line}");
            kind = is;
        } else {
            let (of, _) = line.split_once('{').expect("labels");
            let suffix = of.strip_prefix(name).expect("under its own name");
            let known = ["_bucket", "_sum", "_count"].contains(&suffix);
            assert_eq!(known, kind == "histogram", "{line}");
            let value = line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok());
            assert!(value.is_some(), "{line}");
        }
    }
}
