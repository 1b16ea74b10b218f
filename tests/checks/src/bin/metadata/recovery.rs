//! Power cuts in the commits of a move, of its recovery, of the recovery after that, and so on: what
//! is read is what was acted upon, or what was being written; and left alone, the move ends.

use std::collections::{HashMap, HashSet};

use lvshift_core::metadata::{Found, FoundSlot, choose};
use lvshift_core::mover::{Action, Event, Live, Mover, Outcome};
use lvshift_core::units::{Le, LvIndex, PvIndex, Uuid};
use lvshift_frontend_common::error::Error;
use lvshift_frontend_common::vg::{Hold, OpenVg};

use super::disk::{self, Disk, Op, SECTOR, SLOTS};
use super::findings::Findings;
use super::history::{History, MOVE, PVS, apply};

/// A slot, as far as a reader's choice can depend on it: how far behind the newest, and its payload.
type SlotKey = Option<(u64, u32)>;
type Key = [[SlotKey; 2]; PVS];

/// A payload's checksum: what the metadata mean, whatever their sequence number.
type Meaning = u32;

/// A commit that the power may fail in.
struct Cut {
    before: Vec<Disk>,
    ops: Vec<Op>,
    /// What counted before; none before a VG's first.
    old: Option<Meaning>,
    new: Meaning,
}

/// How the recovery is asked to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// `pvmove`.
    CarryOn,
    /// `pvmove --abort`.
    Abort,
}

/// The walk over all disks that power cuts leave.
pub(crate) struct Walk<'a> {
    history: &'a History,
    seen: HashSet<Key>,
    /// The next layer: disks, and what must be read of them.
    found: HashMap<Key, Vec<Disk>>,
}

impl<'a> Walk<'a> {
    /// Walks to this depth: 0 is a power cut in the move itself. Returns how deep there was anything new.
    pub(crate) fn run(history: &'a History, depth: u32, findings: &mut Findings) -> u32 {
        let mut walk = Walk { history, seen: HashSet::new(), found: HashMap::new() };
        for step in &history.steps {
            let meaning = |disks: &[Disk]| read(history.vg, disks).map(|(_, meaning)| meaning);
            let cut = Cut {
                before: step.before.clone(),
                ops: step.ops.clone(),
                old: meaning(&step.before),
                new: meaning(&step.after).unwrap_or(0),
            };
            walk.cut(&cut, findings);
        }
        let mut reached = 0;
        for layer in 0..=depth {
            let mut todo: Vec<(Key, Vec<Disk>)> = walk.found.drain().collect();
            // What is wrong may have no end.
            if todo.is_empty() || findings.is_wrong() {
                break;
            }
            todo.sort_by_key(|(key, _)| *key);
            findings.add("metadata-crash-states", todo.len() as u64);
            reached = layer;
            for (_, disks) in todo {
                for way in [Way::CarryOn, Way::Abort] {
                    let cuts = walk.recover(&disks, way, findings);
                    // A crash in the last recovery would be one more than was asked for.
                    if layer < depth {
                        cuts.iter().for_each(|cut| walk.cut(cut, findings));
                    }
                }
            }
        }
        reached
    }

    /// The power fails at every step of a commit; of each PV's unflushed write arrived nothing, its
    /// beginning, its end, or all.
    fn cut(&mut self, cut: &Cut, findings: &mut Findings) {
        let found: [Vec<Shown>; PVS] = std::array::from_fn(|pv| Shown::all(cut, pv));
        for point in 0..=cut.ops.len() {
            let mut written = [0; PVS];
            let mut durable = [0; PVS];
            for op in &cut.ops[..point] {
                match op {
                    Op::Write { disk, .. } => written[*disk] += 1,
                    Op::Flush { disk } => durable[*disk] = written[*disk],
                }
            }
            let shown: [&Shown; PVS] = std::array::from_fn(|pv| &found[pv][durable[pv]]);
            // Between two writes to one PV there is a flush.
            let ways: [&[usize]; PVS] = std::array::from_fn(|pv| match written[pv] - durable[pv] {
                0 => &[0][..],
                _ => &[0, 1, 2, ALL],
            });
            for index in 0..ways.iter().map(|ways| ways.len()).product() {
                let mut rest = index;
                let arrived: [usize; PVS] = std::array::from_fn(|pv| {
                    let way = ways[pv][rest % ways[pv].len()];
                    rest /= ways[pv].len();
                    way
                });
                self.left(&shown, arrived, cut, point, findings);
            }
        }
    }

    fn left(
        &mut self,
        shown: &[&Shown; PVS],
        arrived: [usize; PVS],
        cut: &Cut,
        point: usize,
        findings: &mut Findings,
    ) {
        findings.add("metadata-crashes", 1);
        let slots: [[FoundSlot; 2]; PVS] = std::array::from_fn(|pv| shown[pv].slots[arrived[pv]]);
        let found = choice(self.history.vg, &slots).map(|(_, meaning)| meaning);
        let stands = point == cut.ops.len();
        if found != Some(cut.new) && (stands || found != cut.old) {
            findings.broken(|| {
                format!(
                    "{}: after {point} of {} steps of a commit {found:x?} is read; before {:x?}, new {:x}",
                    self.history.name,
                    cut.ops.len(),
                    cut.old,
                    cut.new
                )
            });
        }
        let key = key(&slots);
        if found.is_some() && self.seen.insert(key) {
            let disk = |pv: usize| shown[pv].disks[arrived[pv]].clone();
            self.found.insert(key, (0..PVS).map(disk).collect());
        }
    }

    /// What happens after a power cut: the LV is activated, which makes the PVs agree, and the mover
    /// goes on. Returns its commits.
    fn recover(&self, disks: &[Disk], way: Way, findings: &mut Findings) -> Vec<Cut> {
        disk::show(disks.to_vec());
        findings.add("metadata-recoveries", 1);
        let mut cuts = Vec::new();
        let expected = read(self.history.vg, disks);
        if let Err(what) =
            self.go_on(way, expected.map(|(sequence, _)| sequence), &mut cuts, findings)
        {
            findings.broken(|| format!("{}, {way:?}: {what}", self.history.name));
        }
        cuts
    }

    fn go_on(
        &self,
        way: Way,
        sequence: Option<u64>,
        cuts: &mut Vec<Cut>,
        findings: &mut Findings,
    ) -> Result<(), String> {
        let text = |error: Error| error.to_string();
        let mut vg = OpenVg::open("vg", Hold::Release).map_err(text)?;
        if Some(vg.vg().sequence()) != sequence {
            return Err(format!("opened at {}, not {sequence:?}", vg.vg().sequence()));
        }
        if !vg.health().agrees_on(vg.vg().sequence()) {
            let behind = |vg: &OpenVg| {
                let known = vg.health().pvs.iter().map(|pv| pv.sequence.unwrap_or(0)).min();
                vg.vg().sequence() - known.unwrap_or(0)
            };
            if behind(&vg) > 1 {
                findings.add("metadata-further-behind", 1);
                return Err("a power cut has left a PV two commits behind".into());
            }
            self.commit(cuts, || vg.update_metadata().map_err(text))?;
        }
        let Some(at) = vg.vg().move_by_uuid(MOVE) else { return Ok(()) };
        let state = vg.vg().move_at(at).map(|entry| entry.state).ok_or("no record")?;
        let lvs: Vec<(Uuid, Live)> = vg
            .vg()
            .lvs_of_move(at)
            .iter()
            .filter_map(|lv| Some((vg.vg().lv(*lv)?.uuid, Live::Absent)))
            .collect();
        let mut mover = Mover::recover(state, &lvs).map_err(|error| error.to_string())?;
        if way == Way::Abort {
            mover.handle(Event::AbortRequested);
        }
        let outcome = loop {
            let Some(action) = mover.poll_action() else { return Err("it hangs".into()) };
            match action {
                Action::Finish(outcome) => break outcome,
                Action::Commit(change) => {
                    self.commit(cuts, || vg.commit(|vg| apply(vg, MOVE, change)).map_err(text))?;
                    mover.handle(Event::Done);
                }
                Action::AwaitCopy => mover.handle(Event::CopyEqual),
                _ => mover.handle(Event::Done),
            }
        };
        drop(vg);
        let vg = OpenVg::open("vg", Hold::Release).map_err(text)?;
        let place = vg.vg().place_of(LvIndex(0), Le(0)).map(|place| place.pv);
        let side = match outcome {
            Outcome::Moved => PvIndex(1),
            Outcome::Aborted(_) => PvIndex(0),
            other => return Err(format!("it ends as {other:?}")),
        };
        let agree = vg.health().agrees_on(vg.vg().sequence());
        if place != Some(side) || vg.vg().move_by_uuid(MOVE).is_some() || !agree {
            return Err(format!("it ends as {outcome:?} and the LV lies on {place:?}"));
        }
        findings.add("metadata-converged", 1);
        Ok(())
    }

    fn commit(
        &self,
        cuts: &mut Vec<Cut>,
        run: impl FnOnce() -> Result<(), String>,
    ) -> Result<(), String> {
        let before = disk::now();
        let _ = disk::done();
        run()?;
        let meaning = |disks: &[Disk]| read(self.history.vg, disks).map(|(_, meaning)| meaning);
        let new = meaning(&disk::now()).ok_or("nothing can be read after a commit")?;
        cuts.push(Cut { old: meaning(&before), before, ops: disk::done(), new });
        Ok(())
    }
}

/// All of a write has arrived.
const ALL: usize = 3;

/// A PV after a power cut, by how much of the write that is not durable has arrived: nothing, its first
/// sector, all but that, all.
struct Shown {
    disks: [Disk; 4],
    slots: [[FoundSlot; 2]; 4],
}

impl Shown {
    /// By how many of the commit's writes to this PV are durable; the next one arrives in any way.
    fn all(cut: &Cut, pv: usize) -> Vec<Shown> {
        let mut durable = cut.before[pv].clone();
        let mut all = Vec::new();
        for op in &cut.ops {
            if let Op::Write { disk, start, bytes } = op
                && *disk == pv
            {
                let mut disks: [Disk; 4] = std::array::from_fn(|_| durable.clone());
                disks[1].write(*start, &bytes[..SECTOR]);
                disks[2].write(start + 1, &bytes[SECTOR..]);
                disks[ALL].write(*start, bytes);
                durable = disks[ALL].clone();
                all.push(Shown::of(disks));
            }
        }
        all.push(Shown::of(std::array::from_fn(|_| durable.clone())));
        all
    }

    fn of(disks: [Disk; 4]) -> Shown {
        let slots = std::array::from_fn(|way| slots(&disks[way]));
        Shown { disks, slots }
    }
}

fn slots(disk: &Disk) -> [FoundSlot; 2] {
    SLOTS.map(|start| FoundSlot::read(&disk.raw(start, 8192)))
}

/// The sequence number and the meaning of what the core chooses.
fn read(vg: Uuid, disks: &[Disk]) -> Option<(u64, Meaning)> {
    choice(vg, &disks.iter().map(slots).collect::<Vec<_>>())
}

fn choice(vg: Uuid, slots: &[[FoundSlot; 2]]) -> Option<(u64, Meaning)> {
    let found: Vec<Found> =
        (1u8..).zip(slots).map(|(pv, slots)| Found { pv: Uuid([pv; 16]), slots: *slots }).collect();
    let choice = choose(vg, &found).ok()?;
    match found.get(choice.device)?.slots.get(choice.slot as usize)? {
        FoundSlot::Valid(header) => Some((header.sequence, header.payload_crc)),
        _ => None,
    }
}

/// Disks that differ in nothing but how high the sequence numbers are count once.
fn key(all: &[[FoundSlot; 2]; PVS]) -> Key {
    let sequence = |slot: &FoundSlot| match slot {
        FoundSlot::Valid(header) => header.sequence,
        _ => 0,
    };
    let newest = all.iter().flatten().map(sequence).max().unwrap_or(0);
    all.map(|slots| {
        slots.map(|slot| match slot {
            FoundSlot::Valid(header) => Some((newest - header.sequence, header.payload_crc)),
            _ => None,
        })
    })
}
