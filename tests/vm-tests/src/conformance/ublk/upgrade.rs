//! The daemon is replaced in mid-copy under load: by `upgrade`, and as systemd restarts a unit.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lvshift_on_disk_format::record::MoveState;
use rustix::process::Signal;

use super::daemon::{
    DAEMON_FAIL, Deep, Role, Victims, all_there, daemon, finished, kill, servers, spawn_move,
};
use crate::conformance::fixture::copy::slow_data;
use crate::conformance::fixture::wait::stopped_at;
use crate::conformance::fixture::{self, HANG};
use crate::guest::{Background, Guest};
use crate::scenario::{Frontend, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "ublk-upgrade",
    about: "upgrade, and systemd's TERM and restart, replace the daemon in mid-copy under load",
    frontends: Frontend::UBLK,
    disks: fixture::TWO,
    cpus: 4,
    timeout_s: 600,
    run: upgrade,
    ..Scenario::DEFAULT
}];

const EXTENTS: u32 = 8;

fn upgrade(guest: &mut Guest) -> Result<()> {
    let slow = guest.faulty("pv2")?;
    let deep = Deep::over(guest, vec![guest.disk("pv1")?, slow.path()], EXTENTS, 521)?;
    slow_data(guest, &slow, 300)?;
    let moving = spawn_move(guest, "", &[&deep.rig.pv(1), &deep.rig.pv(2)])?;
    deep.rig.wait_for_state(MoveState::Copying)?;
    by_upgrade(&deep)?;
    slow_data(guest, &slow, 0)?;
    finished(moving)?.ok()?;
    ensure!(deep.settled()? == 2, "it did not arrive");

    // A move whose mover is dead: the mirror is in the daemon's hands alone.
    let args = [deep.rig.pv(2), deep.rig.pv(1)];
    let mut moving = spawn_move(guest, "stop:check-legs", &[&args[0], &args[1]])?;
    stopped_at(guest, &mut moving)?;
    moving.kill()?;
    by_upgrade(&deep)?;
    // From now on systemd is who starts the daemon.
    let systemd = Systemd::new(guest, &deep)?;
    kill(guest, Victims::Both)?;
    let mut unit = systemd.start()?;
    deep.served()?;
    for _ in 0..2 {
        gap(&deep, "systemctl restart", || {
            unit.signal(Signal::TERM)?;
            guest.wait_for("TERM has ended the unit", HANG, || Ok(!unit.is_running()?))?;
            unit = systemd.start()?;
            Ok(())
        })?;
        let all = servers()?;
        ensure!(all.len() == 1 && all[0].role == Role::Daemon, "the unit alone, and not {all:?}");
    }
    let states = deep.rig.newest_meta()?.states();
    ensure!(states == [MoveState::Copying], "recorded: {states:?}");
    deep.rig.pvmove(&[])?.ok()?;
    ensure!(deep.settled()? == 1, "it did not arrive");
    deep.end()?;
    // Nobody starts the unit again after this.
    guest.lvshift(&["vgchange", "-a", "n", fixture::VG])?.ok()?;
    Ok(())
}

fn by_upgrade(deep: &Deep<'_>) -> Result<()> {
    let guest = deep.rig.guest;
    let before = daemon(guest)?;
    gap(deep, "upgrade", || {
        guest.lvshift(&["upgrade"])?.ok()?.stdout_has("was replaced")?;
        Ok(())
    })?;
    ensure!(daemon(guest)? != before, "it is the same daemon");
    all_there(guest)
}

/// Does it, and logs for how long nobody served the application.
fn gap(deep: &Deep<'_>, what: &str, replace: impl FnOnce() -> Result<()>) -> Result<()> {
    let (start, before) = (Instant::now(), deep.writer.counters());
    replace().with_context(|| what.to_owned())?;
    let took = start.elapsed();
    deep.served().with_context(|| what.to_owned())?;
    let after = deep.writer.outcome().clean()?.counters;
    deep.rig.guest.log(format!(
        "{what}: {took:.2?}; the longest any request has taken was {:.2?} before, {:.2?} after",
        before.worst, after.worst
    ));
    Ok(())
}

/// What systemd is for a unit of `Type=notify`, as far as the daemon can see.
struct Systemd<'g> {
    guest: &'g Guest,
    vg: String,
    notified: UnixDatagram,
}

const NOTIFY: &str = "/run/notify";

impl<'g> Systemd<'g> {
    fn new(guest: &'g Guest, deep: &Deep<'_>) -> Result<Systemd<'g>> {
        let notified = UnixDatagram::bind(NOTIFY).context("the socket of sd_notify")?;
        notified.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Systemd { guest, vg: deep.rig.newest_meta()?.uuid, notified })
    }

    /// Starts the unit and waits until it says that it is ready.
    fn start(&self) -> Result<Background<'g>> {
        let env = [("NOTIFY_SOCKET", NOTIFY), DAEMON_FAIL];
        let args = ["daemon", "--vg", &self.vg, "--foreground"];
        let unit = self.guest.spawn_env(&env, self.guest.frontend().binary(), &args)?;
        let mut text = [0; 64];
        let len = self.notified.recv(&mut text).context("no READY=1 from the daemon")?;
        ensure!(text[..len].starts_with(b"READY=1"), "{:?}", String::from_utf8_lossy(&text[..len]));
        Ok(unit)
    }
}
