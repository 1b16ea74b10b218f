//! What the metadata on the disks mean: read by the real decoder, kept by slot.

use std::rc::Rc;

use lvshift_core::metadata::{MoveState, Place};
use lvshift_core::units::{LvIndex, MoveIndex, Sectors};
use lvshift_frontend_common::vg::Vg;
use lvshift_on_disk_format::dirty_log::BITSET_OFFSET;

/// A sector of the data area of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The disk.
    pub disk: u8,
    /// The sector, counted from the start of the data area.
    pub at: u32,
}

/// A part of a move.
#[derive(Clone, Debug)]
pub struct PartView {
    /// The state of its move.
    pub state: MoveState,
    /// Its first sector, as the world counts them: an LV's follow those of the LVs before.
    pub first: u32,
    /// How many.
    pub count: u32,
    /// Where its source and its destination begin.
    pub source: Spot,
    /// See `source`.
    pub destination: Spot,
    /// The sector of the log's bits on the destination's disk.
    pub bits: u64,
    /// Sectors of a chunk.
    pub chunk: u32,
}

/// What one commit says of the LVs.
#[derive(Clone, Debug)]
pub struct View {
    /// The commit.
    pub sequence: u64,
    /// Where each sector of the LVs lives, one LV after the other.
    pub homes: Vec<Spot>,
    /// The parts of all moves.
    pub parts: Vec<PartView>,
}

impl View {
    /// The state of its moves, in words.
    #[must_use]
    pub fn states(&self) -> String {
        let mut states: Vec<MoveState> = self.parts.iter().map(|part| part.state).collect();
        states.dedup();
        format!("{states:?}")
    }

    /// Parts whose source is in charge while they are mirrored.
    pub fn copying(&self) -> impl Iterator<Item = &PartView> {
        self.parts.iter().filter(|part| part.state == MoveState::Copying)
    }

    /// Reads a slot; none where it says nothing.
    pub fn decode(scratch: &mut Vg, slot: &[u8]) -> Option<Rc<View>> {
        scratch.decode_from(slot).ok()?;
        let vg = &*scratch;
        let size = vg.extent_size();
        let spot = |place: Place| -> Option<Spot> {
            let pv = vg.pv(place.pv)?;
            let at = vg.sector_of(place)?.0 - pv.pe_start.0;
            Some(Spot { disk: place.pv.0 as u8, at: at as u32 })
        };
        let mut homes = Vec::new();
        let mut bases = Vec::new();
        for (lv, _) in (0u16..).zip(vg.lvs()) {
            bases.push(homes.len() as u32);
            for segment in vg.segments_of(LvIndex(lv)) {
                let start = spot(segment.place)?;
                let Sectors(count) = size.span(segment.count);
                homes.extend((0..count as u32).map(|at| Spot { at: start.at + at, ..start }));
            }
        }
        let mut parts = Vec::new();
        for (of, record) in (0u16..).zip(vg.moves()) {
            for part in vg.parts_of(MoveIndex(of)) {
                let log = vg.pv(part.destination.pv)?.log_start.0 + part.log_offset.0;
                let base = *bases.get(usize::from(part.lv.0))?;
                parts.push(PartView {
                    state: record.state,
                    first: base + part.first.0 * size.sectors(),
                    count: size.span(part.count).0 as u32,
                    source: spot(part.source)?,
                    destination: spot(part.destination)?,
                    bits: log + BITSET_OFFSET / 512,
                    chunk: record.chunk_sectors,
                });
            }
        }
        Some(Rc::new(View { sequence: vg.sequence(), homes, parts }))
    }
}

/// What a slot may hold after a power cut; `None` in it: nothing that can be believed.
pub type SlotView = super::disk::Cell<Option<Rc<View>>>;

/// Which commits may be the newest found after a power cut: of every slot whatever survives, torn
/// or whole.
pub fn newest(slots: &[[SlotView; 2]], found: &mut Vec<Option<Rc<View>>>) {
    found.clear();
    let all = || slots.iter().flatten();
    for slot in all() {
        for view in slot.survivors() {
            let sequence = view.as_ref().map_or(0, |view| view.sequence);
            if found.iter().any(|other| other.as_ref().map_or(0, |v| v.sequence) == sequence) {
                continue;
            }
            let wins = all().all(|other| {
                std::ptr::eq(other, slot)
                    || !other.cached.is_empty()
                    || other.durable.as_ref().map_or(0, |v| v.sequence) <= sequence
            });
            // Of this slot itself it may be the one that survives.
            if wins && (sequence > 0 || found.is_empty()) {
                found.push(view.clone());
            }
        }
    }
}
