//! A destination that answers nothing: the application goes on from the source, the move goes back, and what
//! may still land on the destination lands on no other LV's extents.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::conformance::fixture::{self, HANG, VG};
use crate::conformance::ublk::daemon::{Deep, finished};
use crate::conformance::ublk::late::TwoWays;
use crate::guest::Guest;
use crate::scenario::{Frontend, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "host-silent",
    about: "a destination that does not answer any write: --abort works at once, and past its deadline the move goes back by itself; no mirror is built over what is late",
    frontends: Frontend::UBLK,
    disks: fixture::TWO,
    cpus: 4,
    timeout_s: 200,
    run: silent,
    ..Scenario::DEFAULT
}];

const EXTENTS: u32 = 8;
/// The application waits at most so long: the deadline, how late it may be seen, and a slow machine.
const BOUND: Duration = Duration::from_secs(8);

fn silent(guest: &mut Guest) -> Result<()> {
    guest.modprobe("dm-delay")?;
    let ways = TwoWays::new(guest, "pv2", 600_000)?;
    let deep = Deep::over(guest, vec![guest.disk("pv1")?, ways.path()], EXTENTS, 721)?;
    let Deep { rig, writer } = &deep;
    let pvmove =
        |deadline: &str| guest.spawn(&["pvmove", "--pace=none", deadline, &rig.pv(1), &rig.pv(2)]);
    // Once the move is to go back, neither what is given up is waited for, nor a deadline.
    for (deadline, abort) in [("--deadline=none", true), ("--deadline=2", false)] {
        ways.late()?;
        writer.forget_worst();
        let moving = pvmove(deadline)?;
        guest.wait_for("copies hang", HANG, || Ok(ways.on_their_way()? > 3))?;
        if abort {
            let aborted = guest.lvshift(&["pvmove", "--abort"])?;
            guest.log(format!("--abort took {:.1?}", aborted.took));
        }
        let mut moved = finished(moving)?.fails_with(5)?;
        if !abort {
            moved = moved.stderr_has("did not answer within its deadline")?;
        }
        deep.served()?;
        let worst = writer.counters().worst;
        guest.log(format!("{deadline}: the longest wait was {worst:.1?}"));
        ensure!(worst < BOUND, "the application waited {worst:?}");
        ensure!(ways.on_their_way()? > 0, "all has landed: nothing is shown");
        // What is on its way has its place as long as it is.
        moved.stderr_has("may still land")?;
        if abort {
            guest.lvshift(&["pvmove", "--abort"])?.fails_with(5)?.stderr_has("may still land")?;
        }
        guest.lvshift(&["lvs", "-a", VG])?.ok()?;
        ways.land()?;
        guest.lvshift(&["pvmove", "--abort"])?.ok()?;
        ensure!(deep.settled()? == 1, "it is not on the source");
    }
    // It answers again, and is as good a destination as any.
    finished(pvmove("--deadline=30")?)?.ok()?;
    ensure!(deep.settled()? == 2, "it did not arrive");
    let (from, to) = (rig.pv(1), rig.pv(2));
    deep.end()?;
    again(guest, &ways, &from, &to)
}

/// The mover dies, the LV is taken down with copies on their way, and is activated again: no mirror is built over
/// them.
fn again(guest: &Guest, ways: &TwoWays<'_>, from: &str, to: &str) -> Result<()> {
    guest.lvshift(&["pvmove", "--pace=none", to, from])?.ok()?;
    let lv = fixture::lv_path("lv");
    let before = guest.hash_device(&lv)?;
    ways.late()?;
    let moving = guest.spawn(&["pvmove", "--pace=none", "--deadline=2", from, to])?;
    guest.wait_for("copies hang", HANG, || Ok(ways.on_their_way()? > 3))?;
    moving.kill()?;
    guest.lvshift(&["vgchange", "-a", "n", VG])?.ok()?;
    ensure!(ways.on_their_way()? > 0, "all has landed: nothing is shown");
    let refused = guest.lvshift(&["vgchange", "-a", "y", VG])?.fails_with(5)?;
    refused.stderr_has("may still land")?.stderr_has("its move is recorded as it was")?;
    ways.land()?;
    guest.lvshift(&["vgchange", "-a", "y", VG])?.ok()?;
    guest.lvshift(&["pvmove", "--pace=none"])?.ok()?;
    ensure!(guest.hash_device(&lv)? == before, "it holds something else");
    Ok(())
}
