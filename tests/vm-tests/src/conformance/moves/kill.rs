//! SIGKILL, and failure, at every named step of a move, under a writer.
//!
//! Who dies is the command, `pvmove`: the kernel goes on with the copy, or the ublk daemon does. That
//! the daemon dies is `ublk/kill.rs`'s.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use lvshift_on_disk_format::record::MoveState;

use crate::conformance::fixture::{self, Rig};
use crate::guest::{Guest, Run};
use crate::scenario::{Frontend, Scenario};
use crate::writer::{Config, Writer};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "kill-carry-on",
        about: "kill -9 before and after steps of a move; pvmove carries on",
        disks: fixture::TWO,
        timeout_s: 1200,
        run: |guest| forward(guest, &[], End::Destination),
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "kill-abort",
        about: "kill -9 before and after steps of a move; pvmove --abort goes back",
        disks: fixture::TWO,
        timeout_s: 1200,
        run: |guest| forward(guest, &["--abort"], End::WhoeverIsInCharge),
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "kill-way-back",
        about: "kill -9 before and after steps of an abort; pvmove finishes the abort",
        disks: fixture::TWO,
        timeout_s: 1200,
        run: way_back,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "kill-recovery",
        about: "kill -9 before and after steps of the recovery, three times over",
        disks: fixture::TWO,
        timeout_s: 1200,
        run: recovery,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "kill-same-slot",
        about: "kill -9 again and again between the same two slot writes: no PV falls further behind",
        disks: fixture::TWO,
        run: same_slot,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "kill-step-fails",
        about: "steps fail in turn: the status says so, one side is in charge, a retry works",
        disks: fixture::TWO,
        timeout_s: 1200,
        run: step_fails,
        ..Scenario::DEFAULT
    },
];

/// The steps of a move that goes well, in order.
pub(crate) const FORWARD: &[&str] = &[
    "init-log",
    "commit-begin",
    "create-shadow",
    "load-mirrored",
    "swap-mirrored",
    "await-copy",
    "check-legs",
    "flush-destination",
    "commit-moved",
    "check-destination",
    "load-final",
    "swap-final",
    "remove-shadow",
    "commit-forget",
];
/// Those of the way back.
pub(crate) const BACK: &[&str] =
    &["commit-aborting", "load-source", "swap-source", "remove-shadow", "commit-forget"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Destination,
    WhoeverIsInCharge,
}

/// Inside of a commit: after the first of two PVs holds it, and after both do.
const INSIDE: &[&str] = &[
    "commit-begin-slot1",
    "commit-begin-slot2",
    "commit-moved-slot1",
    "commit-moved-slot2",
    "commit-forget-slot1",
    "commit-forget-slot2",
];

/// Where a move that goes well can be killed.
fn points(guest: &Guest) -> Result<Vec<String>> {
    let run = guest.lvshift(&["failpoints"])?.ok()?;
    let listed: BTreeSet<&str> = run.stdout.split_whitespace().collect();
    for name in FORWARD.iter().chain(BACK).chain(INSIDE) {
        ensure!(listed.contains(name), "no fail point {name}: {run}");
    }
    let around = |name: &&str| [format!("before:{name}"), format!("after:{name}")];
    let inside = INSIDE.iter().map(|name| format!("after:{name}"));
    let outside = ["before:finish".to_owned()];
    Ok(FORWARD.iter().flat_map(around).chain(inside).chain(outside).collect())
}

fn killed(run: &Run) -> Result<()> {
    ensure!(run.signal == Some(9), "the fail point did not kill it: {run}");
    Ok(())
}

/// A writer that leaves the machine to the many commands of these scenarios.
fn slow_writer(path: &Path, seed: u64) -> Result<Writer> {
    let writer =
        Writer::start(Config { pace: Duration::from_millis(5), ..Config::new(path, seed) })?;
    fixture::served(&writer)?;
    Ok(writer)
}

/// Two LVs, one with two segments, so that every step that is there for each LV comes twice.
struct Bench<'g> {
    rig: Rig<'g>,
    writers: Vec<Writer>,
}

impl<'g> Bench<'g> {
    fn new(guest: &'g Guest, seed: u64) -> Result<Bench<'g>> {
        let rig = Rig::new(guest, &["pv1", "pv2"])?;
        let a = rig.lv("a", 2, &[rig.pv_at(1, "0:2")])?;
        let b = rig.lv("b", 1, &[rig.pv_at(1, "1")])?;
        let writers = vec![slow_writer(&a, seed)?, slow_writer(&b, seed + 1)?];
        Ok(Bench { rig, writers })
    }

    /// Both LVs on one PV, which PV it is, all at rest, the application served without an error.
    fn home_at_rest(&self) -> Result<usize> {
        self.rig.at_rest()?;
        let home = self.rig.home("a")?;
        ensure!(self.rig.home("b")? == home, "the LVs lie on different PVs");
        for writer in &self.writers {
            fixture::served(writer)?;
            let outcome = writer.outcome().clean()?;
            ensure!(outcome.counters.worst < fixture::HANG, "{:?}", outcome.counters);
        }
        Ok(home)
    }

    fn served(&self) -> Result<()> {
        self.writers.iter().try_for_each(fixture::served)
    }

    fn end(self) -> Result<()> {
        self.home_at_rest()?;
        for writer in self.writers {
            writer.stop()?.clean()?;
        }
        self.rig.reads_from_its_places("a")?;
        self.rig.reads_from_its_places("b")
    }
}

fn forward(guest: &Guest, then: &[&str], end: End) -> Result<()> {
    let bench = Bench::new(guest, 201)?;
    let rig = &bench.rig;
    let mut from = bench.home_at_rest()?;
    for point in fixture::one_in(guest, usize::from(!then.is_empty()), 4, points(guest)?) {
        let to = 3 - from;
        let (source, destination) = (rig.pv(from), rig.pv(to));
        let mut trial = || -> Result<()> {
            killed(&rig.pvmove_at(&point, &["--atomic", &source, &destination])?)?;
            bench.served()?;
            let states = states_after_kill(rig)?;
            rig.pvmove(then)?.ok()?;
            from = bench.home_at_rest()?;
            let home = from;
            let expected = match (&states[..], end) {
                ([], _) | ([MoveState::Moved], _) | (_, End::Destination) => to,
                (_, End::WhoeverIsInCharge) => 3 - to,
            };
            ensure!(home == expected, "{states:?} ended on pv{home}, not on pv{expected}");
            Ok(())
        };
        trial().with_context(|| format!("killed at {point}"))?;
    }
    bench.end()
}

/// What the newest metadata says of moves. A kill inside of a commit leaves the PVs unequal, which
/// the next command repairs.
fn states_after_kill(rig: &Rig<'_>) -> Result<Vec<MoveState>> {
    Ok(rig.newest_meta().context("no PV has metadata that can be read")?.states())
}

fn way_back(guest: &mut Guest) -> Result<()> {
    let bench = Bench::new(guest, 211)?;
    let rig = &bench.rig;
    for (offset, at) in ["before", "after"].into_iter().enumerate() {
        for step in fixture::one_in(guest, offset, 2, BACK) {
            let point = format!("{at}:{step}");
            let from = bench.home_at_rest()?;
            let (source, destination) = (rig.pv(from), rig.pv(3 - from));
            let trial = || -> Result<()> {
                killed(
                    &rig.pvmove_at("after:swap-mirrored", &["--atomic", &source, &destination])?,
                )?;
                killed(&rig.pvmove_at(&point, &["--abort"])?)?;
                bench.served()?;
                let states = states_after_kill(rig)?;
                // An abort that is recorded is finished by whatever comes next.
                let args: &[&str] = if states == [MoveState::Copying] { &["--abort"] } else { &[] };
                rig.pvmove(args)?;
                ensure!(bench.home_at_rest()? == from, "an abort ended on the destination");
                Ok(())
            };
            trial().with_context(|| format!("killed at {point}"))?;
        }
    }
    bench.end()
}

/// Where the mover is killed first, and then at which steps its recovery is.
const RECOVERY: &[(&str, &[&str])] = &[
    ("after:commit-begin", &["commit-confirm", "create-shadow", "swap-mirrored", "await-copy"]),
    ("after:swap-mirrored", &["commit-confirm", "check-legs", "commit-moved", "swap-final"]),
    (
        "after:commit-moved",
        &[
            "commit-confirm",
            "check-destination",
            "load-final",
            "swap-final",
            "remove-shadow",
            "commit-forget",
        ],
    ),
];

fn recovery(guest: &mut Guest) -> Result<()> {
    let bench = Bench::new(guest, 221)?;
    let rig = &bench.rig;
    let mut from = bench.home_at_rest()?;
    let all = RECOVERY.iter().flat_map(|(f, steps)| steps.iter().map(move |s| (f, s)));
    for (first, step) in fixture::one_in(guest, 0, 2, all) {
        let (source, destination) = (rig.pv(from), rig.pv(3 - from));
        let mut trial = || -> Result<()> {
            killed(&rig.pvmove_at(first, &["--atomic", &source, &destination])?)?;
            // A daemon whose mover dies in the hand-over starts anew and switches by the record: then
            // there is nothing left to switch, and the move ends.
            let by_itself =
                guest.frontend() == Frontend::Ublk && matches!(*step, "load-final" | "swap-final");
            for at in ["before", "before", "after"] {
                let run = rig.pvmove_at(&format!("{at}:{step}"), &[])?;
                if by_itself && run.status == Some(0) {
                    break;
                }
                killed(&run)?;
            }
            bench.served()?;
            rig.pvmove(&[])?.ok()?;
            let to = 3 - from;
            from = bench.home_at_rest()?;
            ensure!(from == to, "it did not arrive");
            Ok(())
        };
        trial().with_context(|| format!("killed {first}, its recovery at {step}"))?;
    }
    bench.end()
}

/// What the simulator's seed 64183 found: the PV that was not reached twice in a row was taken for one that
/// had been away, and `pvmove` refused to go on.
fn same_slot(guest: &mut Guest) -> Result<()> {
    let bench = Bench::new(guest, 241)?;
    let rig = &bench.rig;
    let from = bench.home_at_rest()?;
    let (source, destination) = (rig.pv(from), rig.pv(3 - from));
    let first = rig.pvmove_at("after:commit-begin-slot1", &["--atomic", &source, &destination])?;
    killed(&first)?;
    for _ in 0..3 {
        killed(&rig.pvmove_at("after:commit-confirm-slot1", &[])?)?;
        bench.served()?;
    }
    rig.pvmove(&[])?.ok()?;
    ensure!(bench.home_at_rest()? == 3 - from, "it did not arrive");
    bench.end()
}

fn step_fails(guest: &mut Guest) -> Result<()> {
    let bench = Bench::new(guest, 231)?;
    let rig = &bench.rig;
    for step in fixture::one_in(guest, 1, 2, FORWARD) {
        let from = bench.home_at_rest()?;
        let (source, destination) = (rig.pv(from), rig.pv(3 - from));
        let trial = || -> Result<()> {
            let run =
                rig.pvmove_at(&format!("error:{step}"), &["--atomic", &source, &destination])?;
            bench.served()?;
            match run.status {
                // The step was tried again and the move went well.
                Some(0) => {
                    ensure!(bench.home_at_rest()? == 3 - from, "status 0 and not moved: {run}")
                }
                Some(5) => {
                    ensure!(run.stderr.contains("in charge"), "says not what is true now: {run}");
                    let handed_over = FORWARD.iter().position(|s| s == step)
                        > FORWARD.iter().position(|s| *s == "commit-moved");
                    if !handed_over {
                        ensure!(
                            bench.home_at_rest()? == from,
                            "failed and not on the source: {run}"
                        );
                    } else if rig.newest_meta()?.moves.is_empty() {
                        ensure!(bench.home_at_rest()? == 3 - from, "switched and not there: {run}");
                        return Ok(());
                    }
                    // A retry: what is recorded first, else the same again.
                    if rig.newest_meta()?.moves.is_empty() {
                        rig.pvmove(&["--atomic", &source, &destination])?.ok()?;
                    } else {
                        rig.pvmove(&[])?.ok()?;
                    }
                    ensure!(bench.home_at_rest()? == 3 - from, "the retry did not move it");
                }
                _ => bail!("neither 0 nor 5: {run}"),
            }
            Ok(())
        };
        trial().with_context(|| format!("{step} fails"))?;
    }
    bench.end()
}
