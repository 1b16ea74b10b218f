//! The guest's tools: taken from Debian packages, never from what this machine has installed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::cpio::Archive;
use crate::fetch::Source;
use crate::{elf, fetch, paths};

/// The packages that hold the tools.
const PACKAGES: &[&str] = &[
    "btrfs-progs",
    "busybox-static",
    "dmeventd",
    "dmsetup",
    "e2fsprogs",
    "fdisk",
    "lvm2",
    "mount",
    "thin-provisioning-tools",
    "udev",
    "util-linux",
    "xfsprogs",
    "zlib1g",
];

/// Programs to take from them. Everything else is busybox.
const PROGRAMS: &[&str] = &[
    "lvm",
    "lvmpolld",
    "dmeventd",
    "dmsetup",
    "mke2fs",
    "e2fsck",
    "dumpe2fs",
    "debugfs",
    "resize2fs",
    "tune2fs",
    "mkfs.xfs",
    "mkfs.btrfs",
    "btrfs",
    "xfs_repair",
    "xfs_db",
    "xfs_io",
    "xfs_growfs",
    "blkid",
    "blkdiscard",
    "blockdev",
    "fallocate",
    "findmnt",
    "flock",
    "fstrim",
    "losetup",
    "lsblk",
    "mkswap",
    "mount",
    "nsenter",
    "swapoff",
    "swapon",
    "umount",
    "unshare",
    "wipefs",
    "prlimit",
    "sfdisk",
    "udevadm",
    "pdata_tools",
];

/// What dmeventd loads for the LVs of LVM2 that it watches.
const PLUGINS: &[&str] = &["libdevmapper-event-lvm2mirror.so", "libdevmapper-event-lvm2raid.so"];

/// Names under which programs are also called.
const LINKS: &[(&str, &str)] = &[
    ("/usr/sbin/mkfs.ext4", "mke2fs"),
    ("/usr/sbin/fsck.ext4", "e2fsck"),
    ("/usr/sbin/modprobe", "/init"),
    ("/usr/sbin/thin_check", "pdata_tools"),
    ("/usr/sbin/cache_check", "pdata_tools"),
    ("/usr/lib/systemd/systemd-udevd", "/usr/bin/udevadm"),
    ("/usr/bin/sh", "/bbin/busybox"),
    ("/bin", "usr/bin"),
    ("/sbin", "usr/sbin"),
    ("/lib", "usr/lib"),
    ("/lib64", "usr/lib64"),
];

/// LVM's own commands; `lvm` looks at the name it is called by.
const LVM_NAMES: &[&str] = &[
    "pvcreate", "pvremove", "pvs", "pvmove", "vgcreate", "vgremove", "vgs", "vgchange", "lvcreate",
    "lvremove", "lvs", "lvchange",
];

/// Configuration for a guest without udev.
const FILES: &[(&str, &str)] = &[
    (
        "/etc/lvm/lvm.conf",
        "activation { udev_sync=0 udev_rules=0 monitoring=0 }\n\
         devices { use_devicesfile=0 }\n\
         global { event_activation=0 use_lvmpolld=0 }\n\
         backup { backup=0 archive=0 }\n",
    ),
    ("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
    ("/etc/group", "root:x:0:\ndisk:x:6:\n"),
];

/// Fetches the packages and the libraries they need, unless they are there.
pub(crate) fn fetched() -> Result<PathBuf> {
    fetched_into(Source::Machine, &paths::vm().join("guest-root"), PACKAGES)
}

/// The same for other packages, in a place of their own.
pub(crate) fn fetched_into(from: Source<'_>, place: &Path, names: &[&str]) -> Result<PathBuf> {
    // The key of the cache: what is in there was made for this list.
    let (stamp, list) = (place.join(".packages"), names.join(" "));
    if std::fs::read_to_string(&stamp).is_ok_and(|text| text == list) {
        return Ok(place.to_owned());
    }
    println!("setup: fetching the guest's tools: {list}");
    let mut packages: BTreeSet<String> = names.iter().map(|p| (*p).to_owned()).collect();
    let mut args = vec![
        "depends",
        "--recurse",
        "--no-recommends",
        "--no-suggests",
        "--no-conflicts",
        "--no-breaks",
        "--no-replaces",
        "--no-enhances",
    ];
    args.extend_from_slice(names);
    for line in from.output("apt-cache", &args)?.lines() {
        // Packages stand at the margin, their dependencies below are indented.
        if !line.starts_with(' ') && line.starts_with("lib") && !line.contains(':') {
            packages.insert(line.trim().to_owned());
        }
    }
    let packages = that_exist(from, &packages, names)?;
    fetch::make_dir(place, |dir| {
        fetch::unpack(from, &packages, dir)?;
        std::fs::write(dir.join(".packages"), &list).context("writing the cache's key")
    })?;
    Ok(place.to_owned())
}

/// Names may be virtual, or of packages that this release no longer has.
fn that_exist(
    from: Source<'_>,
    packages: &BTreeSet<String>,
    needed: &[&str],
) -> Result<Vec<String>> {
    let mut args = vec!["show", "--no-all-versions"];
    args.extend(packages.iter().map(String::as_str));
    let text = from.output("apt-cache", &args)?;
    let names = text.lines().filter_map(|line| line.strip_prefix("Package: "));
    let found: BTreeSet<String> = names.map(str::to_owned).collect();
    for name in needed {
        ensure!(found.contains(*name), "apt knows no package {name}");
    }
    Ok(found.into_iter().collect())
}

/// Adds tools, their libraries, links and configuration.
pub(crate) fn add(archive: &mut Archive, root: &Path) -> Result<()> {
    let libraries = libraries(&[root])?;
    let busybox = find_program(root, "busybox")?;
    for name in PROGRAMS {
        let path = find_program(root, name)?;
        let dir = if path.parent().is_some_and(|d| d.ends_with("sbin")) { "sbin" } else { "bin" };
        let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        archive.file(&format!("/usr/{dir}/{name}"), true, &bytes)?;
        add_libraries(archive, &bytes, &libraries).with_context(|| format!("for {name}"))?;
    }
    for name in PLUGINS {
        let path = libraries.get(*name).with_context(|| format!("{name} is missing"))?;
        let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        archive.file(&format!("/usr/lib/{name}"), true, &bytes)?;
        add_libraries(archive, &bytes, &libraries).with_context(|| format!("for {name}"))?;
    }
    let bytes = std::fs::read(&busybox).context("reading busybox")?;
    archive.file("/bbin/busybox", true, &bytes)?;
    let applets = fetch::output(&busybox.to_string_lossy(), &["--list"])?;
    for applet in applets.lines().filter(|name| *name != "busybox") {
        archive.link(&format!("/bbin/{applet}"), "busybox")?;
    }
    for (name, to) in LINKS {
        archive.link(name, to)?;
    }
    for name in LVM_NAMES {
        archive.link(&format!("/usr/sbin/{name}"), "lvm")?;
    }
    for (name, text) in FILES {
        archive.file(name, false, text.as_bytes())?;
    }
    let mke2fs = std::fs::read(root.join("etc/mke2fs.conf")).context("reading mke2fs.conf")?;
    archive.file("/etc/mke2fs.conf", false, &mke2fs)?;
    for name in ["proc", "sys", "dev", "run", "tmp", "mnt", "root", "var/lib/lvshift", "var/log"] {
        archive.dir(name)?;
    }
    archive.device("/dev/console", 5, 1)?;
    udev_rules(archive, root)
}

/// udevd is not started unless a scenario wants it.
fn udev_rules(archive: &mut Archive, root: &Path) -> Result<()> {
    for dir in ["usr/lib/udev/rules.d", "lib/udev/rules.d"] {
        let Ok(entries) = std::fs::read_dir(root.join(dir)) else { continue };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let wanted = ["-dm", "-lvm", "persistent-storage", "default", "block"];
            if wanted.iter().any(|part| name.contains(part)) {
                let bytes = std::fs::read(entry.path())?;
                archive.file(&format!("/usr/lib/udev/rules.d/{name}"), false, &bytes)?;
            }
        }
    }
    Ok(())
}

pub(crate) fn find_program(root: &Path, name: &str) -> Result<PathBuf> {
    let dirs = ["usr/sbin", "usr/bin", "sbin", "bin"];
    let found = dirs.iter().map(|dir| root.join(dir).join(name)).find(|path| path.exists());
    found.with_context(|| format!("no fetched package has the program {name}"))
}

/// Where each library is, by its name. Earlier roots win.
pub(crate) fn libraries(roots: &[&Path]) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for root in roots {
        for dir in ["usr/lib64", "lib64", "usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"] {
            for dir in ["", "/systemd", "/device-mapper", "/ceph"].map(|sub| format!("{dir}{sub}"))
            {
                let Ok(entries) = std::fs::read_dir(root.join(dir)) else { continue };
                for entry in entries {
                    let entry = entry?;
                    let name = entry.file_name().to_string_lossy().into_owned();
                    // A link made for an installed system may lead out of the unpacked one.
                    if name.contains(".so") && entry.path().exists() {
                        found.entry(name).or_insert(entry.path());
                    }
                }
            }
        }
    }
    Ok(found)
}

/// Adds the libraries that a program needs, and those that they need.
pub(crate) fn add_libraries(
    archive: &mut Archive,
    program: &[u8],
    libraries: &BTreeMap<String, PathBuf>,
) -> Result<()> {
    let place = |name: &str| {
        let loader = name.starts_with("ld-linux");
        if loader { format!("/usr/lib64/{name}") } else { format!("/usr/lib/{name}") }
    };
    add_libraries_at(archive, program, libraries, &place)
}

/// The same, in places of the caller's choice.
pub(crate) fn add_libraries_at(
    archive: &mut Archive,
    program: &[u8],
    libraries: &BTreeMap<String, PathBuf>,
    place: &dyn Fn(&str) -> String,
) -> Result<()> {
    let mut todo = elf::needed(program)?;
    while let Some(name) = todo.pop() {
        let place = place(&name);
        if archive.has(&place) {
            continue;
        }
        let path =
            libraries.get(&name).with_context(|| format!("the library {name} is missing"))?;
        let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        ensure!(!bytes.is_empty(), "{} is empty", path.display());
        archive.file(&place, true, &bytes)?;
        todo.extend(elf::needed(&bytes).with_context(|| path.display().to_string())?);
    }
    Ok(())
}
