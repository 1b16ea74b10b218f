//! Who typed a command may go: what it has started is not in its cgroup.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{IN_DEBIAN, SOON, disks, install, intact, moved, slow, volume};
use crate::guest::Guest;
use crate::scenario::Scenario;

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "debian-caller",
    about: "the cgroup of who activated and moved is killed: LVs are served, and the move goes on",
    run: caller,
    ..IN_DEBIAN
}];

fn caller(guest: &mut Guest) -> Result<()> {
    install(guest)?;
    let (pv1, pv2) = disks(guest)?;
    let slow = slow(guest, &pv2, 100)?;
    volume(guest, &slow, "64m")?;
    guest.sh("umount /home")?;
    guest.lvshift(&["vgchange", "-an"])?.ok()?;
    let program = guest.frontend().binary();
    guest.sh(&format!(
        "systemd-run --unit=caller --property=RuntimeMaxSec=600 sh -c \
         '{program} vgchange -ay vg0 && {program} pvmove -b {pv1} && touch /run/typed; sleep 600'"
    ))?;
    guest.wait_for("it was typed", SOON, || Ok(std::path::Path::new("/run/typed").exists()))?;
    let listed = guest.sh("systemd-cgls --no-pager /system.slice")?;
    guest.sh("echo 1 > /sys/fs/cgroup/system.slice/caller.service/cgroup.kill")?;
    guest.wait_for("the caller is gone", SOON, || {
        Ok(guest.run("systemctl", &["is-active", "-q", "caller.service"])?.status != Some(0))
    })?;
    let read = guest.spawn_env(
        &[],
        "dd",
        &["if=/dev/vg0/home", "of=/dev/null", "iflag=direct", "count=8"],
    )?;
    let read = read.wait(Duration::from_secs(20))?;
    ensure!(read.status == Some(0), "the LV is not served: {read}\n{listed}");
    guest.sh("mount /dev/vg0/home /home")?;
    moved(guest)?;
    intact(guest)?;
    guest.sh("umount /home; systemctl reset-failed caller.service || true").map(drop)
}
