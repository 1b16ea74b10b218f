//! Each PV fine, or away, old, cloned, damaged, or somebody else's, in all combinations of the three.

use lvshift_frontend_common::error::{Error, Kind};
use lvshift_frontend_common::vg::{Hold, OpenVg, Vg};
use lvshift_on_disk_format::LabelCopy;

use super::disk::{self, Disk, Op, SECTOR, SLOTS};
use super::findings::Findings;
use super::history::{History, PVS, Step, same};

/// What became of a PV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Fine,
    Missing,
    FirstLabelBad,
    SecondLabelBad,
    /// Both labels overwritten, with zeroes or with something else.
    NoLabel,
    BadLabels,
    NewestSlotBad,
    OldestSlotBad,
    BothSlotsBad,
    /// The slots cannot be read.
    Unreadable,
    /// Its contents of so many commits ago.
    Old(usize),
    /// A second device with the same bytes.
    Cloned,
    /// A second device with the bytes of two commits ago.
    OldCloned,
    /// The next PV's slots, under its own label.
    SlotsOfAnother,
    /// The next PV's bytes altogether.
    BytesOfAnother,
}

const FATES: [Fate; 17] = [
    Fate::Fine,
    Fate::Missing,
    Fate::FirstLabelBad,
    Fate::SecondLabelBad,
    Fate::NoLabel,
    Fate::BadLabels,
    Fate::NewestSlotBad,
    Fate::OldestSlotBad,
    Fate::BothSlotsBad,
    Fate::Unreadable,
    Fate::Old(1),
    Fate::Old(2),
    Fate::Old(3),
    Fate::Cloned,
    Fate::OldCloned,
    Fate::SlotsOfAnother,
    Fate::BytesOfAnother,
];

const SLOT_SECTORS: u64 = 16;

/// Disks between which the power of a commit failed, or none.
pub(crate) struct Base {
    disks: Vec<Disk>,
    /// What may be read of them.
    allowed: Vec<Vg>,
    /// The newest slot of each PV.
    newest: [usize; PVS],
}

/// The disks after a commit, and those while it stands on some PVs only.
pub(crate) fn bases(step: &Step, partly: bool) -> Vec<Base> {
    let mut slots = [0; PVS];
    for op in &step.ops {
        if let Op::Write { disk, start, .. } = op {
            slots[*disk] = usize::from(*start == SLOTS[1]);
        }
    }
    let rest = Base { disks: step.after.clone(), allowed: vec![step.new.clone()], newest: slots };
    let mut all = vec![rest];
    if let (true, Some(old)) = (partly, &step.old) {
        for new in 1..7usize {
            let has = |pv: usize| new >> pv & 1 == 1;
            let pick = |pv: usize| if has(pv) { &step.after } else { &step.before };
            let disks = (0..PVS).map(|pv| pick(pv)[pv].clone()).collect();
            let newest = std::array::from_fn(|pv| if has(pv) { slots[pv] } else { 1 - slots[pv] });
            all.push(Base { disks, allowed: vec![old.clone(), step.new.clone()], newest });
        }
    }
    all
}

/// The devices of a host on which this became of the PVs.
fn devices(history: &History, at: usize, base: &Base, fates: [Fate; PVS]) -> Vec<Disk> {
    let mut all = Vec::new();
    let ago = |commits: usize, pv: usize| {
        let step = at.checked_sub(commits).and_then(|at| history.steps.get(at));
        step.map_or_else(|| history.steps[0].before[pv].clone(), |step| step.after[pv].clone())
    };
    for (pv, fate) in fates.into_iter().enumerate() {
        let mut disk = base.disks[pv].clone();
        let next = &base.disks[(pv + 1) % PVS];
        let spoil = |disk: &mut Disk, slot: usize| disk.write(SLOTS[slot] + 8, &[0xEE; SECTOR]);
        match fate {
            Fate::Fine => {}
            Fate::Missing => continue,
            Fate::FirstLabelBad => disk.write(LabelCopy::First.start(), &[0; SECTOR]),
            Fate::SecondLabelBad => disk.write(LabelCopy::Second.start(), &[0xEE; SECTOR]),
            Fate::NoLabel => {
                LabelCopy::ALL.iter().for_each(|copy| disk.write(copy.start(), &[0; 4096]));
            }
            Fate::BadLabels => {
                let second = |copy: &LabelCopy| copy.start() + 1;
                LabelCopy::ALL.iter().for_each(|copy| disk.write(second(copy), &[0xEE; SECTOR]));
            }
            Fate::NewestSlotBad => spoil(&mut disk, base.newest[pv]),
            Fate::OldestSlotBad => spoil(&mut disk, 1 - base.newest[pv]),
            Fate::BothSlotsBad => [0, 1].into_iter().for_each(|slot| spoil(&mut disk, slot)),
            Fate::Unreadable => disk.bad.extend(SLOTS),
            Fate::Old(commits) => disk = ago(commits, pv),
            Fate::Cloned => all.push(disk.clone()),
            Fate::OldCloned => all.push(ago(2, pv)),
            Fate::SlotsOfAnother => {
                SLOTS.iter().for_each(|start| disk.copy(next, *start, SLOT_SECTORS));
            }
            Fate::BytesOfAnother => disk = next.clone(),
        }
        all.push(disk);
    }
    all
}

/// Whether this PV's device still shows the newest that it held.
fn knows(fate: Fate) -> bool {
    matches!(fate, Fate::Fine | Fate::FirstLabelBad | Fate::SecondLabelBad | Fate::OldestSlotBad)
}

/// A refusal that says what is wrong.
fn named(error: &Error) -> bool {
    let kind = matches!(
        error.kind,
        Kind::NotFound
            | Kind::Cloned
            | Kind::Missing
            | Kind::Stale
            | Kind::Damaged
            | Kind::Inconsistent
    );
    kind && !error.what.is_empty()
}

/// All combinations over the disks of one base. `at` is the number of the commit.
pub(crate) fn run(history: &History, at: usize, base: &Base, findings: &mut Findings) {
    for index in 0..FATES.len().pow(PVS as u32) {
        let fates: [Fate; PVS] =
            std::array::from_fn(|pv| FATES[index / FATES.len().pow(pv as u32) % FATES.len()]);
        combination(history, at, base, fates, findings);
    }
}

fn combination(
    history: &History,
    at: usize,
    base: &Base,
    fates: [Fate; PVS],
    findings: &mut Findings,
) {
    let say = |what: String| {
        let step = &history.steps[at];
        let newest = base.newest;
        format!("{}, {}, newest slots {newest:?}, {fates:?}: {what}", history.name, step.name)
    };
    findings.add("metadata-combinations", 1);
    let allowed = |vg: &Vg| base.allowed.iter().any(|right| same(right, vg));
    // A device that another PV was copied onto makes that PV a clone.
    let cloned = |pv: usize| fates[(pv + PVS - 1) % PVS] == Fate::BytesOfAnother;
    let known = (0..PVS).any(|pv| knows(fates[pv]) && !cloned(pv));
    disk::show(devices(history, at, base, fates));
    let mut vg = match OpenVg::open("vg", Hold::Release) {
        Ok(vg) => vg,
        Err(error) => {
            findings.add("metadata-refused", 1);
            if !named(&error) {
                findings
                    .broken(|| say(format!("refused without a reason: {:?} {error}", error.kind)));
            }
            if fates == [Fate::Fine; PVS] {
                findings.broken(|| say(format!("refused: {error}")));
            }
            return;
        }
    };
    if known && !allowed(vg.vg()) {
        return findings.broken(|| say(format!("opens at {}", vg.vg().sequence())));
    }
    if !known && !allowed(vg.vg()) {
        // Every device that could know better is away: the newest that is there is all there is.
        findings.add("metadata-nobody-knew", 1);
    }
    let opened = vg.vg().clone();
    let _ = disk::done();
    match vg.commit(|_| Ok(())) {
        Ok(()) => {
            findings.add("metadata-committed", 1);
            // Whoever comes next must find what this one acted upon, on each PV.
            let again = OpenVg::open("vg", Hold::Release);
            let good = again.as_ref().is_ok_and(|again| {
                same(again.vg(), &opened) && again.health().agrees_on(again.vg().sequence())
            });
            // One PV may be away, and is said to be behind.
            let behind = |uuid| vg.vg().pv_by_uuid(uuid).is_some_and(|at| vg.vg().is_behind(at));
            let missing = vg.missing();
            if !good || missing.len() * 2 > PVS || !missing.into_iter().all(behind) {
                findings.broken(|| say(format!("the commit does not stand: {again:?}")));
            }
        }
        Err(error) => {
            findings.add("metadata-commit-refused", 1);
            if !named(&error) {
                findings.broken(|| say(format!("no reason: {:?} {error}", error.kind)));
            }
            if !disk::done().is_empty() {
                findings.broken(|| say("it was refused and something was written".into()));
            }
        }
    }
}
