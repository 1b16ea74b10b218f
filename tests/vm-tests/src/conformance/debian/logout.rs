//! Who typed a command logs out, or is thrown out: the LVs are served, and the move goes on.

use std::path::Path;

use anyhow::{Result, ensure};

use super::boot::copies;
use super::{IN_DEBIAN, SOON, disks, install, moved, slow};
use crate::guest::Guest;
use crate::scenario::Scenario;
use crate::writer::{Config, Writer};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "debian-logout",
    about: "loginctl terminate-user in mid-move, and a logout with KillUserProcesses=yes, under a writer: a mover in the \
            foreground ends, the LV is served, the unit carries on",
    run: logout,
    ..IN_DEBIAN
}];

/// What node_exporter reads.
const METRICS: &str = "/var/lib/prometheus/node-exporter";

fn logout(guest: &mut Guest) -> Result<()> {
    install(guest)?;
    guest.sh(
        "mkdir -p /etc/systemd/logind.conf.d && \
         printf '[Login]\\nKillUserProcesses=yes\\nKillExcludeUsers=daemon\\n' > /etc/systemd/logind.conf.d/kill.conf && \
         systemctl restart systemd-logind",
    )?;
    let (pv1, pv2) = disks(guest)?;
    let slow = slow(guest, &pv2, 500)?;
    guest.lvshift(&["vgcreate", "vg0", &pv1, &slow])?.ok()?;
    guest.lvshift(&["lvcreate", "-n", "home", "-L", "96m", "vg0", &pv1])?.ok()?;
    guest.lvshift(&["vgchange", "-an"])?.ok()?;
    let program = guest.frontend().binary();

    // In the foreground, and thrown out: the mover ends with who typed it.
    log_in(
        guest,
        "first",
        &format!(
            "{program} vgchange -ay vg0 && touch /run/active && until [ -e /run/go ]; do sleep 0.2; done; \
             {program} pvmove {pv1}"
        ),
    )?;
    exists(guest, "/run/active")?;
    let config = Config { threads: 1, size: Some(8 << 20), ..Config::new("/dev/vg0/home", 161) };
    let writer = Writer::start(config)?;
    writer.wait_for_writes(5, SOON)?;
    guest.sh("touch /run/go")?;
    guest.wait_for("it copies", SOON, || copies(guest))?;
    let watch = format!("{program} pvmove --watch");
    let watch = guest.spawn_env(&[], "script", &["-qec", &watch, "/run/watched"])?;
    guest.wait_for("a terminal shows a bar and the chunks", SOON, || {
        let shown = std::fs::read("/run/watched").unwrap_or_default();
        let shown = String::from_utf8_lossy(&shown).into_owned();
        Ok(shown.contains("%  ") && shown.contains("pvmove: chunks ["))
    })?;
    drop(watch);
    guest.sh("loginctl --no-pager list-sessions; loginctl terminate-user root")?;
    is_out(guest, "first")?;
    writer.wait_for_writes(5, SOON)?;
    let state = ["lvs", "--noheadings", "-o", "move_state", "vg0/home"];
    guest.wait_for("the mover has ended", SOON, || {
        Ok(guest.lvshift(&state)?.ok()?.stdout.trim() == "interrupted")
    })?;
    let told = guest.sh("journalctl --no-pager -b -t lvshift -o json")?;
    for field in [
        r#""LVSHIFT_OUTCOME":"left""#,
        r#""PRIORITY":"4""#,
        r#""PRIORITY":"5""#,
        r#""LVSHIFT_TO":"/dev/mapper/slow""#,
    ] {
        ensure!(told.stdout.contains(field), "no {field} in {told}");
    }

    metrics_are_written(guest)?;
    guest.sh(&format!(
        "dmsetup reload slow --table \"0 $(blockdev --getsz {pv2}) linear {pv2} 0\" && dmsetup resume slow"
    ))?;

    // In the background, and logged out: logind kills what is left of the session, and that is not ours.
    log_in(guest, "second", &format!("sleep 5000 & {program} pvmove -b && touch /run/typed"))?;
    exists(guest, "/run/typed")?;
    is_out(guest, "second")?;
    guest.wait_for("the rest of the session is killed", SOON, || {
        Ok(guest.run("pgrep", &["-f", "sleep 5000"])?.status != Some(0))
    })?;
    writer.wait_for_writes(5, SOON)?;
    moved(guest)?;
    writer.stop()?.clean()?;
    guest.lvshift(&["vgchange", "-an"])?.ok().map(drop)
}

/// Has root log in and type this; the shell ends after it, and the session with that.
fn log_in(guest: &Guest, name: &str, line: &str) -> Result<()> {
    std::fs::write(format!("/run/{name}"), format!("{line}\n"))?;
    guest.sh(&format!("systemd-run -q --unit={name} su -l root -c 'sh /run/{name}'"))?;
    guest.wait_for("there is a session", SOON, || {
        let told = guest.sh("loginctl --no-pager --no-legend list-sessions")?;
        Ok(!told.stdout.trim().is_empty() || Path::new("/run/typed").exists())
    })
}

fn is_out(guest: &Guest, name: &str) -> Result<()> {
    guest.wait_for("the session is over", SOON, || {
        let shell = guest.run("systemctl", &["is-active", "-q", name])?.status == Some(0);
        let told = guest.sh("loginctl --no-pager --no-legend list-sessions")?;
        Ok(!shell && told.stdout.trim().is_empty())
    })
}

fn exists(guest: &Guest, path: &'static str) -> Result<()> {
    guest.wait_for(path, SOON, || Ok(Path::new(path).exists()))
}

/// The timer's unit writes what is known in mid-move, under its last name alone.
fn metrics_are_written(guest: &Guest) -> Result<()> {
    guest.sh(&format!("mkdir -p {METRICS} && systemctl start lvshift-metrics.service"))?;
    let text = std::fs::read_to_string(format!("{METRICS}/lvshift.prom"))?;
    for line in ["lvshift_vg_active_lvs{vg=\"vg0\"} 1\n", "\nlvshift_move_copied_bytes{vg=\"vg0\""]
    {
        ensure!(text.contains(line), "no {line:?} in {text}");
    }
    let files: Vec<_> =
        std::fs::read_dir(METRICS)?.flatten().map(|file| file.file_name()).collect();
    ensure!(files == ["lvshift.prom"], "{files:?}");
    Ok(())
}
