//! The root on an LV of `lvshift-dm`, by an initramfs of initramfs-tools.

use anyhow::{Result, ensure};

use super::{IN_DEBIAN, disks, install};
use crate::guest::Guest;
use crate::scenario::{Frontend, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "debian-root",
    about: "an initramfs made with the package's hook boots a root that lies on an LV",
    frontends: Frontend::DM,
    boots: 2,
    run: root,
    ..IN_DEBIAN
}];

/// The whole of that system: it says that it was here, and where its root was, and resets the machine.
const INIT: &str = "#!/bin/sh\n\
    { cat /proc/mounts; echo booted; } > /booted\n\
    sync\n\
    echo b > /proc/sysrq-trigger\n";
/// What it needs, with its libraries.
const PROGRAMS: &str = "/usr/bin/dash /usr/bin/cat /usr/bin/sync";
/// Only what is below these disks, and packed fast.
const MODULES: &str = "virtio_pci\nvirtio_blk\n";
/// How long the other system may take.
const LIMIT_S: u32 = 90;

fn root(guest: &mut Guest) -> Result<()> {
    if guest.boot() == 1 {
        install(guest)?;
        let (pv1, pv2) = disks(guest)?;
        guest.lvshift(&["vgcreate", "vg0", &pv1, &pv2])?.ok()?;
        guest.lvshift(&["lvcreate", "-n", "root", "-L", "48m", "vg0"])?.ok()?;
        guest.sh("mkfs.ext4 -q /dev/vg0/root && mount /dev/vg0/root /mnt")?;
        guest.sh(&format!(
            "cd /mnt && mkdir -p proc sys dev run sbin usr/bin && ln -s usr/bin bin && \
             for program in {PROGRAMS}; do \
                 cp --parents $program $(ldd $program | grep -o '/[^ ]*') /mnt; done && \
             ln -s dash usr/bin/sh"
        ))?;
        std::fs::write("/mnt/sbin/init", INIT)?;
        guest.sh("chmod 755 /mnt/sbin/init && umount /mnt")?;
        guest.lvshift(&["vgchange", "-an", "vg0"])?.ok()?;
        std::fs::write("/etc/initramfs-tools/modules", MODULES)?;
        let made = "mkinitramfs -o /run/initrd \"$(uname -r)\"";
        // The kernel came without its package.
        guest.sh("echo CONFIG_RD_GZIP=y > /boot/config-$(uname -r)")?;
        guest.sh(
            "printf 'MODULES=list\\nCOMPRESS=gzip\\nBUSYBOX=n\\n' > /etc/initramfs-tools/conf.d/test",
        )?;
        guest.spawn_env(&[], "sh", &["-c", made])?.wait(super::SOON * 2)?.ok()?;
        let line = "$(sed 's,root=[^ ]*,root=/dev/vg0/root,' /proc/cmdline)";
        guest.sh(&format!(
            "kexec -c -l /payload/kernel --initrd=/run/initrd --command-line=\"{line}\" && sync"
        ))?;
        guest.end_by(LIMIT_S, "kexec", &["-e"]);
    }
    guest.lvshift(&["vgchange", "-aay", "vg0"])?.ok()?;
    let told = guest.sh("mount -o ro /dev/vg0/root /mnt && cat /mnt/booted && umount /mnt")?;
    let root = told.stdout.lines().find(|line| line.split(' ').nth(1) == Some("/"));
    ensure!(
        told.stdout.contains("booted") && root.is_some_and(|line| line.starts_with("/dev/")),
        "the root was another: {told}"
    );
    guest.lvshift(&["vgchange", "-an", "vg0"])?.ok().map(drop)
}
