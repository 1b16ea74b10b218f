//! Measuring in the test VM: its image with what is measured, one boot for each benchmark.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use lvshift_vm_tests::bench::OTHER_UBLK;
use lvshift_vm_tests::bench::record::Record;
use lvshift_vm_tests::bench::{self, scenarios};
use lvshift_vm_tests::scenario::Frontend;

use super::machine::Where;
use super::results::Results;
use super::{fio_root, libublk};
use crate::cpio::Archive;
use crate::emulator::Accel;
use crate::run_guest::{self, Setting};
use crate::{Machine, guest_root, paths, vm_test};

/// The test VM with everything that is measured in it.
pub(super) struct Guest {
    setting: Setting,
}

impl Guest {
    /// Builds, fetches and packs what it needs, and another build of lvshift-ublk where one is given.
    pub(super) fn prepare(machine: &Machine, against: Option<&Path>) -> Result<Guest> {
        let setting = vm_test::prepare(Frontend::Dm, machine)?;
        let binaries = build()?;
        let fio = fio_root::fetched()?;
        let tools = guest_root::fetched()?;
        let libraries = guest_root::libraries(&[&tools, &fio, Path::new("/")])?;
        let mut programs: Vec<(&str, PathBuf)> = vec![("fio", fio.join("usr/bin/fio"))];
        for name in ["bench", "lvshift-dm", "lvshift-ublk"] {
            programs.push((name, binaries.join(name)));
        }
        if let Some(other) = against {
            programs.push((OTHER_UBLK, other.to_owned()));
        }
        match libublk::built() {
            Ok(program) => programs.push(("libublk-loop", program)),
            Err(error) => println!("bench: without libublk's loop example: {error:#}"),
        }
        // The kernel unpacks archives that follow each other as one, and of two files of one name
        // the later stays: these are built as releases are.
        let mut archive = Archive::default();
        for (name, path) in programs {
            let bytes =
                std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            archive.file(&format!("/usr/local/bin/{name}"), true, &bytes)?;
            guest_root::add_libraries(&mut archive, &bytes, &libraries)
                .with_context(|| format!("for {name}"))?;
        }
        let mut image = std::fs::File::options()
            .append(true)
            .open(&setting.initramfs)
            .context("opening the guest's image")?;
        image.write_all(&archive.finish()).context("adding to the guest's image")?;
        Ok(Guest { setting })
    }

    /// Boots it and runs one benchmark.
    pub(super) fn measure(&self, name: &str, quick: bool) -> Result<Results> {
        let bench = bench::find(name).with_context(|| format!("no benchmark {name}"))?;
        let end = if quick { scenarios::QUICK } else { "" };
        let full = format!("{}{name}{end}", scenarios::PREFIX);
        let scenario = scenarios::SCENARIOS.iter().find(|s| s.name == full);
        let scenario = scenario.with_context(|| format!("no scenario {full}"))?;
        let dir = paths::vm_dir("runs")?.join(format!("{full}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        let place = self.place();
        let outcome = run_guest::scenario(&self.setting, scenario, &dir, true)?;
        if !outcome.failures.is_empty() {
            bail!("{}\nlog and disks are kept in {}", outcome.failures.join("\n"), dir.display());
        }
        std::fs::remove_dir_all(&dir).context("removing the disks")?;
        let lines = outcome.log.iter().filter_map(|line| line.strip_prefix(scenarios::RECORD));
        let records: Result<Vec<Record>> = lines.map(Record::from_line).collect();
        let results = Results::new(name, bench.about, quick, place, records?);
        ensure!(!results.samples.is_empty(), "{name} measured nothing");
        Ok(results)
    }

    fn place(&self) -> Where {
        let how = match self.setting.accel {
            Accel::Kvm => "in QEMU with KVM, 2 virtual processors, disks in the host's page cache",
            Accel::Tcg => {
                "in QEMU without KVM (TCG), 2 virtual processors, disks in the host's page cache"
            }
        };
        let image = self.setting.kernel.image.file_name().unwrap_or_default().to_string_lossy();
        Where::here(how, image.trim_start_matches("vmlinux-").to_owned())
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // It can be made again.
        std::fs::remove_file(&self.setting.initramfs).ok();
    }
}

/// Builds what is measured as a release is built, and says where it is.
pub(super) fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(paths::root());
    command.args(["build", "--quiet", "--profile", "measured", "--bins"]);
    command.args(["-p", "lvshift-dm", "-p", "lvshift-ublk", "-p", "lvshift-vm-tests"]);
    crate::run(&mut command).context("building what is measured")?;
    Ok(paths::target().join("measured"))
}
