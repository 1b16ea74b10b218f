//! LVM's habits of reports: what is selected, and how it is laid out.

use super::*;

fn names(line: &'static str) -> Vec<String> {
    let text = report(Noun::Lv, line);
    text.lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn a_selection_shows_the_rows_of_which_it_is_true() {
    for (line, shown) in [
        ("-S lv_active=active", &["three"][..]),
        ("-S lv_active!=active", &["idle"]),
        ("-S lv_name=~^th", &["three"]),
        ("-S lv_name!~^th", &["idle"]),
        ("-S lv_size>20m", &["three"]),
        ("-S lv_size>=20m", &["idle", "three"]),
        ("-S size<=0.02G||name=three", &["idle", "three"]),
        ("-S lv_name=three&&vg_name=vg1", &[]),
        ("-S !(lv_name=three)", &["idle"]),
        ("-S seg_count=3", &["three"]),
        ("-S lv_device_open=1", &["three"]),
        ("-S LV_NAME=\"idle\"", &["idle"]),
    ] {
        let line: &'static str =
            Box::leak(format!("-o lv_name --noheadings {line}").into_boxed_str());
        assert_eq!(names(line), shown, "{line}");
    }
}

#[test]
fn a_selection_that_makes_no_sense_is_refused() {
    for text in [
        "lv_name",
        "lv_name=",
        "=x",
        "(lv_name=a",
        "lv_name=a)",
        "nothing=1",
        "lv_name=~(",
        "lv_name='a",
    ] {
        let mut given = args("");
        given.select = Some(text.to_owned());
        let refused = render(Noun::Lv, &Facts::default(), &given, &Log::default());
        // Nothing is a value, too.
        assert_eq!(refused.is_err(), text != "lv_name=", "{text}");
    }
    let mut deep = args("");
    deep.select = Some("(".repeat(100_000));
    assert!(render(Noun::Lv, &Facts::default(), &deep, &Log::default()).is_err());
}

#[test]
fn fields_are_left_out_and_found_whatever_their_case() {
    assert_eq!(names("-o LV_Name,lv_size,attr -o -lv_size,attr --noheadings"), ["idle", "three"]);
    assert_eq!(names("-o lv_name -o +seg_count,-lv_name --noheadings"), ["1", "3"]);
}

#[test]
fn rows_prefixes_and_binaries() {
    let text = report(Noun::Lv, "-o lv_name,lv_device_open --rows");
    assert_eq!(text, "  LV idle three\n  DevOpen  open\n");
    let text = report(Noun::Lv, "-o lv_name,lv_device_open --nameprefixes --binary");
    assert_eq!(
        text,
        "  LVM2_LV_NAME='idle' LVM2_LV_DEVICE_OPEN='0'\n  LVM2_LV_NAME='three' LVM2_LV_DEVICE_OPEN='1'\n"
    );
    let text = report(Noun::Lv, "-o lv_name --nameprefixes --unquoted --separator ;");
    assert_eq!(text, "  LVM2_LV_NAME=idle\n  LVM2_LV_NAME=three\n");
}

#[test]
fn json_std_has_numbers_and_lists() {
    let line = "-o lv_name,seg_count,lv_size,lv_tags --units b --nosuffix --reportformat json_std";
    let document: serde_json::Value = serde_json::from_str(&report(Noun::Lv, line)).unwrap();
    let row = &document["report"][0]["lv"][0];
    assert_eq!(row["seg_count"], 1);
    assert_eq!(row["lv_size"], 20 << 20);
    assert_eq!(row["lv_tags"], serde_json::json!([]));
}

#[test]
fn a_full_report_has_every_kind_of_row() {
    let vg = moving(Some(Change::Begin));
    let text = render_full(facts(&vg), &[], &args("--reportformat json"), &Log::default()).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    for kind in ["vg", "pv", "lv", "pvseg", "seg"] {
        assert!(
            document["report"][0][kind].as_array().is_some_and(|rows| !rows.is_empty()),
            "{kind}"
        );
    }
}

#[test]
fn fullreport_has_lvm2s_vgs_each_for_itself_behind_ours() {
    let row = |cells: &[(&str, &str)]| {
        let cells = cells.iter().map(|(field, words)| ((*field).to_owned(), (*words).to_owned()));
        ForeignRow::new(cells.collect())
    };
    let vgs = vec![row(&[("vg_name", "lvg")]), row(&[("vg_name", "data")])];
    let pvs = vec![
        row(&[("vg_name", "lvg"), ("pv_name", "/dev/sdx")]),
        row(&[("vg_name", ""), ("pv_name", "/dev/sdy")]),
    ];
    let foreign = [vgs, pvs, Vec::new(), Vec::new(), Vec::new()];
    let vg = idle();
    let text =
        render_full(facts(&vg), &foreign, &args("--reportformat json"), &Log::default()).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let reports = json["report"].as_array().unwrap();
    let names: Vec<_> = reports.iter().map(|one| one["vg"][0]["vg_name"].as_str()).collect();
    let ours = vg.name().as_str();
    // Our PVs without a VG stand behind our VGs, LVM2's at the end.
    let behind: Vec<_> = names.iter().copied().skip_while(|name| *name != Some("data")).collect();
    assert_eq!(names.first(), Some(&Some(ours)));
    assert_eq!(behind, [Some("data"), Some("lvg"), None]);
    assert_eq!(reports.last().unwrap()["pv"][0]["pv_name"], "/dev/sdy");
}
