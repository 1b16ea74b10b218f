//! A volume group of LVM2's own under systemd and udevd, with LVM2 as Debian sets it up.

use anyhow::{Result, ensure};

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
const COPIED: &str = "/copied";

/// How many bytes of the move are copied, while somebody drives it; `None` when there is none (any more).
fn copied(guest: &Guest) -> Result<Option<u64>> {
    let told = guest.lvshift(&["metrics"])?.ok()?;
    let value = |name: &str| {
        let start = format!("{name}{{vg=\"{VG}\"");
        let line = told.stdout.lines().find(|line| line.starts_with(&start))?;
        line.rsplit(' ').next()?.parse::<u64>().ok()
    };
    let driven = value("lvshift_vg_moves_driven") == Some(1);
    Ok(value("lvshift_move_copied_bytes").filter(|_| driven))
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
             mount /home && cp /usr/bin/perl /home/before && \
             dd if=/dev/urandom of=/home/more bs=1M count=60 && sync -f /home"
        ))?;
        guest.lvshift(&["pvmove", "-b", &pv1, &pv2])?.ok()?.stdout_has(UNIT)?;
        let mut done = 0;
        guest.wait_for("it copies", SOON, || {
            done = copied(guest)?.unwrap_or(0);
            Ok(done > 4 << 20)
        })?;
        std::fs::write(COPIED, done.to_string())?;
        guest.shut_down(SHUTDOWN_S);
    }
    guest.wait_for("fstab is mounted", SOON, || {
        Ok(guest.run("systemctl", &["is-active", "home.mount"])?.status == Some(0))
    })?;
    let before: u64 = std::fs::read_to_string(COPIED)?.parse()?;
    if let Some(now) = copied(guest)? {
        ensure!(now >= before, "{before} bytes were copied, and after the boot {now}");
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
    for field in [
        r#""LVSHIFT_OUTCOME":"moved""#,
        r#""LVSHIFT_VG":"data-vg""#,
        r#""PRIORITY":"5""#,
        r#""LVSHIFT_MOVE":""#,
        r#""LVSHIFT_BYTES":"100663296""#,
    ] {
        ensure!(told.stdout.contains(field), "no {field} in {told}");
    }
    intact(guest)?;
    guest.sh(&format!("umount /home && lvm vgchange -an {VG} && lvm vgck {VG}")).map(drop)
}
