//! A write of a dead daemon that lands seconds later must not win over what was written since.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use super::daemon::{Deep, Victims, finished, kill};
use crate::conformance::fixture::{self, HANG};
use crate::guest::Guest;
use crate::scenario::{Frontend, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "ublk-late-copy",
        about: "a dead daemon's copy lands 3 s late on the destination and does not win",
        run: |guest| late_copy(guest, 3000, Fence::Is),
        ..UBLK
    },
    Scenario {
        name: "ublk-late-write",
        about: "the application's write in a dead daemon's hands lands 3 s late and does not win",
        run: late_write,
        ..UBLK
    },
    Scenario {
        name: "control-ublk-no-fence",
        about: "without the fence the late copy wins, and the writer sees it",
        run: |guest| late_copy(guest, 12_000, Fence::IsNot),
        ..UBLK
    },
];

const UBLK: Scenario = Scenario {
    frontends: Frontend::UBLK,
    disks: fixture::TWO,
    cpus: 4,
    timeout_s: 600,
    ..Scenario::DEFAULT
};

const EXTENTS: u32 = 8;

/// Makes a test build's daemon go without the exclusive open.
const NO_FENCE: (&str, &str) = ("LVSHIFT_NO_FENCE", "1");

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fence {
    Is,
    IsNot,
}

/// A disk with two ways to it: at once, and late. A request goes the way that is open when it comes,
/// so a newer one overtakes it; dm-delay alone would keep their order.
pub(crate) struct TwoWays<'g> {
    guest: &'g Guest,
    late: String,
    name: String,
    regions: u64,
}

/// Sectors that dm-switch switches at once.
const REGION: u64 = 2048;

impl<'g> TwoWays<'g> {
    pub(crate) fn new(guest: &'g Guest, disk: &str, ms: u32) -> Result<TwoWays<'g>> {
        let lower = guest.disk(disk)?;
        let sectors = guest.sectors(&lower)?;
        let (late, name) = (format!("late-{disk}"), format!("ways-{disk}"));
        let lower = lower.display();
        guest.dm_create(&late, &format!("0 {sectors} delay {lower} 0 0 {lower} 0 {ms}"))?;
        let ways = format!("/dev/mapper/{late} 0 {lower} 0");
        guest.dm_create(&name, &format!("0 {sectors} switch 2 {REGION} 0 {ways}"))?;
        let ways = TwoWays { guest, late, name, regions: sectors.div_ceil(REGION) };
        ways.set(0, 1)?;
        Ok(ways)
    }

    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from("/dev/mapper").join(&self.name)
    }

    /// From now on writes to the data area land late.
    pub(crate) fn late(&self) -> Result<()> {
        self.late_from(fixture::DATA / REGION)
    }

    /// From now on writes from this MiB on land late.
    pub(crate) fn late_from(&self, first: u64) -> Result<()> {
        self.set(first, 0)
    }

    /// From now on all writes land late.
    pub(crate) fn all_late(&self) -> Result<()> {
        self.late_from(0)
    }

    /// From now on everything lands at once, except what is on its way.
    pub(crate) fn at_once(&self) -> Result<()> {
        self.set(0, 1)
    }

    fn set(&self, first: u64, way: u32) -> Result<()> {
        let regions: Vec<String> =
            (first..self.regions).map(|region| format!("{region:x}:{way:x}")).collect();
        let regions: Vec<&str> = regions.iter().map(String::as_str).collect();
        let message = ["message", &self.name, "0", "set_region_mappings"];
        self.guest.run("dmsetup", &[&message, &regions[..]].concat())?.ok()?;
        Ok(())
    }

    /// Writes that are on the late way.
    pub(crate) fn on_their_way(&self) -> Result<u64> {
        let status = self.guest.dm_status(&self.late)?;
        // START LEN delay READS WRITES FLUSHES
        let writes = status.split_whitespace().nth(4).context("the status of a delay")?;
        writes.parse().with_context(|| status.clone())
    }

    /// All that is on the late way lands now.
    pub(crate) fn land(&self) -> Result<()> {
        self.at_once()?;
        self.guest.run("dmsetup", &["suspend", &self.late])?.ok()?;
        self.guest.run("dmsetup", &["resume", &self.late])?.ok()?;
        self.landed()
    }

    /// The daemon dies with writes on their way; whatever is written from now on overtakes them.
    fn overtake(&self) -> Result<()> {
        self.guest.wait_for("writes are on the late way", HANG, || Ok(self.on_their_way()? > 3))?;
        self.at_once()?;
        kill(self.guest, Victims::Both)?;
        let late = self.on_their_way()?;
        self.guest.log(format!("{late} writes of the dead daemon are on their way"));
        ensure!(late > 0, "the dead daemon's writes have landed already");
        Ok(())
    }

    fn landed(&self) -> Result<()> {
        self.guest.wait_for("the late writes have landed", HANG, || Ok(self.on_their_way()? == 0))
    }
}

fn late_copy(guest: &mut Guest, ms: u32, fence: Fence) -> Result<()> {
    let ways = TwoWays::new(guest, "pv2", ms)?;
    let deep = Deep::over(guest, vec![guest.disk("pv1")?, ways.path()], EXTENTS, 451)?;
    let Deep { rig, writer } = &deep;
    writer.pause();
    ways.late()?;
    // The daemon that this mover will start, not the one that serves now, has the fence or not.
    let env: &[_] = if fence == Fence::Is { &[] } else { &[NO_FENCE] };
    let places = [rig.pv(1), rig.pv(2)];
    let moving =
        guest.spawn_env(env, guest.frontend().binary(), &["pvmove", &places[0], &places[1]])?;
    ways.overtake()?;
    // 32 requests wait, 200 more are written: what the late copies hold is old then.
    writer.unpause();
    writer.wait_for_writes(400, HANG)?;
    let late = ways.on_their_way()?;
    match fence {
        Fence::Is => ensure!(late == 0, "served while {late} writes of the dead were on their way"),
        Fence::IsNot => ensure!(late > 0, "too slow for a control: nothing is late any more"),
    }
    finished(moving)?.ok()?;
    ways.landed()?;
    if fence == Fence::Is {
        ensure!(deep.settled()? == 2, "it did not arrive");
        return deep.end();
    }
    let outcome = deep.writer.stop()?;
    let lost = outcome.mismatches.iter().filter(|what| what.contains("the older version")).count();
    guest.log(format!("{lost} sectors and more went back without the fence"));
    ensure!(lost > 0, "nothing was lost without the fence: {:?}", outcome.counters);
    Ok(())
}

fn late_write(guest: &mut Guest) -> Result<()> {
    let ways = TwoWays::new(guest, "pv1", 3000)?;
    let deep = Deep::over(guest, vec![ways.path(), guest.disk("pv2")?], EXTENTS, 461)?;
    ways.late()?;
    ways.overtake()?;
    // Nobody waits for a daemon but the application: the next command brings it back.
    guest.lvshift(&["lvs"])?.ok()?;
    deep.writer.wait_for_writes(400, HANG)?;
    let late = ways.on_their_way()?;
    ensure!(late == 0, "served while {late} writes of the dead were on their way");
    ways.landed()?;
    deep.end()
}
