//! Every interleaving of a whole small world: one move from *Queued* to its end by the real mover, its
//! chunks kept equal by the real tracker, write plans, copy, settle rounds and log writer, over two PVs
//! with volatile caches, while clients write and flush; the power fails in every state, of the unflushed sectors any set
//! survives, and the real recovery goes on from there, again and again.
//!
//! States are met once: the walk is over the graph of all that can be reached, not over paths. What is
//! promised of each state stands in [`world`]; what the world is made of, and what it is not, in
//! `docs/testing/proofs.md`.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::vec::Vec;

mod copier;
mod moves;
mod rig;
mod scenario;
mod steps;
mod world;

use rig::Rig;
use scenario::{Scenario, scripts};
use steps::Ground;
use world::{Broken, CHUNKS, World};

use crate::chunk::WritePolicy;

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    scenarios: u64,
    states: u64,
    steps: u64,
    /// States that the power failed in, times the records that may be found.
    cuts: u64,
    /// Worlds that these leave.
    left: u64,
    /// Sets of surviving sectors that they stand for.
    subsets: u64,
}

impl Counts {
    fn and(self, other: Counts) -> Counts {
        Counts {
            scenarios: self.scenarios + other.scenarios,
            states: self.states + other.states,
            steps: self.steps + other.steps,
            cuts: self.cuts + other.cuts,
            left: self.left + other.left,
            subsets: self.subsets + other.subsets,
        }
    }
}

/// The 128 bits by which a state is known again.
#[derive(Default)]
struct Mix(u64, u64);

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(u64::from(word));
    }

    fn write_u64(&mut self, word: u64) {
        let fold = |one: u64, two: u64| {
            let wide = u128::from(one) * u128::from(two);
            wide as u64 ^ (wide >> 64) as u64
        };
        self.0 = fold(self.0 ^ word ^ 0x9E37_79B9_7F4A_7C15, 0xBF58_476D_1CE4_E5B9);
        self.1 = fold(self.1.rotate_left(23) ^ word ^ 0xD6E8_FEB8_6659_FD93, 0xA076_1D64_78BD_642F);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.1
    }
}

fn fingerprint(world: &World) -> (u64, u64) {
    let mut mix = Mix::default();
    world.hash(&mut mix);
    (mix.0, mix.1)
}

/// How far a walk may go.
#[derive(Clone, Copy)]
struct Limit {
    /// So many states of one scenario.
    states: usize,
    until: Instant,
}

/// Walks all that can be reached. `None` if that is beyond the limit.
fn explore(scenario: &Scenario, limit: Limit, counts: &mut Counts) -> Option<Result<(), Failure>> {
    let rig = Rig::new(scenario);
    let ground = Ground { rig: &rig, scenario };
    let mut seen = HashSet::new();
    let mut todo = Vec::new();
    let add = |mut world: World, seen: &mut HashSet<_>, todo: &mut Vec<World>| {
        world.canonical(scenario);
        if seen.insert(fingerprint(&world)) {
            todo.push(world);
        }
    };
    add(World::new(scenario), &mut seen, &mut todo);
    while let Some(world) = todo.pop() {
        let failed = |what: Broken| Some(Err(Failure { what, world: world.clone() }));
        let look = counts.states.is_multiple_of(1024);
        if seen.len() > limit.states || look && Instant::now() > limit.until {
            return None;
        }
        if let Err(what) = world.check() {
            return failed(what);
        }
        counts.states += 1;
        let next = world.next(&ground);
        if next.is_empty() && !world.is_over(scenario.ops.len()) {
            return failed("nothing goes on, and not everything is done");
        }
        for mut after in next {
            counts.steps += 1;
            if let Err(what) = after.observe() {
                return failed(what);
            }
            add(after, &mut seen, &mut todo);
        }
        match world.power_cut() {
            Ok((left, subsets)) => {
                counts.cuts += u64::from(world.record.count_ones());
                counts.left += left.len() as u64;
                counts.subsets += subsets;
                left.into_iter().for_each(|world| add(world, &mut seen, &mut todo));
            }
            Err(what) => return failed(what),
        }
    }
    counts.scenarios += 1;
    Some(Ok(()))
}

struct Failure {
    what: Broken,
    world: World,
}

/// The worlds of so many operations over so many chunks. Scripts that need more chunks belong to a
/// larger shape.
fn scenarios(ops: usize, chunks: usize) -> Vec<Scenario> {
    let mut all = Vec::new();
    for ops in scripts(ops) {
        let fits =
            Scenario { ops: ops.clone(), chunks, policy: WritePolicy::CopyFirst, abort: false };
        if fits.touched() > chunks {
            continue;
        }
        for policy in [WritePolicy::CopyFirst, WritePolicy::SourceFirst] {
            for abort in [false, true] {
                all.push(Scenario { ops: ops.clone(), chunks, policy, abort });
            }
        }
    }
    all
}

/// Walks all worlds of a shape, two at a time; returns how many were not walked to their end.
fn run(ops: usize, chunks: usize, limit: Limit, counts: &mut Counts) -> usize {
    let start = Instant::now();
    let all = scenarios(ops, chunks);
    let next = AtomicUsize::new(0);
    let walk = || {
        let (mut counts, mut unfinished) = (Counts::default(), 0);
        while let Some(scenario) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            match explore(scenario, limit, &mut counts) {
                Some(Ok(())) => {}
                Some(Err(failure)) => {
                    panic!("{}\n{scenario:?}\n{:#?}", failure.what, failure.world)
                }
                None => unfinished += 1,
            }
        }
        (counts, unfinished)
    };
    let [one, two] = std::thread::scope(|scope| {
        [scope.spawn(walk), scope.spawn(walk)].map(|thread| match thread.join() {
            Ok(found) => found,
            Err(failure) => std::panic::resume_unwind(failure),
        })
    });
    let unfinished = one.1 + two.1;
    let found = one.0.and(two.0);
    *counts = counts.and(found);
    std::println!(
        "exhaustive: {ops} operations, {chunks} chunks: {} scenarios to their end, {unfinished} not; {} states, {} steps, {:.1} s",
        found.scenarios,
        found.states,
        found.steps,
        start.elapsed().as_secs_f64()
    );
    unfinished
}

/// The quick form, and with `LVSHIFT_SCORECARD=full` the whole.
#[test]
#[cfg_attr(any(miri, debug_assertions), ignore = "minutes of enumeration, for a release build")]
fn exhaustive() {
    let full = super::in_full_form();
    let mut counts = Counts::default();
    let shapes: &[(usize, usize)] = if full {
        &[
            (0, CHUNKS),
            (1, 2),
            (2, 1),
            (1, CHUNKS),
            (3, 1),
            (2, 2),
            (3, 2),
            (2, CHUNKS),
            (3, CHUNKS),
        ]
    } else {
        &[(0, CHUNKS), (1, 2), (1, 3)]
    };
    // One shape alone, to see a failure again: `LVSHIFT_SHAPE=OPERATIONS,CHUNKS`.
    let shape = std::env::var("LVSHIFT_SHAPE").ok();
    let shape = shape.as_deref().and_then(|text| text.split_once(','));
    let shape = shape.and_then(|(ops, chunks)| Some([(ops.parse().ok()?, chunks.parse().ok()?)]));
    let shapes = shape.as_ref().map_or(shapes, |shape| &shape[..]);
    let (states, minutes) = if full { (120_000_000, 60) } else { (3_000_000, 10) };
    let limit = Limit { states, until: Instant::now() + Duration::from_secs(60 * minutes) };
    let unfinished: Vec<((usize, usize), usize)> =
        shapes.iter().map(|shape| (*shape, run(shape.0, shape.1, limit, &mut counts))).collect();
    std::println!("figure=exhaustive-states {}", counts.states);
    std::println!("figure=exhaustive-steps {}", counts.steps);
    std::println!("figure=exhaustive-power-cuts {}", counts.cuts);
    std::println!("figure=exhaustive-left {}", counts.left);
    std::println!("figure=exhaustive-subsets {}", counts.subsets);
    std::println!("figure=exhaustive-scenarios {}", counts.scenarios);
    let sum: usize = unfinished.iter().map(|(_, count)| count).sum();
    std::println!("figure=exhaustive-unfinished {sum}");
    for ((ops, chunks), count) in unfinished.iter().filter(|(_, count)| *count > 0) {
        std::println!(
            "why=exhaustive-unfinished {ops} operations over {chunks} chunks: {count} of {} worlds have more \
             than {states} states, or the {minutes} minutes were over",
            scenarios(*ops, *chunks).len()
        );
    }
}
