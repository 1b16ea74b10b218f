//! `cargo xtask power`: moves on a real kernel, recorded, and the power cut at every point of them.

mod boots;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use lvshift_checks::crash_images::run::{self, Figures, Plan};
use lvshift_checks::disk_server::log::Log;
use lvshift_vm_tests::conformance;
use lvshift_vm_tests::scenario::{Frontend, Scenario};

use crate::run_guest::{self, Setting};
use crate::{FrontendArg, Machine, paths, seconds, vm_test};

/// How many images the quick form checks.
pub(crate) const QUICK: u64 = 4_000;
/// How many the full form checks at least, on each front end.
pub(crate) const FULL: u64 = 80_000;

/// What can be asked of it.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The front end that moves
    #[arg(long, value_enum)]
    frontend: FrontendArg,
    /// How many different crash images to check [default: 4000, with --full 80000]
    #[arg(long, value_name = "N")]
    images: Option<u64>,
    /// Chooses what survives each power cut
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// A killed and an aborted move, too, and many more images
    #[arg(long)]
    full: bool,
    /// How many crash images of each file system to boot [default: 1 of ext4, with --full 8 of ext4,
    /// xfs and btrfs]
    #[arg(long, value_name = "N")]
    boots: Option<usize>,
    /// Check the images of a log that --save wrote; nothing is booted
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Write the log of the disks to a file; with --full one for each recording, with its name behind
    #[arg(long, value_name = "FILE", conflicts_with = "log")]
    save: Option<PathBuf>,
    #[command(flatten)]
    machine: Machine,
}

/// Records, rebuilds, checks, says.
pub(crate) fn main(options: &Options) -> Result<ExitCode> {
    let frontend = Frontend::from(options.frontend);
    let plan = Plan {
        images: options.images.unwrap_or(if options.full { FULL } else { QUICK }),
        seed: options.seed,
    };
    if let Some(path) = &options.log {
        let figures = check(frontend, &Log::load(path)?, plan)?;
        return Ok(code(figures.wrong == 0));
    }
    let setting = vm_test::prepare(frontend, &options.machine)?;
    let names = if options.full { LONG } else { SHORT };
    let mut wrong = 0;
    for name in names {
        let log = record(&setting, name)?;
        if let Some(path) = &options.save {
            let path = if names.len() > 1 { path.with_extension(name) } else { path.clone() };
            log.save(&path)?;
            println!("power: the log is in {}", path.display());
        }
        let images = plan.images.div_ceil(names.len() as u64);
        wrong += check(frontend, &log, Plan { images, ..plan })?.wrong;
    }
    let (names, count) = if options.full { (FILE_SYSTEMS, 8) } else { (&FILE_SYSTEMS[..1], 1) };
    let failed = boot(&setting, names, options.boots.unwrap_or(count), options.seed)?;
    std::fs::remove_file(&setting.initramfs).ok();
    Ok(code(wrong == 0 && failed == 0))
}

/// What is recorded in the quick form.
const SHORT: &[&str] = &["power-record-short"];
/// What is recorded in the full one; the images are shared out.
const LONG: &[&str] = &["power-record", "power-record-4k"];
const FILE_SYSTEMS: &[&str] = &["power-fs-ext4", "power-fs-xfs", "power-fs-btrfs"];

fn code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Boots so many images of each of these; says how many failed.
fn boot(setting: &Setting, names: &[&str], count: usize, seed: u64) -> Result<u64> {
    let (mut booted, mut failed) = (0, 0);
    for name in names.iter().filter(|_| count > 0) {
        let boots = boots::boots(setting, name, count, seed)?;
        booted += boots.booted;
        failed += boots.failed;
    }
    let word = setting.frontend.word();
    println!("figure=power-boots-{word} {} seed={seed}", booted - failed);
    println!("figure=power-boots-failed-{word} {failed} seed={seed}");
    Ok(failed)
}

/// Runs a scenario and gives the log of its disks.
fn record(setting: &Setting, name: &str) -> Result<Log> {
    let scenario = conformance::find(name).context("the scenario that records")?;
    let dir = paths::vm_dir("runs")?.join(format!("{}-{name}", std::process::id()));
    std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
    let log = record_in(setting, scenario, &dir);
    std::fs::remove_dir_all(&dir).context("removing the disks")?;
    log
}

fn record_in(setting: &Setting, scenario: &Scenario, dir: &Path) -> Result<Log> {
    println!("power: {} on {}", scenario.about, setting.frontend.word());
    let server = run_guest::serve(scenario, dir, true)?;
    let outcome = run_guest::on_server(setting, scenario, dir, &server, 1)?;
    let log = server.log();
    if outcome.failures.is_empty() {
        println!("power: {} entries in the log, in {}", log.entries.len(), seconds(outcome.took));
        return Ok(log);
    }
    eprintln!("--- log\n{}\n--- console\n{}", outcome.log.join("\n"), outcome.console);
    bail!("the recording failed: {}", outcome.failures.join("\n"))
}

fn check(frontend: Frontend, log: &Log, plan: Plan) -> Result<Figures> {
    let start = Instant::now();
    let figures = run::check_all(log, plan)?;
    let [nothing, queued, copying, aborting, moved] = figures.looked.records;
    println!(
        "power: {} images at {} points, {} of them different, {} with a part of the cache",
        figures.images, figures.points, figures.distinct, figures.partial
    );
    println!(
        "power: recorded in them: nothing {nothing}, queued {queued}, copying {copying}, \
         aborting {aborting}, moved {moved}; {} different metadata",
        figures.metadata
    );
    println!(
        "power: {} sectors compared, {} clean chunks on both legs, {} dirty chunks",
        figures.looked.sectors, figures.looked.clean_chunks, figures.looked.dirty_chunks
    );
    for (crash, what) in &figures.described {
        eprintln!("power: WRONG at entry {} with {:?}:\n  {what}", crash.at, crash.survive);
    }
    println!("power: checked in {}", seconds(start.elapsed()));
    let word = frontend.word();
    println!("figure=power-images-{word} {} seed={}", figures.distinct, plan.seed);
    println!("figure=power-wrong-{word} {} seed={}", figures.wrong, plan.seed);
    Ok(figures)
}
