//! Commits that do without PVs: of a VG's PVs so many are missing or fail at once, others each time, and the
//! power fails between. One line of changes, and never two; and what a PV holds is right about its own extents.

use std::collections::{BTreeMap, BTreeSet};

use lvshift_checks::sim::rng::Rng;
use lvshift_core::metadata::{
    AllocRequest, Area, Change, Lag, MovePart, MoveRequest, MoveState, Name, Policy,
};
use lvshift_core::units::{ExtentSize, Extents, PvIndex, Uuid};
use lvshift_frontend_common::error::{Error, Kind};
use lvshift_frontend_common::simulation;
use lvshift_frontend_common::vg::{Hold, OpenVg, Vg};

use super::disk::{self, Disk, Op, Trouble};
use super::findings::Findings;

/// A PV: what is durable, and what stands in its cache behind that.
#[derive(Clone, Default)]
struct Pv {
    durable: Disk,
    cache: Vec<(u64, Vec<u8>)>,
}

impl Pv {
    fn shown(&self) -> Disk {
        let mut disk = self.durable.clone();
        self.cache.iter().for_each(|(start, bytes)| disk.write(*start, bytes));
        disk
    }

    /// The power fails, or a flush does: each write that was not flushed is there or not.
    fn lose(&mut self, rng: &mut Rng) {
        for (start, bytes) in std::mem::take(&mut self.cache) {
            if rng.one_in(2) {
                self.durable.write(start, &bytes);
            }
        }
    }
}

/// An LV is its number, and has one extent on one PV.
type Lvs = BTreeMap<u8, usize>;

/// What must be read.
#[derive(Debug, Default)]
struct Oracle {
    /// Made, and said to be; where its data are.
    there: Lvs,
    /// May have been made or not, since a command failed.
    maybe: Lvs,
    /// May have been removed or not.
    maybe_gone: BTreeSet<u8>,
    /// May have been moved there or not.
    maybe_moved: Lvs,
    /// Made on a PV, or removed from it, by a command that failed, or removed without it: the PV, which has not heard how that was
    /// settled, may, alone, say either. It was not there since, so the LV was not in use.
    ghosts: BTreeSet<(u8, usize)>,
    /// Said to take no changes and to be left, or may have been. Of what lies on these, whoever lacks more than half of the
    /// others may be told an old place.
    leaving: BTreeSet<usize>,
}

impl Oracle {
    /// Whether these LVs are right, as far as they lie on these PVs.
    fn allows(&self, read: &Lvs, on: &dyn Fn(usize) -> bool, alone: bool) -> bool {
        let on = |pv: usize| on(pv) && !(alone && self.leaving.contains(&pv));
        let ghost = |lv: u8, pv: usize| alone && self.ghosts.contains(&(lv, pv));
        let known = |lv: &u8, pv: &usize| {
            let homes = [&self.there, &self.maybe, &self.maybe_moved];
            let listed = homes.iter().any(|of| of.contains_key(lv));
            homes.iter().any(|of| of.get(lv) == Some(pv)) || (!listed && ghost(*lv, *pv))
        };
        let lacks = |lv: u8, pv: usize| {
            let open = self.maybe_gone.contains(&lv) || self.maybe_moved.contains_key(&lv);
            !read.contains_key(&lv) && !open && !ghost(lv, pv)
        };
        read.iter().filter(|(_, pv)| on(**pv)).all(|(lv, pv)| known(lv, pv))
            && !self.there.iter().any(|(lv, pv)| on(*pv) && lacks(*lv, *pv))
    }

    /// A commit stands on this: what was open is settled, and these PVs have heard it.
    fn settle(&mut self, read: &Lvs, heard: &[usize]) {
        let homes = [self.there.clone(), std::mem::take(&mut self.maybe_moved)];
        let mut gone = Vec::new();
        for lv in std::mem::take(&mut self.maybe_gone) {
            gone.extend(homes.iter().filter_map(|of| Some((lv, *of.get(&lv)?))));
        }
        self.ghosts.extend(std::mem::take(&mut self.maybe).into_iter().chain(gone));
        self.ghosts.retain(|(_, pv)| !heard.contains(pv));
        self.there = read.clone();
    }
}

fn lvs(vg: &Vg) -> Lvs {
    let of = |segment: &lvshift_core::metadata::Segment| {
        Some((vg.lv(segment.lv)?.uuid.0[0], usize::from(segment.place.pv.0)))
    };
    vg.segments().iter().filter_map(of).collect()
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    Make {
        lv: u8,
        pv: usize,
    },
    Remove {
        lv: u8,
        pv: usize,
    },
    /// The next step of a move; where there is none, one of this LV is planned.
    Step {
        lv: u8,
        to: usize,
        back: bool,
    },
    Nothing,
    UpdateMetadata,
    /// It takes no changes and is being left.
    Leave {
        pv: usize,
    },
}

impl Ask {
    fn concerns(self, pv: usize) -> bool {
        matches!(self, Ask::Make { pv: of, .. } if of == pv)
    }
}

fn wrong(error: impl ToString) -> Error {
    Error::new(Kind::State, error.to_string())
}

fn change(vg: &mut Vg, ask: Ask) -> Result<(), Error> {
    match ask {
        Ask::Nothing | Ask::UpdateMetadata | Ask::Leave { .. } => Ok(()),
        Ask::Step { lv, to, back } => step(vg, lv, to, back),
        Ask::Make { lv, pv } => {
            let area = Area::whole(PvIndex(pv as u16));
            let request = AllocRequest {
                count: Extents(1),
                areas: &[area],
                avoid: &[],
                policy: Policy::Normal,
                grows: None,
            };
            let runs = vg.allocate(&request).map_err(wrong)?;
            let mut uuid = [0xC0; 16];
            uuid[0] = lv;
            let name = Name::new(&format!("lv{lv}")).map_err(wrong)?;
            vg.add_lv(Uuid(uuid), name, &runs).map(drop).map_err(wrong)
        }
        Ask::Remove { lv, .. } => {
            let mut uuid = [0xC0; 16];
            uuid[0] = lv;
            match vg.lv_by_uuid(Uuid(uuid)) {
                Some(at) => vg.remove_lv(at).map_err(wrong),
                None => Ok(()),
            }
        }
    }
}

fn step(vg: &mut Vg, lv: u8, to: usize, back: bool) -> Result<(), Error> {
    if let Some(of) = vg.moves().first() {
        let change = match of.state {
            MoveState::Queued => Change::Begin,
            MoveState::Copying if back => Change::Aborting,
            MoveState::Copying => Change::Moved,
            MoveState::Moved | MoveState::Aborting => Change::Forget,
        };
        return vg.apply(of.uuid, change).map_err(wrong);
    }
    let mut uuid = [0xC0; 16];
    uuid[0] = lv;
    let lv = vg.lv_by_uuid(Uuid(uuid)).ok_or_else(|| wrong("it is gone"))?;
    let from = vg.segments_of(lv).first().map(|segment| segment.place.pv);
    let from = from.ok_or_else(|| wrong("it lies nowhere"))?;
    if vg.is_leaving(PvIndex(to as u16)) {
        return Err(wrong("nothing is put there"));
    }
    let (sequence, mut next) = (vg.sequence(), 0);
    let request = MoveRequest {
        command: Uuid([0x55; 16]),
        sources: &[Area::whole(from)],
        only_lv: Some(lv),
        destinations: &[Area::whole(PvIndex(to as u16))],
        policy: Policy::Normal,
        atomic: false,
    };
    let planned = vg.plan(&request, &mut || {
        next += 1;
        let mut uuid = [0xE1; 16];
        uuid[..8].copy_from_slice(&(sequence * 16 + next).to_le_bytes());
        Uuid(uuid)
    });
    planned.map_err(wrong)?;
    vg.set_chunk_sectors(lvshift_core::units::MoveIndex(0), 8);
    Ok(())
}

/// What a PV says alone.
struct Held {
    sequence: u64,
    lvs: Lvs,
    moves: bool,
}

/// The sides of moves that have begun.
fn moving(vg: &Vg) -> BTreeSet<usize> {
    let begun =
        |part: &&MovePart| vg.move_at(part.of).is_some_and(|of| of.state != MoveState::Queued);
    let sides = vg.parts().iter().filter(begun).flat_map(|part| [part.source, part.destination]);
    sides.map(|place| usize::from(place.pv.0)).collect()
}

struct World<'a> {
    pvs: Vec<Pv>,
    /// How many fail at once.
    failing: usize,
    oracle: Oracle,
    next: u8,
    rng: Rng,
    findings: &'a mut Findings,
    round: u64,
}

/// Walks so many commits.
pub(crate) fn run(
    pvs: usize,
    failing: usize,
    rounds: u64,
    salt: u8,
    findings: &mut Findings,
) -> Result<(), Error> {
    for start in 0..rounds.div_ceil(60) {
        disk::show(vec![Disk::default(); pvs]);
        for at in 0..pvs {
            simulation::make_pv(&disk::device(at), Uuid([1 + at as u8; 16]))?;
        }
        let name = Name::new("vg").map_err(wrong)?;
        let size = ExtentSize::new(8).ok_or_else(|| wrong("a size"))?;
        drop(simulation::make_vg(Uuid([0x80 + salt; 16]), name, size)?);
        let made = disk::now().into_iter();
        let pvs = made.map(|durable| Pv { durable, cache: Vec::new() }).collect();
        let rng = Rng::new(start << 8 | u64::from(salt));
        let oracle = Oracle::default();
        let mut world = World { pvs, failing, oracle, next: 0, rng, findings, round: 0 };
        for round in 0..60 {
            world.round = round;
            world.commit();
            world.look();
            if world.findings.is_wrong() {
                let what = format!(
                    "{} PVs, {failing} fail, start {start}, round {round}",
                    world.pvs.len()
                );
                world.findings.note(format!("behind: {what}"));
                return Ok(());
            }
        }
    }
    Ok(())
}

impl World<'_> {
    fn ask(&mut self) -> Ask {
        let there: Vec<(u8, usize)> = self.oracle.there.iter().map(|(lv, pv)| (*lv, *pv)).collect();
        match self.rng.below(12) {
            8..=11 if !there.is_empty() => {
                let lv = self.rng.pick(&there).0;
                Ask::Step { lv, to: self.rng.index(self.pvs.len()), back: self.rng.one_in(3) }
            }
            0..=3 if there.len() < 8 && self.next < u8::MAX => {
                self.next += 1;
                Ask::Make { lv: self.next, pv: self.rng.index(self.pvs.len()) }
            }
            0..=5 if !there.is_empty() => {
                let (lv, pv) = self.rng.pick(&there);
                Ask::Remove { lv, pv }
            }
            6 if self.oracle.leaving.is_empty() && self.rng.one_in(2) => {
                Ask::Leave { pv: self.rng.index(self.pvs.len()) }
            }
            6 => Ask::UpdateMetadata,
            _ => Ask::Nothing,
        }
    }

    /// A command on a host on which some PVs are missing or fail, in which the power may fail.
    fn commit(&mut self) {
        let all = self.pvs.len();
        let mut bad = BTreeSet::new();
        for _ in 0..self.rng.index(self.failing + 1) {
            bad.insert(self.rng.index(all));
        }
        let ask = self.ask();
        let leaves = match ask {
            Ask::Leave { pv } => Some(pv),
            _ => None,
        };
        // Now and then a PV that is being left takes changes after all.
        let takes_none: BTreeSet<usize> =
            self.oracle.leaving.iter().copied().chain(leaves).collect();
        let takes_none: BTreeSet<usize> =
            takes_none.into_iter().filter(|_| !self.rng.one_in(6)).collect();
        let (mut at, mut trouble) = (Vec::new(), Vec::new());
        for pv in 0..all {
            let kind = match (bad.contains(&pv), takes_none.contains(&pv)) {
                // Two that go on one after the other, each without the other, make two lines: what is missing shows that.
                (true, false) if !takes_none.is_empty() && self.rng.one_in(2) => 0,
                (true, false) => self.rng.below(5),
                (true, true) => 2 * self.rng.below(2),
                (false, true) => 2,
                (false, false) => 9,
            };
            trouble.push(match kind {
                0 => continue,
                1 => Trouble::Flushes,
                2 => Trouble::Writes { arrive: self.rng.one_in(2) },
                3 | 4 => Trouble::After(self.rng.below(8) as u32),
                _ => Trouble::None,
            });
            at.push(pv);
        }
        let cut = self.rng.one_in(3).then(|| self.rng.below(5 * all as u64) as u32);
        let held: Vec<(usize, Held)> =
            at.iter().filter_map(|pv| Some((*pv, World::held(self.pvs[*pv].shown())?))).collect();
        disk::show_with(at.iter().map(|pv| self.pvs[*pv].shown()).collect(), trouble.clone(), cut);
        self.oracle.leaving.extend(leaves);
        let opened = OpenVg::open("vg", Hold::Release);
        let mut vg = match opened {
            Ok(vg) => vg,
            // More are missing than may be.
            Err(_) if at.len() * 2 <= all => return,
            // Two were cut off, each without the other, and the PV that could tell is not there.
            Err(error) if error.kind == Kind::Inconsistent && at.len() < all => return,
            Err(error) => return self.broken(&format!("{at:?} does not open: {error}")),
        };
        let voters = at.iter().zip(&trouble).filter(|(pv, trouble)| {
            **trouble == Trouble::None && !vg.vg().is_behind(PvIndex(**pv as u16))
        });
        let voters: Vec<usize> = voters.map(|(pv, _)| *pv).collect();
        // Those that more than half are counted of, and whether so many can take this. One that is late, is well and was away no
        // longer than is known is brought up to date first.
        let counts = |pv: &usize| !vg.vg().is_leaving(PvIndex(*pv as u16)) && leaves != Some(*pv);
        let is_late = |(pv, held): &&(usize, Held)| {
            let index = PvIndex(*pv as u16);
            let well = at.iter().zip(&trouble).any(|(of, t)| of == pv && *t == Trouble::None);
            well && vg.vg().is_behind(index) && vg.vg().lag(index, held.sequence) != Lag::Unknown
        };
        let late = held.iter().filter(is_late).map(|(pv, _)| *pv);
        let takers = voters.iter().copied().chain(late).filter(counts).count();
        let enough = takers * 2 > (0..all).filter(counts).count();
        // PVs that are there and lack, since a commit was cut off, what concerns them.
        let before = lvs(vg.vg());
        let lacks = |(pv, held): &(usize, Held)| {
            let on = before.iter().filter(|(_, of)| *of == pv);
            let known = held.lvs.iter().filter(|(lv, of)| *of == pv && before.contains_key(lv));
            let cut_off = held.sequence + 1 == vg.vg().sequence();
            let late = cut_off && !vg.vg().is_behind(PvIndex(*pv as u16));
            let lacks = !on.eq(known);
            let moves = held.moves || !vg.vg().moves().is_empty();
            (late && (moves || lacks)).then_some((*pv, lacks))
        };
        let cut_off: Vec<(usize, bool)> = held.iter().filter_map(lacks).collect();
        let newest = vg.vg().sequence();
        let mut needed = moving(vg.vg());
        let mut moved = Lvs::new();
        let done = match ask {
            Ask::UpdateMetadata => vg.update_metadata(),
            Ask::Leave { pv } => simulation::leave(&mut vg, Uuid([1 + pv as u8; 16])),
            _ => vg.commit(|vg| {
                let before = lvs(vg);
                change(vg, ask)?;
                needed.extend(moving(vg));
                let after = lvs(vg).into_iter();
                moved.extend(after.filter(|(lv, pv)| before.get(lv).is_some_and(|was| was != pv)));
                Ok(())
            }),
        };
        let read = lvs(vg.vg());
        let is_leaving = |pv: &usize| vg.vg().is_leaving(PvIndex(*pv as u16));
        let left: Vec<usize> = (0..all)
            .filter(|pv| vg.vg().is_behind(PvIndex(*pv as u16)) && !is_leaving(pv))
            .collect();
        let leaving: BTreeSet<usize> = (0..all).filter(is_leaving).collect();
        drop(vg);
        if std::env::var_os("LVSHIFT_TRACE").is_some() {
            let outcome = done.as_ref().map_err(ToString::to_string);
            println!("{}: {ask:?} over {at:?}, {trouble:?}, cut {cut:?}: {outcome:?}", self.round);
        }
        self.take_over(&at, &trouble, cut.is_some());
        self.findings.add("metadata-behind-commits", 1);
        // What is left has to be there, to be read, and no more.
        let needed_is_fine = !matches!(ask, Ask::Step { .. })
            && leaves.is_none_or(|pv| at.contains(&pv))
            && (0..all)
                .filter(|pv| leaves != Some(*pv))
                .all(|pv| !(ask.concerns(pv) || needed.contains(&pv)) || voters.contains(&pv))
            && cut_off.iter().all(|(pv, _)| voters.contains(pv) || leaves == Some(*pv));
        match done {
            Ok(()) => {
                if at.len() < all {
                    self.findings.add("metadata-behind-without", 1);
                }
                // What it lacked it got first, for ever.
                let durable = |pv: usize| World::held(self.pvs[pv].durable.clone());
                let heard = |pv| durable(pv).is_some_and(|held| held.sequence >= newest);
                let unheard = |pv: &&usize| cut_off.contains(&(**pv, true)) && !heard(**pv);
                if let Some(pv) = left.iter().find(unheard) {
                    self.broken(&format!("{ask:?} over {at:?}, {trouble:?}: {pv} was left behind"));
                }
                self.findings.add("metadata-behind-leaving", leaving.len() as u64);
                self.oracle.leaving = leaving;
                self.done_right(ask, &read);
                self.oracle.settle(&read, &voters);
            }
            // It makes no sense as things are.
            Err(error) if error.kind == Kind::State => {}
            Err(error) => {
                self.findings.add("metadata-behind-refused", 1);
                if cut.is_none() && enough && needed_is_fine {
                    self.broken(&format!("{ask:?} over {at:?}, {trouble:?}: refused: {error}"));
                }
                match ask {
                    Ask::Make { lv, pv } => drop(self.oracle.maybe.insert(lv, pv)),
                    Ask::Remove { lv, .. } => drop(self.oracle.maybe_gone.insert(lv)),
                    _ => self.oracle.maybe_moved.extend(moved),
                }
            }
        }
    }

    /// What a command that went well says to have done.
    fn done_right(&mut self, ask: Ask, read: &Lvs) {
        let right = match ask {
            Ask::Make { lv, pv } => read.get(&lv) == Some(&pv),
            Ask::Remove { lv, .. } => !read.contains_key(&lv),
            _ => true,
        };
        if let Ask::Make { lv, pv } = ask {
            self.oracle.there.insert(lv, pv);
        }
        if let Ask::Remove { lv, pv } = ask {
            self.oracle.there.remove(&lv);
            let moved = self.oracle.maybe_moved.get(&lv).copied();
            self.oracle.ghosts.extend(moved.into_iter().chain([pv]).map(|pv| (lv, pv)));
        }
        let moves = matches!(ask, Ask::Step { .. });
        if !right || (!moves && !self.oracle.allows(read, &|_| true, false)) {
            self.broken(&format!("{ask:?} went well, and {read:?} is there"));
        }
    }

    /// What a PV says alone.
    fn held(disk: Disk) -> Option<Held> {
        disk::show(vec![disk]);
        let vg = OpenVg::open("vg", Hold::Release).ok()?;
        let moves = !vg.vg().moves().is_empty();
        Some(Held { sequence: vg.vg().sequence(), lvs: lvs(vg.vg()), moves })
    }

    /// What the command did to the disks.
    fn take_over(&mut self, at: &[usize], trouble: &[Trouble], cut: bool) {
        for op in disk::done() {
            match op {
                Op::Write { disk, start, bytes } => self.pvs[at[disk]].cache.push((start, bytes)),
                Op::Flush { disk } => {
                    let pv = &mut self.pvs[at[disk]];
                    *pv = Pv { durable: pv.shown(), cache: Vec::new() };
                }
            }
        }
        for (pv, trouble) in at.iter().zip(trouble) {
            if *trouble != Trouble::None && self.rng.one_in(2) {
                self.pvs[*pv].lose(&mut self.rng);
            }
        }
        if cut {
            self.pvs.iter_mut().for_each(|pv| pv.lose(&mut self.rng));
        }
    }

    /// The VG over every set of its PVs.
    fn look(&mut self) {
        let all = self.pvs.len();
        for set in 1u32..1 << all {
            let at: Vec<usize> = (0..all).filter(|pv| set >> pv & 1 == 1).collect();
            disk::show(at.iter().map(|pv| self.pvs[*pv].shown()).collect());
            // Of the PVs that count, and of all where it is not known which.
            let counts: Vec<usize> =
                (0..all).filter(|pv| !self.oracle.leaving.contains(pv)).collect();
            let there = counts.iter().filter(|pv| at.contains(pv)).count();
            let alone = at.len() * 2 <= all || there * 2 <= counts.len();
            self.findings.add("metadata-behind-opened", 1);
            match OpenVg::open("vg", Hold::Release) {
                Ok(vg) => {
                    let read = lvs(vg.vg());
                    let on = |pv: usize| !alone || at.contains(&pv);
                    if !self.oracle.allows(&read, &on, alone) {
                        let what = format!("{at:?} reads {read:?} at {}", vg.vg().sequence());
                        self.broken(&what);
                    }
                }
                Err(_) if alone => self.findings.add("metadata-behind-alone-refused", 1),
                Err(error) if error.kind == Kind::Inconsistent && at.len() < all => {
                    self.findings.add("metadata-behind-undecided", 1);
                }
                Err(error) => self.broken(&format!("{at:?} does not open: {error}")),
            }
        }
    }

    fn broken(&mut self, what: &str) {
        let (all, round, oracle) = (self.pvs.len(), self.round, &self.oracle);
        self.findings
            .broken(|| format!("behind: {all} PVs, round {round}: {what}; due: {oracle:?}"));
    }
}
