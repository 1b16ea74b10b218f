//! The pace on made-up disks.

use super::plant::{MIB, Plant};
use super::*;
use crate::copier::LATENCY_BUCKETS;

/// What the application of a plant sees at most without a copy, but for one in a hundred.
const ALONE: u64 = 9 * MS / 2;

#[test]
#[cfg_attr(miri, ignore = "a long simulation")]
fn a_busy_application_keeps_its_percentile_and_the_copy_goes_on() {
    let mut plant = Plant::new(150);
    let free = plant.bandwidth;
    plant.run(20, 0);
    let report = plant.run(120, ALONE * 3 / 2);
    assert!(report.p99 <= Some(Nanos(ALONE * 165 / 100)), "{:?}", report.p99);
    assert!(report.over <= 15, "{} in a thousand are over the limit", report.over);
    assert!(report.rate >= FLOOR && report.rate <= free / 4, "{} B/s", report.rate);
}

#[test]
#[cfg_attr(miri, ignore = "a long simulation")]
fn an_application_with_so_many_requests_at_once_keeps_nearly_all_of_them() {
    let mut plant = Plant::new(150);
    // Its percentile would let the copy have a quarter of the disk.
    (plant.alone, plant.weight) = (8 * MS, 100);
    plant.pace.set_floor(1);
    let alone = plant.alone_for(20).mean.expect("requests");
    plant.run(20, 0);
    let report = plant.run(120, 0);
    let mean = report.mean.expect("requests");
    assert!(mean.0 <= alone.0 * 106 / 100, "{mean:?} and {alone:?} alone");
    assert!(report.rate >= 4 * MIB, "{} B/s", report.rate);
}

#[test]
#[cfg_attr(miri, ignore = "a long simulation")]
fn without_a_pace_the_same_application_suffers() {
    let mut plant = Plant::new(10_000);
    plant.run(20, 0);
    let report = plant.run(20, ALONE * 3 / 2);
    assert!(report.p99 >= Some(Nanos(2 * ALONE)), "{:?}", report.p99);
}

#[test]
#[cfg_attr(miri, ignore = "a long simulation")]
fn a_larger_factor_gives_a_faster_copy() {
    let rate = |factor| {
        let mut plant = Plant::new(factor);
        plant.run(20, 0);
        plant.run(60, 0).rate
    };
    let (narrow, wide) = (rate(120), rate(300));
    assert!(wide > narrow * 3 / 2, "{wide} B/s at 3.0, {narrow} B/s at 1.2");
}

#[test]
#[cfg_attr(miri, ignore = "a long simulation")]
fn an_idle_application_leaves_everything_to_the_copy_at_once() {
    let mut plant = Plant::new(150);
    plant.load = 0;
    let report = plant.run(1, 0);
    assert!(report.rate > plant.bandwidth / 2, "{} B/s in the first second", report.rate);
    assert!(plant.run(10, 0).rate > plant.bandwidth * 95 / 100);
}

#[test]
fn while_the_application_is_away_no_measurement_is_waited_for() {
    let factor = Factor::from_hundredths(150).expect("a legal factor");
    let mut pace = Pace::new(factor, 8, Nanos(0));
    let nothing = Latencies::new();
    let seen = Seen { latencies: &nothing, copied: 0, in_flight: 1 };
    let mut now = Nanos(0);
    while now.0 < QUIET {
        let speed = pace.look(seen, now);
        assert!(!speed.rest && speed.window == 1, "{speed:?} at {now:?}");
        now = pace.next_look();
    }
    assert_eq!(pace.look(seen, now), Speed { rest: false, rate: None, window: 8 });
}

#[test]
fn a_request_that_comes_while_it_listens_makes_it_rest() {
    let factor = Factor::from_hundredths(150).expect("a legal factor");
    let mut pace = Pace::new(factor, 8, Nanos(0));
    // These were answered before the move.
    let mut counts = [0; LATENCY_BUCKETS];
    counts[10] = 1000;
    let mut latencies = Latencies::new();
    latencies.add(counts.into_iter(), 1000);
    for _ in 0..3 {
        let speed = pace.look(Seen { latencies: &latencies, copied: 0, in_flight: 1 }, pace.next);
        assert!(!speed.rest, "the past does not count");
    }
    counts = [0; LATENCY_BUCKETS];
    counts[10] = 1;
    latencies.add(counts.into_iter(), 1);
    let speed = pace.look(Seen { latencies: &latencies, copied: 0, in_flight: 1 }, pace.next);
    assert!(speed.rest);
}

#[test]
#[cfg_attr(miri, ignore = "a long simulation")]
fn a_higher_floor_is_kept() {
    let mut plant = Plant::new(110);
    (plant.bandwidth, plant.weight) = (40 * MIB, 100);
    plant.pace.set_floor(8 * MIB);
    plant.run(20, 0);
    let report = plant.run(60, 0);
    assert!(report.rate >= 5 * MIB, "{} B/s", report.rate);
    assert!(report.rate <= 16 * MIB, "{} B/s", report.rate);
}

#[test]
#[cfg_attr(miri, ignore = "a long simulation")]
fn a_request_now_and_then_is_no_application() {
    let mut plant = Plant::new(150);
    plant.load = 3;
    plant.run(5, 0);
    assert!(plant.run(20, 0).rate > plant.bandwidth * 9 / 10);
}

#[test]
#[cfg_attr(miri, ignore = "a long simulation")]
fn the_copy_makes_way_and_takes_all_again_as_the_application_comes_and_goes() {
    let mut plant = Plant::new(150);
    plant.run(30, 0);
    let busy = plant.run(10, 0).rate;
    for _ in 0..3 {
        plant.load = 0;
        plant.run(1, 0);
        let idle = plant.run(5, 0).rate;
        assert!(idle > plant.bandwidth * 9 / 10, "{idle} B/s while the application is away");
        plant.load = 2000;
        plant.run(1, 0);
        let report = plant.run(10, ALONE * 3 / 2);
        assert!(report.rate < idle / 3, "{} B/s beside the application", report.rate);
        assert!(report.over < 30, "{} in a thousand are over the limit", report.over);
        assert!(report.rate > busy / 4, "{} B/s, it was {busy}", report.rate);
    }
}

#[test]
#[cfg_attr(miri, ignore = "a long simulation")]
fn one_who_waits_for_each_of_a_few_slow_requests_is_there() {
    let mut plant = Plant::new(150);
    // Six a second, 150 ms each: one after the other, all of the time.
    (plant.load, plant.alone) = (6, 150 * MS);
    plant.weight = 400;
    plant.run(20, 0);
    assert!(plant.run(20, 0).rate < plant.bandwidth / 2);
}

#[test]
#[cfg_attr(miri, ignore = "a long simulation")]
fn one_whose_requests_do_not_end_at_all_is_there_and_no_reason_to_be_faster() {
    let mut plant = Plant::new(150);
    plant.run(20, 0);
    let before = plant.run(10, 0).rate;
    (plant.load, plant.held) = (0, 4);
    plant.run(60, 0);
    let report = plant.run(30, 0);
    assert!(report.rate <= before * 2, "{} B/s, and {before} before", report.rate);
    plant.held = 0;
    plant.run(1, 0);
    assert!(plant.run(5, 0).rate > plant.bandwidth * 9 / 10, "and gone at last");
}

#[test]
#[cfg_attr(miri, ignore = "a long simulation")]
fn a_load_that_changes_gets_a_baseline_of_its_own() {
    let mut plant = Plant::new(150);
    plant.run(30, 0);
    let before = plant.run(30, 0).rate;
    // Eight times slower by itself: that is not the copy's doing.
    plant.alone = 8 * MS;
    plant.run(25, 0);
    let slow = plant.run(30, 0);
    assert!(slow.rate > before, "{} B/s, and {before} before", slow.rate);
    // And faster again.
    plant.alone = MS;
    plant.run(25, 0);
    let report = plant.run(30, ALONE * 3 / 2);
    assert!(report.over <= 20, "{} in a thousand are over the limit", report.over);
}

#[test]
#[cfg_attr(miri, ignore = "a long simulation")]
fn what_cannot_be_kept_slows_the_copy_to_its_floor_and_no_further() {
    let mut plant = Plant::new(110);
    // A disk on which a single chunk takes a fifth of a second, of which everybody waits for all.
    (plant.bandwidth, plant.weight) = (5 * MIB, 100);
    plant.run(20, 0);
    let report = plant.run(60, 0);
    assert!(report.rate >= FLOOR * 7 / 10, "{} B/s", report.rate);
    assert!(report.rate <= FLOOR * 2, "{} B/s", report.rate);
}

#[test]
#[cfg_attr(miri, ignore = "a long simulation")]
fn disks_that_do_not_feel_the_copy_give_all_they_have() {
    let mut plant = Plant::new(150);
    plant.weight = 0;
    plant.run(30, 0);
    let report = plant.run(60, 0);
    assert!(report.rate > plant.bandwidth * 8 / 10, "{} B/s", report.rate);
}

#[test]
#[cfg_attr(miri, ignore = "a long simulation")]
fn it_rests_for_little_of_the_time() {
    let mut plant = Plant::new(150);
    plant.run(30, 0);
    let mut rests = 0;
    for _ in 0..1000 {
        plant.tick_for(100 * MS);
        rests += u32::from(plant.pace.speed().rest);
    }
    assert!((1..=100).contains(&rests), "{rests} of 1000 moments");
}

#[test]
fn a_factor_that_cannot_be_measured_is_none() {
    for (hundredths, legal) in
        [(0, false), (109, false), (110, true), (10_000, true), (10_001, false)]
    {
        assert_eq!(Factor::from_hundredths(hundredths).is_some(), legal, "{hundredths}");
    }
}
