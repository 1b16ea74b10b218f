//! `cargo xtask vm-test`: the scenarios of one front end.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use lvshift_vm_tests::conformance;
use lvshift_vm_tests::scenario::{Frontend, Scenario};

use crate::debian::Debian;
use crate::emulator::Accel;
use crate::run_guest::{Outcome, Setting};
use crate::{FrontendArg, Machine, accel, initramfs, kernel, paths, run_guest, seconds, setup};

/// How many virtual machines run side by side unless told otherwise. More than there are processors would use the
/// moments in which one waits, but an emulated guest that shares a processor costs a quarter more of it; what only
/// computes uses them.
pub(crate) const JOBS: usize = 2;

/// What can be asked of it.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The front end to test
    #[arg(long, value_enum)]
    frontend: FrontendArg,
    /// The machine to test on
    #[arg(long, value_enum, default_value_t = GuestArg::Small)]
    guest: GuestArg,
    /// Only this scenario; may be given several times
    #[arg(long, value_name = "NAME")]
    scenario: Vec<String>,
    /// Name the scenarios and run nothing
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    machine: Machine,
    /// Keep disks and logs, and say where they are
    #[arg(long)]
    keep: bool,
    /// How many virtual machines run side by side
    #[arg(long, value_name = "N", default_value_t = JOBS)]
    jobs: usize,
    /// Run the scenarios that must fail, and fail if one does not
    #[arg(long, conflicts_with = "scenario")]
    must_fail: bool,
    /// Make every trial of scenarios that make some of many
    #[arg(long)]
    full: bool,
}

/// A machine to test on, on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum GuestArg {
    /// Our own init and a handful of tools
    Small,
    /// A whole Debian with systemd and udevd, in which lvshift's package is installed
    Debian,
}

/// The numbers at the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    /// The names of those that passed.
    pub(crate) good: Vec<&'static str>,
    /// The lines with figures that they logged.
    pub(crate) figures: Vec<String>,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Runs what was asked for. Exit status 3: a scenario of that name does not exist.
pub(crate) fn main(options: &Options) -> Result<ExitCode> {
    let frontend = Frontend::from(options.frontend);
    let debian = options.guest == GuestArg::Debian;
    let there_are = || -> Box<dyn Iterator<Item = &'static Scenario>> {
        if debian {
            Box::new(conformance::in_debian(frontend))
        } else {
            Box::new(conformance::of(frontend))
        }
    };
    if options.list {
        return crate::list(there_are().map(|s| format!("{:28} {}", s.name, s.about)));
    }
    let mut chosen = Vec::new();
    for name in &options.scenario {
        match conformance::find(name)
            .filter(|s| s.frontends.contains(&frontend) && s.debian == debian)
        {
            Some(scenario) => chosen.push(scenario),
            None => {
                eprintln!("error: no scenario {name} for {}. There are:", frontend.word());
                there_are().for_each(|s| eprintln!("  {}", s.name));
                return Ok(ExitCode::from(3));
            }
        }
    }
    if options.must_fail {
        chosen.extend(must_fail());
    }
    if chosen.is_empty() {
        chosen.extend(there_are());
    }
    if !exists(frontend) {
        eprintln!("error: {} is not there yet, so nothing was tested", frontend.binary());
        return Ok(ExitCode::FAILURE);
    }
    let mut setting = if debian {
        prepare_debian(frontend, &options.machine)?
    } else {
        prepare(frontend, &options.machine)?
    };
    setting.full = options.full;
    let tally = run_all(&setting, &chosen, options.jobs, options.keep, options.must_fail)?;
    if !options.keep {
        std::fs::remove_file(&setting.initramfs).ok();
        setting.debian.iter().for_each(Debian::remove);
    }
    println!("{tally}");
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The scenarios that prove that a failure is seen.
pub(crate) fn must_fail() -> impl Iterator<Item = &'static Scenario> {
    conformance::all().filter(|scenario| scenario.must_fail.is_some())
}

/// Whether the front end is there to be tested.
pub(crate) fn exists(frontend: Frontend) -> bool {
    Frontend::READY.contains(&frontend)
}

/// Everything that must be there before the first boot.
pub(crate) fn prepare(frontend: Frontend, machine: &Machine) -> Result<Setting> {
    setup::for_vm(machine)?;
    let binaries = build()?;
    let kernel = kernel::choose(machine)?;
    let accel = accel::choose(machine.accel, &kernel)?;
    let initramfs = initramfs::make(&kernel, &binaries)?;
    let copies = Arc::default();
    Ok(Setting { kernel, accel, initramfs, debian: None, frontend, full: false, copies })
}

/// The same for a whole Debian.
pub(crate) fn prepare_debian(frontend: Frontend, machine: &Machine) -> Result<Setting> {
    setup::for_vm(machine)?;
    build()?;
    let kernel = kernel::choose(machine)?;
    let accel = accel::choose(machine.accel, &kernel)?;
    let debian = Some(Debian::prepare(&kernel)?);
    let (initramfs, copies) = (PathBuf::new(), Arc::default());
    Ok(Setting { kernel, accel, initramfs, debian, frontend, full: false, copies })
}

/// Builds what runs in the guest, and says where it is. Both front ends, whichever is tested: one
/// may have to go on with what the other began.
fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(paths::root()).args(["build", "--quiet", "--profile", "vm", "--bins"]);
    for package in Frontend::ALL.iter().map(|f| f.binary()).chain(["lvshift-vm-tests"]) {
        command.args(["-p", package]);
    }
    // The only build that has them.
    let features = Frontend::ALL.iter().map(|f| format!("{}/failpoints", f.binary()));
    command.arg("--features").arg(features.collect::<Vec<_>>().join(","));
    crate::run(&mut command).context("building what runs in the guest")?;
    Ok(paths::target().join("vm"))
}

/// Runs scenarios side by side and prints a line for each. With `turned`, one that
/// must fail passes by failing as it must.
pub(crate) fn run_all(
    setting: &Setting,
    chosen: &[&'static Scenario],
    jobs: usize,
    keep: bool,
    turned: bool,
) -> Result<Tally> {
    let runs = paths::vm_dir("runs")?.join(std::process::id().to_string());
    // What may take longest goes first, so that nothing long is left alone at the end.
    let mut chosen = chosen.to_vec();
    chosen.sort_by_key(|scenario| std::cmp::Reverse(scenario.boots * scenario.timeout_s));
    setting.copies.plan(setting.booted(), &chosen);
    let next = AtomicUsize::new(0);
    let tally = Mutex::new(Tally::default());
    let lock = || tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let work = || -> Result<()> {
        loop {
            let number = next.fetch_add(1, Ordering::SeqCst);
            let Some(scenario) = chosen.get(number) else { break };
            // The number, since a scenario may be asked for more than once.
            let dir = runs.join(format!("{number}-{}", scenario.name));
            std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
            let mut outcome = run_guest::scenario(setting, scenario, &dir, false)?;
            if setting.accel == Accel::Tcg && outcome.is_of_the_emulator() {
                println!(
                    "note {}: the emulator broke the guest's kernel; it is run again",
                    scenario.name
                );
                // Its name is its sockets', too.
                let again = dir.join(format!("{number}-again"));
                std::fs::create_dir_all(&again).context("making room for another try")?;
                outcome = run_guest::scenario(setting, scenario, &again, false)?;
            }
            if turned {
                outcome.turn(scenario.must_fail.unwrap_or_default());
            }
            let mut tally = lock();
            if outcome.failures.is_empty() {
                tally.passed += 1;
                tally.good.push(scenario.name);
                tally.figures.extend(outcome.figures().map(str::to_owned));
            } else {
                tally.failed += 1;
            }
            print(scenario, &outcome, keep.then_some(&dir));
            if !keep {
                std::fs::remove_dir_all(&dir).context("removing a scenario's disks")?;
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(work)).collect();
        let ends = threads.into_iter().map(|t| t.join().expect("a runner does not panic"));
        ends.collect::<Result<()>>()
    })?;
    if !keep {
        // The image stays: whoever made it may run more on it.
        std::fs::remove_dir_all(&runs).ok();
    }
    let tally = std::mem::take(&mut *lock());
    Ok(tally)
}

impl Outcome {
    /// The lines with figures in its log.
    fn figures(&self) -> impl Iterator<Item = &str> {
        let lines = self.log.iter().flat_map(|text| text.lines());
        lines.filter_map(|line| line.find("figure=").map(|at| &line[at..]))
    }

    fn turn(&mut self, expected: &str) {
        if self.failures.iter().any(|why| why.contains(expected)) {
            self.failures.clear();
        } else {
            self.failures.push(format!("it should have failed with {expected:?}"));
        }
    }
}

fn print(scenario: &Scenario, outcome: &Outcome, kept: Option<&PathBuf>) {
    let word = if outcome.failures.is_empty() { "ok  " } else { "FAIL" };
    let (took, cpu) = (seconds(outcome.took), seconds(outcome.cpu));
    println!("{word} {:32} {took:>8} {cpu:>8} of a processor", scenario.name);
    outcome.figures().for_each(|line| println!("     {line}"));
    if !outcome.failures.is_empty() {
        section("why", outcome.failures.iter().map(String::as_str));
        section("log", outcome.log.iter().map(String::as_str));
        section("console", outcome.console.lines());
    }
    if let Some(dir) = kept {
        println!("     kept: {}", dir.display());
    }
}

fn section<'a>(name: &str, lines: impl Iterator<Item = &'a str>) {
    println!("  --- {name}");
    for line in lines.flat_map(str::lines) {
        println!("  {line}");
    }
}
