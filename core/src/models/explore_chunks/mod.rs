//! Every interleaving of the chunk protocol, [`step()`], in a small world: two chunks of two blocks, two queues, the
//! copier, the log writer, an application that flushes, volatile caches on both legs, one failing
//! write or flush, a crash anywhere.
//!
//! In every state that can be reached: a chunk that says it is mirrored is; and were the power to
//! fail now, a chunk whose log bit may be 1 on disk holds one and the same value on both legs,
//! whatever the caches kept. In every state from which nothing goes on: all writes are done.

mod scenario;
mod steps;
mod world;

use std::collections::HashSet;
use std::vec::Vec;

use self::scenario::{Scenario, scenarios, write};
use self::world::{AppFlush, Copier, Queue, Seal, Settle, Value, World, Write};
use crate::chunk::*;

/// Walks every reachable state; returns how many there are.
fn explore(scenario: &Scenario) -> usize {
    let start = World::new(scenario.start);
    let mut seen = HashSet::from([start.clone()]);
    let mut todo = Vec::from([start]);
    while let Some(world) = todo.pop() {
        world.check();
        let next = world.next(scenario);
        if next.is_empty() {
            for number in 0..2 {
                let writes = scenario.writes[number].len();
                assert_eq!(world.done[number], writes, "queue {number} is stuck: {world:#?}");
            }
        }
        for world in next {
            if seen.insert(world.clone()) {
                todo.push(world);
            }
        }
    }
    seen.len()
}

#[test]
#[cfg_attr(miri, ignore = "minutes of enumeration")]
fn every_interleaving_keeps_the_legs_equal_and_the_log_true_across_a_crash() {
    let states: usize = scenarios(false, false, true).iter().map(explore).sum();
    std::println!("{states} states");
    assert!(states > 10_000, "the small world has shrunk to {states} states");
}

#[test]
#[cfg_attr(miri, ignore = "minutes of enumeration")]
fn every_interleaving_with_one_failing_destination_write() {
    let states: usize = scenarios(true, false, false).iter().map(explore).sum();
    std::println!("{states} states");
    assert!(states > 10_000, "the small world has shrunk to {states} states");
}

#[test]
#[cfg_attr(miri, ignore = "minutes of enumeration")]
fn a_flush_that_failed_before_the_settle_round_went_well_makes_no_chunk_clean() {
    let mut all = scenarios(false, true, false);
    // One script of each kind shows it; all would take minutes.
    all.retain(|scenario| scenario.writes[1].len() == 1);
    let states: usize = all.iter().map(explore).sum();
    std::println!("{states} states");
    assert!(states > 10_000, "the small world has shrunk to {states} states");
}

/// The shuttle model found it first (PCT, seed 182).
#[test]
#[cfg_attr(miri, ignore = "minutes of enumeration")]
fn a_late_copy_does_not_end_as_the_write_of_the_whole_chunk() {
    let scenario = Scenario {
        writes: [Vec::from([write(1, 1, 1)]), Vec::from([write(0, 1, 2), write(0, 3, 3)])],
        policy: WritePolicy::CopyFirst,
        may_fail: true,
        flush_fails: false,
        scan: true,
        seals: true,
        start: [Phase::Pending, Phase::Dirty],
    };
    let states = explore(&scenario);
    std::println!("{states} states");
    assert!(states > 1_000, "the small world has shrunk to {states} states");
}
