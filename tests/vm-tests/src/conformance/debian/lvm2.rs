//! A volume group of LVM2's own under systemd and udevd, with LVM2 as Debian sets it up.

use anyhow::{Result, ensure};

use super::{IN_DEBIAN, SOON, disks, install, intact};
use crate::guest::Guest;
use crate::scenario::{Frontend, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "debian-lvm2-background",
    about: "pvmove -b in an LVM2 VG, whose name systemd has to escape, is a unit that ends well",
    frontends: Frontend::DM,
    // Hidden until it has been seen to pass.
    hidden: true,
    run: background,
    ..IN_DEBIAN
}];

const UNIT: &str = r"lvshift-pvmove@data\x2dvg.service";

fn background(guest: &mut Guest) -> Result<()> {
    install(guest)?;
    let (pv1, pv2) = disks(guest)?;
    guest.sh(&format!(
        "lvm vgcreate data-vg {pv1} {pv2} && lvm lvcreate -y -n home -L 96m data-vg {pv1}"
    ))?;
    guest
        .sh("mkfs.ext4 -q /dev/data-vg/home && mkdir -p /home && mount /dev/data-vg/home /home")?;
    guest.sh("cp /usr/bin/perl /home/before && sync -f /home")?;
    guest.lvshift(&["pvmove", "-b", &pv1, &pv2])?.ok()?.stdout_has(UNIT)?;
    guest.wait_for("the move is done", SOON * 2, || {
        let told = guest.sh("lvm lvs -a --noheadings -o lv_name,devices data-vg")?;
        Ok(!told.stdout.contains("lvshift") && !told.stdout.contains(&pv1))
    })?;
    guest.wait_for("the unit has ended", SOON, || {
        Ok(guest.run("systemctl", &["is-active", UNIT])?.stdout.trim() != "active")
    })?;
    let unit = guest
        .sh(&format!("systemctl show -P Result '{UNIT}'; journalctl --no-pager -u '{UNIT}'"))?;
    ensure!(unit.stdout.starts_with("success"), "{unit}");
    intact(guest)?;
    guest.sh("umount /home && lvm vgchange -an data-vg && lvm vgck data-vg").map(drop)
}
