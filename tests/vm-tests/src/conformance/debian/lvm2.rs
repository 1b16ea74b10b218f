//! A volume group of LVM2's own under systemd and udevd, with LVM2 as Debian sets it up.

use anyhow::{Context as _, Result, ensure};

use super::{IN_DEBIAN, LATE, SHUTDOWN_S, SOON, disks, install, intact};
use crate::guest::Guest;
use crate::scenario::{Disk, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "debian-lvm2-reboot",
    about: "pvmove -b in an LVM2 VG, whose name systemd has to escape, is a unit; a reboot in mid-copy, with the LV \
            in fstab: the move goes on by itself from where it was, and ends well",
    disks: &[Disk::new("pv1", 256), Disk::new("pv2", 256).limited(LATE)],
    boots: 2,
    run: reboot,
    ..IN_DEBIAN
}];

const VG: &str = "data-vg";
const UNIT: &str = r"lvshift-pvmove@data\x2dvg.service";
const PERCENT: &str = "/percent";

/// How much of the move LVM2, or our reports, say is copied.
fn percent(guest: &Guest) -> Result<Option<f32>> {
    let fields = ["lvs", "-a", "--noheadings", "-o", "copy_percent", VG];
    let told = guest.lvshift(&fields)?.ok()?;
    Ok(told.stdout.split_whitespace().filter_map(|word| word.parse().ok()).reduce(f32::max))
}

fn reboot(guest: &mut Guest) -> Result<()> {
    let (pv1, pv2) = disks(guest)?;
    if guest.boot() == 1 {
        install(guest)?;
        guest.sh(&format!(
            "lvm vgcreate {VG} {pv1} {pv2} && lvm lvcreate -y -n home -L 96m {VG} {pv1}"
        ))?;
        guest.sh(&format!("mkfs.ext4 -q /dev/{VG}/home && mkdir -p /home"))?;
        guest.sh(&format!(
            "echo '/dev/{VG}/home /home ext4 defaults 0 2' >> /etc/fstab; systemctl daemon-reload; \
             mount /home && cp /usr/bin/perl /home/before && sync -f /home"
        ))?;
        guest.lvshift(&["pvmove", "-b", &pv1, &pv2])?.ok()?.stdout_has(UNIT)?;
        guest.wait_for(
            "it copies",
            SOON,
            || Ok(percent(guest)?.is_some_and(|done| done > 10.0)),
        )?;
        let done = percent(guest)?.context("it was too fast: the move is done")?;
        std::fs::write(PERCENT, done.to_string())?;
        let metrics = guest.lvshift(&["metrics"])?.ok()?;
        metrics.stdout_has(&format!("lvshift_vg_moves_driven{{vg=\"{VG}\"}} 1"))?;
        guest.shut_down(SHUTDOWN_S);
    }
    guest.wait_for("fstab is mounted", SOON, || {
        Ok(guest.run("systemctl", &["is-active", "home.mount"])?.status == Some(0))
    })?;
    let before: f32 = std::fs::read_to_string(PERCENT)?.parse()?;
    if let Some(now) = percent(guest)? {
        ensure!(now >= before, "{before} % were copied, and after the boot {now} %");
    }
    // Whoever moves, it can be followed; a move that is done already is nothing to follow.
    guest.spawn(&["pvmove", "--watch"])?.wait(2 * SOON)?.ok()?;
    guest.wait_for("the move is done", SOON, || {
        let told = guest.sh(&format!("lvm lvs -a --noheadings -o lv_name,devices {VG}"))?;
        Ok(!told.stdout.contains("lvshift") && !told.stdout.contains(&pv1))
    })?;
    guest.wait_for("the unit has ended", SOON, || {
        Ok(guest.run("systemctl", &["is-active", UNIT])?.stdout.trim() != "active")
    })?;
    let unit = guest
        .sh(&format!("systemctl show -P Result '{UNIT}'; journalctl --no-pager -u '{UNIT}'"))?;
    ensure!(unit.stdout.starts_with("success"), "{unit}");
    let told = guest.sh("journalctl --no-pager -b -t lvshift -o json")?;
    told.stdout_has(r#""LVSHIFT_OUTCOME":"moved""#)?.stdout_has(r#""LVSHIFT_VG":"data-vg""#)?;
    intact(guest)?;
    guest.sh(&format!("umount /home && lvm vgchange -an {VG} && lvm vgck {VG}")).map(drop)
}
