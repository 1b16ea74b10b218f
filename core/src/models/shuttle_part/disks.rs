//! The made-up disks: two legs with volatile caches, a log, and what must survive a power cut.
//!
//! Nothing here is a scheduling point: the threads change only at the tracker's atomics, at wakeups,
//! and where they yield.

use std::string::String;
use std::vec::Vec;

use crate::Leg;
use crate::chunk::{Piece, Word};
use crate::units::Sectors;

/// Sectors of a chunk: two words of the guard, so that every chunk meets every other there.
pub(super) const CHUNK: u32 = 512;
/// Chunks of the part; the last one is short.
pub(super) const CHUNKS: u32 = 3;
/// Where the sectors of a chunk are told apart: half blocks, blocks, and the edges of guard words.
const EDGES: [u64; 8] = [0, 4, 8, 252, 256, 260, 508, 512];
/// Pieces between two edges.
const CELLS: usize = EDGES.len() - 1;
/// Of the last chunk.
const SHORT: usize = 5;
/// The part's length.
pub(super) const LENGTH: u64 = (CHUNKS as u64 - 1) * CHUNK as u64 + EDGES[SHORT];

/// What the destination holds before the move.
const FOREIGN: u32 = u32::MAX;

/// Sectors from one edge of a chunk to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) chunk: u32,
    first: usize,
    end: usize,
}

impl Span {
    /// How many cells a chunk has.
    pub(super) fn cells_of(chunk: u32) -> usize {
        if chunk == CHUNKS - 1 { SHORT } else { CELLS }
    }

    pub(super) fn new(chunk: u32, first: usize, end: usize) -> Span {
        assert!(first < end && end <= Span::cells_of(chunk));
        Span { chunk, first, end }
    }

    pub(super) fn whole(chunk: u32) -> Span {
        Span::new(chunk, 0, Span::cells_of(chunk))
    }

    pub(super) fn piece(self) -> Piece {
        let start = u64::from(self.chunk) * u64::from(CHUNK);
        let count = EDGES[self.end] - EDGES[self.first];
        Piece { first: Sectors(start + EDGES[self.first]), count: Sectors(count) }
    }

    /// Its cells by number.
    pub(super) fn cells(self) -> std::ops::Range<usize> {
        let base = self.chunk as usize * CELLS;
        base + self.first..base + self.end
    }
}

/// One cell on one leg: everything that was ever written there.
#[derive(Clone, Debug)]
struct Cell {
    writes: Vec<u32>,
    /// The newest of them that is surely on the medium.
    durable: usize,
    /// A flush failed when this was the newest: no later flush makes it or what is older durable.
    lost: Option<usize>,
}

impl Cell {
    fn newest(&self) -> usize {
        self.writes.len() - 1
    }

    fn now(&self) -> u32 {
        self.writes[self.newest()]
    }

    /// What a power cut may leave.
    fn survivors(&self) -> &[u32] {
        &self.writes[self.durable..]
    }
}

/// A flush under way: for each cell the newest write that it covers.
pub(super) struct Flush(Vec<usize>);

/// What an application's flush promises when it is acknowledged: the source's newest acknowledged
/// write of each cell.
pub(super) struct Promise(Vec<usize>);

pub(super) struct Disks {
    legs: [Vec<Cell>; 2],
    /// The log's bit of each chunk: bit 0, it may be 0 after a crash; bit 1, it may be 1.
    bits: [u8; CHUNKS as usize],
    /// The record says something else than *Copying*: the log is not believed.
    void: bool,
    /// Who is right after a crash.
    in_charge: Leg,
    /// For each cell the newest acknowledged write, and what a flush has promised.
    acknowledged: Vec<usize>,
    promised: Vec<usize>,
    /// Cells of which the application knows that it may not rely on them: a request failed.
    failed: Vec<bool>,
}

impl Disks {
    /// `clean` chunks were equal before; the others were never copied.
    pub(super) fn new(clean: u8) -> Disks {
        let cells = CHUNKS as usize * CELLS;
        let leg = |destination: bool| {
            let first = |cell: usize| {
                let chunk = cell / CELLS;
                let past_end = cell % CELLS >= Span::cells_of(chunk as u32);
                let copied = past_end || clean & (1 << chunk) != 0;
                if destination && !copied { FOREIGN } else { 0 }
            };
            let cell = |cell| Cell { writes: Vec::from([first(cell)]), durable: 0, lost: None };
            (0..cells).map(cell).collect()
        };
        Disks {
            legs: [leg(false), leg(true)],
            bits: std::array::from_fn(|chunk| 1 << ((clean >> chunk) & 1)),
            void: false,
            in_charge: Leg::Source,
            acknowledged: Vec::from_iter((0..cells).map(|_| 0)),
            promised: Vec::from_iter((0..cells).map(|_| 0)),
            failed: Vec::from_iter((0..cells).map(|_| false)),
        }
    }

    fn leg(&mut self, leg: Leg) -> &mut Vec<Cell> {
        &mut self.legs[usize::from(leg == Leg::Destination)]
    }

    /// A cell is written on a leg.
    pub(super) fn write(&mut self, leg: Leg, cell: usize, value: u32) {
        self.leg(leg)[cell].writes.push(value);
        self.check_log();
    }

    pub(super) fn read(&mut self, leg: Leg, cell: usize) -> u32 {
        self.leg(leg)[cell].now()
    }

    pub(super) fn begin_flush(&mut self, leg: Leg) -> Flush {
        Flush(self.leg(leg).iter().map(Cell::newest).collect())
    }

    /// The flush has gone well on the device, as far as an earlier failure leaves something to it.
    pub(super) fn end_flush(&mut self, leg: Leg, flush: &Flush) {
        for (cell, &newest) in self.leg(leg).iter_mut().zip(&flush.0) {
            if cell.lost.is_none_or(|lost| newest > lost) {
                cell.durable = cell.durable.max(newest);
            }
        }
        self.check_log();
    }

    /// The device fails a flush and forgets what it was to save.
    pub(super) fn fail_flush(&mut self, leg: Leg) {
        // The application is told of this very failure only where the destination is in charge.
        let known = leg == Leg::Destination && self.in_charge == leg;
        let cells = self.legs[usize::from(leg == Leg::Destination)].iter_mut();
        for (cell, failed) in cells.zip(&mut self.failed) {
            if cell.durable < cell.newest() {
                cell.lost = Some(cell.newest());
                *failed |= known;
            }
        }
    }

    /// A block of the log is on its way: it may or may not be there after a crash.
    pub(super) fn begin_log(&mut self, bits: u8) {
        for (chunk, may) in self.bits.iter_mut().enumerate() {
            *may |= 1 << ((bits >> chunk) & 1);
        }
        self.check_log();
    }

    /// It is durable.
    pub(super) fn end_log(&mut self, bits: u8) {
        for (chunk, may) in self.bits.iter_mut().enumerate() {
            *may = 1 << ((bits >> chunk) & 1);
        }
        self.check_log();
    }

    /// The application was told that this write is done.
    pub(super) fn acknowledge(&mut self, span: Span, value: u32) {
        for cell in span.cells() {
            let at = self.legs[0][cell].writes.iter().rposition(|&other| other == value);
            let at = at.expect("an acknowledged write is in the order of the leg in charge");
            self.acknowledged[cell] = self.acknowledged[cell].max(at);
        }
    }

    /// The application was told that this write has failed.
    pub(super) fn fail(&mut self, span: Span) {
        span.cells().for_each(|cell| self.failed[cell] = true);
    }

    pub(super) fn promise(&self) -> Promise {
        Promise(self.acknowledged.clone())
    }

    /// The application was told that its flush is done.
    pub(super) fn promised(&mut self, promise: &Promise) {
        for (promised, new) in self.promised.iter_mut().zip(&promise.0) {
            *promised = (*promised).max(*new);
        }
        self.check_promises();
    }

    /// The record says *Aborting*.
    pub(super) fn aborting(&mut self) {
        self.void = true;
    }

    /// The record says *Moved*: the destination is in charge.
    pub(super) fn moved(&mut self) {
        self.void = true;
        self.in_charge = Leg::Destination;
        self.check_promises();
    }

    /// From now on the LV lies on the destination alone; what is written goes on where the source's
    /// order ends.
    pub(super) fn write_destination(&mut self, cell: usize, value: u32) {
        self.legs[0][cell].writes.push(value);
        self.legs[1][cell].writes.push(value);
    }

    /// Were the power to fail now, the log would not lie: a chunk that it may call clean holds one
    /// and the same value on both legs.
    fn check_log(&self) {
        if self.void {
            return;
        }
        for (chunk, bits) in self.bits.iter().enumerate().filter(|(_, bits)| **bits & 2 != 0) {
            for cell in Span::whole(chunk as u32).cells() {
                let [source, destination] = [&self.legs[0][cell], &self.legs[1][cell]];
                let value = source.now();
                let both = source.survivors().iter().chain(destination.survivors());
                assert!(
                    both.into_iter().all(|other| *other == value),
                    "the log may call chunk {chunk} clean ({bits:#b}), cell {cell}: \
                     {source:?} {destination:?}"
                );
            }
        }
    }

    /// Were the power to fail now, nothing is lost that a flush has promised.
    fn check_promises(&self) {
        for (cell, &promised) in self.promised.iter().enumerate() {
            let source = &self.legs[0][cell];
            if self.in_charge == Leg::Source {
                assert!(source.durable >= promised, "cell {cell}: a flushed write may be lost");
                continue;
            }
            for value in self.legs[1][cell].survivors() {
                let at = source.writes.iter().rposition(|other| other == value);
                // What the source has not yet is of a write in flight, newer than all that is promised.
                let newer = at.map_or(*value != FOREIGN, |at| at >= promised);
                let good = self.failed[cell] || newer;
                assert!(good, "cell {cell}: the destination may be older than what was flushed");
            }
        }
    }

    /// Both legs hold the same where the tracker says so and no write is under way; else what is wrong.
    pub(super) fn check_equal(&self, word: Word, chunk: u32) -> Result<(), String> {
        if !word.phase().is_mirrored() || word.writers() != 0 {
            return Ok(());
        }
        for cell in Span::whole(chunk).cells() {
            let [source, destination] = [self.legs[0][cell].now(), self.legs[1][cell].now()];
            if source != destination {
                let legs = std::format!("{source} and {destination}");
                let what = "the legs hold overlapping writes in different orders";
                return Err(std::format!(
                    "chunk {chunk}, {:?}, cell {cell}: {what}: {legs}",
                    word.phase()
                ));
            }
        }
        Ok(())
    }

    /// Right before the destination is served alone: it is what the source is, but where the
    /// application knows of a failure.
    pub(super) fn check_hand_over(&self) {
        for chunk in 0..CHUNKS {
            for cell in Span::whole(chunk).cells().filter(|cell| !self.failed[*cell]) {
                let [source, destination] = [&self.legs[0][cell], &self.legs[1][cell]];
                let equal = source.now() == destination.now();
                assert!(equal, "handed over unequal: cell {cell}: {source:?} {destination:?}");
            }
        }
    }
}
