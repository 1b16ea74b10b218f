//! The state of the whole world, what a reader may see of it, and what a power cut leaves.

use std::vec::Vec;

use super::scenario::{MAX_OPS, Op, Scenario};
use crate::chunk::{Authority, Phase, Route, Word};
use crate::metadata::MoveState;
use crate::mover::{Live, Mapping, State, start};

/// Chunks at most.
pub(super) const CHUNKS: usize = 4;
/// Blocks of a chunk: what a partial write covers.
pub(super) const BLOCKS: usize = 2;
/// What the destination holds at first, and what is left where no read may go: never right to read.
pub(super) const GARBAGE: u8 = 4;
/// Nothing of this block was served since the power came back.
const UNSEEN: u8 = 0xFF;

/// What a read of the record may find, as bits.
pub(super) mod record {
    pub(in super::super) const QUEUED: u8 = 1;
    pub(in super::super) const COPYING: u8 = 2;
    pub(in super::super) const ABORTING: u8 = 4;
    pub(in super::super) const MOVED: u8 = 8;
    pub(in super::super) const GONE_BACK: u8 = 16;
    pub(in super::super) const GONE_OVER: u8 = 32;
}

/// A sector of one leg: 0 is what the source held at first, 1 to 3 what the operations write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Block {
    /// What a read returns.
    pub(super) now: u8,
    /// What may be found after a power cut, as bits.
    pub(super) keep: u8,
    /// The same once the flush under way has ended; 0 without one.
    pub(super) kept: u8,
}

impl Block {
    fn new(value: u8) -> Block {
        Block { now: value, keep: 1 << value, kept: 0 }
    }

    pub(super) fn write(&mut self, value: u8) {
        self.now = value;
        self.keep |= 1 << value;
        if self.kept != 0 {
            self.kept |= 1 << value;
        }
    }
}

/// How far the copy of a chunk is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Copying {
    #[default]
    No,
    Begun,
    Read([u8; BLOCKS]),
    Written,
}

/// All about one chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Chunk {
    /// The tracker's word.
    pub(super) word: Word,
    /// By leg, then block.
    pub(super) legs: [[Block; BLOCKS]; 2],
    pub(super) copying: Copying,
    /// The log's bit after a power cut: 1 = may be 0, 2 = may be 1.
    pub(super) bit: u8,
    /// The bit of the log block that is being written.
    pub(super) writing: Option<bool>,
    /// A writer waits for its bit to be zero; with the block that is being written it will be.
    pub(super) mark: bool,
    pub(super) marking: bool,
    /// By block: what was served last; what must not be served any more; what must not be found
    /// after a power cut.
    seen: [u8; BLOCKS],
    dead: [u8; BLOCKS],
    lost: [u8; BLOCKS],
}

/// How far a client's operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Client {
    /// Not asked for yet.
    Idle,
    /// Parked; woken, it is tried again. `overlap`: in the overlap guard.
    Parked { overlap: bool, woken: bool },
    /// On its way to one leg, without a mirror.
    Plain { leg: usize, arrived: bool },
    /// Let in by the tracker; which legs have it, as bits.
    Mirrored { route: Route, guarded: bool, arrived: u8 },
    /// A flush, with what was answered when it was asked for; by leg: 0 to be flushed, 1 under way, 2 done.
    Flush { covers: u8, legs: [u8; 2] },
    /// Answered.
    Done,
    /// Answered or not, gone with the power.
    Lost,
}

/// Whose flush of a leg is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Flusher {
    Settle,
    Client(usize),
    Mover,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) chunks: [Chunk; CHUNKS],
    pub(super) clients: [Client; MAX_OPS],
    /// What an operation makes older, once it is answered: what was answered when it was asked for.
    older: [u8; MAX_OPS],
    /// The record, as bits.
    pub(super) record: u8,
    /// The table that is served, if any, and the one that waits.
    pub(super) live: Option<Mapping>,
    pub(super) loaded: Option<Mapping>,
    pub(super) mover: Option<State>,
    /// The mover's action has begun.
    pub(super) begun: bool,
    pub(super) aborted: bool,
    pub(super) authority: Authority,
    /// By leg.
    pub(super) flushing: [Option<Flusher>; 2],
    /// By leg, while a settle round is under way: 0 to be flushed, 1 under way, 2 done.
    pub(super) settle: Option<[u8; 2]>,
    /// The tracker's two flags for the log writer.
    pub(super) has_dirty: bool,
    pub(super) log_stale: bool,
    /// How many chunks there are.
    pub(super) used: usize,
}

/// Something that was promised and does not hold.
pub(super) type Broken = &'static str;

impl World {
    /// A move that was planned, over an LV that is served.
    pub(super) fn new(scenario: &Scenario) -> World {
        let leg = |value| [Block::new(value); BLOCKS];
        let chunk = |at: usize| Chunk {
            word: Word::new(Phase::Pending),
            legs: if at < scenario.chunks { [leg(0), leg(GARBAGE)] } else { [leg(0), leg(0)] },
            copying: Copying::No,
            // An old log, which calls everything clean.
            bit: 2,
            writing: None,
            mark: false,
            marking: false,
            seen: [0; BLOCKS],
            dead: [1 << GARBAGE; BLOCKS],
            lost: [1 << GARBAGE; BLOCKS],
        };
        World {
            chunks: std::array::from_fn(chunk),
            clients: [Client::Idle; MAX_OPS],
            older: [0; MAX_OPS],
            record: record::QUEUED,
            live: Some(Mapping::Source),
            loaded: None,
            mover: Some(start(MoveState::Queued, &[Live::Is(Mapping::Source)])),
            begun: false,
            aborted: false,
            authority: Authority::Source,
            flushing: [None; 2],
            settle: None,
            has_dirty: false,
            log_stale: false,
            used: scenario.chunks,
        }
    }

    /// Puts an operation's value onto a leg.
    pub(super) fn put(&mut self, op: Op, client: usize, leg: usize) {
        let Op::Write { chunk, blocks } = op else { return };
        for (index, block) in self.chunks[chunk].legs[leg].iter_mut().enumerate() {
            if blocks >> index & 1 == 1 {
                block.write(value(client));
            }
        }
    }

    /// A flush of a leg begins; false while another one is under way there.
    pub(super) fn begin_flush(&mut self, leg: usize, who: Flusher) -> bool {
        if self.flushing[leg].is_some() {
            return false;
        }
        self.flushing[leg] = Some(who);
        for block in self.chunks.iter_mut().flat_map(|chunk| &mut chunk.legs[leg]) {
            block.kept = 1 << block.now;
        }
        true
    }

    /// It has ended.
    pub(super) fn end_flush(&mut self, leg: usize) {
        self.flushing[leg] = None;
        for block in self.chunks.iter_mut().flat_map(|chunk| &mut chunk.legs[leg]) {
            block.keep = block.kept;
            block.kept = 0;
        }
    }

    /// Operations that are over, as the bits of their values, with what was there at first.
    fn answered(&self) -> u8 {
        self.clients.iter().enumerate().fold(1, |bits, (at, client)| {
            let over = matches!(client, Client::Done | Client::Lost);
            bits | u8::from(over) << value(at)
        })
    }

    /// An operation is asked for.
    pub(super) fn asked(&mut self, client: usize) {
        self.older[client] = self.answered();
    }

    /// What a flush that is asked for now will make durable.
    pub(super) fn covered(&self) -> u8 {
        self.clients
            .iter()
            .enumerate()
            .fold(0, |bits, (at, client)| bits | u8::from(*client == Client::Done) << at)
    }

    /// A write is answered: whatever was answered before it was asked for is not read again.
    pub(super) fn answer(&mut self, scenario: &Scenario, client: usize) {
        self.clients[client] = Client::Done;
        let older = self.older[client];
        for_blocks(scenario, client, |chunk, block| self.chunks[chunk].dead[block] |= older);
    }

    /// A flush is answered: whatever the writes before it made older is not found again.
    pub(super) fn answer_flush(&mut self, scenario: &Scenario, client: usize, covers: u8) {
        self.clients[client] = Client::Done;
        for write in (0..MAX_OPS).filter(|write| covers >> write & 1 == 1) {
            let older = self.older[write];
            for_blocks(scenario, write, |chunk, block| self.chunks[chunk].lost[block] |= older);
        }
    }

    /// A reader looks at everything that is served.
    pub(super) fn observe(&mut self) -> Result<(), Broken> {
        let Some(live) = self.live else { return Ok(()) };
        let leg = usize::from(live == Mapping::Final);
        let over = self.answered();
        for chunk in &mut self.chunks {
            for at in 0..BLOCKS {
                let now = chunk.legs[leg][at].now;
                if chunk.dead[at] >> now & 1 == 1 {
                    return Err("a read went back, or lost what it may not lose");
                }
                if chunk.seen[at] == UNSEEN {
                    chunk.dead[at] = (over | 1 << GARBAGE) & !(1 << now);
                } else if chunk.seen[at] != now {
                    chunk.dead[at] |= 1 << chunk.seen[at];
                }
                chunk.seen[at] = now;
            }
        }
        Ok(())
    }

    /// Everything that a power cut now may leave, as the recovery finds it, and how many sets of
    /// surviving sectors these stand for. A side that is not in charge, and a log that means nothing,
    /// are made as bad as can be.
    pub(super) fn power_cut(&self) -> Result<(Vec<World>, u64), Broken> {
        let mut all = Vec::new();
        let mut subsets = 0u64;
        for bit in (0..6).map(|bit| 1 << bit).filter(|bit| self.record & bit != 0) {
            subsets += self.subsets();
            let mut left = Vec::from([self.restarted(bit)]);
            for chunk in 0..self.used {
                left = self.left_of_chunk(chunk, bit, &left)?;
            }
            all.append(&mut left);
        }
        for world in &mut all {
            world.observe()?;
        }
        Ok((all, subsets))
    }

    fn subsets(&self) -> u64 {
        let blocks = self.chunks.iter().flat_map(|chunk| chunk.legs.iter().flatten());
        let sectors = blocks.map(|block| u64::from(block.keep.count_ones()));
        let bits = self.chunks.iter().map(|chunk| u64::from(chunk.bit.count_ones()));
        sectors.chain(bits).product()
    }

    /// The world without what was in memory.
    fn restarted(&self, found: u8) -> World {
        let (live, recorded) = match found {
            record::QUEUED => (Some(Mapping::Source), Some(MoveState::Queued)),
            record::COPYING => (None, Some(MoveState::Copying)),
            record::ABORTING => (Some(Mapping::Source), Some(MoveState::Aborting)),
            record::MOVED => (Some(Mapping::Final), Some(MoveState::Moved)),
            record::GONE_BACK => (Some(Mapping::Source), None),
            _ => (Some(Mapping::Final), None),
        };
        let mut world = World {
            record: found,
            live,
            loaded: None,
            mover: recorded.map(|recorded| start(recorded, &[live.map_or(Live::Absent, Live::Is)])),
            begun: false,
            authority: Authority::Source,
            flushing: [None; 2],
            settle: None,
            has_dirty: false,
            log_stale: false,
            ..self.clone()
        };
        // What was answered before the power failed, too, is over: what is found of it stands, and a
        // later flush has nothing of it to save.
        for client in &mut world.clients {
            if *client != Client::Idle {
                *client = Client::Lost;
            }
        }
        world
    }

    fn left_of_chunk(&self, at: usize, found: u8, so_far: &[World]) -> Result<Vec<World>, Broken> {
        let chunk = &self.chunks[at];
        let copying = found == record::COPYING;
        let in_charge = usize::from(found == record::MOVED || found == record::GONE_OVER);
        let bits = if copying { chunk.bit } else { 2 };
        let mut all = Vec::new();
        for bit in [1, 2].into_iter().filter(|bit| bits & bit != 0) {
            let believed = copying && bit == 2;
            if believed && (0..BLOCKS).any(|block| !is_equal(chunk, block)) {
                return Err("the log calls a chunk clean whose legs may differ after a power cut");
            }
            for zero in values(chunk.legs[in_charge][0].keep) {
                for one in values(chunk.legs[in_charge][1].keep) {
                    let found = [Block::new(zero), Block::new(one)];
                    let mut legs = [[Block::new(GARBAGE); BLOCKS]; 2];
                    legs[in_charge] = found;
                    if believed {
                        legs = [found; 2];
                    }
                    for world in so_far {
                        let mut world = world.clone();
                        world.chunks[at] = Chunk {
                            word: Word::new(Phase::Pending),
                            legs,
                            copying: Copying::No,
                            bit,
                            writing: None,
                            mark: false,
                            marking: false,
                            seen: [UNSEEN; BLOCKS],
                            dead: chunk.lost,
                            lost: chunk.lost,
                        };
                        all.push(world);
                    }
                }
            }
        }
        Ok(all)
    }

    /// What is true of the tracker's words in every state.
    pub(super) fn check(&self) -> Result<(), Broken> {
        for chunk in &self.chunks {
            if !chunk.word.is_legal() {
                return Err("a word that cannot be");
            }
            let settled = chunk.word.phase().is_mirrored() && chunk.word.writers() == 0;
            let equal = (0..BLOCKS).all(|at| chunk.legs[0][at].now == chunk.legs[1][at].now);
            if self.live == Some(Mapping::Mirrored) && settled && !equal {
                return Err("a chunk is called mirrored and is not");
            }
        }
        Ok(())
    }

    /// Chunks that no operation touches are alike: which is which does not matter.
    pub(super) fn canonical(&mut self, scenario: &Scenario) {
        let touched = scenario.touched();
        self.chunks[touched..scenario.chunks].sort_unstable();
    }
}

/// The value that a client's operation writes.
pub(super) fn value(client: usize) -> u8 {
    client as u8 + 1
}

fn values(bits: u8) -> impl Iterator<Item = u8> {
    (0..8).filter(move |value| bits >> value & 1 == 1)
}

fn is_equal(chunk: &Chunk, block: usize) -> bool {
    let [source, destination] = [chunk.legs[0][block].keep, chunk.legs[1][block].keep];
    source == destination && source.is_power_of_two()
}

fn for_blocks(scenario: &Scenario, client: usize, mut then: impl FnMut(usize, usize)) {
    if let Some(Op::Write { chunk, blocks }) = scenario.ops.get(client).copied() {
        (0..BLOCKS).filter(|block| blocks >> block & 1 == 1).for_each(|block| then(chunk, block));
    }
}
