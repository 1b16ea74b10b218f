//! Measuring on two real disks of this machine, after a plain warning.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use lvshift_vm_tests::bench;
use lvshift_vm_tests::bench::record::Record;

use super::machine::{Where, own_kernel};
use super::results::Results;
use super::{guest, libublk};
use crate::paths;

/// Runs one benchmark as root on two disks.
pub(super) fn measure(name: &str, quick: bool, disks: [&Path; 2], yes: bool) -> Result<Results> {
    let about = bench::find(name).with_context(|| format!("no benchmark {name}"))?.about;
    ensure!(rustix::process::geteuid().is_root(), "this needs root: disks are written to");
    for program in ["fio", "lvm", "dmsetup"] {
        ensure!(crate::host::has(program), "{program} is missing; install it first");
    }
    warn(disks, yes)?;
    let binaries = guest::build()?;
    let own = paths::target().join("bench/bin");
    std::fs::create_dir_all(&own).context("creating a directory for programs")?;
    for name in ["lvshift-dm", "lvshift-ublk", "bench"] {
        std::fs::copy(binaries.join(name), own.join(name))
            .with_context(|| format!("copying {name}"))?;
    }
    if let Ok(program) = libublk::built() {
        std::fs::copy(program, own.join("libublk-loop")).context("copying libublk's example")?;
    }
    let modules: [&[&str]; 4] =
        [&["dm-mirror"], &["dm-delay"], &["null_blk", "nr_devices=0"], &["ublk_drv"]];
    for module in modules {
        // Built in, or missing: what needs it will say so.
        Command::new("modprobe").arg("-q").args(module).status().ok();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = [own.clone()].into_iter().chain(std::env::split_paths(&path));
    let path = std::env::join_paths(paths).context("PATH")?;
    let models = disks.map(model).join(" and ");
    let place = Where::here(&format!("disks {models}"), own_kernel());
    let mut command = Command::new(own.join("bench"));
    command.env("PATH", path).arg(name).arg("--disks").args(disks);
    if quick {
        command.arg("--quick");
    }
    let output = command.stderr(Stdio::inherit()).output().context("starting the benchmark")?;
    ensure!(output.status.success(), "the benchmark ended with {}", output.status);
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let records: Result<Vec<Record>> = lines.lines().map(Record::from_line).collect();
    Ok(Results::new(name, about, quick, place, records?))
}

fn warn(disks: [&Path; 2], yes: bool) -> Result<()> {
    let names = disks.map(|disk| disk.display().to_string());
    eprintln!("ALL DATA on {} and {} will be lost:", names[0], names[1]);
    for disk in disks {
        let mut list = Command::new("lsblk");
        list.args(["-o", "NAME,SIZE,MODEL,FSTYPE,MOUNTPOINTS"]).arg(disk);
        crate::run(&mut list).context("looking at the disk")?;
    }
    if yes {
        return Ok(());
    }
    ensure!(std::io::stdin().is_terminal(), "nobody is there to confirm it; say --yes");
    eprint!("Type the name of the first one to go on: ");
    std::io::stderr().flush().ok();
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("reading the answer")?;
    if line.trim() != names[0] {
        bail!("not confirmed, nothing was touched");
    }
    Ok(())
}

fn model(disk: &Path) -> String {
    let name = disk.file_name().unwrap_or_default();
    let file = Path::new("/sys/class/block").join(name).join("device/model");
    let model = std::fs::read_to_string(file).unwrap_or_default().trim().to_owned();
    if model.is_empty() { disk.display().to_string() } else { model }
}
