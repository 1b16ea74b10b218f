//! `cargo xtask vm shell`: a prompt in the guest.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use lvshift_vm_tests::guest::boot::Job;
use lvshift_vm_tests::scenario::{Disk, Frontend, Scenario};

use crate::qemu::{Console, STATE_DISK, Start, Vm, make_disks};
use crate::{FrontendArg, Machine, paths, vm_test};

/// What can be asked of it.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The front end whose binary is there
    #[arg(long, value_enum, default_value_t = FrontendArg::Dm)]
    frontend: FrontendArg,
    #[command(flatten)]
    machine: Machine,
}

/// The spare disks.
const DISKS: &[Disk] = &[
    Disk::new("pv1", 512),
    Disk::new("pv2", 512),
    Disk::new("pv3", 512),
    Disk::new("pv4", 512),
    Disk::new_4k("pv5-4k", 512),
    STATE_DISK,
];

/// Boots the guest on this terminal.
pub(crate) fn main(options: &Options) -> Result<ExitCode> {
    let frontend = Frontend::from(options.frontend);
    if !vm_test::exists(frontend) {
        eprintln!("error: {} is not there yet", frontend.binary());
        return Ok(ExitCode::FAILURE);
    }
    let setting = vm_test::prepare(frontend, &options.machine)?;
    let dir = paths::vm_dir("runs")?.join(format!("shell-{}", std::process::id()));
    std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
    make_disks(&dir, DISKS)?;
    let job = Job { scenario: None, frontend, boot: 1, terminal: true, full: false };
    let vm = Vm {
        kernel: &setting.kernel,
        initramfs: &setting.initramfs,
        debian: None,
        accel: setting.accel,
        cpus: Scenario::DEFAULT.cpus,
        memory_mib: Scenario::DEFAULT.memory_mib,
        job: &job,
        start: Start::WithJob,
        disks: DISKS,
        dir: &dir,
        server: None,
        reports: None,
        console: Console::Terminal,
    };
    let status = vm.command().status().context("starting QEMU")?;
    std::fs::remove_dir_all(&dir).context("removing the disks")?;
    std::fs::remove_file(&setting.initramfs).context("removing the initramfs")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
