//! What an ordinary distribution's boot does, as far as the tests need it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use lvshift_vm_tests::guest::STATE_DIR;
use lvshift_vm_tests::guest::modules::Modules;
use rustix::mount::{MountFlags, mount};

/// The mount table: type, directory, options.
const MOUNTS: &[(&str, &str, &str)] = &[
    ("proc", "/proc", ""),
    ("sysfs", "/sys", ""),
    ("devtmpfs", "/dev", ""),
    ("devpts", "/dev/pts", ""),
    ("tmpfs", "/dev/shm", ""),
    ("tmpfs", "/run", "mode=755"),
    ("tmpfs", "/tmp", ""),
    ("debugfs", "/sys/kernel/debug", ""),
];

/// Loaded at every boot; the rest is loaded when it is asked for.
const MODULES: &[&str] = &["dm-mod", "loop"];

/// Settings under /proc/sys.
const SETTINGS: &[(&str, &str)] = &[
    ("kernel/hung_task_timeout_secs", "100"),
    ("kernel/sysrq", "1"),
    ("kernel/core_pattern", "|/bin/false"),
    ("kernel/modprobe", "/sbin/modprobe"),
];

/// Mounts, modules and settings: all that is the same whatever the job. No disk is known yet.
///
/// # Errors
/// The first thing without which no test can run.
pub(crate) fn early() -> Result<()> {
    for (kind, dir, options) in MOUNTS {
        std::fs::create_dir_all(dir).with_context(|| format!("creating {dir}"))?;
        let options = std::ffi::CString::new(*options).expect("no NUL in the table");
        let result = mount(*kind, *dir, *kind, MountFlags::empty(), options.as_c_str());
        match result {
            Ok(()) | Err(rustix::io::Errno::BUSY) => {}
            // debugfs may be locked: useful, not needed.
            Err(error) if dir.starts_with("/sys/") => eprintln!("init: no {dir}: {error}"),
            Err(error) => bail!("mounting {dir}: {error}"),
        }
    }
    for (file, value) in SETTINGS {
        let path = Path::new("/proc/sys").join(file);
        std::fs::write(&path, value).with_context(|| format!("setting {file} to {value}"))?;
    }
    let modules = Modules::read()?;
    for name in MODULES {
        modules.load(name)?;
    }
    Ok(())
}

/// The disks and their names.
///
/// # Errors
/// If their driver cannot be loaded or they cannot be named.
pub(crate) fn disks() -> Result<()> {
    Modules::read()?.load("virtio_blk")?;
    name_the_disks()
}

/// Makes `/dev/disk/by-serial/NAME` for every virtio disk. Without udev nobody else does.
fn name_the_disks() -> Result<()> {
    let dir = Path::new("/dev/disk/by-serial");
    std::fs::create_dir_all(dir).context("creating /dev/disk/by-serial")?;
    for entry in std::fs::read_dir("/sys/block").context("listing the disks")? {
        let entry = entry?;
        let serial = std::fs::read_to_string(entry.path().join("serial")).unwrap_or_default();
        let serial = serial.trim();
        if !serial.is_empty() {
            let device = Path::new("/dev").join(entry.file_name());
            std::os::unix::fs::symlink(&device, dir.join(serial))
                .with_context(|| format!("naming {}", device.display()))?;
        }
    }
    Ok(())
}

/// Mounts the disk that survives reboots, and makes its file system at the first boot.
///
/// # Errors
/// If there is such a disk and it cannot be mounted.
pub(crate) fn state_disk(first_boot: bool) -> Result<()> {
    let device = "/dev/disk/by-serial/state";
    std::fs::create_dir_all(STATE_DIR).context("creating the state directory")?;
    if !Path::new(device).exists() {
        return Ok(());
    }
    if first_boot {
        let made = std::process::Command::new("/usr/sbin/mkfs.ext4")
            // A power cut tears blocks, and a superblock of which half is new fails its checksum: then
            // the scenario's own notes are gone, and nothing is learnt about what it tests.
            .args(["-q", "-F", "-O", "^metadata_csum", device])
            .status()
            .context("running mkfs.ext4 for the state disk")?;
        if !made.success() {
            bail!("mkfs.ext4 on the state disk: {made}");
        }
    }
    mount(device, STATE_DIR, "ext4", MountFlags::empty(), c"")
        .with_context(|| format!("mounting {STATE_DIR}"))
}

/// Ends what is running, unmounts disks, syncs.
pub(crate) fn wind_down() {
    for signal in ["-TERM", "-KILL"] {
        std::process::Command::new("/bbin/killall5").arg(signal).status().ok();
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(200) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let on_disks = mounts.lines().filter(|line| line.starts_with("/dev/"));
    for dir in on_disks.filter_map(|line| line.split(' ').nth(1)).rev() {
        if let Err(error) = rustix::mount::unmount(dir, rustix::mount::UnmountFlags::empty()) {
            eprintln!("init: unmounting {dir}: {error}");
        }
    }
    rustix::fs::sync();
}

/// Powers the machine off.
pub(crate) fn power_off() {
    if let Err(error) = rustix::system::reboot(rustix::system::RebootCommand::PowerOff) {
        eprintln!("init: powering off: {error}");
    }
}
