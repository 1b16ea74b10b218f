//! A PV that falls silent in a commit: it answers nothing, with no error. The commit does without it, or fails in time;
//! and what it was asked to write, and writes when it answers again, lands over nothing newer.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use crate::conformance::fixture::wait::stopped_at;
use crate::conformance::fixture::{self, FAIL, HANG, Rig, VG};
use crate::conformance::ublk::daemon::{Victims, all_there, kill};
use crate::conformance::ublk::late::TwoWays;
use crate::guest::{Guest, Run};
use crate::scenario::{Frontend, Scenario};
use crate::writer::Writer;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "host-commit-again",
        about: "a daemon that takes over has to end a cut-off commit, and a third PV is silent when it writes: it serves all the same",
        frontends: Frontend::UBLK,
        disks: fixture::THREE,
        cpus: 2,
        timeout_s: 300,
        run: commit_again,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "host-commit",
        about: "a third PV, the destination, the source fall silent in a commit: it ends in time, and nothing newer is written over",
        disks: fixture::THREE,
        cpus: 2,
        timeout_s: 500,
        run: commit,
        ..Scenario::DEFAULT
    },
];

/// How long a PV is waited for: what is asked for, and what is there without.
const LIMIT: Duration = Duration::from_secs(30);
const ASKED: Duration = Duration::from_secs(5);
/// What a command takes besides: scans that pass over the PV, on a slow machine.
const BESIDES: Duration = Duration::from_secs(50);

struct Case<'g> {
    guest: &'g Guest,
    rig: &'g Rig<'g>,
    writer: &'g Writer,
}

impl Case<'_> {
    /// A move that `falls_silent` at this point, and how it ends.
    fn moved(
        &self,
        (from, to): (usize, usize),
        point: &str,
        falls_silent: impl FnOnce() -> Result<()>,
    ) -> Result<Run> {
        let (from, to) = (self.rig.pv(from), self.rig.pv(to));
        let mut args = vec!["pvmove", "--pace=none", &from, &to];
        let limit = if self.guest.frontend() == Frontend::Ublk { ASKED } else { LIMIT };
        let deadline = format!("--deadline={}", limit.as_secs());
        if limit == ASKED {
            args.push(&deadline);
        }
        let stop = format!("stop:{point}");
        let program = self.guest.frontend().binary();
        let mut moving = self.guest.spawn_env(&[(FAIL, &stop)], program, &args)?;
        stopped_at(self.guest, &mut moving)?;
        falls_silent()?;
        let start = Instant::now();
        moving.signal(Signal::CONT)?;
        let run = moving.wait(limit + BESIDES).context("the commit waits for a silent PV")?;
        self.guest.log(format!("silent at {point}: it ended after {:.1?}", start.elapsed()));
        Ok(run)
    }

    fn served(&self) -> Result<()> {
        fixture::served(self.writer)
    }
}

fn set_silent(guest: &Guest, device: &str, silent: bool) -> Result<()> {
    let change: &[&str] =
        if silent { &["suspend", "--noflush", "--nolockfs", device] } else { &["resume", device] };
    guest.run("dmsetup", change)?.ok().map(drop)
}

fn said(run: &Run) -> String {
    format!("{}{}", run.stdout, run.stderr)
}

fn commit(guest: &mut Guest) -> Result<()> {
    guest.modprobe("dm-delay")?;
    let (source, destination) = (guest.faulty("pv1")?, guest.faulty("pv2")?);
    let third = TwoWays::new(guest, "pv3", 3_600_000)?;
    let rig = Rig::over(guest, vec![source.path(), destination.path(), third.path()])?;
    let others = Rig::found(guest, rig.devices[..2].to_vec());
    let lv = rig.lv("lv", 6, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 891)?;
    let case = Case { guest, rig: &rig, writer: &writer };

    // Nothing new is written yet when the third falls silent.
    let run = case.moved((1, 2), "commit-moved", || {
        set_silent(guest, "ways-pv3", true)?;
        case.served()
    })?;
    ensure!(said(&run.ok()?).contains(&rig.pv(3)), "it does not name the PV that is silent");
    others.lies("lv", &[(2, 0, 6)])?;
    case.served()?;
    guest.lvshift(&["lvs", VG])?.ok()?;
    set_silent(guest, "ways-pv3", false)?;
    guest.lvshift(&["vgck", "--updatemetadata", VG])?.ok()?;
    rig.at_rest().context("after the third PV answers again")?;

    // It has been asked to write, and will, when newer metadata are on the others.
    case.moved((2, 1), "commit-moved-slot2", || third.all_late())?.ok()?;
    others.lies("lv", &[(1, 0, 6)])?;
    third.at_once()?;
    for name in ["one", "two", "three"] {
        guest.lvshift(&["lvcreate", "-n", name, "-l", "1", VG, &rig.pv(2)])?.ok()?;
    }
    ensure!(third.on_their_way()? > 0, "all has landed: nothing is shown");
    third.land()?;
    let agree = guest.lvshift(&["vgck", "--updatemetadata", VG])?.ok();
    agree.context("what landed late stands over newer metadata")?;
    rig.at_rest().context("after the late write has landed")?;
    guest.lvshift(&["lvremove", "-y", "vg/one", "vg/two", "vg/three"])?.ok()?;

    // One that the commit needs: it fails in time, nothing is switched, and whoever asks is answered.
    for (silent, number) in [("faulty-pv2", 2), ("faulty-pv1", 1)] {
        let run = case.moved((1, 2), "commit-begin", || {
            if number == 1 {
                writer.pause();
            }
            set_silent(guest, silent, true)
        })?;
        let text = said(&run.fails_with(5)?);
        ensure!(text.contains(&rig.pv(number)), "it does not name the PV that is silent: {text}");
        if number == 2 {
            case.served()?;
        }
        let aborted = guest.lvshift(&["pvmove", "--abort"])?;
        guest.log(format!("{silent} is silent: --abort took {:.1?}", aborted.took));
        set_silent(guest, silent, false)?;
        writer.unpause();
        case.served()?;
        guest.lvshift(&["pvmove", "--abort"])?.ok()?;
        guest.lvshift(&["vgck", "--updatemetadata", VG])?.ok()?;
        rig.at_rest().with_context(|| format!("after {silent} answers again"))?;
        rig.lies("lv", &[(1, 0, 6)])?;
    }

    // The kernel's mirror waits for its legs whatever a mover does; ours has a limit.
    if guest.frontend() == Frontend::Ublk {
        writer.forget_worst();
        let run = case.moved((1, 2), "commit-moved", || set_silent(guest, "faulty-pv2", true))?;
        run.fails_with(5)?;
        case.served()?;
        let worst = writer.counters().worst;
        guest.log(format!("the longest wait was {worst:.1?}"));
        ensure!(worst < HANG + ASKED, "the application waited {worst:?}");
        set_silent(guest, "faulty-pv2", false)?;
        guest.lvshift(&["pvmove", "--abort"])?.ok()?;
        guest.lvshift(&["vgck", "--updatemetadata", VG])?.ok()?;
        rig.at_rest()?;
        rig.lies("lv", &[(1, 0, 6)])?;
    }
    writer.stop()?.clean()?;
    rig.reads_from_its_places("lv")
}

fn commit_again(guest: &mut Guest) -> Result<()> {
    guest.modprobe("dm-delay")?;
    let third = TwoWays::new(guest, "pv3", 3_600_000)?;
    let rig = Rig::over(guest, vec![guest.disk("pv1")?, guest.disk("pv2")?, third.path()])?;
    let lv = rig.lv("lv", 6, &[rig.pv(1)])?;
    let writer = fixture::writer(&lv, 893)?;

    // On one PV of three it is recorded, and the daemon that has to make them agree writes to the third.
    let run = rig.pvmove_at("after:commit-begin-slot1", &[&rig.pv(1), &rig.pv(2)])?;
    ensure!(run.signal == Some(9), "it was to be killed: {run}");
    all_there(guest)?;
    third.all_late()?;
    writer.forget_worst();
    kill(guest, Victims::Daemon)?;
    fixture::served(&writer).context("the daemon that takes over waits for a silent PV")?;
    let worst = writer.counters().worst;
    guest.log(format!("served again; the longest wait was {worst:.1?}"));
    ensure!(third.on_their_way()? > 0, "nothing was asked of the third PV: nothing is shown");

    // What it was asked to write lands when newer metadata are on the others.
    third.at_once()?;
    guest.lvshift(&["pvmove", "--abort"])?;
    third.land()?;
    guest.wait_for("the daemon lets go of the third PV", HANG, || {
        let run = guest.lvshift(&["vgck", "--updatemetadata", VG])?.ok()?;
        Ok(!said(&run).contains("every PV but"))
    })?;
    rig.at_rest()?;
    rig.lies("lv", &[(1, 0, 6)])?;
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    rig.reads_from_its_places("lv")
}
