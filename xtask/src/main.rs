//! `cargo xtask`: set-up, the test VM, the demo, and everything CI runs.
//!
//! One file a question; this one only reads the command line.

mod accel;
mod bench;
mod copies;
mod cpio;
mod cpu_time;
mod debian;
mod demo;
mod dist;
mod elf;
mod emulator;
mod fetch;
mod guest_root;
mod host;
mod initramfs;
mod kernel;
mod modules;
mod paths;
mod planted;
mod power;
mod qemu;
mod run_guest;
mod scorecard;
mod second_lvm2;
mod setup;
mod shell;
mod sim;
mod test;
mod tidy;
mod vm_test;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use lvshift_vm_tests::scenario::Frontend;

/// Builds, tests and shows lvshift.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install and fetch what the other commands need, and say what that is
    Setup,
    /// Run the scenarios of one front end in the test VM
    VmTest(vm_test::Options),
    /// Use the test VM
    #[command(subcommand)]
    Vm(VmCommand),
    /// Cut the power at every point of recorded moves, and check what is left
    Power(power::Options),
    /// Make a .deb and an .rpm of both programs
    Dist(dist::Options),
    /// Watch one live move, explained step by step
    Demo(demo::Options),
    /// Simulate moves with a power cut at every step
    Sim(sim::Options),
    /// Switch each planted bug on and look which check finds it
    Planted,
    /// Measure moves against LVM2's pvmove and against the floor
    Bench(bench::Options),
    /// Run everything that CI runs
    Test(test::Options),
    /// Run the checks behind the promises, and print each figure with its target
    Scorecard(scorecard::Options),
    /// Check the rules that no compiler checks; a second's part of `test`
    Tidy,
    /// Write the golden files anew, after a change that was meant
    Bless,
}

#[derive(Debug, Subcommand)]
enum VmCommand {
    /// A prompt in the guest, with the binaries on PATH and a few empty disks
    Shell(shell::Options),
}

/// A front end, on the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum FrontendArg {
    /// Kernel device-mapper targets
    Dm,
    /// A ublk device
    Ublk,
}

impl From<FrontendArg> for Frontend {
    fn from(arg: FrontendArg) -> Self {
        match arg {
            FrontendArg::Dm => Self::Dm,
            FrontendArg::Ublk => Self::Ublk,
        }
    }
}

/// Which machine to boot; shared by all commands that boot one.
#[derive(Clone, Debug, clap::Args)]
struct Machine {
    /// Boot this kernel image instead of the fetched one
    #[arg(long, requires = "modules", value_name = "IMAGE")]
    kernel: Option<PathBuf>,
    /// The modules of that kernel: the directory below which its .ko files lie
    #[arg(long, requires = "kernel", value_name = "DIR")]
    modules: Option<PathBuf>,
    /// How to run the guest's processors
    #[arg(long, value_enum, default_value_t = accel::Choice::Auto)]
    accel: accel::Choice,
}

impl Machine {
    /// The one that is booted unless another is asked for.
    const USUAL: Self = Self { kernel: None, modules: None, accel: accel::Choice::Auto };
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Setup => setup::everything().map(|()| ExitCode::SUCCESS),
        Command::VmTest(options) => vm_test::main(&options),
        Command::Vm(VmCommand::Shell(options)) => shell::main(&options),
        Command::Power(options) => power::main(&options),
        Command::Dist(options) => dist::main(&options),
        Command::Demo(options) => demo::main(&options),
        Command::Sim(options) => sim::main(&options),
        Command::Planted => planted::main(),
        Command::Bench(options) => bench::main(&options),
        Command::Test(options) => test::main(&options),
        Command::Scorecard(options) => scorecard::main(&options),
        Command::Tidy => tidy::check().map(|seen| {
            println!("tidy: {seen}, no breach");
            ExitCode::SUCCESS
        }),
        Command::Bless => test::bless().map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error: anyhow::Error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

/// Prints a list. Whoever reads it may stop early.
fn list(lines: impl Iterator<Item = String>) -> Result<ExitCode> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    for line in lines {
        match writeln!(out, "{line}") {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => break,
            written => written?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A number of seconds as the tests print them.
fn seconds(took: std::time::Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

/// Shorthand used where a command must work.
fn run(command: &mut std::process::Command) -> Result<()> {
    use anyhow::{Context as _, bail};
    let status = command.status().with_context(|| format!("starting {command:?}"))?;
    if status.success() { Ok(()) } else { bail!("{command:?}: {status}") }
}
