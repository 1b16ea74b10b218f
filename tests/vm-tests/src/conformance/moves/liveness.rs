//! Nothing starves: how long the application waits when the daemon is killed, and whether a copy gets
//! on under an application that takes all it can get.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lvshift_on_disk_format::record::MoveState;

use crate::conformance::fixture::copy::slow_data;
use crate::conformance::fixture::{self, HANG, Rig};
use crate::conformance::ublk::daemon::{Victims, kill};
use crate::conformance::ublk::rig::HeldMove;
use crate::guest::Guest;
use crate::scenario::{Disk, Frontend, Scenario};
use crate::writer::{Config, Writer};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "liveness-kill-gap",
        about: "how long the application waits when the daemon is killed, idle and in a move",
        frontends: Frontend::UBLK,
        disks: fixture::TWO,
        timeout_s: 360,
        run: kill_gap,
        cpus: 2,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "liveness-copy-progress",
        about: "a copy gets on every few seconds under an application that writes all it can",
        disks: &[Disk::new("pv1", 112), Disk::new("pv2", 112)],
        timeout_s: 360,
        run: copy_progress,
        cpus: 2,
        ..Scenario::DEFAULT
    },
];

const EXTENTS: u32 = 8;
/// Kills without a move, and as many during one.
const KILLS: usize = 4;
/// No request may take longer; a kill costs far less. The pauses before daemons that do not come to serve
/// grow to 5 s.
const BOUND: Duration = Duration::from_secs(5);

fn kill_gap(guest: &mut Guest) -> Result<()> {
    let rig = Rig::new(guest, &["pv1", "pv2"])?;
    let lv = rig.lv("lv", EXTENTS, &[rig.pv(1)])?;
    // One request at a time: what it waits is the gap.
    let config = Config { threads: 1, pace: Duration::ZERO, ..Config::new(&lv, 1701) };
    let writer = Writer::start(config)?;
    fixture::served(&writer)?;
    let mut gaps = Vec::new();
    for _ in 0..KILLS {
        gaps.push(gap(guest, &writer)?);
    }
    let mut held = HeldMove::start(guest, &[&rig.pv(1), &rig.pv(2)])?;
    held.equal()?;
    for _ in 0..KILLS {
        gaps.push(gap(guest, &writer)?);
    }
    held.finish()?;
    let (idle, moving) = gaps.split_at(KILLS);
    let most = |gaps: &[Duration]| gaps.iter().max().map_or(0, |gap| gap.as_millis());
    guest.log(format!("figure=kill-gap-idle-ms {}", most(idle)));
    guest.log(format!("figure=kill-gap-move-ms {}", most(moving)));
    guest.log(format!("{gaps:?}"));
    let worst = gaps.iter().max().copied().unwrap_or_default();
    ensure!(worst < BOUND, "the application waited {worst:?} for a new daemon");
    writer.stop()?.clean()?;
    rig.at_rest()?;
    rig.lies("lv", &[(2, 0, EXTENTS)])?;
    rig.reads_from_its_places("lv")
}

/// Kills the daemon; how long the application's slowest request took.
fn gap(guest: &Guest, writer: &Writer) -> Result<Duration> {
    fixture::served(writer)?;
    writer.forget_worst();
    kill(guest, Victims::Daemon)?;
    // More than were in flight, so one of them was asked after the kill.
    fixture::served(writer)?;
    Ok(writer.counters().worst)
}

/// In no time of this length may nothing have become equal.
const WINDOW: Duration = Duration::from_secs(5);
const MOST: u32 = 96;
/// How long each write to the destination takes, so that the copy lasts several such windows.
const SLOW_MS: u32 = 150;

fn copy_progress(guest: &mut Guest) -> Result<()> {
    let destination = guest.faulty("pv2")?;
    let rig = Rig::over(guest, vec![guest.disk("pv1")?, destination.path()])?;
    // The kernel's mirror is slower here, and the copy is to last some windows and no more.
    let moved = if guest.frontend() == Frontend::Dm { MOST / 2 } else { MOST };
    let lv = rig.lv("lv", moved, &[rig.pv(1)])?;
    // Writes alone, all over the LV, as many as the device takes.
    let config = Config { read_percent: 0, ..Config::deep(&lv, 1711) };
    let writer = Writer::start(config)?;
    writer.wait_for_writes(200, HANG)?;
    slow_data(guest, &destination, SLOW_MS)?;
    let before = writer.counters().writes;
    // The reading of the source before the copy makes way for this writer, too, and takes long.
    let args = ["pvmove", "--skip-read-check", &rig.pv(1), &rig.pv(2)];
    let mut moving = guest.spawn(&args)?;
    rig.wait_for_state(MoveState::Copying)?;
    let begun = Instant::now();
    let (mut most, mut since, mut longest) = (0.0, Duration::ZERO, Duration::ZERO);
    while moving.is_running()? {
        let percent = rig.percent()?;
        // Since its last growth, or since the copy was begun.
        let now = begun.elapsed();
        if most < 100.0 {
            longest = longest.max(now.saturating_sub(since));
        }
        if percent > most {
            (most, since) = (percent, now);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    moving.wait(HANG)?.ok()?;
    let (took, writes) = (begun.elapsed(), writer.counters().writes - before);
    guest.log(format!("the copy took {took:?}; {writes} writes were answered meanwhile"));
    let word = guest.frontend().word();
    guest.log(format!("figure=copy-standstill-{word}-ms {}", longest.as_millis()));
    guest.log(format!("figure=copy-took-{word}-ms {}", took.as_millis()));
    // The kernel takes what is being written for not equal at each stage, so the count falls back there.
    let windows = if guest.frontend() == Frontend::Dm { 2 } else { 1 };
    ensure!(longest < WINDOW * windows, "nothing was copied for {longest:?} under the writer");
    ensure!(took > WINDOW, "the copy was over in {took:?}, which shows nothing");
    ensure!(writes > 0, "the application was not served");
    slow_data(guest, &destination, 0)?;
    writer.stop()?.clean()?;
    rig.at_rest()?;
    rig.lies("lv", &[(2, 0, moved)])?;
    rig.reads_from_its_places("lv")
}
