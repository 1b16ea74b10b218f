//! The real tracker, put into a state of the world and taken out of it again.

use std::boxed::Box;
use std::vec::Vec;

use super::copier::Small;
use super::scenario::Scenario;
use super::world::{CHUNKS, World};
use crate::chunk::{
    Borrowed, Cells, ChunkCell, ChunkIndex, Geometry, Group, Piece, QueueId, Tracker,
};
use crate::mirror::Volume as _;
use crate::sync::Ordering;
use crate::units::Sectors;

/// Sectors of a block, the smallest that the overlap guard tells apart.
pub(super) const BLOCK: u64 = 8;
/// Sectors of a chunk.
pub(super) const CHUNK: u64 = 16;

/// One tracker for all states, as that of a volume's one part.
pub(super) struct Rig {
    pub(super) volume: Small,
    chunks: usize,
}

impl Rig {
    pub(super) fn new(scenario: &Scenario) -> Rig {
        let cells: Vec<ChunkCell> = (0..scenario.chunks).map(|_| ChunkCell::new()).collect();
        // One for each scenario: they are few.
        let cells: &'static [ChunkCell] = Box::leak(cells.into_boxed_slice());
        let groups: &'static [Group] = Box::leak(Box::new([Group::new()]));
        let geometry = Geometry::new(Sectors(CHUNK * scenario.chunks as u64), CHUNK as u32)
            .expect("a small part");
        let tracker = Tracker::new(geometry, Borrowed { cells, groups }).expect("room for all");
        Rig { volume: Small::new(tracker), chunks: scenario.chunks }
    }

    pub(super) fn tracker(&self) -> &Tracker<Borrowed<'static>> {
        self.volume.parts()[0].tracker()
    }

    fn all(&self) -> Piece {
        Piece { first: Sectors(0), count: Sectors(CHUNK * CHUNKS as u64) }
    }

    /// The tracker as it is in this world.
    pub(super) fn load(&self, world: &World, scenario: &Scenario) {
        let tracker = self.tracker();
        let mut left = 0;
        for (cell, chunk) in tracker.storage.cells().iter().zip(&world.chunks) {
            cell.reset(chunk.word);
            left += u32::from(!chunk.word.phase().is_mirrored());
        }
        let group = &tracker.storage.groups()[0];
        group.reset(left);
        if world.has_dirty {
            group.has_dirty_now();
        }
        if world.log_stale {
            group.log_is_stale();
        }
        while tracker.next_marking().is_some() {}
        for (chunk, at) in world.chunks[..self.chunks].iter().zip(0u32..) {
            if chunk.mark {
                tracker.marks.put(ChunkIndex(at));
            }
        }
        tracker.health.set_authority(world.authority);
        tracker.settling.store(u32::from(world.settle.is_some()), Ordering::SeqCst);
        // What holds blocks of the guard first, then who waits there.
        let _ = tracker.guard.give_back(self.all());
        for waits in [false, true] {
            for (client, queue) in world.clients.iter().zip(0u8..) {
                let in_guard = match client {
                    super::world::Client::Mirrored { guarded: true, .. } => !waits,
                    super::world::Client::Parked { overlap: true, woken: false } => waits,
                    _ => false,
                };
                if in_guard && let Some(piece) = piece(scenario, usize::from(queue)) {
                    let _ = tracker.guard.take(piece, QueueId::new(queue).expect("a small number"));
                }
            }
        }
    }

    /// The world with what became of the tracker.
    pub(super) fn store(&self, world: &mut World) {
        let tracker = self.tracker();
        for (cell, chunk) in tracker.storage.cells().iter().zip(&mut world.chunks) {
            chunk.word = cell.load();
        }
        let group = &tracker.storage.groups()[0];
        world.has_dirty = group.has_dirty();
        world.log_stale = group.take_log_stale();
        world.authority = tracker.authority();
        // The copier looks at every chunk anyway.
        while tracker.next_wanted().is_some() {}
        world.chunks.iter_mut().for_each(|chunk| chunk.mark = false);
        while let Some(chunk) = tracker.next_marking() {
            world.chunks[chunk.0 as usize].mark = true;
        }
        assert!(tracker.fault().is_none(), "nothing fails here");
    }

    pub(super) fn chunks(&self) -> impl Iterator<Item = ChunkIndex> + use<> {
        (0..self.chunks as u32).map(ChunkIndex)
    }
}

/// The sectors that a client's write covers.
pub(super) fn piece(scenario: &Scenario, client: usize) -> Option<Piece> {
    let super::scenario::Op::Write { chunk, blocks } = *scenario.ops.get(client)? else {
        return None;
    };
    let start = chunk as u64 * CHUNK;
    Some(match blocks {
        1 => Piece { first: Sectors(start), count: Sectors(BLOCK) },
        2 => Piece { first: Sectors(start + BLOCK), count: Sectors(BLOCK) },
        _ => Piece { first: Sectors(start), count: Sectors(CHUNK) },
    })
}
