use super::*;

fn sectors(text: &str) -> u64 {
    text.parse::<Size>().unwrap_or_else(|e| panic!("{text}: {e}")).0.0
}

#[test]
fn sizes_take_lvms_suffixes() {
    for (text, expected) in [
        ("100", 100 * 2048),
        ("100m", 100 * 2048),
        ("4k", 8),
        ("1g", 2 << 20),
        ("1.5g", 3 << 20),
        (".5g", 1 << 20),
        ("2048s", 2048),
        ("2048S", 2048),
        ("512b", 1),
        ("512B", 1),
        ("1t", 2 << 30),
        ("1p", 2 << 40),
        ("1e", 2 << 50),
        ("0", 0),
        // Given in capitals they are the same: LVM's rule, and its habit of `-L 10G`.
        ("1K", 2),
        ("1M", 2048),
        ("10G", 20 << 20),
        ("1T", 2 << 30),
        // A third of a MiB is no whole number of sectors.
        ("0.333333333333333333m", 683),
    ] {
        assert_eq!(sectors(text), expected, "{text}");
    }
}

#[test]
fn sizes_that_make_no_sense_are_refused() {
    for text in [
        "",
        "m",
        ".",
        "-1",
        "1x",
        "1mm",
        "1,5g",
        "0x10",
        " 1",
        "1 g",
        "1.2.3",
        "16e",
        "99999999999999999999e",
        "1e99",
    ] {
        assert!(text.parse::<Size>().is_err(), "{text}");
    }
    assert_eq!(
        "1000b".parse::<Size>(),
        Err("not a multiple of 512 bytes: try 512b or 1024b".into())
    );
    assert_eq!(
        "18446744073709551615b".parse::<Size>().map_err(|e| e.contains("multiple")),
        Err(true)
    );
    assert_eq!(sectors("15e"), 15 << 51);
    assert!("1.0000000000000000000m".parse::<Size>().is_err());
}

#[test]
fn signs() {
    let plus: SignedSize = "+1g".parse().unwrap();
    assert_eq!(plus, SignedSize { sign: Sign::Plus, size: Size(Sectors(2 << 20)) });
    assert!("-1g".parse::<SignedSize>().is_err());
    assert!("++1g".parse::<SignedSize>().is_err());
}

#[test]
fn counts_of_extents() {
    let parse = |t: &str| t.parse::<ExtentsArg>();
    let arg = |sign, amount| Ok(ExtentsArg { sign, amount });
    assert_eq!(parse("100"), arg(Sign::Absolute, Amount::Count(100)));
    assert_eq!(parse("+7"), arg(Sign::Plus, Amount::Count(7)));
    assert_eq!(parse("50%FREE"), arg(Sign::Absolute, Amount::Percent(50, Of::Free)));
    assert_eq!(parse("100%free"), arg(Sign::Absolute, Amount::Percent(100, Of::Free)));
    assert_eq!(parse("+100%PVS"), arg(Sign::Plus, Amount::Percent(100, Of::Pvs)));
    assert_eq!(parse("10%VG"), arg(Sign::Absolute, Amount::Percent(10, Of::Vg)));
    for text in ["", "%FREE", "10%", "10%XX", "-5", "1.5", "4294967296", "5m"] {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn extents_round_up_and_percentages_down() {
    let four = ExtentSize::DEFAULT;
    assert_eq!(to_extents(Sectors(8192), four), Some((Extents(1), false)));
    assert_eq!(to_extents(Sectors(8193), four), Some((Extents(2), true)));
    assert_eq!(to_extents(Sectors(u64::MAX), four), None);
    assert_eq!(percent_of(199, 50), Some(Extents(99)));
    assert_eq!(percent_of(u64::from(u32::MAX), 100), Some(Extents(u32::MAX)));
    assert_eq!(percent_of(u64::from(u32::MAX), 101), None);
}

#[test]
fn reports_print_sizes_as_lvm_does() {
    let show = |units: &str, size| units.parse::<Units>().unwrap().show(Sectors(size));
    for (units, size, expected) in [
        ("r", 2 << 20, "1.00g"),
        ("r", (2 << 20) - 1, "<1024.00m"),
        ("r", (20 << 20) - 8192, "<10.00g"),
        ("r", (2 << 20) - 8192, "1020.00m"),
        ("r", 0, "0"),
        ("r", 1, "512b"),
        ("h", (20 << 20) - 8192, "10.00g"),
        ("b", 2, "1024B"),
        ("s", 2048, "2048S"),
        ("k", 3, "1.50k"),
        ("m", 2048, "1.00m"),
        ("g", 2048, "0.00g"),
        ("G", 2 << 20, "1.07G"),
        ("H", 2 << 20, "1.07G"),
        ("e", u64::MAX, "8192.00e"),
        ("b", u64::MAX, "9444732965739290426880B"),
    ] {
        let expected = expected.replace("512b", "512B");
        assert_eq!(show(units, size), expected, "{units} {size}");
    }
    let bare = "m".parse::<Units>().unwrap().without_suffix();
    assert_eq!(bare.show(Sectors(2048)), "1.00");
    for text in ["", "x", "4m", "mm"] {
        assert!(text.parse::<Units>().is_err(), "{text}");
    }
}

#[test]
fn messages_and_progress() {
    assert_eq!(Long(Sectors(104 * 2048)).to_string(), "104.00 MiB");
    assert_eq!(Long(Sectors(1)).to_string(), "512 bytes");
    assert_eq!(Short(455 << 20).to_string(), "455 MiB");
    assert_eq!(Short(3 << 19).to_string(), "1.5 MiB");
    assert_eq!(Short(0).to_string(), "0 B");
    assert_eq!(Short((25 << 30) + (1 << 29)).to_string(), "25.5 GiB");
    assert_eq!(Short(u64::MAX).to_string(), "15.9 EiB");
}
