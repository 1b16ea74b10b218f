//! Makes and checks the crash images of a log.

use std::collections::{BTreeMap, HashSet};

use anyhow::{Context as _, Result};

use super::check::{Checker, Looked};
use super::open::Opener;
use super::replay::Replay;
use crate::disk_server::contents::Contents;
use crate::disk_server::log::Log;
use crate::disk_server::survive::Survive;
use lvshift_vm_tests::side_disk;
use lvshift_vm_tests::writer::hash::mix;

/// How many wrong images are described.
const KEPT: usize = 8;

/// What to make.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many images at least of which no two are equal, if the log has that many.
    pub images: u64,
    /// Chooses what survives.
    pub seed: u64,
}

/// An image: where the power failed, and what survived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    /// How many entries of the log are before it.
    pub at: usize,
    /// What survived of what was not durable.
    pub survive: Survive,
}

/// How it went.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Points of the log at which the power failed.
    pub points: u64,
    /// Images checked.
    pub images: u64,
    /// Those of them that no other is equal to.
    pub distinct: u64,
    /// Images in which something that was not durable did survive and something did not.
    pub partial: u64,
    /// How many different sets of metadata were opened.
    pub metadata: usize,
    /// What was looked at.
    pub looked: Looked,
    /// How many images are wrong.
    pub wrong: u64,
    /// The first of them.
    pub described: Vec<(Crash, String)>,
}

/// The points of a log at which a crash can leave something new, while it is to be checked.
///
/// # Errors
/// If the log makes no sense.
pub fn points(log: &Log) -> Result<Vec<usize>> {
    let mut replay = Replay::new(log);
    let mut points = Vec::new();
    while let Some(new) = replay.step()? {
        if new && replay.known().begun {
            points.push(replay.at());
        }
    }
    Ok(points)
}

/// How often the log is gone through before it is clear that it has no more images.
const ROUNDS: u64 = 40;

/// Makes the images of a log and checks each.
///
/// # Errors
/// If the log makes no sense, or nothing in it is to be checked.
pub fn check_all(log: &Log, plan: Plan) -> Result<Figures> {
    let points = points(log)?;
    anyhow::ensure!(!points.is_empty(), "the log has nothing between `begin` and `end`");
    let mut figures = Figures { points: points.len() as u64, ..Figures::default() };
    let mut seen = HashSet::new();
    let mut checker = Checker::default();
    for round in 0..ROUNDS {
        let missing = plan.images.saturating_sub(figures.distinct);
        if missing == 0 {
            break;
        }
        let plan = Plan { images: missing, seed: plan.seed.wrapping_add(round << 32) };
        go_through(log, plan, &points, &mut checker, &mut seen, &mut figures)?;
    }
    figures.looked = checker.looked;
    figures.metadata = checker.opener.decoded();
    Ok(figures)
}

/// Goes through the log once.
fn go_through(
    log: &Log,
    plan: Plan,
    points: &[usize],
    checker: &mut Checker,
    seen: &mut HashSet<u64>,
    figures: &mut Figures,
) -> Result<()> {
    let names: Vec<&str> = log.disks.iter().map(|disk| disk.name.as_str()).collect();
    let side = names.iter().position(|name| *name == side_disk::NAME);
    let mut replay = Replay::new(log);
    let mut left = plan.images;
    for (n, point) in points.iter().enumerate() {
        while replay.at() < *point {
            replay.step()?;
        }
        // What earlier points could not use is shared by those that follow.
        let share = left.div_ceil((points.len() - n) as u64);
        let pending: Vec<u64> = replay
            .pending()
            .filter(|(disk, _)| Some(*disk) != side)
            .map(|(_, change)| change.position)
            .collect();
        let seed = mix(plan.seed ^ mix(*point as u64));
        for survive in survivors(seed, &pending, names.len(), share) {
            let overlay = replay.overlay(survive);
            if seen.insert(replay.image().hash()) {
                figures.distinct += 1;
            }
            let right = checker.check(replay.image(), replay.sectors(), replay.known(), &names);
            if let Err(what) = right {
                figures.wrong += 1;
                if figures.described.len() < KEPT {
                    figures.described.push((Crash { at: *point, survive }, what));
                }
            }
            replay.remove(overlay);
            figures.images += 1;
            figures.partial +=
                u64::from(!matches!(survive, Survive::Nothing | Survive::Everything));
            left = left.saturating_sub(1);
        }
    }
    Ok(())
}

/// So many crashes of a log, spread over all that may be recorded of the move.
///
/// # Errors
/// If the log makes no sense, or the VG of one cannot be opened.
pub fn choose(log: &Log, count: usize, seed: u64) -> Result<Vec<Crash>> {
    let mut by_record: BTreeMap<String, Vec<Crash>> = BTreeMap::new();
    let mut replay = Replay::new(log);
    let mut opener = Opener::default();
    for at in points(log)? {
        while replay.at() < at {
            replay.step()?;
        }
        let seed = mix(seed ^ mix(at as u64));
        let survive = match seed % 4 {
            0 => Survive::Nothing,
            1 => Survive::Everything,
            2 => Survive::Some { seed, per_mille: 500 },
            _ => Survive::Torn { seed, per_mille: 500 },
        };
        let overlay = replay.overlay(survive);
        let opened = opener.open(replay.image(), replay.sectors());
        replay.remove(overlay);
        let opened = opened.map_err(|why| anyhow::anyhow!("entry {at}, {survive:?}: {why}"))?;
        let records: Vec<_> = opened.lvs.iter().map(|lv| lv.record).collect();
        by_record.entry(format!("{records:?}")).or_default().push(Crash { at, survive });
    }
    let mut chosen = Vec::new();
    for n in 0..count {
        // In turn from each kind, and there from its whole length.
        let kind = n % by_record.len();
        let round = n / by_record.len();
        let rounds = count.div_ceil(by_record.len());
        let list = by_record.values().nth(kind).expect("below its length");
        chosen.push(list[list.len() * (2 * round + 1) / (2 * rounds)]);
    }
    Ok(chosen)
}

/// The bytes of every disk after a crash.
///
/// # Errors
/// If the log makes no sense.
pub fn contents(log: &Log, crash: Crash) -> Result<Vec<Contents>> {
    let mut replay = Replay::new(log);
    while replay.at() < crash.at {
        replay.step()?.context("the log is shorter than that")?;
    }
    replay.overlay(crash.survive);
    Ok((0..log.disks.len()).map(|disk| replay.contents(disk)).collect())
}

/// Up to `count` different choices of what survives.
fn survivors(seed: u64, pending: &[u64], disks: usize, count: u64) -> Vec<Survive> {
    let mut all = vec![Survive::Nothing];
    let [.., last] = pending else { return all };
    all.push(Survive::Everything);
    if pending.len() == 1 {
        all.extend((0..4).map(|n| Survive::Torn { seed: mix(seed ^ n), per_mille: 500 }));
    } else {
        let random = pending[(mix(seed) % pending.len() as u64) as usize];
        all.extend([Survive::Only { position: *last }, Survive::AllBut { position: *last }]);
        all.extend([Survive::Only { position: random }, Survive::AllBut { position: random }]);
        all.extend((0..disks).map(|disk| Survive::Disks { mask: 1 << disk }));
        all.extend((0..disks).map(|disk| Survive::Disks { mask: !(1 << disk) }));
        for n in 0..count.saturating_sub(all.len() as u64).max(6) {
            let (seed, per_mille) = (mix(seed ^ n), [500, 100, 900][(n / 2 % 3) as usize]);
            all.push(if n % 2 == 0 {
                Survive::Some { seed, per_mille }
            } else {
                Survive::Torn { seed, per_mille }
            });
        }
    }
    // Which of them, if not all: others at each point.
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count < all.len() {
        let start = (seed % all.len() as u64) as usize;
        all.rotate_left(start);
        all.truncate(count.max(1));
    }
    all
}
