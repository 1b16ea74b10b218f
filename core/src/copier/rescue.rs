//! In which order is a source read that does not give everything at once?
//!
//! As GNU ddrescue does it: large reads over what is good come first. A chunk that fails or is slow is set aside at
//! the first try, and from the second in a row on those behind it as well, twice as many each time: bad sectors come in runs. When nothing else is left, what
//! was skipped is read from its end backwards until that fails, then forwards; then come the chunks that did not answer in
//! time, and at last those that have failed, in small reads down to sectors.

use heapless::Vec;

use super::throttle::Nanos;
use crate::chunk::ChunkIndex;

/// A read that takes longer makes what lies behind it wait.
pub const SLOW: Nanos = Nanos(2_000_000_000);
/// Areas that are kept apart; further ones are joined to their neighbours.
const AREAS: usize = 256;
/// Chunks that are skipped at once at most.
const MOST_SKIPPED: u32 = 1024;
/// So many reads in a row have failed: nothing is gained by further large ones,
const NO_LARGE_ONES: u32 = 32;
/// and so many chunks in a row are lost: the rest is taken for as bad.
const HOPELESS: u32 = 4;
/// What a failed chunk takes of reads that fail: one of each size, and the end of its run.
const READS_OF_FAILED: u64 = 4;

/// Why a chunk is not read now. Later ones are read later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Aside {
    /// It was not tried: the one before it was bad.
    Skipped,
    /// It was not tried, and one behind it was bad as well.
    Between,
    /// It was not read within its time.
    Slow,
    /// A large read of it has failed.
    Failed,
    /// A sector of it cannot be read. It is never read again.
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Area {
    first: u32,
    end: u32,
    why: Aside,
}

/// How much is set aside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAside {
    /// Areas apart from each other.
    pub areas: u64,
    /// Their chunks.
    pub chunks: u64,
    /// How long they are expected to take, by what those took that are known to be bad.
    pub time: Nanos,
}

/// What is set aside of one part.
#[derive(Debug)]
pub struct Rescue {
    /// In order, and apart from each other.
    areas: Vec<Area, AREAS>,
    /// How many chunks the next bad one makes wait.
    skip: u32,
    /// Bad ones since the last good one.
    in_a_row: u32,
    /// Only what takes patience is left.
    patient: bool,
    /// What a bad read takes.
    cost: u64,
    /// What was taken out and has not ended.
    taken: Option<u32>,
}

impl Rescue {
    /// Nothing is set aside.
    pub const fn new() -> Rescue {
        Rescue { areas: Vec::new(), skip: 0, in_a_row: 0, patient: false, cost: 0, taken: None }
    }

    /// Whether nothing is set aside.
    pub fn is_empty(&self) -> bool {
        self.areas.is_empty()
    }

    /// Where the area ends that this chunk is in.
    pub fn passes(&self, chunk: ChunkIndex) -> Option<ChunkIndex> {
        let area = self.areas.iter().find(|area| (area.first..area.end).contains(&chunk.0))?;
        Some(ChunkIndex(area.end))
    }

    /// Whether what is read now is read in ever smaller pieces where it fails; else it is set aside.
    pub const fn is_patient(&self) -> bool {
        self.patient
    }

    /// Whether the last one was bad, or only bad ones are left. Then one is read at a time: the others would wait
    /// behind what takes seconds.
    pub const fn is_in_trouble(&self) -> bool {
        self.in_a_row > 0 || self.patient
    }

    /// Whether what was found is so bad that nothing more is expected.
    pub const fn is_hopeless(&self) -> bool {
        self.patient && self.in_a_row >= NO_LARGE_ONES + HOPELESS
    }

    /// Whether anything is lost.
    pub fn has_lost(&self) -> bool {
        self.areas.iter().any(|area| area.why == Aside::Lost)
    }

    /// What is next of what is set aside; nothing of what is lost.
    pub fn next(&self) -> Option<Aside> {
        self.areas.iter().map(|area| area.why).min().filter(|why| *why != Aside::Lost)
    }

    /// Takes the next chunk to be read out of what is set aside. Asked for where nothing else is left.
    pub fn take(&mut self) -> Option<ChunkIndex> {
        let why = self.next()?;
        self.patient |= why >= Aside::Slow;
        let at = if why == Aside::Skipped {
            self.areas.iter().rposition(|area| area.why == why)?
        } else {
            self.areas.iter().position(|area| area.why == why)?
        };
        let area = self.areas.get_mut(at)?;
        let chunk = if why == Aside::Skipped {
            area.end = area.end.saturating_sub(1);
            area.end
        } else {
            area.first = area.first.saturating_add(1);
            area.first.saturating_sub(1)
        };
        if area.first >= area.end {
            self.areas.remove(at);
        }
        self.taken = Some(chunk);
        Some(ChunkIndex(chunk))
    }

    /// Whether a chunk was taken that has not ended: a bad disk is asked for one at a time.
    pub const fn is_out(&self) -> bool {
        self.taken.is_some()
    }

    /// The chunk that was taken need not be copied, or not now.
    pub const fn give_back(&mut self) {
        self.taken = None;
    }

    /// A chunk was copied, its slowest read took so long, and the part ends at `end`.
    pub fn was_good(&mut self, chunk: ChunkIndex, took: Nanos, end: u32) {
        self.in_a_row = 0;
        let taken = self.taken.take_if(|taken| *taken == chunk.0);
        if took < SLOW {
            self.skip = 0;
            return;
        }
        self.count(took);
        self.keep_off(chunk.0, taken.is_some(), end);
    }

    /// A chunk was not copied: for this reason, after so long.
    pub fn was_bad(&mut self, chunk: ChunkIndex, why: Aside, took: Nanos, end: u32) {
        self.in_a_row = self.in_a_row.saturating_add(1);
        if why == Aside::Lost && self.in_a_row < NO_LARGE_ONES {
            // Those that were lost before it count, those that had failed do not.
            self.in_a_row = NO_LARGE_ONES;
        }
        self.count(took);
        let taken = self.taken.take_if(|taken| *taken == chunk.0);
        self.remove(chunk.0);
        if self.passes(chunk).is_some() {
            // In the midst of what waits: it waits with that.
            return;
        }
        self.put(Area { first: chunk.0, end: chunk.0.saturating_add(1), why });
        if !self.patient {
            self.keep_off(chunk.0, taken.is_some(), end);
            self.patient = self.in_a_row >= NO_LARGE_ONES;
        }
    }

    /// How much is set aside.
    pub fn set_aside(&self) -> SetAside {
        let mut all = SetAside { areas: self.areas.len() as u64, ..SetAside::default() };
        let mut reads = 0_u64;
        for area in &self.areas {
            let chunks = u64::from(area.end.saturating_sub(area.first));
            all.chunks = all.chunks.saturating_add(chunks);
            let each = match area.why {
                Aside::Lost => 0,
                Aside::Failed => READS_OF_FAILED,
                _ => 1,
            };
            reads = reads.saturating_add(chunks.saturating_mul(each));
        }
        all.time = Nanos(reads.saturating_mul(self.cost));
        all
    }

    fn count(&mut self, took: Nanos) {
        self.cost = if self.cost == 0 { took.0 } else { self.cost / 4 * 3 + took.0 / 4 };
    }

    /// What is next to a bad chunk waits: what comes after it, and what was skipped before it.
    fn keep_off(&mut self, chunk: u32, taken: bool, end: u32) {
        let before =
            self.areas.iter_mut().find(|area| area.end == chunk && area.why == Aside::Skipped);
        if let Some(area) = before {
            area.why = Aside::Between;
        }
        let first = chunk.saturating_add(1);
        if self.skip == 0 {
            // One alone is no run yet.
            self.skip = 1;
            return;
        }
        if taken || first >= end || self.passes(ChunkIndex(first)).is_some() {
            return;
        }
        let next = self.areas.iter().map(|area| area.first).find(|other| *other > first);
        let last = first.saturating_add(self.skip).min(end).min(next.unwrap_or(end));
        self.put(Area { first, end: last, why: Aside::Skipped });
        self.skip = self.skip.saturating_mul(2).min(MOST_SKIPPED);
    }

    /// Takes a chunk out that is at an end of its area: a request had it copied meanwhile.
    fn remove(&mut self, chunk: u32) {
        let at = self.areas.iter().position(|area| (area.first..area.end).contains(&chunk));
        let Some(at) = at else { return };
        if let Some(area) = self.areas.get_mut(at) {
            if area.first == chunk {
                area.first = chunk.saturating_add(1);
            } else if area.end == chunk.saturating_add(1) {
                area.end = chunk;
            }
            if area.first >= area.end {
                self.areas.remove(at);
            }
        }
    }

    /// Adds an area that overlaps no other.
    fn put(&mut self, area: Area) {
        let at = self.areas.partition_point(|other| other.first < area.first);
        if let Some(before) = at.checked_sub(1).and_then(|at| self.areas.get_mut(at))
            && before.end == area.first
            && before.why == area.why
        {
            before.end = area.end;
            return;
        }
        if let Some(after) = self.areas.get_mut(at)
            && after.first == area.end
            && after.why == area.why
        {
            after.first = area.first;
            return;
        }
        if self.areas.insert(at, area).is_ok() {
            return;
        }
        // Too many: what lies between it and a neighbour is read with patience as well.
        self.patient = true;
        let at = at.min(self.areas.len().saturating_sub(1));
        if let Some(neighbour) = self.areas.get_mut(at) {
            neighbour.first = neighbour.first.min(area.first);
            neighbour.end = neighbour.end.max(area.end);
            if area.why != Aside::Lost || neighbour.why != Aside::Lost {
                neighbour.why = Aside::Failed;
            }
        }
    }
}

impl Default for Rescue {
    fn default() -> Rescue {
        Rescue::new()
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
