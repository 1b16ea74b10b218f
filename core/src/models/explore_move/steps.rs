//! Every step that a client, the copier or the log writer may do next.

use std::vec::Vec;

use super::rig::{Rig, piece};
use super::scenario::{Op, Scenario};
use super::world::{Client, Copying, Flusher, World};
use crate::Leg;
use crate::chunk::{
    Admission, AppResult, CopyOutcome, CopyTicket, Effects, Parked, QueueId, QueueMask, Route,
    SettleRound, WriteOutcome, WriteTicket,
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
                    match rig.tracker.admit(piece, content, who, policy) {
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
                let completed = ticket.complete(&rig.tracker, outcome);
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

    /// Any chunk that may be copied may be the next; one at a time.
    fn copier_steps(&self, ground: &Ground<'_>, all: &mut Vec<World>) {
        let busy = self.chunks.iter().position(|chunk| chunk.copying != Copying::No);
        let Some(at) = busy else {
            for chunk in ground.rig.chunks() {
                let mut world = self.clone();
                let begun = world.with_tracker(ground, |rig| {
                    let ticket = rig.tracker.begin_copy(chunk, true);
                    let begun = ticket.is_some();
                    ticket.into_iter().for_each(CopyTicket::leave_in_flight);
                    (begun, Effects::NONE)
                });
                if begun {
                    world.chunks[chunk.0 as usize].copying = Copying::Begun;
                }
                if world != *self {
                    all.push(world);
                }
            }
            return;
        };
        let mut world = self.clone();
        world.chunks[at].copying = match self.chunks[at].copying {
            Copying::Begun => Copying::Read(self.chunks[at].legs[0].map(|block| block.now)),
            Copying::Read(values) => {
                world.put_copy(at, values);
                Copying::Written
            }
            _ => {
                world.with_tracker(ground, |rig| {
                    let chunk = crate::chunk::ChunkIndex(at as u32);
                    let piece =
                        rig.tracker.geometry().piece_of(chunk).expect("a chunk of the part");
                    let ticket = CopyTicket { chunk, piece, wanted: true };
                    ((), ticket.complete(&rig.tracker, CopyOutcome::Copied))
                });
                Copying::No
            }
        };
        all.push(world);
    }

    fn settle_steps(&self, ground: &Ground<'_>, all: &mut Vec<World>) {
        let Some(legs) = self.settle else {
            let mut world = self.clone();
            let begun = world
                .with_tracker(ground, |rig| (rig.tracker.begin_settle().is_some(), Effects::NONE));
            if begun {
                world.settle = Some([0; 2]);
            }
            if world != *self {
                all.push(world);
            }
            return;
        };
        // The source's flush first: which leg is first makes no difference to the tracker.
        let Some(leg) = (0..2).find(|leg| legs[*leg] < 2) else {
            let mut world = self.clone();
            world.with_tracker(ground, |rig| {
                ((), rig.tracker.finish_settle(SettleRound::begun_elsewhere(), Ok(())).1)
            });
            world.settle = None;
            all.push(world);
            return;
        };
        let mut world = self.clone();
        let mut now = legs;
        now[leg] += 1;
        match legs[leg] {
            0 if world.begin_flush(leg, Flusher::Settle) => {}
            1 => world.end_flush(leg),
            _ => return,
        }
        world.settle = Some(now);
        all.push(world);
    }

    /// The log's one block: with the marks that are wanted, or when bits are to be set.
    fn log_steps(&self, ground: &Ground<'_>, all: &mut Vec<World>) {
        let mut world = self.clone();
        let used = ground.scenario.chunks;
        if self.chunks[..used].iter().any(|chunk| chunk.writing.is_some()) {
            let mut marked = Vec::new();
            for (chunk, at) in world.chunks[..used].iter_mut().zip(0u32..) {
                if let Some(bit) = chunk.writing.take() {
                    chunk.bit = 1 << u8::from(bit);
                }
                if std::mem::take(&mut chunk.marking) {
                    marked.push(crate::chunk::ChunkIndex(at));
                }
            }
            world.with_tracker(ground, |rig| {
                let wake = |all: Effects, chunk| all.and(rig.tracker.marked(chunk));
                ((), marked.iter().fold(Effects::NONE, |all, chunk| wake(all, *chunk)))
            });
            all.push(world);
            return;
        }
        let marks = self.chunks[..used].iter().any(|chunk| chunk.mark);
        let bits = world.with_tracker(ground, |rig| {
            let stale = rig.tracker.take_stale_group(0).is_some();
            let mut bits = [0];
            rig.tracker.fill_log_bits(crate::chunk::ChunkIndex(0), &mut bits);
            ((marks || stale).then_some(bits[0]), Effects::NONE)
        });
        let Some(bits) = bits else { return };
        for (at, chunk) in world.chunks[..used].iter_mut().enumerate() {
            let clean = bits >> at & 1 == 1;
            chunk.writing = Some(clean);
            chunk.bit |= 1 << u8::from(clean);
            chunk.marking = std::mem::take(&mut chunk.mark);
        }
        all.push(world);
    }
}

fn queue(number: u8) -> QueueId {
    QueueId::new(number).expect("a small number")
}
