//! Whether the machine's own virtualisation works. `/dev/kvm` alone says little.

use std::fs::File;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::emulator::{self, Accel};
use crate::kernel::Kernel;
use crate::paths;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Choice {
    /// KVM if it works here, else emulation
    Auto,
    /// KVM
    Kvm,
    /// Emulation
    Tcg,
}

/// How long a guest may take to its first line under KVM.
const PATIENCE: Duration = Duration::from_secs(6);

/// Decides, trying KVM once for each boot of this machine.
pub(crate) fn choose(choice: Choice, kernel: &Kernel) -> Result<Accel> {
    match choice {
        Choice::Kvm => return Ok(Accel::Kvm),
        Choice::Tcg => return Ok(Accel::Tcg),
        Choice::Auto => {}
    }
    let known = paths::vm_dir("")?.join("kvm-verdict");
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    if let Ok(text) = std::fs::read_to_string(&known)
        && let Some(verdict) = text.strip_prefix(&boot)
    {
        return Ok(if verdict == "works" { Accel::Kvm } else { Accel::Tcg });
    }
    let verdict = match try_kvm(kernel)? {
        Ok(()) => {
            println!("KVM works here and is used.");
            "works".to_owned()
        }
        Err(why) => {
            println!(
                "KVM does not work here ({why}): the guest is emulated (TCG), which is slower."
            );
            why
        }
    };
    std::fs::write(&known, format!("{boot}{verdict}")).context("remembering whether KVM works")?;
    Ok(if verdict == "works" { Accel::Kvm } else { Accel::Tcg })
}

/// Boots the kernel alone and waits for its first line.
fn try_kvm(kernel: &Kernel) -> Result<Result<(), String>> {
    if let Err(error) = File::options().read(true).write(true).open("/dev/kvm") {
        return Ok(Err(format!("/dev/kvm: {error}")));
    }
    let dir = paths::vm_dir("kvm-trial")?;
    let (console, errors) = (dir.join("console"), dir.join("errors"));
    File::create(&console).context("creating a console file")?;
    let mut qemu = emulator::command()
        .args(emulator::MACHINE)
        .args(emulator::processor(Accel::Kvm))
        .args(["-m", "256", "-append", "console=ttyS0 earlyprintk=ttyS0 panic=-1", "-kernel"])
        .arg(&kernel.image)
        .args(["-serial", &format!("file:{}", console.display())])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&errors).context("creating a file for QEMU's errors")?)
        .spawn()
        .with_context(|| format!("starting {}", emulator::PROGRAM))?;
    let start = Instant::now();
    let verdict = loop {
        let said = std::fs::read_to_string(&errors).unwrap_or_default();
        let trouble = ["KVM internal error", "failed to", "Assertion", "error:"];
        if trouble.iter().any(|text| said.contains(text)) {
            break Err(said.lines().next().unwrap_or_default().trim().to_owned());
        }
        let life = std::fs::read(&console).unwrap_or_default();
        if life.windows(13).any(|w| w == b"Linux version") {
            break Ok(());
        }
        if let Some(status) = qemu.try_wait().context("waiting for QEMU")? {
            break Err(format!("QEMU ended with {status}"));
        }
        if start.elapsed() > PATIENCE {
            break Err(format!("no sign of life from a guest in {} s", PATIENCE.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    // It may have ended by itself.
    qemu.kill().ok();
    qemu.wait().context("waiting for QEMU")?;
    Ok(verdict)
}
