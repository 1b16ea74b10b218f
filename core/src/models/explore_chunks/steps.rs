//! What may happen next in a small world: every state that is one step from one.

use super::*;

impl World {
    /// Every state that is one step from here.
    pub(super) fn next(&self, scenario: &Scenario) -> Vec<World> {
        let mut all = Vec::new();
        for number in 0..2 {
            self.queue_steps(number, scenario, &mut all);
        }
        self.copier_steps(scenario, &mut all);
        self.log_steps(&mut all);
        if scenario.flush_fails {
            self.flush_steps(&mut all);
        }
        if scenario.seals {
            self.seal_steps(&mut all);
        }
        all.retain(|world| world != self);
        all
    }

    fn queue_steps(&self, number: usize, scenario: &Scenario, all: &mut Vec<World>) {
        let Some(&write) = scenario.writes[number].get(self.done[number]) else { return };
        let mut then = |change: &dyn Fn(&mut World)| {
            let mut world = self.clone();
            change(&mut world);
            all.push(world);
        };
        match self.queues[number] {
            Queue::Ready => then(&|world| world.admit(number, write, scenario.policy)),
            Queue::Parked => {}
            Queue::InFlight { route, guarded, source, destination, failed } => {
                if !source {
                    then(&|world| {
                        World::put(&mut world.chunks[write.chunk].source, write);
                        world.queues[number] =
                            Queue::InFlight { route, guarded, source: true, destination, failed };
                    });
                }
                if !destination {
                    then(&|world| {
                        World::put(&mut world.chunks[write.chunk].destination, write);
                        world.queues[number] =
                            Queue::InFlight { route, guarded, source, destination: true, failed };
                    });
                    if scenario.may_fail && !self.abandoned {
                        then(&|world| {
                            world.queues[number] = Queue::InFlight {
                                route,
                                guarded,
                                source,
                                destination: true,
                                failed: true,
                            };
                        });
                    }
                }
                if source && destination {
                    then(&|world| world.end(number, write, route, guarded, failed));
                }
            }
        }
    }

    fn copier_steps(&self, scenario: &Scenario, all: &mut Vec<World>) {
        let mut world = self.clone();
        match self.copier {
            Copier::Idle => {
                for chunk in 0..2 {
                    let takes = scenario.scan || self.wanted[chunk];
                    if self.abandoned || !takes {
                        continue;
                    }
                    let mut world = self.clone();
                    world.wanted[chunk] = false;
                    if world.apply(chunk, Event::BeginCopy) == Outcome::CopyStarted {
                        world.copier = Copier::Owns(chunk);
                    }
                    all.push(world);
                }
                return;
            }
            Copier::Owns(chunk) => {
                let read = self.chunks[chunk].source.map(|block| block.now);
                world.copier = Copier::Read(chunk, read);
            }
            Copier::Read(chunk, values) => {
                for (block, value) in world.chunks[chunk].destination.iter_mut().zip(values) {
                    block.write(value);
                }
                world.copier = Copier::Wrote(chunk);
            }
            Copier::Wrote(chunk) => {
                let _ = world.apply(chunk, Event::CopyDone);
                world.copier = Copier::Idle;
            }
        }
        all.push(world);
    }

    fn log_steps(&self, all: &mut Vec<World>) {
        let mut world = self.clone();
        match self.settle {
            Settle::Idle if self.abandoned => {}
            Settle::Idle => {
                for chunk in 0..2 {
                    let _ = world.apply(chunk, Event::BeginSettle);
                }
                // Without a candidate a round changes nothing.
                if world.chunks.iter().any(|chunk| chunk.word.phase() == Phase::Settling) {
                    world.settle = Settle::Begun;
                    all.push(world);
                }
            }
            Settle::Begun => {
                for block in world.blocks().filter(|block| !block.lost) {
                    block.after_flush = 1 << block.now;
                }
                world.settle = Settle::Flushing;
                all.push(world);
            }
            Settle::Flushing => {
                for block in world.blocks().filter(|block| !block.lost) {
                    block.after_crash = block.after_flush;
                }
                world.settle = Settle::Flushed;
                all.push(world);
            }
            Settle::Flushed if self.app_flush_in_flight() => {
                world.settle = Settle::Waits;
                all.push(world);
            }
            Settle::Waits if self.app_flush_in_flight() => {}
            Settle::Flushed | Settle::Waits => {
                for chunk in 0..2 {
                    if !self.abandoned {
                        let _ = world.apply(chunk, Event::EndSettle);
                    }
                }
                world.settle = Settle::Idle;
                all.push(world);
            }
        }
        let mut world = self.clone();
        if let Some((bits, marks)) = self.log {
            for (chunk, bit) in bits.into_iter().enumerate() {
                world.chunks[chunk].bit = 1 << u8::from(bit);
            }
            world.log = None;
            for chunk in (0..2).filter(|&chunk| marks[chunk]) {
                let _ = world.apply(chunk, Event::Marked);
            }
            all.push(world);
        } else {
            let is = |phase| self.chunks.map(|chunk| chunk.word.phase() == phase);
            let (bits, marks) = (is(Phase::Clean), is(Phase::Marking));
            let stale = (0..2).any(|chunk| self.chunks[chunk].bit != 1 << u8::from(bits[chunk]));
            if stale || marks != [false; 2] {
                for (chunk, bit) in bits.into_iter().enumerate() {
                    world.chunks[chunk].bit |= 1 << u8::from(bit);
                }
                world.log = Some((bits, marks));
                all.push(world);
            }
        }
    }

    fn app_flush_in_flight(&self) -> bool {
        matches!(self.app_flush, AppFlush::InFlight | AppFlush::Failed)
    }

    fn flush_steps(&self, all: &mut Vec<World>) {
        let mut world = self.clone();
        match self.app_flush {
            AppFlush::Ready => world.app_flush = AppFlush::InFlight,
            AppFlush::InFlight => {
                let blocks = world.chunks.iter_mut().flat_map(|chunk| &mut chunk.destination);
                for block in blocks.filter(|block| !block.after_crash.is_power_of_two()) {
                    block.lost = true;
                }
                world.app_flush = AppFlush::Failed;
            }
            AppFlush::Failed => {
                world.abandoned = true;
                for chunk in 0..2 {
                    let _ = world.apply(chunk, Event::Distrust);
                }
                world.wake(QueueMask::ALL);
                world.app_flush = AppFlush::Over;
            }
            AppFlush::Over => return,
        }
        all.push(world);
    }

    fn seal_steps(&self, all: &mut Vec<World>) {
        let mut world = self.clone();
        world.seal = match self.seal {
            Seal::Before => Seal::Undecided,
            Seal::Undecided => Seal::Over,
            Seal::Over => return,
        };
        if world.seal == Seal::Over {
            world.wake(QueueMask::ALL);
        }
        all.push(world);
    }
}
