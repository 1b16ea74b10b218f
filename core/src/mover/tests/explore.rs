//! Every world that the mover can get into, by any failure, request and crash, at any depth: the
//! graph is finite, so it is walked to its end.

extern crate std;

use std::collections::HashSet;
use std::vec::Vec;

use super::world::World;
use crate::mover::{Event, Outcome, Phase, State, issue, start, step};
use crate::{Leg, LegFault};

type Node = (World, State);

struct Walk {
    seen: HashSet<Node>,
    todo: Vec<Node>,
    /// Worlds without a mover: after a crash or the end of a run.
    idle: HashSet<World>,
    outcomes: HashSet<Outcome>,
}

impl Walk {
    fn node(&mut self, world: World, state: State) {
        if let Phase::End(outcome) = state.phase {
            world.check_outcome(outcome);
            self.outcomes.insert(outcome);
            self.crash(&world);
            return;
        }
        let node = (world, state);
        if !self.seen.contains(&node) {
            self.seen.insert(node.clone());
            self.todo.push(node);
        }
    }

    /// The process or the host dies here; later a new run starts over what it finds.
    fn crash(&mut self, world: &World) {
        let rebooted = world.rebooted();
        for active in rebooted.activated() {
            self.start(active);
        }
        self.start(world.killed());
        self.start(rebooted);
    }

    fn start(&mut self, world: World) {
        if !self.idle.insert(world.clone()) {
            return;
        }
        for recorded in world.records.readable() {
            let state = start(recorded, &world.observed());
            recovers(&world, state);
            // `pvmove --abort` over what was found.
            recovers(&world, step(state, Event::AbortRequested));
            self.node(world.clone(), step(state, Event::AbortRequested));
            self.node(world.clone(), state);
        }
    }

    fn visit(&mut self, (world, state): Node) {
        self.node(world.destination_fails(), state);
        self.node(world.clone(), step(state, Event::AbortRequested));
        self.node(world.clone(), step(state, Event::LeaveRequested));
        if !state.issued {
            self.node(world, issue(state));
            return;
        }
        self.crash(&world);
        for (mut after, event) in world.outcomes(&state) {
            self.crash(&after);
            if event == Event::Done {
                after.unseal_after(&state);
                after = after.with_writes();
            }
            self.node(after, step(state, event));
        }
    }
}

/// When nothing fails any more, the run ends, and with a word that is true.
fn recovers(world: &World, mut state: State) {
    let mut world = world.clone();
    for _ in 0..100 {
        if let Phase::End(outcome) = state.phase {
            world.check_outcome(outcome);
            assert!(matches!(outcome, Outcome::Moved | Outcome::Aborted(_)), "{outcome:?}");
            return;
        }
        state = issue(state);
        let bad = Event::LegFailed(Leg::Destination, LegFault::Write);
        let good = [Event::CopyEqual, Event::Done, bad];
        let outcomes = world.outcomes(&state);
        let best = good.iter().find_map(|good| outcomes.iter().find(|(_, event)| event == good));
        let (mut after, event) =
            best.unwrap_or_else(|| panic!("no way on from {state:?} in {world:?}")).clone();
        after.unseal_after(&state);
        world = after.with_writes();
        state = step(state, event);
    }
    panic!("no end in sight: {state:?} in {world:?}");
}

fn walk(lvs: usize) -> Walk {
    let mut walk = Walk {
        seen: HashSet::new(),
        todo: Vec::new(),
        idle: HashSet::new(),
        outcomes: HashSet::new(),
    };
    walk.start(World::planned(lvs, true));
    walk.start(World::planned(lvs, false));
    while let Some(node) = walk.todo.pop() {
        walk.visit(node);
    }
    std::println!("{lvs} LVs: {} states, {} starts", walk.seen.len(), walk.idle.len());
    walk
}

#[test]
#[cfg_attr(miri, ignore = "minutes of enumeration")]
fn invariants_1_to_4_hold_in_every_world_with_one_lv() {
    let walk = walk(1);
    // The walk is worth something only if it got everywhere.
    let reached = |wanted: fn(&Outcome) -> bool| walk.outcomes.iter().any(wanted);
    assert!(reached(|outcome| *outcome == Outcome::Moved));
    assert!(reached(|outcome| matches!(outcome, Outcome::Aborted(_))));
    assert!(reached(|outcome| *outcome == Outcome::Left));
    assert!(reached(|outcome| matches!(outcome, Outcome::Stuck { .. })));
    assert!(walk.seen.len() > 1000);
}

#[test]
#[cfg_attr(miri, ignore = "minutes of enumeration")]
fn invariants_1_to_4_hold_in_every_world_with_two_lvs() {
    assert!(walk(2).seen.len() > 10_000);
}
