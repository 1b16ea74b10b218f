//! `kill -9` of the ublk daemon at every step of a move, under 32 requests in flight over 4 queues.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use super::daemon::{
    DAEMON_FAIL, Deep, Victims, all_there, daemon, die_at, finished, kill, log_daemons,
    points_left, servers, spawn_move, ublk,
};
use crate::conformance::fixture::copy::slow_data;
use crate::conformance::fixture::wait::stopped_at;
use crate::conformance::fixture::{self, DATA, EXTENT};
use crate::conformance::moves::kill::{BACK, FORWARD};
use crate::guest::{Background, Guest};
use crate::scenario::{Frontend, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "ublk-kill-move",
        about: "kill -9 of the daemon while the mover stands before each step of a move, and back",
        run: at_steps_of_the_mover,
        ..UBLK
    },
    Scenario {
        name: "ublk-kill-copy",
        about: "kill -9 of the daemon at each of its own steps of a change of tables and a copy",
        run: at_steps_of_the_daemon,
        ..UBLK
    },
    Scenario {
        name: "ublk-kill-recovery",
        about: "kill -9 of each daemon that takes over, at each step of it, in mid-copy",
        run: at_steps_of_the_recovery,
        ..UBLK
    },
    Scenario {
        name: "ublk-kill-random",
        about: "kill -9 of the daemon, or of its guardian too, at random times of moves",
        run: at_random,
        ..UBLK
    },
    Scenario {
        name: "ublk-kill-device",
        about: "kill -9 of the daemon while a device is made and taken down",
        run: while_a_device_is_made,
        ..UBLK
    },
];

const UBLK: Scenario = Scenario {
    frontends: Frontend::UBLK,
    disks: fixture::TWO,
    cpus: 4,
    timeout_s: 800,
    ..Scenario::DEFAULT
};

const EXTENTS: u32 = 8;

/// Kills the daemon, or the guardian too every third time, at each stop of the mover.
fn kill_at_stops(
    deep: &Deep<'_>,
    moving: &mut Background<'_>,
    steps: &[&str],
    kills: &mut usize,
) -> Result<()> {
    let guest = deep.rig.guest;
    for step in steps {
        let mut trial = || -> Result<()> {
            stopped_at(guest, moving)?;
            if servers()?.is_empty() {
                // The mover has needed none since both were killed.
                guest.lvshift(&["lvs"])?.ok()?;
            }
            let victims = if *kills % 3 == 2 { Victims::Both } else { Victims::Daemon };
            kill(guest, victims)?;
            *kills += 1;
            if victims == Victims::Daemon {
                deep.served()?;
            }
            moving.signal(Signal::CONT)
        };
        trial()
            .with_context(|| format!("the daemon is killed while the mover is before {step}"))?;
    }
    Ok(())
}

fn stops(steps: &[&str]) -> String {
    let stops: Vec<String> = steps.iter().map(|step| format!("stop:{step}")).collect();
    stops.join(",")
}

fn at_steps_of_the_mover(guest: &mut Guest) -> Result<()> {
    let deep = Deep::new(guest, EXTENTS, 401)?;
    let rig = &deep.rig;
    let mut kills = 0;
    let mut moving = spawn_move(guest, &stops(FORWARD), &[&rig.pv(1), &rig.pv(2)])?;
    kill_at_stops(&deep, &mut moving, FORWARD, &mut kills)?;
    finished(moving)?.ok()?;
    ensure!(deep.settled()? == 2, "it did not arrive");

    let args = [rig.pv(2), rig.pv(1)];
    let run = rig.pvmove_at("after:swap-mirrored", &[&args[0], &args[1]])?;
    ensure!(run.signal == Some(9), "the fail point did not kill it: {run}");
    let mut moving = spawn_move(guest, &stops(BACK), &["--abort"])?;
    kill_at_stops(&deep, &mut moving, BACK, &mut kills)?;
    finished(moving)?;
    ensure!(deep.settled()? == 2, "an abort ended on the destination");
    guest.log(format!("{kills} kills"));
    ensure!(kills == FORWARD.len() + BACK.len(), "{kills} kills only");
    deep.end()
}

/// The daemon's own steps between the loading of a mirror and the end of a move.
const IN_A_MOVE: &[&str] = &[
    "suspended",
    "suspended 2",
    "copier-stopped",
    "copier-stopped 2",
    "copier-started",
    "copier-started 2",
    "resumed",
    "resumed 2",
    "copy-begun 3",
    "copy-done 2",
    "log-writing",
    "log-written",
    "settle-begun",
    "settle-done",
];
/// Those of a recovery of a device, in order.
const IN_A_RECOVERY: &[&str] = &[
    "orphans-found",
    "pvs-held",
    "queues-prepared",
    "recovery-begun",
    "queues-ready",
    "device-served",
    "all-taken-over",
];
/// Those of making a device.
const MAKING: &[&str] =
    &["pvs-held", "device-added", "device-noted", "queues-ready", "device-served"];
/// Those of taking it down.
const TAKING_DOWN: &[&str] = &["device-stopped", "device-deleted"];

fn at_steps_of_the_daemon(guest: &mut Guest) -> Result<()> {
    every_point_is_tried(guest)?;
    let deep = Deep::new(guest, EXTENTS, 411)?;
    let rig = &deep.rig;
    let mut from = 1;
    for point in IN_A_MOVE {
        let to = 3 - from;
        let trial = || -> Result<()> {
            let before = daemon(guest)?;
            let places = [rig.pv(from), rig.pv(to)];
            if point.starts_with("log") || point.starts_with("settle") {
                at_a_step_of_the_log(&deep, point, &[&places[0], &places[1]])?;
            } else {
                die_at(&[point])?;
                ublk(guest, &["pvmove", &places[0], &places[1]])?.ok()?;
            }
            let left = points_left()?;
            ensure!(left.is_empty(), "nobody died at {left:?}");
            ensure!(daemon(guest)? != before, "it is the same daemon");
            ensure!(deep.settled()? == to, "it did not arrive");
            Ok(())
        };
        trial().with_context(|| format!("the daemon is killed at {point}"))?;
        from = to;
    }
    deep.end()
}

/// Under 32 writes at a time no chunk becomes clean, so they pause until the daemon has died.
fn at_a_step_of_the_log(deep: &Deep<'_>, point: &str, places: &[&str]) -> Result<()> {
    let guest = deep.rig.guest;
    let mut moving = spawn_move(guest, "stop:check-legs", places)?;
    stopped_at(guest, &mut moving)?;
    die_at(&[point])?;
    deep.writer.pause();
    let died = || Ok(points_left()?.is_empty());
    let waited = guest.wait_for("the daemon has died", fixture::HANG, died);
    deep.writer.unpause();
    waited?;
    deep.served()?;
    moving.signal(Signal::CONT)?;
    finished(moving)?.ok().map(drop)
}

/// The lists above leave out no point that the daemon has.
fn every_point_is_tried(guest: &Guest) -> Result<()> {
    let run = guest.lvshift(&["daemon", "--failpoints"])?.ok()?;
    let all = [IN_A_MOVE, IN_A_RECOVERY, MAKING, TAKING_DOWN].concat();
    for name in run.stdout.lines() {
        let tried = all.iter().any(|point| point.split(' ').next() == Some(name));
        ensure!(tried, "no scenario kills the daemon at {name}");
    }
    Ok(())
}

fn at_steps_of_the_recovery(guest: &mut Guest) -> Result<()> {
    let slow = guest.faulty("pv2")?;
    let deep = Deep::over(guest, vec![guest.disk("pv1")?, slow.path()], EXTENTS, 421)?;
    let rig = &deep.rig;
    slow_data(guest, &slow, 100)?;
    // Under 32 writes at a time hardly a chunk is clean in the log: each that takes over copies anew.
    let mut moving = spawn_move(guest, "stop:await-copy", &[&rig.pv(1), &rig.pv(2)])?;
    stopped_at(guest, &mut moving)?;
    for (n, point) in IN_A_RECOVERY.iter().enumerate() {
        let victims = if n % 2 == 1 { Victims::Both } else { Victims::Daemon };
        let trial = || -> Result<()> {
            // The first that takes over dies there, and so does the one after it at the next point.
            let next = IN_A_RECOVERY[(n + 3) % IN_A_RECOVERY.len()];
            die_at(&[point, next])?;
            kill(guest, victims)?;
            let again = match victims {
                Victims::Daemon => None,
                Victims::Both => {
                    Some(guest.spawn_env(&[DAEMON_FAIL], guest.frontend().binary(), &["lvs"])?)
                }
            };
            let all_died = || Ok(points_left()?.is_empty());
            guest
                .wait_for("two more have died", fixture::HANG * 2, all_died)
                .inspect_err(|_| log_daemons(guest))?;
            deep.served()?;
            again.map_or(Ok(()), |command| finished(command)?.ok().map(drop))
        };
        trial().with_context(|| format!("{victims:?} killed, and their heirs from {point} on"))?;
    }
    slow_data(guest, &slow, 0)?;
    moving.signal(Signal::CONT)?;
    finished(moving)?.ok()?;
    ensure!(deep.settled()? == 2, "it did not arrive");
    deep.end()
}

const RANDOM_KILLS: u64 = 16;

fn at_random(guest: &mut Guest) -> Result<()> {
    let deep = Deep::new(guest, EXTENTS, 431)?;
    let rig = &deep.rig;
    let mut random = 0x6c76_7368_6966_7431_u64;
    let mut from = 1;
    let mut moving = None;
    for n in 0..RANDOM_KILLS {
        random = random.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        if moving.is_none() {
            moving = Some(spawn_move(guest, "", &[&rig.pv(from), &rig.pv(3 - from)])?);
        }
        let pause = (random >> 33) % 1200;
        std::thread::sleep(Duration::from_millis(pause));
        let victims = if n % 4 == 3 { Victims::Both } else { Victims::Daemon };
        let mut trial = || -> Result<()> {
            kill(guest, victims)?;
            let mut runs = || moving.as_mut().is_some_and(|m| m.is_running().unwrap_or(false));
            // Where nobody waits for the daemon but the application, the next command brings it back.
            let command = || guest.lvshift(&["lvs"])?.ok().map(drop);
            let alone = victims == Victims::Both;
            if alone && !runs() {
                command()?;
            }
            match deep.served() {
                // A mover at its very end needs no daemon any more, and starts none.
                Err(_) if alone && !runs() => command().and_then(|()| deep.served()),
                served => served,
            }
        };
        trial().with_context(|| format!("kill {n}, of {victims:?}, after {pause} ms"))?;
        if let Some(mut ended) = moving.take() {
            if ended.is_running()? {
                moving = Some(ended);
            } else {
                finished(ended)?.ok()?;
                from = 3 - from;
                ensure!(deep.settled()? == from, "it did not arrive");
            }
        }
    }
    if let Some(moving) = moving {
        finished(moving)?.ok()?;
        ensure!(deep.settled()? == 3 - from, "it did not arrive");
    }
    all_there(guest)?;
    deep.end()
}

fn while_a_device_is_made(guest: &mut Guest) -> Result<()> {
    let deep = Deep::new(guest, EXTENTS, 441)?;
    let rig = &deep.rig;
    ublk(guest, &["lvcreate", "-n", "other", "-l", "2", fixture::VG, &rig.pv(1)])?.ok()?;
    let place =
        crate::guest::Region::new(rig.pv(1), DATA + u64::from(EXTENTS) * EXTENT, 2 * EXTENT);
    let written = guest.hash_region(&place)?;
    let active = ["lvchange", "-a", "y", "vg/other"];
    let inactive = ["lvchange", "-a", "n", "vg/other"];
    for (points, change, before) in [(MAKING, active, inactive), (TAKING_DOWN, inactive, active)] {
        for point in points {
            let trial = || -> Result<()> {
                ublk(guest, &before)?.ok()?;
                die_at(&[point])?;
                ublk(guest, &change)?.ok()?;
                let left = points_left()?;
                ensure!(left.is_empty(), "nobody died at {left:?}");
                deep.served()?;
                let there = fixture::lv_path("other").exists();
                ensure!(there == (change == active), "its node is there: {there}");
                if there {
                    let whole = crate::guest::Region::new(fixture::lv_path("other"), 0, 2 * EXTENT);
                    ensure!(guest.hash_region(&whole)? == written, "it is another LV");
                }
                Ok(())
            };
            trial().with_context(|| format!("the daemon is killed at {point}"))?;
        }
    }
    ublk(guest, &inactive)?.ok()?;
    deep.end()
}
