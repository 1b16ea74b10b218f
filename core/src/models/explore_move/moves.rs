//! What the mover asks for, done as a front end does it.

use std::vec::Vec;

use super::steps::Ground;
use super::world::{Client, Copying, Flusher, World, record};
use crate::chunk::{Authority, ChunkIndex, Effects, Phase as ChunkPhase, QueueMask, Sealed, Word};
use crate::metadata::MoveState;
use crate::mover::{Event, Mapping, Outcome, Phase, State, issue, step};

impl World {
    pub(super) fn mover_steps(&self, ground: &Ground<'_>, all: &mut Vec<World>) {
        let Some(state) = self.mover else { return };
        if matches!(state.phase, Phase::End(_)) {
            if self.live.is_none() {
                // It was undone before the LV had a device: it is activated later.
                let moved = self.record == record::GONE_OVER;
                let side = if moved { Mapping::Final } else { Mapping::Source };
                let mut world = self.clone();
                world.live = Some(side);
                all.push(world);
            }
            return;
        }
        if ground.scenario.abort && !self.aborted {
            let mut world = self.clone();
            world.aborted = true;
            let after = step(state, Event::AbortRequested);
            // A wait that is given up has no half-done effect.
            world.begun &= after.issued;
            world.mover = Some(after);
            all.push(world);
        }
        let mut world = self.clone();
        if !state.issued {
            world.mover = Some(issue(state));
            world.begun = false;
            all.push(world);
            return;
        }
        if let Some(event) = world.act(state, ground) {
            match event {
                Act::Begun => world.begun = true,
                Act::Answer(event) => {
                    world.begun = false;
                    world.mover = Some(step(state, event));
                }
            }
            all.push(world);
        }
    }

    /// Begins or ends the mover's action; `None` where it has to wait.
    fn act(&mut self, state: State, ground: &Ground<'_>) -> Option<Act> {
        let done = Some(Act::Answer(Event::Done));
        match state.phase {
            Phase::Confirm => self.commit(recorded(state.recorded)),
            Phase::Begin => self.commit(record::COPYING),
            Phase::CommitMoved => {
                let after = self.commit(record::MOVED)?;
                if matches!(after, Act::Answer(_)) {
                    self.decided(Authority::Destination, ground);
                }
                Some(after)
            }
            Phase::CommitAborting => {
                let after = self.commit(record::ABORTING)?;
                if matches!(after, Act::Answer(_)) {
                    self.decided(Authority::Source, ground);
                }
                Some(after)
            }
            Phase::Forget if state.abort.is_some() => self.commit(record::GONE_BACK),
            Phase::Forget => self.commit(record::GONE_OVER),
            Phase::InitLog(_) => {
                let chunks = self.chunks[..ground.scenario.chunks].iter_mut();
                if self.begun {
                    chunks.for_each(|chunk| chunk.bit = 1);
                    return done;
                }
                chunks.for_each(|chunk| chunk.bit |= 1);
                Some(Act::Begun)
            }
            Phase::LoadMirrored(_) => self.load(Mapping::Mirrored),
            Phase::LoadFinal(_) => self.load(Mapping::Final),
            Phase::LoadSource(_) => self.load(Mapping::Source),
            Phase::SwapMirrored(_) | Phase::SwapFinal(_) | Phase::SwapSource(_) => {
                self.swap(ground)
            }
            Phase::AwaitCopy => {
                let left = self.with_tracker(ground, |rig| (rig.tracker().left(), Effects::NONE));
                (left == 0).then_some(Act::Answer(Event::CopyEqual))
            }
            Phase::Check | Phase::CheckFlushed if self.authority != Authority::Source => done,
            Phase::Check | Phase::CheckFlushed => {
                match self.with_tracker(ground, |rig| rig.tracker().seal()) {
                    Sealed::Sealed => done,
                    Sealed::NotEqual => Some(Act::Answer(Event::NotEqual)),
                    Sealed::Unhealthy(_) => panic!("nothing fails here"),
                }
            }
            Phase::Flush if self.begun => {
                self.end_flush(1);
                done
            }
            Phase::Flush => self.begin_flush(1, Flusher::Mover).then_some(Act::Begun),
            // This world's destination fails no flush after the seal: they are held.
            Phase::CheckMoved
            | Phase::CreateShadow(_)
            | Phase::RemoveShadow(_)
            | Phase::Diagnose => done,
            Phase::End(_) => None,
        }
    }

    /// A commit in two steps; in between either record may be found.
    fn commit(&mut self, new: u8) -> Option<Act> {
        if self.begun {
            self.record = new;
            return Some(Act::Answer(Event::Done));
        }
        self.record |= new;
        Some(Act::Begun)
    }

    fn decided(&mut self, authority: Authority, ground: &Ground<'_>) {
        if self.live == Some(Mapping::Mirrored) {
            self.with_tracker(ground, |rig| ((), rig.tracker().decided(authority)));
        }
    }

    fn load(&mut self, mapping: Mapping) -> Option<Act> {
        self.loaded = Some(mapping);
        Some(Act::Answer(Event::Done))
    }

    /// It waits until nothing is in flight; what is parked is tried again in the new table.
    fn swap(&mut self, ground: &Ground<'_>) -> Option<Act> {
        let moving = |client: &Client| {
            matches!(client, Client::Plain { .. } | Client::Mirrored { .. } | Client::Flush { .. })
        };
        let chunks = &self.chunks[..ground.scenario.chunks];
        let at_work = chunks.iter().any(|c| c.copying != Copying::No || c.writing.is_some());
        if self.clients.iter().any(moving) || at_work || self.settle.is_some() {
            return None;
        }
        for chunk in &mut self.chunks {
            chunk.word = Word::new(ChunkPhase::Pending);
            (chunk.mark, chunk.marking) = (false, false);
        }
        (self.has_dirty, self.log_stale) = (false, false);
        self.authority = Authority::Source;
        self.live = self.loaded.take();
        if self.live == Some(Mapping::Mirrored) {
            let clean = |(at, chunk): (usize, &super::world::Chunk)| u8::from(chunk.bit == 2) << at;
            let bits: u8 =
                self.chunks[..ground.scenario.chunks].iter().enumerate().map(clean).sum();
            self.with_tracker(ground, |rig| {
                rig.tracker().load_log_bits(ChunkIndex(0), &[bits]);
                ((), Effects::NONE)
            });
        }
        self.wake(QueueMask::ALL);
        Some(Act::Answer(Event::Done))
    }

    /// Nothing goes on any more: is everything at its end?
    pub(super) fn is_over(&self, clients: usize) -> bool {
        let served = self.clients[..clients]
            .iter()
            .all(|client| matches!(client, Client::Done | Client::Lost));
        let side = match self.mover.map(|state| state.phase) {
            None => true,
            Some(Phase::End(Outcome::Moved)) => self.record == record::GONE_OVER,
            Some(Phase::End(Outcome::Aborted(_))) => self.record == record::GONE_BACK,
            Some(_) => false,
        };
        served && side
    }
}

enum Act {
    Begun,
    Answer(Event),
}

fn recorded(recorded: MoveState) -> u8 {
    match recorded {
        MoveState::Queued => record::QUEUED,
        MoveState::Copying => record::COPYING,
        MoveState::Aborting => record::ABORTING,
        MoveState::Moved => record::MOVED,
    }
}
