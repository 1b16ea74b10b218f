use std::time::Duration;

use lvshift_core::mover::{AbortReason, Outcome};
use lvshift_core::units::Uuid;
use lvshift_core::{Leg, LegFault};

use lvshift_driver::Aside;

use super::*;
use crate::front_end::BadPlace;

const MIB: u64 = 1 << 20;

fn progress(done: u64, rate: Option<f64>, left: Option<Duration>) -> Progress {
    Progress {
        of: Uuid([1; 16]),
        number: 1,
        count: 1,
        bytes_done: done * MIB,
        bytes_total: 1000 * MIB,
        rate,
        left,
        aside: Aside::default(),
        left_with_bad: left,
    }
}

fn ended(outcome: Outcome) -> MoveReport {
    MoveReport {
        of: Uuid([1; 16]),
        outcome,
        bytes_total: 1000 * MIB,
        bad_places: Vec::new(),
        errors: Vec::new(),
    }
}

fn told(style: Style, reports: &[MoveReport]) -> String {
    let mut out = Vec::new();
    let mut teller = Teller::new(style, "lvshift-dm", &mut out);
    let (from, to) = (["/dev/vdb".to_owned()], ["/dev/vdd".to_owned()]);
    teller.hear(Report::Started { of: Uuid([1; 16]), again: false, from: &from, to: &to });
    teller.hear(Report::Copied(&progress(0, None, None)));
    let left = Some(Duration::from_millis(2500));
    teller.hear(Report::Copied(&progress(455, Some(212.0 * MIB as f64), left)));
    for report in reports {
        teller.hear(Report::Ended(report));
    }
    teller.finish(reports);
    String::from_utf8(out).unwrap()
}

#[test]
fn lines_say_bytes_rate_and_eta() {
    let text = told(Style::Lines, &[ended(Outcome::Moved)]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "  pvmove: /dev/vdb: Moved: 0.00%  (0 B of 1000 MiB)");
    assert_eq!(
        lines[1],
        "  pvmove: /dev/vdb: Moved: 45.50%  (455 MiB of 1000 MiB, 212 MiB/s, ETA 00:00:03)"
    );
    assert_eq!(lines[2], "  pvmove: /dev/vdb: Moved: 100.00%");
    assert!(
        lines[3].starts_with("  pvmove: moved 1000 MiB from /dev/vdb to /dev/vdd in 0."),
        "{}",
        lines[3]
    );
}

#[test]
fn what_is_bad_is_told_beside_what_is_safe_and_how_long_it_takes_with_it() {
    let known = Bad { areas: 2, bytes: 8192, stays: 2 * MIB };
    let left = Some(Duration::from_secs(3));
    let aside = Aside { areas: 1, bytes: 5 * MIB, nanos: 60_000_000_000 };
    let left_with_bad = Some(Duration::from_secs(63));
    let progress = Progress { aside, left_with_bad, ..progress(455, None, left) };
    let text = lines::progress("/dev/vdb", &progress, known);
    assert_eq!(
        text,
        "pvmove: /dev/vdb: Moved: 45.50%  (455 MiB of 1000 MiB, ETA 00:00:03; safe 455 MiB, left 540 MiB, \
         set aside 5.0 MiB in 1 area (ETA with that 00:01:03), bad 8.0 KiB in 2 areas, so 2.0 MiB stay)"
    );
    let mut out = Vec::new();
    let mut teller = Teller::new(Style::Json, "lvshift-dm", &mut out);
    teller.set_bad(known);
    teller.hear(Report::Copied(&progress));
    let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
    let field = |name: &str| json[name].as_u64();
    assert_eq!(field("bytes_safe"), Some(455 * MIB));
    assert_eq!(field("bytes_left"), Some(540 * MIB));
    assert_eq!((field("bytes_aside"), field("areas_aside")), (Some(5 * MIB), Some(1)));
    assert_eq!((field("bytes_bad"), field("areas_bad")), (Some(8192), Some(2)));
    assert_eq!(field("bytes_stay"), Some(2 * MIB));
    assert_eq!((field("seconds_left"), field("seconds_left_with_bad")), (Some(3), Some(63)));
}

#[test]
fn a_map_is_told_when_it_is_another() {
    let told = |style| {
        let mut out = Vec::new();
        let mut teller = Teller::new(style, "lvshift-dm", &mut out);
        let mut map = DiskMap::new("/dev/vdb".into(), 8, 3);
        map.uses(0..2);
        map.moves(0..8, true);
        teller.disks(&[map.clone()]);
        teller.disks(&[map.clone()]);
        map.is_bad(8..9);
        teller.disks(&[map]);
        String::from_utf8(out).unwrap()
    };
    let lines = told(Style::Lines);
    assert_eq!(
        lines.matches("pvmove: /dev/vdb: a character for each extent").count(),
        2,
        "{lines}"
    );
    assert!(lines.contains("\n    [#-_]\n") && lines.contains("\n    [#x_]\n"), "{lines}");
    let json = told(Style::Json);
    assert!(
        json.contains(r##""event":"map","device":"/dev/vdb","extents":3,"map":"#x_""##),
        "{json}"
    );
}

#[test]
fn a_stop_says_that_nothing_is_lost_and_how_to_go_on() {
    let text = told(Style::Lines, &[ended(Outcome::Left)]);
    assert!(text.contains("stopped at 45.50%"), "{text}");
    assert!(text.contains("/dev/vdb is still in charge"), "{text}");
    assert!(text.contains("`lvshift-dm pvmove` to carry on"), "{text}");
    assert!(!text.contains("100.00%"), "{text}");
}

#[test]
fn a_failure_is_never_called_moved() {
    let reason = AbortReason::LegFailed(Leg::Source, LegFault::Read);
    let text = told(Style::Lines, &[ended(Outcome::Aborted(reason))]);
    assert!(!text.contains("100.00%"), "{text}");
    assert!(text.contains("pvmove: failed after"), "{text}");
    let text = told(Style::Lines, &[ended(Outcome::Aborted(AbortReason::Requested))]);
    assert!(text.contains("undone: the data is where it was"), "{text}");
}

#[test]
fn every_line_of_json_is_an_object_with_an_event() {
    let mut report = ended(Outcome::Aborted(AbortReason::LegFailed(Leg::Source, LegFault::Read)));
    report.bad_places.push(BadPlace {
        leg: Leg::Source,
        pv: Uuid([2; 16]),
        device_sectors: 100..108,
        lv: Uuid([3; 16]),
        lv_sectors: 0..8,
        error: "a \"bad\" disk".to_owned(),
    });
    let text = told(Style::Json, &[report]);
    let events: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = events.iter().map(|e| e["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["started", "progress", "progress", "ended", "finished"]);
    assert_eq!(events[2]["percent"], 45.5);
    assert_eq!(events[2]["bytes_done"], 455 * MIB);
    assert_eq!(events[2]["seconds_left"], 2);
    assert_eq!(events[3]["bad_places"][0]["device_last_sector"], 107);
    assert_eq!(events[4]["outcome"], "failed");
    assert_eq!(events[4]["bytes_moved"], 0);
}

#[test]
fn a_percentage_never_rounds_up_to_all() {
    assert_eq!(lines::percent(999_999, 1_000_000), 99.99);
    assert_eq!(lines::percent(1_000_000, 1_000_000), 100.0);
    assert_eq!(lines::percent(5, 0), 0.0);
    assert_eq!(lines::percent(u64::MAX, u64::MAX), 100.0);
}

#[test]
fn an_error_is_an_event_of_its_own() {
    let mut out = Vec::new();
    let error = Error::new(crate::error::Kind::NoSpace, "no room").device("/dev/vdd");
    Teller::new(Style::Json, "lvshift-dm", &mut out).error(&error);
    let event: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(event["event"], "error");
    assert_eq!(event["kind"], "NoSpace");
    assert_eq!(event["exit_status"], 5);
}

#[test]
fn an_interval_of_0_does_not_flood() {
    assert_eq!(Style::Lines.interval(0), Some(Duration::from_millis(250)));
    assert_eq!(Style::Lines.interval(15), Some(Duration::from_secs(15)));
    assert_eq!(Style::Quiet.interval(1), None);
}

#[test]
fn a_picture_is_told_when_it_is_another() {
    let told = |style| {
        let mut out = Vec::new();
        let mut teller = Teller::new(style, "lvshift-dm", &mut out);
        let (from, to) = (["/dev/vdb".to_owned()], ["/dev/vdd".to_owned()]);
        teller.hear(Report::Started { of: Uuid([1; 16]), again: false, from: &from, to: &to });
        let mut map = ChunkMap::default();
        teller.chunks(Uuid([1; 16]), &map);
        map.push(true);
        map.push(false);
        teller.chunks(Uuid([1; 16]), &map);
        teller.chunks(Uuid([1; 16]), &map);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(told(Style::Lines), "  pvmove: /dev/vdb: chunks [#.]\n");
    let json = told(Style::Json);
    assert!(json.ends_with("\"chunks\":2,\"equal\":1,\"map\":\"#.\"}\n"), "{json}");
    assert_eq!(json.matches("\"event\":\"chunks\"").count(), 1, "{json}");
}
