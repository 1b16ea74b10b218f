//! The world of one run: disks, the ublk driver, rings, threads, the application, the oracle.

use std::collections::VecDeque;
use std::rc::Rc;

use lvshift_frontend_common::vg::Vg;
use lvshift_ublk::platform::sim::{Completion, Io, IoOp, RingLoop};

use super::client::Op;
use super::disk::Disk;
use super::oracle::{Moment, Oracle};
use super::rng::Rng;
use super::template::Template;
use super::view::{SlotView, Spot, View, newest};

/// What happens to a world in one run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Requests that the application makes in all.
    pub requests: u32,
    /// How many of them at once.
    pub depth: usize,
    /// Queue threads.
    pub queues: u16,
    /// The write policy is device-mapper's.
    pub source_first: bool,
    /// The copy is paced by the application's latencies.
    pub paced: bool,
    /// The destination may stop to answer the daemon, whose deadline is one of time then.
    pub silent: bool,
    /// Moves are verified, and the copier's writes silently flip a bit now and then.
    pub flips: bool,
    /// So many system calls of the daemon's fail between one boot and the next.
    pub calls: u32,
    /// Two hosts see the disks.
    pub hosts: bool,
    /// Disks that zero by themselves, as bits.
    pub zeroes: u8,
    /// What goes wrong, once in so many steps where it can; 0: nothing ever does.
    pub faults: u64,
    /// Somebody wants the move undone, or left, once in so many steps; 0: never.
    pub wishes: u64,
}

/// The end of a process, at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The power fails.
    Power,
    /// The daemon is killed.
    Daemon,
    /// The mover is killed.
    Mover,
    /// Both are.
    Both,
}

/// An entry of a ring that is under way.
pub struct Pending {
    pub(super) ring: u32,
    pub(super) io: Io,
    /// Its end, once the disk is done with it.
    pub(super) done: Option<Completion>,
    /// Whoever issued it is dead.
    pub(super) orphaned: bool,
}

/// A thread of the daemon.
pub struct Thread {
    pub(super) ring: u32,
    pub(super) name: String,
    pub(super) work: Option<Box<dyn RingLoop>>,
    /// When it looks up by itself.
    pub(super) timer: Option<u64>,
    pub(super) ended: bool,
}

/// An LV's ublk device.
#[derive(Clone, Debug)]
pub struct Ublk {
    pub(super) id: u32,
    /// Which LV it is.
    pub(super) lv: usize,
    pub(super) queues: u16,
    pub(super) sectors: u64,
    /// Requests go to the daemon.
    pub(super) live: bool,
    /// Its daemon is dead.
    pub(super) orphaned: bool,
}

/// A fetch that a queue has posted for a tag.
#[derive(Clone, Debug)]
pub struct Posted {
    pub(super) ring: u32,
    /// The device's number.
    pub(super) device: u32,
    pub(super) user: u64,
    pub(super) queue: u16,
    pub(super) tag: u16,
    pub(super) at: usize,
}

/// Everything that changes.
pub struct Inner {
    pub(super) rng: Rng,
    pub(super) plan: Plan,
    pub(super) moment: Moment,
    pub(super) clock: u64,
    pub(super) disks: Vec<Disk>,
    /// Who holds each disk alone: which daemon.
    pub(super) holders: Vec<Option<u64>>,
    pub(super) slots: Vec<[SlotView; 2]>,
    pub(super) scratch: Vg,
    pub(super) oracle: Oracle,
    /// Which LV sector each data sector of each disk may hold.
    pub(super) owners: Vec<Vec<Option<u32>>>,
    pub(super) rings: Vec<VecDeque<Completion>>,
    pub(super) pending: Vec<Pending>,
    pub(super) posted: Vec<Posted>,
    pub(super) threads: Vec<Thread>,
    pub(super) ublk: Vec<Ublk>,
    pub(super) next_device: u32,
    /// The LV that is being activated.
    pub(super) activates: usize,
    /// The first sector of each LV, and where the last one ends.
    pub(super) bases: Vec<u32>,
    pub(super) ops: Vec<Op>,
    pub(super) next_op: u32,
    pub(super) left: u32,
    pub(super) requests: VecDeque<lvshift_frontend_common::requests::Request>,
    pub(super) in_daemon: u32,
    /// The daemon ends by its own will.
    pub(super) aborts: bool,
    /// System calls that may still fail before the next boot.
    pub(super) calls_left: u32,
    /// Which host this is.
    pub(super) host: u8,
    /// The VG is this host's, on every disk.
    pub(super) owned: bool,
    /// The other host is at it.
    pub(super) stranger: bool,
    /// The mover's process is there.
    pub(super) mover: bool,
    /// The mover was killed while the daemon did what it asked.
    pub(super) mover_dies: bool,
    /// Steps until the crash.
    pub(super) fuel: u64,
    /// Something has gone wrong since the last repair.
    pub(super) broken: bool,
    /// Bits that were flipped silently.
    pub(super) flips: u64,
    /// Something has gone wrong in this run.
    pub(super) ever_broken: bool,
    /// The destination has stopped to answer in this run.
    pub(super) fell_silent: bool,
    /// Wishes of somebody in this run.
    pub(super) wishes_made: u64,
    pub(super) crash: Option<Crash>,
    pub(super) steps: u64,
    /// What changed since the last look: LV sectors, or everything.
    pub(super) touched: u128,
    pub(super) touched_all: bool,
    pub(super) newest: Vec<Option<Rc<View>>>,
    pub(super) journal: bool,
    pub(super) points: u64,
    pub(super) trace: Option<Vec<String>>,
    pub(super) failure: Option<String>,
}

impl Inner {
    /// A world that is a copy of a template.
    pub fn new(template: &Template, plan: Plan, seed: u64, traced: bool) -> Inner {
        let mut disks = template.disks.clone();
        let view = template.slots.iter().flatten().filter_map(|slot| slot.durable.clone());
        let view = view.max_by_key(|view| view.sequence).expect("a VG");
        let mut owners: Vec<Vec<Option<u32>>> = disks
            .iter()
            .map(|disk| vec![None; (disk.sectors - disk.data_start) as usize])
            .collect();
        let mut rng = Rng::new(seed);
        // Time passes in leaps: any disk may be late then.
        let ever_broken = plan.silent;
        let mut values = Vec::new();
        for (sector, spot) in (0u32..).zip(&view.homes) {
            let value = u64::from(sector) + 1;
            disks[usize::from(spot.disk)].format(spot.at, value);
            owners[usize::from(spot.disk)][spot.at as usize] = Some(sector);
            values.push(value);
        }
        for part in &view.parts {
            for at in 0..part.count {
                let spot = part.destination;
                owners[usize::from(spot.disk)][(spot.at + at) as usize] = Some(part.first + at);
                // What stood there before is nobody's business.
                let old = 0xDEAD << 32 | rng.below(1 << 16);
                disks[usize::from(spot.disk)].format(spot.at + at, old);
            }
        }
        Inner {
            rng,
            moment: 1,
            clock: 0,
            holders: vec![None; disks.len()],
            disks,
            slots: template.slots.clone(),
            scratch: Vg::empty(),
            oracle: Oracle::new(values.into_iter()),
            owners,
            rings: Vec::new(),
            pending: Vec::new(),
            posted: Vec::new(),
            threads: Vec::new(),
            ublk: Vec::new(),
            next_device: 0,
            activates: 0,
            bases: template.bases.clone(),
            ops: Vec::new(),
            next_op: 1,
            left: plan.requests,
            plan,
            requests: VecDeque::new(),
            in_daemon: 0,
            aborts: false,
            calls_left: 0,
            host: 0,
            owned: false,
            stranger: false,
            mover: false,
            mover_dies: false,
            fuel: u64::MAX,
            broken: false,
            ever_broken,
            fell_silent: false,
            flips: 0,
            wishes_made: 0,
            crash: None,
            steps: 0,
            touched: 0,
            touched_all: true,
            newest: Vec::new(),
            journal: true,
            points: 0,
            trace: traced.then(Vec::new),
            failure: None,
        }
    }

    /// A line for whoever replays the run.
    pub(super) fn say(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:6} {}", self.moment, line()));
        }
    }

    /// Something broke a promise. The first one counts.
    pub(super) fn fail(&mut self, what: String) {
        self.say(|| format!("BROKEN: {what}"));
        if self.failure.is_none() {
            self.failure = Some(what);
        }
    }

    /// The sectors of an LV.
    pub(super) fn sectors_of(&self, lv: usize) -> std::ops::Range<u32> {
        self.bases[lv]..self.bases[lv + 1]
    }

    /// The device of this number.
    pub(super) fn device(&self, id: u32) -> Option<&Ublk> {
        self.ublk.iter().find(|ublk| ublk.id == id)
    }

    pub(super) fn touch(&mut self, disk: usize, start: u64, sectors: u64) {
        let first = self.disks[disk].data_start;
        if start < first {
            self.touched_all = true;
            return;
        }
        for at in start - first..start - first + sectors {
            if let Some(Some(sector)) = self.owners[disk].get(at as usize) {
                self.touched |= 1 << sector;
            }
        }
    }

    /// One moment at which the power could fail: whatever survives of the caches, does every
    /// sector read what it may? Every subset is covered, since sectors survive independently.
    pub(super) fn look(&mut self) {
        if (self.touched == 0 && !self.touched_all) || self.failure.is_some() {
            return;
        }
        if self.touched_all {
            self.excuse();
            newest(&self.slots, &mut self.newest);
        }
        let views = std::mem::take(&mut self.newest);
        for view in &views {
            self.points += 1;
            let Some(view) = view else {
                self.fail("after a power cut no metadata could be read".to_owned());
                break;
            };
            for (sector, spot) in view.homes.iter().enumerate() {
                if self.touched_all || self.touched >> sector & 1 == 1 {
                    self.look_at(view, sector, *spot);
                }
            }
            // A log that was written in good faith lies of what a disk has flipped; the next boot compares, too.
            if self.journal && !self.plan.flips {
                self.look_at_log(view);
            }
        }
        self.newest = views;
        self.touched = 0;
        self.touched_all = false;
    }

    fn look_at(&mut self, view: &View, sector: usize, spot: Spot) {
        let mut bad = None;
        self.each_survivor(spot, |value| {
            if bad.is_none() && !self.oracle.survives(sector, value) {
                bad = Some(value);
            }
        });
        if let Some(value) = bad {
            let complaint = self.oracle.complaint(sector, value);
            self.fail(format!(
                "a power cut now could lose what was flushed: by the metadata {} ({}) it is \
                 read from disk {} data sector {}: {complaint}",
                view.sequence,
                view.states(),
                spot.disk,
                spot.at
            ));
        }
    }

    /// Everything that a data sector may hold after a power cut now.
    pub(super) fn each_survivor(&self, spot: Spot, mut see: impl FnMut(u64)) {
        let disk = &self.disks[usize::from(spot.disk)];
        disk.data(spot.at).survivors().for_each(|value| see(*value));
        let sector = disk.data_start + u64::from(spot.at);
        for pending in self.pending.iter().filter(|pending| pending.done.is_none()) {
            if pending.disk() != Some(u32::from(spot.disk)) {
                continue;
            }
            match &pending.io.op {
                IoOp::Write { offset, data, .. } => {
                    let first = offset / 512;
                    if (first..first + data.len() as u64 / 512).contains(&sector) {
                        let at = (sector - first) as usize * 512;
                        let mut number = [0; 8];
                        number.copy_from_slice(&data[at..at + 8]);
                        see(u64::from_le_bytes(number));
                    }
                }
                IoOp::Zero { offset, len, .. } | IoOp::Discard { offset, len }
                    if (offset / 512..(offset + len) / 512).contains(&sector) =>
                {
                    see(0);
                }
                _ => {}
            }
        }
    }

    /// A chunk that the log may call clean must be equal on both legs, whatever survives.
    fn look_at_log(&mut self, view: &View) {
        for part in view.copying() {
            for chunk in 0..part.count.div_ceil(part.chunk) {
                let first = part.first + chunk * part.chunk;
                let end = (first + part.chunk).min(part.first + part.count);
                let mask = (1u128 << end) - (1u128 << first);
                if !self.touched_all && self.touched & mask == 0 {
                    continue;
                }
                if !self.may_be_clean(part.destination.disk, part.bits, chunk) {
                    continue;
                }
                for at in first - part.first..end - part.first {
                    let (mut value, mut differ) = (None, false);
                    for leg in [part.source, part.destination] {
                        let spot = Spot { at: leg.at + at, ..leg };
                        self.each_survivor(spot, |found| {
                            differ |= value.is_some_and(|value| value != found);
                            value = Some(found);
                        });
                    }
                    if differ {
                        self.fail(format!(
                            "a power cut now could leave a log that lies: chunk {chunk} may be \
                             clean, and its sector {at} of the part may differ on the legs"
                        ));
                        return;
                    }
                }
            }
        }
    }

    fn may_be_clean(&self, disk: u8, bits: u64, chunk: u32) -> bool {
        let (sector, byte) = (bits + u64::from(chunk / 8) / 512, chunk as usize / 8 % 512);
        let bit = |bytes: &[u8]| bytes[byte] >> (chunk % 8) & 1 == 1;
        let disk_now = &self.disks[usize::from(disk)];
        let stored = disk_now.meta(sector).is_some_and(|cell| {
            cell.survivors().any(|content| content.as_ref().is_some_and(|bytes| bit(&bytes[..])))
        });
        stored
            || self.pending.iter().filter(|pending| pending.done.is_none()).any(|pending| {
                let IoOp::Write { offset, data, .. } = &pending.io.op else { return false };
                let first = offset / 512;
                pending.disk() == Some(u32::from(disk))
                    && (first..first + data.len() as u64 / 512).contains(&sector)
                    && bit(&data[(sector - first) as usize * 512..])
            })
    }

    /// The power is gone: decides what survives. No process is left.
    pub(super) fn power_cut(&mut self) {
        self.say(|| "the power fails".to_owned());
        for pending in std::mem::take(&mut self.pending) {
            if pending.done.is_none() && self.rng.one_in(2) {
                self.land(&pending.io);
            }
        }
        let rng = &mut self.rng;
        self.disks.iter_mut().for_each(|disk| disk.crash(rng));
        for slot in self.slots.iter_mut().flatten() {
            slot.cached.clear();
        }
        self.reread_slots();
        self.ublk.clear();
        self.holders = vec![None; self.disks.len()];
        self.posted.clear();
        self.ops.clear();
        self.requests.clear();
        self.rings.iter_mut().for_each(VecDeque::clear);
        self.touched_all = true;
        newest(&self.slots, &mut self.newest);
        let Some(Some(view)) = self.newest.first().cloned() else {
            self.fail("after the power cut no metadata can be read".to_owned());
            return;
        };
        self.say(|| format!("the newest metadata are {} ({})", view.sequence, view.states()));
        for (sector, spot) in view.homes.iter().enumerate() {
            let value = *self.disks[usize::from(spot.disk)].data(spot.at).now();
            if !self.oracle.survives(sector, value) {
                let complaint = self.oracle.complaint(sector, value);
                self.fail(format!("the power cut has lost what was flushed: {complaint}"));
            }
            self.oracle.found(sector, value);
        }
    }

    /// Decodes what really stands in the slots.
    pub(super) fn reread_slots(&mut self) {
        for (disk, slots) in self.disks.iter().zip(&mut self.slots) {
            for (slot, start) in slots.iter_mut().zip(super::template::SLOTS) {
                let mut bytes = vec![0; 16 << 10];
                let read = disk.read(start, &mut bytes);
                slot.durable = read.ok().and_then(|()| View::decode(&mut self.scratch, &bytes));
            }
        }
    }

    /// Half of a write that nobody waits for any more, or all of it.
    pub(super) fn land(&mut self, io: &Io) {
        let lvshift_ublk::platform::sim::Handle::Disk(disk) = &*io.file else { return };
        let disk = *disk as usize;
        match &io.op {
            IoOp::Write { offset, data, .. } => {
                let _ = self.disks[disk].write(offset / 512, data);
                self.touch(disk, offset / 512, data.len() as u64 / 512);
            }
            IoOp::Zero { offset, len, .. } => {
                let _ = self.disks[disk].zero(offset / 512, len / 512);
                self.touch(disk, offset / 512, len / 512);
            }
            _ => {}
        }
    }
}

impl Pending {
    pub(super) fn disk(&self) -> Option<u32> {
        match &*self.io.file {
            lvshift_ublk::platform::sim::Handle::Disk(disk) => Some(*disk),
            _ => None,
        }
    }
}
