//! Every slot that every commit of a move writes, torn: each sector that the write changes may have
//! arrived or not.

use lvshift_checks::sim::rng::Rng;
use lvshift_core::metadata::{ChooseError, Found, FoundSlot, choose};
use lvshift_core::units::Uuid;
use lvshift_on_disk_format::SlotHeader;

use super::disk::{Disk, Op, SECTOR, SLOTS};
use super::findings::Findings;
use super::history::{History, PVS, Step, decode};

/// Up to so many changed sectors all subsets are tried.
const ALL_SUBSETS: usize = 16;
/// How many random subsets are tried of more.
const RANDOM: u64 = 4_000;

/// What lay in the slot before the write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Under {
    /// What the commits before left there.
    AsItWas,
    /// Bytes of somebody else, which differ in every sector.
    Leftover,
}

/// What a reader makes of a slot: the interesting ones only.
#[derive(Clone, Debug, Default)]
struct Seen {
    slots: Vec<FoundSlot>,
}

impl Seen {
    fn add(&mut self, slot: FoundSlot) {
        let known = self.slots.iter().any(|other| match (other, slot) {
            (FoundSlot::Bad(_), FoundSlot::Bad(_)) => true,
            (other, slot) => *other == slot,
        });
        if !known {
            self.slots.push(slot);
        }
    }
}

/// Tears all commits of a history.
pub(crate) fn run(history: &History, under: Under, pvs: usize, findings: &mut Findings) {
    for step in &history.steps {
        let mut seen: Vec<Option<(usize, Seen)>> = vec![None; PVS];
        for op in &step.ops {
            let Op::Write { disk, start, bytes } = op else { continue };
            let Some(slot) = SLOTS.iter().position(|at| at == start) else {
                findings.broken(|| format!("{}: a write outside the slots at {start}", step.name));
                continue;
            };
            if *disk < pvs {
                let what = format!("{}, {}, PV {disk}", history.name, step.name);
                let found = tear(&step.before[*disk], *start, bytes, under, &what, findings);
                seen[*disk] = Some((slot, found));
                decodes_to_new(step, *disk, bytes, findings);
            }
        }
        if pvs == PVS && under == Under::AsItWas {
            together(history, step, &seen, findings);
        }
    }
}

/// Every subset of the changed sectors, or of too many of them those that are most likely.
fn tear(
    base: &Disk,
    start: u64,
    new: &[u8],
    under: Under,
    what: &str,
    findings: &mut Findings,
) -> Seen {
    // As far as a reader of the old slot would read.
    let room = new.len().max(64 << 10);
    let mut old = base.raw(start, room);
    if under == Under::Leftover {
        let mut rng = Rng::new(start);
        old.iter_mut().for_each(|byte| *byte = rng.next() as u8);
    }
    let mut full = old.clone();
    full[..new.len()].copy_from_slice(new);
    let changed: Vec<usize> = (0..new.len() / SECTOR)
        .filter(|at| old[at * SECTOR..][..SECTOR] != full[at * SECTOR..][..SECTOR])
        .collect();
    let mut torn = Torn { old: &old, full: &full, changed: &changed, what, seen: Seen::default() };
    let mut image = old.clone();
    if changed.len() <= ALL_SUBSETS {
        // In the order of a Gray code: one sector changes at a time.
        let mut mask = 0u32;
        torn.look(&image, findings);
        for number in 1u32..1 << changed.len() {
            let bit = number.trailing_zeros() as usize;
            mask ^= 1 << bit;
            torn.put(&mut image, bit, mask >> bit & 1 == 1);
            torn.look(&image, findings);
        }
        findings.add("metadata-torn-writes", 1);
    } else {
        sample(&mut torn, findings);
        findings.add("metadata-torn-sampled", 1);
    }
    let seen = torn.seen;
    if !seen.slots.contains(&FoundSlot::read(&full)) {
        findings.broken(|| format!("{what}: the whole write was not among what was tried"));
    }
    seen
}

struct Torn<'a> {
    old: &'a [u8],
    full: &'a [u8],
    /// The sectors that the write changes.
    changed: &'a [usize],
    what: &'a str,
    seen: Seen,
}

impl Torn<'_> {
    fn put(&self, image: &mut [u8], bit: usize, new: bool) {
        let at = self.changed[bit] * SECTOR;
        let from = if new { self.full } else { self.old };
        image[at..at + SECTOR].copy_from_slice(&from[at..at + SECTOR]);
    }

    /// Exactly old, exactly new, or known to be neither.
    fn look(&mut self, image: &[u8], findings: &mut Findings) {
        let found = FoundSlot::read(image);
        let whole = |of: &[u8], header: SlotHeader| {
            let size = SlotHeader::SIZE + header.payload_size as usize;
            image.get(..size).is_some_and(|bytes| of.get(..size) == Some(bytes))
        };
        let right = match found {
            FoundSlot::Bad(_) => true,
            FoundSlot::Blank => image[..SlotHeader::SIZE] == self.old[..SlotHeader::SIZE],
            FoundSlot::Valid(header) => whole(self.old, header) || whole(self.full, header),
        };
        if !right {
            findings.broken(|| format!("{}: a torn write reads as {found:?}", self.what));
        }
        self.seen.add(found);
        findings.add("metadata-torn-images", 1);
    }

    fn subset(&mut self, arrived: impl Fn(usize) -> bool, findings: &mut Findings) {
        let mut image = self.old.to_vec();
        for bit in 0..self.changed.len() {
            self.put(&mut image, bit, arrived(bit));
        }
        self.look(&image, findings);
    }
}

/// All prefixes, all suffixes, one or two sectors that are missing or alone, and random subsets.
fn sample(torn: &mut Torn<'_>, findings: &mut Findings) {
    let count = torn.changed.len();
    for end in 0..=count {
        torn.subset(|bit| bit < end, findings);
        torn.subset(|bit| bit >= end, findings);
    }
    for one in 0..count {
        for two in one..count {
            torn.subset(|bit| bit == one || bit == two, findings);
            torn.subset(|bit| bit != one && bit != two, findings);
        }
    }
    let mut rng = Rng::new(7);
    for _ in 0..RANDOM {
        let words: Vec<u64> = (0..count.div_ceil(64)).map(|_| rng.next()).collect();
        torn.subset(|bit| words[bit / 64] >> (bit % 64) & 1 == 1, findings);
    }
}

fn decodes_to_new(step: &Step, disk: usize, bytes: &[u8], findings: &mut Findings) {
    let Some((vg, info)) = decode(bytes) else {
        findings.broken(|| format!("{}: what is written to PV {disk} is no VG", step.name));
        return;
    };
    if vg != step.new || info.pv != Uuid([1 + disk as u8; 16]) {
        findings.broken(|| format!("{}: what is written to PV {disk} is another VG", step.name));
    }
}

/// The power fails at each point of the commit, and each PV's slot may read as anything that tearing
/// has shown: the VG is the old or the new one, and the new one when the commit has been said to stand.
fn together(
    history: &History,
    step: &Step,
    seen: &[Option<(usize, Seen)>],
    findings: &mut Findings,
) {
    let read =
        |disk: usize, slot: usize| FoundSlot::read(&step.before[disk].raw(SLOTS[slot], 64 << 10));
    let before: Vec<[FoundSlot; 2]> = (0..PVS).map(|disk| [read(disk, 0), read(disk, 1)]).collect();
    let old = step.old.as_ref().map(|vg| vg.sequence());
    for point in 0..=step.ops.len() {
        let mut written = [false; PVS];
        let mut flushed = [false; PVS];
        for op in &step.ops[..point] {
            match op {
                Op::Write { disk, .. } => written[*disk] = true,
                Op::Flush { disk } => flushed[*disk] = written[*disk],
            }
        }
        let choices: Vec<Vec<[FoundSlot; 2]>> = (0..PVS)
            .map(|disk| {
                let Some((slot, seen)) = &seen[disk] else { return vec![before[disk]] };
                let mut all = Vec::new();
                for found in &seen.slots {
                    let mut slots = before[disk];
                    slots[*slot] = *found;
                    let new =
                        matches!(found, FoundSlot::Valid(h) if h.sequence == step.new.sequence());
                    if if flushed[disk] { new } else { written[disk] } {
                        all.push(slots);
                    }
                }
                if !written[disk] {
                    all.push(before[disk]);
                }
                all
            })
            .collect();
        for index in 0..choices.iter().map(Vec::len).product() {
            let mut rest = index;
            let found: Vec<Found> = (0u8..)
                .zip(&choices)
                .map(|(disk, of)| {
                    let slots = of[rest % of.len()];
                    rest /= of.len();
                    Found { pv: Uuid([1 + disk; 16]), slots }
                })
                .collect();
            let chosen = choose(history.vg, &found);
            let stands = point == step.ops.len();
            let right = match chosen {
                Ok(choice) if choice.sequence == step.new.sequence() => point > 0,
                Ok(choice) => !stands && Some(choice.sequence) == old,
                Err(ChooseError::NoMetadata) => !stands && old.is_none(),
                Err(_) => false,
            };
            findings.add("metadata-torn-commits", 1);
            if !right {
                findings.broken(|| {
                    format!("{}, {}, after {point} steps: {chosen:?}", history.name, step.name)
                });
            }
        }
    }
}
