//! The command line of one virtual machine.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use lvshift_checks::disk_server::DiskServer;
use lvshift_vm_tests::guest::boot::{Job, WAITS};
use lvshift_vm_tests::report::PORT;
use lvshift_vm_tests::scenario::{Disk, Scenario};

use crate::cpu_time;
use crate::debian::{self, Debian};
use crate::emulator::{self, Accel, MACHINE};
use crate::kernel::Kernel;

/// The disk that a scenario's `state_disk` asks for.
pub(crate) const STATE_DISK: Disk = Disk::new("state", 48);

/// The disk through which the guest tells a disk server what it knows.
pub(crate) const SIDE_DISK: Disk = Disk::new(lvshift_vm_tests::side_disk::NAME, 64);

/// From power-on to the first report. Emulation on a busy machine is slow.
pub(crate) const BOOT_LIMIT: Duration = Duration::from_secs(120);

/// What the guest's console is connected to.
#[derive(Clone, Debug)]
pub(crate) enum Console {
    /// A file.
    File(PathBuf),
    /// This terminal.
    Terminal,
}

/// How a machine comes to its job.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Start<'a> {
    /// It boots, with the job on the kernel's command line.
    WithJob,
    /// It boots over disks that hold nothing, and waits for a job.
    AndWait,
    /// It goes on from the state, in this file, of one that waits.
    From(&'a Path),
}

/// One virtual machine.
#[derive(Debug)]
pub(crate) struct Vm<'a> {
    pub(crate) kernel: &'a Kernel,
    pub(crate) initramfs: &'a Path,
    /// Boots a whole Debian from a disk instead of the initramfs.
    pub(crate) debian: Option<&'a Debian>,
    pub(crate) accel: Accel,
    pub(crate) cpus: u32,
    pub(crate) memory_mib: u32,
    pub(crate) job: &'a Job,
    pub(crate) start: Start<'a>,
    pub(crate) disks: &'a [Disk],
    /// Where the disks' images are.
    pub(crate) dir: &'a Path,
    /// Serves the disks that it has; the others are images.
    pub(crate) server: Option<&'a DiskServer>,
    /// The socket on which the host listens for reports.
    pub(crate) reports: Option<&'a Path>,
    pub(crate) console: Console,
}

/// The image of a disk.
pub(crate) fn image(dir: &Path, disk: &Disk) -> PathBuf {
    dir.join(format!("{}.img", disk.name))
}

/// Kills QEMU whatever happens.
pub(crate) struct Guest(pub(crate) Child);

impl Guest {
    /// What its emulation has taken of the processors so far.
    pub(crate) fn cpu_time(&self) -> Duration {
        cpu_time::of(self.0.id())
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Every disk of a scenario.
pub(crate) fn disks_of(scenario: &Scenario) -> Vec<Disk> {
    let state = scenario.state_disk.then_some(STATE_DISK);
    let side = scenario.volatile.then_some(SIDE_DISK);
    scenario.disks.iter().copied().chain(state).chain(side).collect()
}

/// A socket's path must be short, and target/ may be deep.
pub(crate) fn short(dir: &Path) -> PathBuf {
    let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    std::env::temp_dir().join(format!("lvshift-{}-{name}", std::process::id()))
}

/// Makes empty, sparse images.
pub(crate) fn make_disks(dir: &Path, disks: &[Disk]) -> Result<()> {
    for disk in disks {
        let path = image(dir, disk);
        let file = std::fs::File::create(&path);
        let size = u64::from(disk.size_mib) << 20;
        file.and_then(|file| file.set_len(size))
            .with_context(|| format!("creating {}", path.display()))?;
    }
    Ok(())
}

/// What Debian's kernel does for security and for hardware that is not there, and no scenario is about: a
/// third of a boot's time, and a seventh of all that runs afterwards.
const LEAN: &str = "mitigations=off nokaslr norandmaps randomize_kstack_offset=off \
                    hardened_usercopy=off init_on_alloc=0 audit=0 lsm=capability nowatchdog \
                    cryptomgr.notests i8042.noaux i8042.nokbd";

impl Vm<'_> {
    /// The command that runs it.
    pub(crate) fn command(&self) -> Command {
        let mut qemu = emulator::command();
        qemu.args(MACHINE).args(emulator::processor(self.accel));
        qemu.arg("-m").arg(self.memory_mib.to_string());
        qemu.arg("-smp").arg(self.cpus.to_string());
        qemu.args(["-action", "panic=exit-failure"]);
        qemu.arg("-kernel").arg(&self.kernel.image);
        match self.debian {
            Some(debian) => debian.add_disks(&mut qemu, self.dir),
            // Its memory comes from the file.
            None if matches!(self.start, Start::From(_)) => {}
            None => {
                qemu.arg("-initrd").arg(self.initramfs);
            }
        }
        qemu.arg("-append").arg(self.cmdline());
        if let Start::From(file) = self.start {
            qemu.arg("-incoming").arg(format!("exec:exec cat '{}'", file.display()));
        }
        match &self.console {
            Console::File(path) => {
                qemu.arg("-chardev").arg(format!("file,id=console,path={}", path.display()));
                qemu.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
            }
            Console::Terminal => {
                qemu.args(["-chardev", "stdio,id=console,signal=off"]);
            }
        }
        qemu.args(["-serial", "chardev:console", "-device", "virtio-rng-pci"]);
        if let Some(socket) = self.reports {
            qemu.args(["-device", "virtio-serial-pci"]);
            qemu.arg("-chardev").arg(format!("socket,id=reports,path={}", socket.display()));
            qemu.args(["-device", &format!("virtserialport,chardev=reports,name={PORT}")]);
        }
        for (number, disk) in self.disks.iter().enumerate() {
            if matches!(self.start, Start::AndWait) {
                qemu.arg("-drive")
                    .arg(format!("if=none,id=disk{number},file=null-co://,format=raw"));
                qemu.arg("-device").arg(format!("virtio-blk-pci,drive=disk{number}"));
                continue;
            }
            let (file, cache) = match self.server.filter(|server| server.has(disk.name)) {
                // Every flush reaches the server, and nothing is kept back here.
                Some(server) => (server.uri(disk.name), "none"),
                // "unsafe" leaves the guest's writes in this machine's page cache, where a
                // SIGKILL of QEMU does not reach them, and spares the flushes.
                None => (image(self.dir, disk).display().to_string(), "unsafe"),
            };
            let limit = disk.limit.map_or(String::new(), |limit| {
                let bytes = u64::from(limit.mib) << 20;
                let requests = limit.requests;
                format!(",throttling.bps-total={bytes},throttling.iops-total={requests}")
            });
            qemu.arg("-drive").arg(format!(
                "if=none,id={name},file={file},format=raw,cache={cache},discard=unmap{limit}",
                name = disk.name,
            ));
            qemu.arg("-device").arg(format!(
                "virtio-blk-pci,drive={name},serial={name},\
                 logical_block_size={sector},physical_block_size={sector}",
                name = disk.name,
                sector = disk.sector,
            ));
        }
        qemu
    }

    fn cmdline(&self) -> String {
        // On a busy machine an emulated guest measures its TSC wrongly, and its clock then
        // runs several times too fast: time limits struck in half their time. The timer may
        // also come too late for the kernel's check of it, which panics then.
        let clock = match self.accel {
            Accel::Kvm => "",
            Accel::Tcg => "clocksource=acpi_pm tsc=unstable",
        };
        // loglevel=5: warnings and worse reach the console. A panic ends the machine.
        let root = if self.debian.is_some() { debian::CMDLINE } else { "" };
        format!(
            "console=ttyS0 loglevel=5 panic=-1 oops=panic printk.time=1 random.trust_cpu=on \
             no_timer_check {LEAN} {clock} {root} {}",
            match self.start {
                Start::WithJob => self.job.to_cmdline(),
                Start::AndWait | Start::From(_) => WAITS.to_owned(),
            }
        )
    }
}
