//! Shutdown and boot: file systems of fstab, and a move that goes on.

use anyhow::{Result, ensure};

use super::{
    IN_DEBIAN, LATE, SHUTDOWN_S, SOON, disks, install, intact, moved, moves, slow, volume,
};
use crate::guest::Guest;
use crate::scenario::{Disk, Frontend, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "debian-fstab",
        about: "fstab with /dev/VG/LV and with UUID= is mounted at boot; lsblk knows PVs and LVs; a move that was \
                paused, or whose unit is masked, waits",
        disks: &[Disk::new("pv1", 256), Disk::new("pv2", 256).limited(LATE)],
        boots: 2,
        run: fstab,
        ..IN_DEBIAN
    },
    Scenario {
        name: "debian-reboot",
        about: "a reboot in mid-move, mounted and written: off in seconds, and the move goes on by itself",
        boots: 2,
        run: reboot,
        ..IN_DEBIAN
    },
];

fn fstab(guest: &mut Guest) -> Result<()> {
    if guest.boot() == 1 {
        install(guest)?;
        let (pv1, pv2) = disks(guest)?;
        volume(guest, &pv2, "64m")?;
        guest.lvshift(&["lvcreate", "-n", "data-1", "-L", "64m", "vg0"])?.ok()?;
        guest.sh(
            "mkfs.ext4 -q -U 11111111-2222-3333-4444-555555555555 /dev/vg0/data-1 && mkdir /data",
        )?;
        guest.sh(
            "echo '/dev/vg0/home /home ext4 defaults 0 2' >> /etc/fstab; \
             echo 'UUID=11111111-2222-3333-4444-555555555555 /data ext4 defaults 0 2' >> /etc/fstab; \
             systemctl daemon-reload; mount /data; echo written > /data/file",
        )?;
        guest.lvshift(&["pvmove", "-b", "-n", "home", &pv1])?.ok()?;
        guest.wait_for("it copies", SOON, || copies(guest))?;
        match guest.frontend() {
            Frontend::Ublk => guest.lvshift(&["tune", "vg0", "--pause"])?.ok()?,
            // The copy is the kernel's, and has no pause.
            // What is masked systemd does not stop at a shutdown, either: so it is stopped now.
            Frontend::Dm => guest.sh("systemctl mask --now lvshift-pvmove@vg0")?,
        };
        guest.shut_down(SHUTDOWN_S);
    }
    for dir in ["/home", "/data"] {
        let mounted = format!("systemctl is-active {}.mount", dir.trim_start_matches('/'));
        guest.wait_for("fstab is mounted", SOON, || {
            Ok(guest.run("sh", &["-c", &mounted])?.status == Some(0))
        })?;
    }
    intact(guest)?;
    guest.sh("grep written /data/file")?;
    let told = guest.sh("lsblk -n -o NAME,FSTYPE,MOUNTPOINTS; ls -l /dev/vg0 /dev/disk/by-id")?;
    ensure!(told.stdout.matches("lvshift_member").count() == 2, "lsblk: {told}");
    for link in ["lvshift-lv-vg0-home", "lvshift-lv-vg0-data-1", "lvshift-pv-"] {
        ensure!(told.stdout.contains(link), "no {link}: {told}");
    }
    waits(guest)?;
    guest.sh("umount /home /data")?;
    guest.lvshift(&["vgchange", "-an"])?.ok()?;
    guest.sh("udevadm settle")?;
    ensure!(!std::path::Path::new("/dev/vg0").exists(), "links are left");
    Ok(())
}

/// Nobody has carried the move on, and it goes on when it is told to.
fn waits(guest: &Guest) -> Result<()> {
    guest.wait_for("the VG is activated", SOON, || {
        let unit = ["is-active", "-q", "lvshift-activate@vg0.service"];
        Ok(guest.run("systemctl", &unit)?.status == Some(0))
    })?;
    let told = guest.lvshift(&["lvs", "--noheadings", "-o", "move_state", "vg0/home"])?.ok()?;
    ensure!(told.stdout.trim() == "interrupted", "somebody has carried it on: {told}");
    match guest.frontend() {
        Frontend::Ublk => {
            guest.sh("journalctl --no-pager -b -u lvshift-pvmove@vg0 | grep -q 'was paused'")?;
            guest.lvshift(&["tune", "vg0", "--resume"])?.ok()?;
        }
        Frontend::Dm => {
            guest.sh("systemctl unmask lvshift-pvmove@vg0")?;
            guest.spawn(&["pvmove"])?.wait(SOON)?.ok()?;
        }
    }
    moved(guest)
}

/// Whether some of a move is copied.
pub(super) fn copies(guest: &Guest) -> Result<bool> {
    let fields = ["lvs", "-a", "--noheadings", "-o", "copy_percent", "vg0"];
    let told = guest.lvshift(&fields)?.ok()?;
    let copied = told.stdout.split_whitespace().filter_map(|text| text.parse::<f32>().ok());
    Ok(copied.into_iter().any(|percent| percent > 2.0))
}

fn reboot(guest: &mut Guest) -> Result<()> {
    if guest.boot() == 1 {
        install(guest)?;
        let (pv1, pv2) = disks(guest)?;
        let slow = slow(guest, &pv2, 30)?;
        volume(guest, &slow, "160m")?;
        guest.sh(
            "echo '/dev/vg0/home /home ext4 defaults 0 2' >> /etc/fstab; systemctl daemon-reload",
        )?;
        guest.sh(
            "systemd-run --unit=writer sh -c 'while :; do date +%N > /home/written; sync -f /home; done'",
        )?;
        guest.lvshift(&["pvmove", "-b", &pv1])?.ok()?;
        guest.wait_for("it copies", SOON, || copies(guest))?;
        ensure!(moves(guest)?, "it was too fast: the move is done");
        guest.shut_down(SHUTDOWN_S);
    }
    guest.wait_for("fstab is mounted", SOON, || {
        Ok(guest.run("sh", &["-c", "systemctl is-active home.mount"])?.status == Some(0))
    })?;
    // The file system was unmounted in order: its journal had nothing to say.
    let recovered =
        guest.run("sh", &["-c", "journalctl -k --no-pager | grep -c 'recovery complete'"])?;
    ensure!(recovered.stdout.trim() == "0", "a file system was not clean: {recovered}");
    moved(guest)?;
    intact(guest)?;
    guest.sh("journalctl --no-pager -u 'lvshift-*' | tail -30").map(drop)
}
