//! A whole Debian as the guest, with systemd and udevd: made from packages once, and cached.
//!
//! Its root lies on an NVMe disk, whose driver is built into the kernel, so that no initramfs is
//! needed; each scenario writes to an overlay of its own. A second disk brings the scenario's program
//! and lvshift's package. The disks under test are the same virtio disks as in the small guest.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, ensure};

use crate::kernel::Kernel;
use crate::{dist, fetch, host, paths, seconds, setup};

/// The release: the newest whose glibc is not older than that of the machine that builds.
const RELEASE: &str = "bookworm";

/// What is in it beside the essential packages.
const PACKAGES: &[&str] = &[
    "dbus",
    "dmsetup",
    "dracut-core",
    "e2fsprogs",
    "fdisk",
    "initramfs-tools",
    "kexec-tools",
    "kmod",
    "libgcc-s1",
    "libpam-systemd",
    "lvm2",
    "procps",
    "rpm",
    "systemd",
    "systemd-sysv",
    "udev",
    "udisks2",
    "util-linux",
];

/// The size of its root, most of which is a hole.
const ROOT_MIB: u64 = 1536;
/// The size of the disk that brings what is under test.
const PAYLOAD_MIB: u64 = 192;

/// For the kernel, and for systemd: what it waits for is seen on the console.
pub(crate) const CMDLINE: &str = "root=/dev/nvme0n1 rw systemd.show_status=1";

/// Files of the root.
const FILES: &[(&str, &str)] = &[
    ("etc/hostname", "debian\n"),
    ("etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
    (
        "etc/fstab",
        "/dev/nvme0n1 / ext4 defaults 0 0\n/dev/disk/by-id/virtio-payload /payload ext4 ro 0 0\n",
    ),
    (
        "etc/systemd/system/lvshift-test.service",
        "[Unit]\n\
         Description=What the host asks for\n\
         RequiresMountsFor=/payload\n\
         After=multi-user.target\n\
         [Service]\n\
         ExecStart=/payload/init agent\n\
         TimeoutStopSec=3\n",
    ),
    // A boot of the test VM is about disks alone.
    ("etc/systemd/journald.conf.d/test.conf", "[Journal]\nStorage=volatile\nRateLimitBurst=0\n"),
];

/// Units that take time and that no scenario is about.
const MASKED: &[&str] = &[
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty@tty1.service",
    "kexec.service",
    "kexec-load.service",
    "serial-getty@ttyS0.service",
    "systemd-hwdb-update.service",
];

/// What every run of it has in common.
#[derive(Clone, Debug)]
pub(crate) struct Debian {
    /// The root that nobody writes to.
    base: PathBuf,
    /// The disk with the scenario's program and the package.
    payload: PathBuf,
}

impl Debian {
    /// Makes what is missing of it.
    pub(crate) fn prepare(kernel: &Kernel) -> Result<Self> {
        setup::for_debian()?;
        let base = base(kernel)?;
        let payload = payload(kernel)?;
        Ok(Self { base, payload })
    }

    /// A root for one scenario, which lies over that of all.
    pub(crate) fn make_root(&self, dir: &Path) -> Result<()> {
        let root = dir.join("root.qcow2");
        let mut command = Command::new("qemu-img");
        command.args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"]).arg(&self.base).arg(root);
        crate::run(&mut command).context("making an overlay for the root")
    }

    /// The disks that QEMU gives it beside those under test.
    pub(crate) fn add_disks(&self, qemu: &mut Command, dir: &Path) {
        let root = dir.join("root.qcow2");
        qemu.arg("-drive").arg(format!(
            "if=none,id=root,file={},format=qcow2,cache=unsafe,discard=unmap",
            root.display()
        ));
        qemu.args(["-device", "nvme,drive=root,serial=root"]);
        qemu.arg("-drive").arg(format!(
            "if=none,id=payload,file={},format=raw,readonly=on",
            self.payload.display()
        ));
        qemu.args(["-device", "virtio-blk-pci,drive=payload,serial=payload"]);
    }

    /// Removes what was made for this run alone.
    pub(crate) fn remove(&self) {
        std::fs::remove_file(&self.payload).ok();
    }
}

/// The root, made again when what it is made of has changed.
fn base(kernel: &Kernel) -> Result<PathBuf> {
    let dir = paths::vm_dir("debian")?;
    let (place, key_file) = (dir.join("root.img"), dir.join("root.key"));
    let modules = kernel.modules.display();
    let key = format!("{RELEASE} {PACKAGES:?} {ROOT_MIB} {FILES:?} {MASKED:?} {modules}");
    if place.exists() && std::fs::read_to_string(&key_file).is_ok_and(|text| text == key) {
        return Ok(place);
    }
    println!(
        "setup: making a Debian for the test VM, {} packages and what they need",
        PACKAGES.len()
    );
    let start = std::time::Instant::now();
    let root = dir.join("root");
    let bootstrapped = dir.join("packages.key");
    let packages = format!("{RELEASE} {PACKAGES:?}");
    if !std::fs::read_to_string(&bootstrapped).is_ok_and(|text| text == packages) {
        let (path, list) = (root.display(), PACKAGES.join(","));
        // What debootstrap mounts (the host's /proc) it may leave mounted: not outside of its own view of mounts,
        // where what removes the root would find it.
        host::as_root(&format!(
            "umount -q {path}/proc; rm -rf --one-file-system {path} && \
             unshare --mount debootstrap --variant=minbase --include={list} {RELEASE} {path}"
        ))?;
        std::fs::write(&bootstrapped, &packages).context("writing the root's key")?;
    }
    let extra = dir.join("extra");
    fetch::make_dir(&extra, |extra| {
        for (name, text) in FILES {
            let file = extra.join(name);
            std::fs::create_dir_all(file.parent().context("a file in a directory")?)?;
            std::fs::write(file, text)?;
        }
        let units = extra.join("etc/systemd/system");
        let wants = units.join("multi-user.target.wants");
        std::fs::create_dir_all(&wants)?;
        std::os::unix::fs::symlink("../lvshift-test.service", wants.join("lvshift-test.service"))?;
        for unit in MASKED {
            std::os::unix::fs::symlink("/dev/null", units.join(unit))?;
        }
        std::fs::create_dir_all(extra.join("payload"))?;
        Ok(())
    })?;
    let scratch = dir.join(format!("root.new-{}", std::process::id()));
    // Without a network apt's lists are of no use, and it reads them for half a minute.
    let (root, extra, scratch_path) = (root.display(), extra.display(), scratch.display());
    host::as_root(&format!(
        "cp -a {extra}/. {root}/ && mkdir -p {root}/usr/lib/modules && \
         cp -a {modules}/. {root}/usr/lib/modules/ && \
         for version in $(ls {root}/usr/lib/modules); do chroot {root} depmod $version; done && \
         rm -rf {root}/var/cache/apt/archives/*.deb {root}/var/lib/apt/lists/* && \
         rm -f {root}/etc/systemd/system/graphical.target.wants/udisks2.service && \
         mkfs.ext4 -q -F -d {root} {scratch_path} {ROOT_MIB}M && chmod 644 {scratch_path}"
    ))?;
    std::fs::rename(&scratch, &place).context("putting the root into its place")?;
    std::fs::write(&key_file, key).context("writing the root's key")?;
    println!("setup: made it in {}", seconds(start.elapsed()));
    Ok(place)
}

/// The disk with what is under test: lvshift as it is shipped, and the program that runs scenarios.
fn payload(kernel: &Kernel) -> Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let place =
        paths::vm_dir("images")?.join(format!("initramfs-payload{number}-{}", std::process::id()));
    let dir = paths::vm_dir("debian")?.join(format!("payload-{number}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).context("a directory for the payload")?;
    let copy = |from: &Path, name: &str| {
        std::fs::copy(from, dir.join(name)).with_context(|| format!("copying {}", from.display()))
    };
    copy(&dist::deb("vm")?, "lvshift.deb")?;
    copy(&dist::rpm("vm")?, "lvshift.rpm")?;
    // For a boot from the guest itself: firmware and boot loaders are nothing that is tested here.
    copy(&kernel.packed(), "kernel")?;
    for name in ["init", "writer"] {
        copy(&paths::target().join("vm").join(name), name)?;
    }
    let mut command = Command::new("mkfs.ext4");
    command.args(["-q", "-F", "-d"]).arg(&dir).arg(&place).arg(format!("{PAYLOAD_MIB}M"));
    command.env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin");
    crate::run(&mut command).context("making the payload's disk")?;
    std::fs::remove_dir_all(&dir).ok();
    ensure!(place.exists(), "mkfs.ext4 made no file");
    Ok(place)
}
