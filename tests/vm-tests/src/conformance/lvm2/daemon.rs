//! Moves in an LVM2 VG whose mirror is a daemon of ours: it dies, and another front end takes over.

use anyhow::{Result, bail, ensure};

use super::rig::{self, Lvm2, TWO, VG};
use crate::conformance::fixture::{self, HANG};
use crate::conformance::ublk::daemon::{self, Victims};
use crate::guest::Guest;
use crate::scenario::{Frontend, Scenario};
use crate::writer::{Config, Writer};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "lvm2-daemon-dies",
        about: "the daemon that mirrors in an LVM2 VG is killed in mid-copy, with a mover and without one",
        frontends: Frontend::UBLK,
        disks: TWO,
        timeout_s: 300,
        run: dies,
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "lvm2-hand-over",
        about: "in an LVM2 VG ublk carries on what dm began; dm refuses what a daemon of ublk mirrors",
        frontends: Frontend::UBLK,
        disks: TWO,
        timeout_s: 300,
        run: hand_over,
        ..Scenario::DEFAULT
    },
];

fn dies(guest: &mut Guest) -> Result<()> {
    let rig = Lvm2::new(guest, &["pv1", "pv2"])?;
    let home = rig.lv("home", &[(1, 20)])?;
    // Only where the copy begins: until it is known who is in charge, a write waits for the copy of its
    // chunk, which no limit holds back, and the move must not end here.
    let config = Config { size: Some(2 << 20), ..Config::new(&home, 1001) };
    let writer = Writer::start(config)?;
    writer.wait_for_writes(10, HANG)?;
    let mut moving = rig.spawn_move("", &["--max-rate=64k", &rig.pv(1), &rig.pv(2)])?;
    rig.wait_for_mid_copy()?;
    ensure!(rig.is_served()?, "no daemon mirrors");
    daemon::kill(guest, Victims::Daemon)?;
    fixture::served(&writer)?;
    // The guardian, too: the mover starts another, and one more after that is killed while it begins.
    daemon::kill(guest, Victims::Both)?;
    daemon::kill_as_it_begins(guest)?;
    fixture::served(&writer)?;
    // It lives on.
    std::thread::sleep(std::time::Duration::from_secs(5));
    if !moving.is_running()? {
        bail!("the mover has ended: {}", moving.wait(HANG)?);
    }
    // No mover: the guardian of the one that serves now does it, and LVM2 is asked who is in charge.
    moving.kill()?;
    daemon::kill(guest, Victims::Daemon)?;
    fixture::served(&writer)?;
    rig.pvmove(&["--max-rate=1g"])?.ok()?;
    rig.at_rest()?;
    rig.is_on("home", 2)?;
    fixture::served(&writer)?;
    writer.stop()?.clean()?;
    guest.wait_for("no process of ours is left", HANG, || Ok(daemon::servers()?.is_empty()))?;
    rig.reads_from_its_places("home")?;
    rig.lvm(&["vgchange", "-an", VG]).map(drop)
}

fn hand_over(guest: &mut Guest) -> Result<()> {
    let slow = guest.faulty("pv2")?;
    let rig = Lvm2::over(guest, vec![guest.disk("pv1")?, slow.path()])?;
    let home = rig.lv("home", &[(1, 20)])?;
    let writer = rig::writer(&home, 1011)?;
    rig.slow(&slow, 500)?;
    let words = ["pvmove", "-i1", &rig.pv(1), &rig.pv(2)];
    let moving = guest.spawn_env(&[], Frontend::Dm.binary(), &words)?;
    rig.wait_for_mid_copy()?;
    ensure!(!rig.is_served()?, "a daemon mirrors what dm began");
    moving.kill()?;
    rig.slow(&slow, 0)?;
    rig.pvmove(&[])?.ok()?;
    rig.at_rest()?;
    rig.is_on("home", 2)?;
    fixture::served(&writer)?;
    // The other way: what a daemon mirrors is refused, and goes on.
    let moving = rig.spawn_move("stop:flush-destination", &[&rig.pv(2), &rig.pv(1)])?;
    guest.wait_for("a daemon mirrors", HANG * 3, || rig.is_served())?;
    moving.kill()?;
    let run = guest.lvshift_as(Frontend::Dm, &["pvmove"])?.fails_with(5)?;
    ensure!(run.stderr.contains("lvshift-ublk pvmove"), "does not say what to type: {run}");
    ensure!(rig.is_served()?, "it was switched");
    fixture::served(&writer)?;
    rig.pvmove(&["--abort"])?.ok()?;
    rig.at_rest()?;
    rig.is_on("home", 2)?;
    rig.end([writer], &["home"])
}
