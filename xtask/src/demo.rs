//! `cargo xtask demo`: one live move, watched.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use lvshift_vm_tests::conformance;
use lvshift_vm_tests::scenario::Frontend;

use crate::{FrontendArg, Machine, paths, run_guest, seconds, vm_test};

/// What can be asked of it.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The front end that does the move
    #[arg(long, value_enum, default_value_t = FrontendArg::Dm)]
    frontend: FrontendArg,
    /// Whose volume group it happens in; in LVM2's the power fails in mid-copy, too
    #[arg(long, value_enum)]
    vg: Option<VgArg>,
    #[command(flatten)]
    machine: Machine,
}

/// Whose volume group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum VgArg {
    /// LVM2's own, as it is (unless told otherwise)
    Lvm2,
    /// lvshift's
    Lvshift,
}

impl VgArg {
    const fn scenario(self) -> &'static str {
        match self {
            VgArg::Lvm2 => "demo-lvm2",
            VgArg::Lvshift => "demo",
        }
    }
}

/// Boots the guest with the scenario of the demo and shows what it shows.
pub(crate) fn main(options: &Options) -> Result<ExitCode> {
    let frontend = Frontend::from(options.frontend);
    let vgs = match options.vg {
        Some(vg) => vec![vg],
        None => vec![VgArg::Lvm2, VgArg::Lvshift],
    };
    let mut all = vgs.into_iter().filter_map(|vg| conformance::find(vg.scenario()));
    let found = all.find(|scenario| scenario.frontends.contains(&frontend));
    let (Some(scenario), true) = (found, vm_test::exists(frontend)) else {
        eprintln!("error: {} has no demo yet", frontend.binary());
        return Ok(ExitCode::FAILURE);
    };
    println!("demo: setting up and building (the first time takes minutes) ...");
    let setting = vm_test::prepare(frontend, &options.machine)?;
    println!("demo: booting a virtual machine; nothing on this one is touched ...\n");
    let dir = paths::vm_dir("runs")?.join(format!("demo-{}", std::process::id()));
    std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
    let outcome = run_guest::scenario(&setting, scenario, &dir, true)?;
    std::fs::remove_dir_all(&dir).context("removing the demo's disks")?;
    std::fs::remove_file(&setting.initramfs).context("removing the demo's initramfs")?;
    if outcome.failures.is_empty() {
        println!("\ndemo: all of it true, in {}", seconds(outcome.took));
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("\ndemo: FAILED\n{}", outcome.failures.join("\n"));
    eprintln!("--- log\n{}\n--- console\n{}", outcome.log.join("\n"), outcome.console);
    Ok(ExitCode::FAILURE)
}
