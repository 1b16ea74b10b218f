//! On a whole Debian: lvshift is installed from its package, and systemd and udevd do what they do.

mod boot;
mod caller;
mod daemon;
mod logout;
mod lvm2;
mod package;
mod root;
mod rpm;

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::guest::Guest;
use crate::scenario::{Disk, DiskLimit, Frontend, Scenario};

/// One list a file.
pub(super) const LISTS: &[&[Scenario]] = &[
    package::SCENARIOS,
    boot::SCENARIOS,
    caller::SCENARIOS,
    logout::SCENARIOS,
    daemon::SCENARIOS,
    lvm2::SCENARIOS,
    root::SCENARIOS,
    rpm::SCENARIOS,
];

/// What the scenarios here have in common.
const IN_DEBIAN: Scenario = Scenario {
    debian: true,
    disks: &[Disk::new("pv1", 256), Disk::new("pv2", 256)],
    memory_mib: 1024,
    cpus: 2,
    timeout_s: 600,
    ..Scenario::DEFAULT
};

/// A disk onto which a move takes its time, over a boot, too.
const LATE: DiskLimit = DiskLimit { mib: 3, requests: 300 };

/// How long something that nobody waits for may take.
const SOON: Duration = Duration::from_secs(90);
/// The longest that the machine may take to shut down. Without lvshift it takes some 5 s.
const SHUTDOWN_S: u32 = 15;

/// Installs the package, as apt does in the end ([`package`] has apt do it): without a network, so it may ask for
/// nothing that a plain Debian lacks.
fn install(guest: &Guest) -> Result<()> {
    guest.spawn_env(&[], "dpkg", &["-i", "/payload/lvshift.deb"])?.wait(2 * SOON)?.ok()?;
    is_installed(guest)
}

fn is_installed(guest: &Guest) -> Result<()> {
    ensure!(guest.run(guest.frontend().binary(), &["--version"])?.status == Some(0), "no program");
    if guest.frontend() == Frontend::Ublk {
        guest.sh("sed -i 's/^VGS_ON_UBLK=.*/VGS_ON_UBLK=\"vg0 data-vg\"/' /etc/default/lvshift")?;
    }
    Ok(())
}

/// apt reads much, and on an emulated machine beside others that takes a minute.
fn apt(guest: &Guest, args: &[&str]) -> Result<()> {
    guest.spawn_env(&[], "apt-get", args)?.wait(4 * SOON)?.ok().map(drop)
}

/// The paths of both disks.
fn disks(guest: &Guest) -> Result<(String, String)> {
    let path = |name| guest.disk(name).map(|path| path.display().to_string());
    Ok((path("pv1")?, path("pv2")?))
}

/// A VG with one LV on the first disk, and a file system with a file on it, mounted.
fn volume(guest: &Guest, second: &str, size: &str) -> Result<()> {
    let (pv1, _) = disks(guest)?;
    guest.lvshift(&["vgcreate", "vg0", &pv1, second])?.ok()?;
    guest.lvshift(&["lvcreate", "-n", "home", "-L", size, "vg0", &pv1])?.ok()?;
    guest.sh("mkfs.ext4 -q /dev/vg0/home && mkdir -p /home && mount /dev/vg0/home /home")?;
    guest.sh("cp /usr/bin/perl /home/before && sync -f /home").map(drop)
}

/// That the file is what it was.
fn intact(guest: &Guest) -> Result<()> {
    guest.sh("cmp /usr/bin/perl /home/before").map(drop)
}

/// A device over a disk on which every write takes this long; gone with the next boot.
fn slow(guest: &Guest, disk: &str, write_ms: u32) -> Result<String> {
    guest.sh(&format!(
        "dmsetup create slow --table \"0 $(blockdev --getsz {disk}) delay {disk} 0 0 {disk} 0 {write_ms}\" \
         && udevadm settle"
    ))?;
    Ok("/dev/mapper/slow".to_owned())
}

/// Whether a move is recorded.
fn moves(guest: &Guest) -> Result<bool> {
    let told = guest.lvshift(&["lvs", "--noheadings", "-o", "move_pv", "vg0"])?.ok()?;
    Ok(!told.stdout.trim().is_empty())
}

/// Waits until no move is recorded and nothing is left on the first disk.
fn moved(guest: &Guest) -> Result<()> {
    guest.wait_for("the move is done", SOON, || Ok(!moves(guest)?))?;
    let told = guest.lvshift(&["lvs", "--noheadings", "-o", "devices", "vg0/home"])?.ok()?;
    let (pv1, _) = disks(guest)?;
    ensure!(!told.stdout.contains(&pv1), "not moved: {told}");
    Ok(())
}
