//! The daemon as a unit: systemd listens for it, watches it, and starts it again.

use anyhow::{Context as _, Result, ensure};

use super::{IN_DEBIAN, SOON, disks, install};
use crate::guest::Guest;
use crate::scenario::{Frontend, Scenario};
use crate::writer::{Config, Writer};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "debian-daemon",
    about: "the daemon gets its socket from systemd, which starts it for who connects; one that hangs is killed and \
            followed, and the application waits for that and sees nothing else",
    frontends: Frontend::UBLK,
    run: daemon,
    ..IN_DEBIAN
}];

const PROGRAM: &str = "/usr/sbin/lvshift-ublk";

fn daemon(guest: &mut Guest) -> Result<()> {
    install(guest)?;
    let (pv1, pv2) = disks(guest)?;
    guest.lvshift(&["vgcreate", "vg0", &pv1, &pv2])?.ok()?;
    guest.lvshift(&["lvcreate", "-n", "home", "-L", "16m", "vg0", &pv1])?.ok()?;
    let units = guest.sh("systemctl list-units --plain --no-legend 'lvshift-ublk@*.service'")?;
    let unit = units.stdout.split_whitespace().next().context("no unit serves")?.to_owned();
    let socket = unit.replace(".service", ".socket");
    let is_active = |unit: &str| -> Result<bool> {
        Ok(guest.run("systemctl", &["is-active", "-q", unit])?.status == Some(0))
    };
    ensure!(is_active(&socket)?, "systemd does not listen: {units}");
    let pid = main_pid(guest, &unit)?;
    guest.sh(&format!("tr '\\0' '\\n' < /proc/{pid}/environ | grep -x LISTEN_FDS=1"))?;
    let cgroup = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    ensure!(cgroup.trim_end().ends_with(&unit), "{cgroup}");

    // Nothing is served: the daemon ends, systemd listens on, and a report starts none.
    guest.lvshift(&["vgchange", "-an"])?.ok()?;
    guest.wait_for("the daemon has ended", SOON, || Ok(!is_active(&unit)?))?;
    guest.lvshift(&["lvs", "vg0"])?.ok()?;
    guest.lvshift(&["metrics"])?.ok()?;
    ensure!(!is_active(&unit)? && is_active(&socket)?, "a report has started the daemon");

    // Without systemctl: it is the connection that starts the unit.
    guest.sh(&format!("env PATH=/nowhere {PROGRAM} vgchange -ay vg0"))?;
    ensure!(is_active(&unit)?, "it was not the unit that was started");

    // A daemon that hangs.
    guest.sh(
        "mkdir -p /run/systemd/system/lvshift-ublk@.service.d && \
         printf '[Service]\\nWatchdogSec=4\\n' > /run/systemd/system/lvshift-ublk@.service.d/watchdog.conf && \
         systemctl daemon-reload",
    )?;
    let writer = Writer::start(Config { fill: false, ..Config::new("/dev/vg0/home", 162) })?;
    writer.wait_for_writes(5, SOON)?;
    guest.sh(&format!("systemctl restart '{unit}'"))?;
    writer.wait_for_writes(5, SOON)?;
    let hangs = main_pid(guest, &unit)?;
    guest.sh(&format!("kill -STOP {hangs}"))?;
    guest.wait_for("another serves", SOON, || {
        Ok(!["0", &hangs].contains(&&*main_pid(guest, &unit)?))
    })?;
    writer.wait_for_writes(5, SOON)?;
    guest.sh(&format!("journalctl --no-pager -b -u '{unit}' | grep 'Watchdog timeout'"))?;
    guest.lvshift(&["lvs", "vg0/home"])?.ok()?;
    let told = guest.lvshift(&["metrics"])?.ok()?;
    let count = "lvshift_lv_request_seconds_count{vg=\"vg0\",lv=\"home\",op=\"write\"} ";
    let writes = told.stdout.lines().find_map(|line| line.strip_prefix(count)).context(count)?;
    ensure!(writes.parse::<u64>()? >= 5, "{told}");
    writer.stop()?.clean()?;

    // `upgrade` finds the next daemon where systemd starts it.
    let before = main_pid(guest, &unit)?;
    guest.lvshift(&["upgrade", "vg0"])?.ok()?.stdout_has("was replaced")?;
    ensure!(main_pid(guest, &unit)? != before, "it is the same daemon");
    guest.lvshift(&["vgchange", "-an"])?.ok().map(drop)
}

fn main_pid(guest: &Guest, unit: &str) -> Result<String> {
    Ok(guest.sh(&format!("systemctl show -P MainPID '{unit}'"))?.stdout.trim().to_owned())
}
