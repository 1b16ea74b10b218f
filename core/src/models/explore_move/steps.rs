//! Every step that a client may do next.

use std::vec::Vec;

use super::rig::{Rig, piece};
use super::scenario::{Op, Scenario};
use super::world::{Client, Flusher, World};
use crate::Leg;
use crate::chunk::{
    Admission, AppResult, Effects, Parked, QueueId, QueueMask, Route, WriteOutcome, WriteTicket,
};
use crate::io::{Discards, WriteOp, WriteProgress, plan_write};
use crate::mover::Mapping;

/// What explores needs at hand.
pub(super) struct Ground<'a> {
    pub(super) rig: &'a Rig,
    pub(super) scenario: &'a Scenario,
}

const LEGS: [Leg; 2] = [Leg::Source, Leg::Destination];

impl World {
    /// Every world that is one step from here.
    pub(super) fn next(&self, ground: &Ground<'_>) -> Vec<World> {
        let mut all = Vec::new();
        for client in 0..ground.scenario.ops.len() {
            self.client_steps(client, ground, &mut all);
        }
        if self.live == Some(Mapping::Mirrored) {
            self.copier_steps(ground, &mut all);
            self.settle_steps(ground, &mut all);
            self.log_steps(ground, &mut all);
        }
        self.mover_steps(ground, &mut all);
        all
    }

    /// Lets the real tracker do something.
    pub(super) fn with_tracker<T>(
        &mut self,
        ground: &Ground<'_>,
        work: impl FnOnce(&Rig) -> (T, Effects),
    ) -> T {
        ground.rig.load(self, ground.scenario);
        let (result, effects) = work(ground.rig);
        ground.rig.store(self);
        self.wake(effects.wake);
        result
    }

    pub(super) fn wake(&mut self, mask: QueueMask) {
        for (client, number) in self.clients.iter_mut().zip(0u8..) {
            if let Client::Parked { woken, .. } = client
                && mask.contains(queue(number))
            {
                *woken = true;
            }
        }
    }

    fn client_steps(&self, client: usize, ground: &Ground<'_>, all: &mut Vec<World>) {
        let mut world = self.clone();
        let op = ground.scenario.ops[client];
        match (self.clients[client], op) {
            (Client::Idle, Op::Flush) if self.live.is_some() => {
                world.asked(client);
                world.clients[client] = Client::Flush { covers: self.covered(), legs: [0; 2] };
                all.push(world);
            }
            (Client::Flush { covers, legs }, _) => {
                self.client_flush(client, covers, legs, ground, all);
            }
            (Client::Idle, _) if self.live.is_some() => {
                world.asked(client);
                world.try_write(client, ground);
                all.push(world);
            }
            (Client::Parked { woken: true, .. }, _) if self.live.is_some() => {
                world.try_write(client, ground);
                all.push(world);
            }
            (Client::Plain { leg, arrived: false }, _) => {
                world.put(op, client, leg);
                world.clients[client] = Client::Plain { leg, arrived: true };
                all.push(world);
            }
            (Client::Plain { arrived: true, .. }, _) => {
                world.answer(ground.scenario, client);
                all.push(world);
            }
            (Client::Mirrored { route, guarded, arrived }, _) => {
                self.mirrored_write(client, (route, guarded, arrived), ground, all);
            }
            _ => {}
        }
    }

    fn try_write(&mut self, client: usize, ground: &Ground<'_>) {
        let Some(piece) = piece(ground.scenario, client) else { return };
        self.clients[client] = match self.live {
            Some(Mapping::Source) => Client::Plain { leg: 0, arrived: false },
            Some(Mapping::Final) => Client::Plain { leg: 1, arrived: false },
            _ => {
                let policy = ground.scenario.policy;
                let content = WriteOp::Write { fua: false }.content(Discards::AsZeroes);
                self.clients[client] = Client::Idle;
                let who = queue(client as u8);
                self.with_tracker(ground, |rig| {
                    match rig.tracker().admit(piece, content, who, policy) {
                        Ok(Admission::Admitted(ticket, effects)) => {
                            let (route, guarded) = (ticket.route(), ticket.guarded);
                            ticket.leave_in_flight();
                            (Client::Mirrored { route, guarded, arrived: 0 }, effects)
                        }
                        Ok(Admission::Parked(what, effects)) => {
                            let overlap = what == Parked::ForOverlap;
                            (Client::Parked { overlap, woken: false }, effects)
                        }
                        Err(error) => panic!("{error:?}"),
                    }
                })
            }
        };
    }

    fn mirrored_write(
        &self,
        client: usize,
        (route, guarded, arrived): (Route, bool, u8),
        ground: &Ground<'_>,
        all: &mut Vec<World>,
    ) {
        let op = ground.scenario.ops[client];
        let plan = plan_write(WriteOp::Write { fua: false }, route, Discards::AsZeroes);
        for io in &plan {
            let leg = LEGS.iter().position(|leg| *leg == io.leg).unwrap_or(0);
            if arrived >> leg & 1 == 0 {
                let mut world = self.clone();
                world.put(op, client, leg);
                let arrived = arrived | 1 << leg;
                world.clients[client] = Client::Mirrored { route, guarded, arrived };
                all.push(world);
            }
        }
        let mut progress = WriteProgress::new(&plan);
        let answers = LEGS.iter().enumerate().filter(|(leg, _)| arrived >> leg & 1 == 1);
        let outcome = answers.filter_map(|(_, leg)| progress.leg_done(*leg, true)).next();
        if let (Some(outcome), Some(piece)) = (outcome, piece(ground.scenario, client)) {
            assert_eq!(outcome, WriteOutcome::Done, "nothing fails here");
            let Op::Write { chunk, .. } = op else { return };
            let mut world = self.clone();
            let app = world.with_tracker(ground, |rig| {
                let chunk = crate::chunk::ChunkIndex(chunk as u32);
                let ticket = WriteTicket { chunk, piece, route, guarded };
                let completed = ticket.complete(rig.tracker(), outcome);
                (completed.app, completed.effects)
            });
            assert_eq!(app, AppResult::Done, "nothing fails here");
            world.answer(ground.scenario, client);
            all.push(world);
        }
    }

    /// A flush goes to every leg of the table that is served when it is asked for.
    fn client_flush(
        &self,
        client: usize,
        covers: u8,
        legs: [u8; 2],
        ground: &Ground<'_>,
        all: &mut Vec<World>,
    ) {
        let needed = |leg: usize| match self.live {
            Some(Mapping::Source) => leg == 0,
            Some(Mapping::Final) => leg == 1,
            _ => true,
        };
        for leg in (0..2).filter(|leg| needed(*leg)) {
            let mut world = self.clone();
            let mut now = legs;
            now[leg] += 1;
            match legs[leg] {
                0 if world.begin_flush(leg, Flusher::Client(client)) => {}
                1 => world.end_flush(leg),
                _ => continue,
            }
            world.clients[client] = Client::Flush { covers, legs: now };
            all.push(world);
        }
        if (0..2).all(|leg| !needed(leg) || legs[leg] == 2) {
            let mut world = self.clone();
            world.answer_flush(ground.scenario, client, covers);
            all.push(world);
        }
    }
}

fn queue(number: u8) -> QueueId {
    QueueId::new(number).expect("a small number")
}
