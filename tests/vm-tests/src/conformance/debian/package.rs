//! The package: what it brings, and that it leaves nothing.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use super::{IN_DEBIAN, apt, is_installed, moves};
use crate::guest::Guest;
use crate::scenario::Scenario;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "debian-package",
    about: "apt installs the package on a bare Debian, a VG works, and purge leaves nothing behind",

    run: package,
    ..IN_DEBIAN
}];

/// Every file of the root but of what always changes.
fn files(guest: &Guest) -> Result<BTreeSet<String>> {
    let list = "/run/files";
    guest.sh(&format!(
        "{{ find / -xdev \\( -path /proc -o -path /sys -o -path /var/cache -o -path /var/log -o -path /tmp \
         -o -path /var/tmp -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /run \\) -prune -o -print; \
         find /run/lvshift /run/udev/rules.d /run/systemd/system 2>/dev/null || true; }} > {list}",
    ))?;
    Ok(std::fs::read_to_string(list)?.lines().map(str::to_owned).collect())
}

fn package(guest: &mut Guest) -> Result<()> {
    let before = files(guest)?;
    guest.sh("cp /payload/lvshift.deb /var/tmp/lvshift_0_amd64.deb")?;
    apt(guest, &["install", "-y", "/var/tmp/lvshift_0_amd64.deb"])?;
    is_installed(guest)?;
    for page in ["man7/lvshift.7", "man8/lvshift-pvmove.8", "man8/lvshift-tune.8"] {
        // A minimal Debian leaves manual pages out of what it unpacks; the package has them.
        guest.sh(&format!("dpkg -L lvshift | grep -q /usr/share/man/{page}.gz"))?;
    }
    let (pv1, pv2) = (guest.disk("pv1")?, guest.disk("pv2")?);
    let (pv1, pv2) = (pv1.display().to_string(), pv2.display().to_string());
    guest.lvshift(&["vgcreate", "vg0", &pv1, &pv2])?.ok()?;
    guest.lvshift(&["lvcreate", "-n", "home", "-L", "32m", "vg0", &pv1])?.ok()?;
    guest
        .sh("mkfs.ext4 -q /dev/vg0/home && mkdir -p /mnt/home && mount /dev/vg0/home /mnt/home")?;
    guest.sh("cp /usr/bin/perl /mnt/home/before")?;
    let told = guest.lvshift(&["pvmove", "--test", &pv1, &pv2])?.ok()?;
    let told = told.stdout_has(&format!("from {pv1}:0 to {pv2}:0"))?;
    told.stdout_has("32.00m in 8 extents")?.stdout_has("nothing was changed")?;
    ensure!(!moves(guest)?, "--test has recorded a move");
    guest.lvshift(&["pvmove", "--test", "-n", "none", &pv1])?.fails_with(5)?;
    guest.lvshift(&["metrics"])?.ok()?.stdout_has("lvshift_vg_active_lvs{vg=\"vg0\"} 1")?;
    guest.lvshift(&["pvmove", &pv1, &pv2])?.ok()?;
    guest.sh("cmp /usr/bin/perl /mnt/home/before && umount /mnt/home")?;
    guest.lvshift(&["vgchange", "-an"])?.ok()?;
    guest.lvshift(&["vgremove", "-f", "-y", "vg0"])?.ok()?;
    guest.sh("rmdir /mnt/home")?;
    apt(guest, &["purge", "-y", "lvshift"])?;
    let left: Vec<String> = files(guest)?.difference(&before).cloned().collect();
    ensure!(left.is_empty(), "purge leaves {left:?}");
    Ok(())
}
