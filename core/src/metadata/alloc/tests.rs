use super::super::testing::*;
use super::*;

fn ask(count: u32, areas: &[Area], policy: Policy) -> AllocRequest<'_> {
    AllocRequest { count: Extents(count), areas, avoid: &[], policy, grows: None }
}

#[test]
fn areas_are_filled_in_the_order_named() {
    let vg = vg(&[10, 10, 10]);
    let areas = [area(2, 3, 4), area(0, 0, 5), whole(1)];
    let runs = vg.allocate(&ask(11, &areas, Policy::Normal)).unwrap();
    assert_eq!(runs.as_slice(), [run(2, 3, 4), run(0, 0, 5), run(1, 0, 2)]);
    let runs = vg.allocate(&ask(25, &[], Policy::Inherit)).unwrap();
    assert_eq!(runs.as_slice(), [run(0, 0, 10), run(1, 0, 10), run(2, 0, 5)]);
}

#[test]
fn an_extent_named_twice_is_taken_once() {
    let vg = vg(&[10]);
    let areas = [area(0, 4, 2), area(0, 0, 8), whole(0)];
    assert_eq!(vg.free_in(&areas, &[]), Extents(10));
    let runs = vg.allocate(&ask(10, &areas, Policy::Normal)).unwrap();
    assert_eq!(runs.as_slice(), [run(0, 4, 2), run(0, 0, 4), run(0, 6, 2), run(0, 8, 2)]);
    assert_eq!(vg.free_in(&areas, &[area(0, 0, 5)]), Extents(5));
}

#[test]
fn a_run_that_holds_all_is_preferred_to_the_gaps_before_it() {
    let mut vg = vg(&[20]);
    add_lv(&mut vg, "a", &[run(0, 2, 1), run(0, 5, 1)]);
    let runs = vg.allocate(&ask(8, &[], Policy::Normal)).unwrap();
    assert_eq!(runs.as_slice(), [run(0, 6, 8)]);
    let runs = vg.allocate(&ask(18, &[], Policy::Normal)).unwrap();
    assert_eq!(runs.as_slice(), [run(0, 0, 2), run(0, 3, 2), run(0, 6, 14)]);
}

#[test]
fn contiguous_is_one_run_or_an_error_that_says_how_long_one_could_be() {
    let mut vg = vg(&[20, 6]);
    let lv = add_lv(&mut vg, "a", &[run(0, 10, 1)]);
    let runs = vg.allocate(&ask(9, &[], Policy::Contiguous)).unwrap();
    assert_eq!(runs.as_slice(), [run(0, 0, 9)]);
    let error = vg.allocate(&ask(11, &[], Policy::Contiguous)).unwrap_err();
    let longest = Extents(10);
    assert_eq!(error, AllocError::NotContiguous { wanted: Extents(11), longest });
    let mut growing = ask(9, &[], Policy::Contiguous);
    growing.grows = Some(lv);
    assert_eq!(vg.allocate(&growing).unwrap().as_slice(), [run(0, 11, 9)]);
    growing.count = Extents(10);
    assert!(vg.allocate(&growing).is_err());
}

#[test]
fn cling_stays_on_the_pvs_of_the_lv() {
    let mut vg = vg(&[10, 10]);
    let lv = add_lv(&mut vg, "a", &[run(1, 5, 2)]);
    let mut growing = ask(8, &[], Policy::Cling);
    growing.grows = Some(lv);
    assert_eq!(vg.allocate(&growing).unwrap().as_slice(), [run(1, 0, 5), run(1, 7, 3)]);
    growing.count = Extents(9);
    let error = vg.allocate(&growing).unwrap_err();
    assert_eq!(error, AllocError::NoSpace { wanted: Extents(9), free: Extents(8) });
}

#[test]
#[cfg_attr(miri, ignore = "the largest VG")]
fn refusals_name_their_reason() {
    let mut vg = vg(&[3000]);
    assert_eq!(vg.allocate(&ask(0, &[], Policy::Normal)), Err(AllocError::Nothing));
    let error = vg.allocate(&ask(1, &[whole(1)], Policy::Normal)).unwrap_err();
    assert_eq!(error, AllocError::NoSuchPv { pv: PvIndex(1) });
    let error = vg.allocate(&ask(3001, &[], Policy::Normal)).unwrap_err();
    assert_eq!(error, AllocError::NoSpace { wanted: Extents(3001), free: Extents(3000) });
    // Areas past the end of the PV are empty.
    assert_eq!(vg.free_in(&[area(0, 2999, 100), area(0, 5000, 1)], &[]), Extents(1));
    let mut runs = heapless::Vec::<Run, 1400>::new();
    (0..1400).for_each(|i| runs.push(run(0, i * 2, 1)).unwrap());
    add_lv(&mut vg, "comb", &runs);
    let error = vg.allocate(&ask(1500, &[], Policy::Normal)).unwrap_err();
    assert_eq!(error, AllocError::TooFragmented { limit: MAX_RUNS as u32 });
}
