//! Tests of comparing tables. `observe` is tested beside `build`, which makes its tables.

use super::*;

fn line(text: &str) -> Segment {
    text.parse().unwrap()
}

#[test]
fn tables_that_cut_linear_lines_differently_are_alike() {
    let whole = [line("0 16 linear 254:0 2048"), line("16 8 linear 254:1 0")];
    let cut =
        [line("0 8 linear 254:0 2048"), line("8 8 linear 254:0 2056"), line("16 8 linear 254:1 0")];
    assert_eq!(compare(whole.into_iter(), cut.into_iter()), Ok(()));
    assert_eq!(compare(cut.into_iter(), whole.into_iter()), Ok(()));
}

#[test]
fn the_first_difference_is_named() {
    let meant = [line("0 8 linear 254:0 2048"), line("8 8 linear 254:1 0")];
    for (loaded, at) in [
        ([line("0 8 linear 254:0 2048"), line("8 8 linear 254:1 8")], 8),
        ([line("0 8 linear 254:0 2048"), line("8 8 linear 254:2 0")], 8),
        ([line("0 8 linear 254:0 2048"), line("8 16 linear 254:1 0")], 8),
        ([line("0 8 error"), line("8 8 linear 254:1 0")], 0),
    ] {
        let difference = compare(meant.into_iter(), loaded.into_iter()).unwrap_err();
        assert_eq!(difference.at, Sectors(at));
    }
    let short = compare(meant.into_iter(), meant.into_iter().take(1)).unwrap_err();
    assert_eq!((short.at, short.meant, short.loaded), (Sectors(8), Some(meant[1]), None));
    let long = compare(meant.into_iter().take(1), meant.into_iter()).unwrap_err();
    assert_eq!((long.at, long.meant, long.loaded), (Sectors(8), None, Some(meant[1])));
}

#[test]
fn mirrors_are_never_joined_since_each_has_a_log() {
    let mirror = "mirror disk 2 254:5 8 2 254:0 0 254:1 0 1 handle_errors";
    let other = "mirror disk 2 254:5 8 2 254:0 8 254:1 8 1 handle_errors";
    let mut text = heapless::String::<256>::new();
    let mut parse = |start: u32, len: u32, rest: &str| -> Segment {
        use fmt::Write;
        text.clear();
        write!(text, "{start} {len} {rest}").unwrap();
        text.parse().unwrap()
    };
    let two = [parse(0, 8, mirror), parse(8, 8, other)];
    let one = [parse(0, 16, mirror)];
    assert!(compare(two.into_iter(), one.into_iter()).is_err());
}

#[test]
fn joining_stops_at_numbers_that_do_not_fit() {
    let huge = [line("0 18446744073709551615 error"), line("18446744073709551615 9 error")];
    assert_eq!(compare(huge.into_iter(), huge.into_iter()), Ok(()));
}
