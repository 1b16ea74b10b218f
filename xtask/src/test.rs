//! `cargo xtask test`: everything that CI runs, in steps, each with its time.

mod beside;
mod packages;
mod steps;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Result, ensure};
use lvshift_vm_tests::conformance;
use lvshift_vm_tests::scenario::{Frontend, Scenario};

use crate::run_guest::Setting;
use crate::scorecard::{Needs, Seen};
use crate::vm_test::{self, JOBS, Tally};
use crate::{Machine, paths, scorecard, setup, tidy};
use beside::Beside;
use steps::Steps;

/// What can be asked of it.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Leave out the tests in the VM (never in CI)
    #[arg(long)]
    skip_vm: bool,
    /// Run every scenario whole and with every front end that it is for, also the dear ones
    #[arg(long, conflicts_with = "skip_vm")]
    full: bool,
    /// Do only the steps that compute, and write how they went there
    #[arg(long, hide = true, value_name = "FILE")]
    only_computing: Option<PathBuf>,
    #[command(flatten)]
    machine: Machine,
}

/// Packages with a workspace of their own; each says why in its Cargo.toml.
const APART: &[(&str, &str)] = &[("tests/panics", "x86_64-unknown-none"), ("tests/fuzz", HOST)];
const HOST: &str = "x86_64-unknown-linux-gnu";

/// Runs every step, then says how each went.
pub(crate) fn main(options: &Options) -> Result<ExitCode> {
    let mut steps = Steps::default();
    if let Some(file) = &options.only_computing {
        computing(&mut steps);
        return steps.write(file).map(|()| ExitCode::SUCCESS);
    }
    building(&mut steps);
    if options.skip_vm {
        computing(&mut steps);
    } else {
        let beside = Beside::start();
        vm_steps(&mut steps, options);
        match beside.and_then(Beside::finish) {
            Ok(others) => steps.take_over(others),
            Err(error) => steps.step("what only computes", || Err(error)),
        }
    }
    println!();
    let good = steps.tell();
    if options.skip_vm {
        println!("\nNOT TESTED: --skip-vm was given, nothing ran on a real kernel.");
    }
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What has to be right before anything else is looked at. Unit tests have time limits, so they run alone.
fn building(steps: &mut Steps) {
    steps.step("set-up", || {
        setup::for_building()?;
        setup::for_tests()?;
        setup::no_std_target()?;
        fetch_crates().map(|()| String::new())
    });
    steps.step("format", || cargo(&["fmt", "--all", "--check"], &[]));
    steps.step("tidy", tidy::check);
    let lint = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
    steps.step("clippy", || cargo(&lint, &[]));
    steps.step("unit tests", || cargo(&["test", "--quiet", "--workspace"], &[]));
}

/// What takes as long as it takes.
fn computing(steps: &mut Steps) {
    let docs = ["doc", "--quiet", "--workspace", "--no-deps"];
    steps.step("docs", || cargo(&docs, &[("RUSTDOCFLAGS", "-D warnings")]));
    steps.step("core without std", no_std);
    steps.step("packages alone", packages::build);
    let lint = ["clippy", "--quiet", "-p", "lvshift-checks", "--features", "sim"];
    let lint = [&lint[..], &["--all-targets", "--", "-D", "warnings"]].concat();
    steps.step("clippy, simulator", || cargo(&lint, &[]));
    // The simulator's own: what it is built of for speed counts as the product's does.
    let own = ["test", "--quiet", "--release", "-p", "lvshift-checks", "-p"];
    let own = [&own[..], &["lvshift-on-disk-format", "--lib", "--features"]].concat();
    let own = [&own[..], &["lvshift-checks/sim", "--target-dir", "target/sim"]].concat();
    steps.step("unit tests, simulator", || cargo(&own, &[]));
    let lint =
        ["clippy", "--quiet", "-p", "lvshift-ublk", "--features", "bench", "--lib", "--bins"];
    let lint = [&lint[..], &["--bench", "counters", "--", "-D", "warnings"]].concat();
    steps.step("clippy, benchmark", || cargo(&lint, &[]));
    steps.step("packages apart", apart);
    for (name, check) in scorecard::quick(Needs::Processors) {
        steps.step(name, check);
    }
}

/// Runs the tests that own golden files so that they write them.
pub(crate) fn bless() -> Result<()> {
    setup::for_building()?;
    cargo(&["test", "--quiet", "--workspace"], &[("LVSHIFT_BLESS", "1")])?;
    println!("bless: done; `git diff` shows what changed");
    Ok(())
}

fn cargo(args: &[&str], env: &[(&str, &str)]) -> Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    crate::run(command.current_dir(paths::root()).args(args).envs(env.iter().copied()))?;
    Ok(String::new())
}

/// How often the registry is asked, which may be out of reach for a moment.
const ATTEMPTS: u32 = 3;

/// Fetches every crate that a later step builds, so that no step fails for the network's sake.
fn fetch_crates() -> Result<()> {
    for package in APART.iter().map(|(package, _)| *package).chain(["."]) {
        let manifest = format!("{package}/Cargo.toml");
        let fetch = ["fetch", "--quiet", "--locked", "--manifest-path", &manifest];
        let mut attempt = 1;
        while let Err(error) = cargo(&fetch, &[]) {
            ensure!(
                attempt < ATTEMPTS,
                "fetching the crates of {manifest}, tried {ATTEMPTS} times: {error:#}"
            );
            attempt += 1;
            std::thread::sleep(Duration::from_secs(5));
        }
    }
    Ok(())
}

/// Builds core, the format and the driver for a machine without an operating system or a heap.
fn no_std() -> Result<String> {
    let packages = ["-p", "lvshift-core", "-p", "lvshift-on-disk-format", "-p", "lvshift-driver"];
    for target in setup::NO_STD_TARGETS {
        cargo(&[&["build", "--quiet", "--target", target], &packages[..]].concat(), &[])?;
    }
    Ok(String::new())
}

/// Format and lints of the packages that are not in the workspace.
fn apart() -> Result<String> {
    let target_dir = paths::target().join("apart");
    let target_dir = target_dir.to_string_lossy();
    for (package, target) in APART {
        let manifest = format!("{package}/Cargo.toml");
        cargo(&["fmt", "--manifest-path", &manifest, "--check"], &[])?;
        let lint = ["clippy", "--quiet", "--locked", "--manifest-path", &manifest];
        let rest = ["--target-dir", &target_dir, "--target", target, "--", "-D", "warnings"];
        cargo(&[&lint[..], &rest].concat(), &[])?;
    }
    let corpus = ["test", "--quiet", "--locked", "--lib", "--target-dir", &target_dir];
    let fuzz = ["--manifest-path", "tests/fuzz/Cargo.toml", "--target", HOST];
    cargo(&[&corpus[..], &fuzz].concat(), &[])
}

/// What boots virtual machines.
fn vm_steps(steps: &mut Steps, options: &Options) {
    let mut setting = None;
    steps.step("VM image", || {
        setting = Some(vm_test::prepare(Frontend::READY[0], &options.machine)?);
        Ok(String::new())
    });
    // One image and one boot of each shape of guest for both.
    let Some(setting) = setting else { return };
    let mut seen = Vec::new();
    for frontend in Frontend::READY.iter().copied() {
        vm_scenarios(
            steps,
            &Setting { frontend, full: options.full, ..setting.clone() },
            &mut seen,
        );
    }
    std::fs::remove_file(&setting.initramfs).ok();
    for (name, found) in scorecard::of_scenarios(&seen) {
        steps.step(name, || found);
    }
    for (name, check) in scorecard::quick(Needs::Machines) {
        steps.step(name, check);
    }
}

fn vm_scenarios(steps: &mut Steps, setting: &Setting, seen: &mut Vec<Seen>) {
    let frontend = setting.frontend;
    if frontend == Frontend::READY[0] {
        let chosen: Vec<_> = vm_test::must_fail().collect();
        steps.step("VM sees failures", || told(&scenarios(setting, &chosen, true)?));
    }
    let chosen: Vec<_> = if setting.full {
        conformance::of(frontend).collect()
    } else {
        conformance::of_the_turn(frontend).collect()
    };
    let name = format!("VM tests, {}", frontend.word());
    steps.step(&name, || {
        let tally = scenarios(setting, &chosen, false)?;
        let told = told(&tally);
        seen.push((frontend, tally));
        told
    });
}

fn scenarios(setting: &Setting, chosen: &[&'static Scenario], turned: bool) -> Result<Tally> {
    let tally = vm_test::run_all(setting, chosen, JOBS, false, turned)?;
    println!("{tally}");
    Ok(tally)
}

fn told(tally: &Tally) -> Result<String> {
    ensure!(tally.failed == 0, "{tally}");
    Ok(tally.to_string())
}
