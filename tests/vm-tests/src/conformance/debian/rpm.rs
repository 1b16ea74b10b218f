//! The .rpm: its scriptlets, run by rpm on a system that is up, and that it leaves nothing.

use anyhow::{Result, ensure};

use super::package::files;
use super::{IN_DEBIAN, SOON, disks, is_installed};
use crate::guest::Guest;
use crate::scenario::{Frontend, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "debian-rpm",
    about: "rpm installs the .rpm, which takes the program into dracut's initramfs, replaces a daemon that serves, is \
            not removed while LVs are served, and leaves nothing behind",
    frontends: Frontend::UBLK,
    run: rpm,
    ..IN_DEBIAN
}];

/// Debian's rpm wants to be told that it is meant; what the .rpm requires is there, but Debian's own.
const RPM: &str = "rpm --dbpath /run/rpm --nodeps --force-debian";
/// Where dracut puts the initramfs of this kernel.
const INITRAMFS: &str = "/boot/initrd.img-$(uname -r)";
/// As little of an initramfs as has the module in it: dracut is slow here.
const DRACUT: &str =
    "dracutmodules+=\" base dm rootfs-block lvshift \"\\nno_kernel=yes\\ncompress=cat\\n";

fn rpm(guest: &mut Guest) -> Result<()> {
    guest.sh(&format!(
        "mkdir -p /etc/dracut.conf.d && printf '{DRACUT}' > /etc/dracut.conf.d/test.conf"
    ))?;
    let before = files(guest)?;
    let run = |words: &str| {
        let line = format!("{RPM} {words}");
        guest.spawn_env(&[], "sh", &["-c", &line])?.wait(4 * SOON)
    };
    let in_initramfs = || -> Result<bool> {
        let told = guest.sh(&format!("cpio -t --quiet < {INITRAMFS}"))?;
        Ok(told.stdout.lines().any(|file| file == "usr/sbin/lvshift-dm"))
    };
    run("-i /payload/lvshift.rpm")?.ok()?;
    is_installed(guest)?;
    guest.sh("test -d /run/lvshift -a -d /var/lib/lvshift")?;
    ensure!(in_initramfs()?, "lvshift-dm is not in the initramfs");

    let (pv1, pv2) = disks(guest)?;
    guest.lvshift(&["vgcreate", "vg0", &pv1, &pv2])?.ok()?;
    guest.lvshift(&["lvcreate", "-n", "home", "-L", "16m", "vg0"])?.ok()?;
    let pid = "systemctl show -P MainPID 'lvshift-ublk@*.service' | grep -v '^0$'";
    let first = guest.sh(pid)?.stdout;
    run("-U --replacepkgs /payload/lvshift.rpm")?.ok()?;
    ensure!(guest.sh(pid)?.stdout != first, "the daemon was not replaced");
    run("-e lvshift")?.fails_with(1)?.stderr_has("lvshift-ublk vgchange -an")?;
    guest.sh("dd if=/dev/vg0/home of=/dev/null iflag=direct count=8 status=none")?;

    guest.lvshift(&["vgchange", "-an"])?.ok()?;
    guest.lvshift(&["vgremove", "-f", "-y", "vg0"])?.ok()?;
    // A module that is named and not there is an error of dracut's.
    guest.sh("sed -i 's/ lvshift / /' /etc/dracut.conf.d/test.conf")?;
    // What cannot be known again.
    let list = "/var/lib/lvshift/unreadable-vg0-1";
    guest.sh(&format!("echo sectors > {list}"))?;
    run("-e lvshift")?.ok()?;
    guest.sh(&format!("rm {list} && rmdir /var/lib/lvshift"))?;
    ensure!(!in_initramfs()?, "lvshift-dm is still in the initramfs");
    let units = guest.sh("systemctl list-units --plain --no-legend 'lvshift-*@*'")?;
    ensure!(units.stdout.trim().is_empty(), "units are left: {units}");
    // What was edited is kept, as rpm does.
    guest.sh(&format!("rm -f {INITRAMFS} && rm /etc/default/lvshift.rpmsave"))?;
    let left: Vec<String> = files(guest)?.difference(&before).cloned().collect();
    ensure!(left.is_empty(), "removing it leaves {left:?}");
    Ok(())
}
