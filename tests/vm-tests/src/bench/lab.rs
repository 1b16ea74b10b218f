//! Where a benchmark happens: two disks, a scale, a round, and who listens to the results.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use super::disk;
use super::record::{Record, Sample, Series};

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Few rounds of little data: does it work, and where about does it stand?
    pub quick: bool,
}

impl Scale {
    /// `full` MiB, or an eighth.
    pub(super) fn mib(self, full: u64) -> u64 {
        if self.quick { full / 8 } else { full }
    }

    /// `full` seconds, or a third.
    pub(super) fn seconds(self, full: f64) -> f64 {
        if self.quick { full / 3.0 } else { full }
    }

    /// How often everything is repeated.
    #[must_use]
    pub fn rounds(self) -> u32 {
        if self.quick { 2 } else { 5 }
    }
}

/// The place.
#[derive(Debug)]
pub struct Lab {
    /// The disks, of one size. All they hold is lost.
    pub disks: [PathBuf; 2],
    /// How much is measured.
    pub scale: Scale,
    /// The benchmark that runs.
    pub bench: &'static str,
    /// The round, from 1.
    pub round: u32,
    filled: bool,
}

impl Lab {
    /// A place with these disks.
    ///
    /// # Errors
    /// If one of them is in use or cannot be opened.
    pub fn new(disks: [PathBuf; 2], scale: Scale, bench: &'static str) -> Result<Lab> {
        for path in &disks {
            drop(disk::open(path, true)?);
        }
        Ok(Lab { disks, scale, bench, round: 1, filled: false })
    }

    /// Fills the data areas of both disks with noise, once, so that nothing can be left out.
    pub(super) fn noise(&mut self, mib: u64) -> Result<()> {
        if !self.filled {
            self.say(&format!("filling {mib} MiB of both disks with noise"));
            for (n, path) in self.disks.iter().enumerate() {
                let room = disk::size(path)?;
                ensure!(
                    room >= disk::DATA + (mib << 20) + (1 << 20),
                    "{} has no room for {mib} MiB",
                    path.display()
                );
                disk::fill(path, disk::DATA, mib << 20, 0x5EED + n as u64)?;
            }
            self.filled = true;
        }
        Ok(())
    }

    /// The order in which contestants run in this round: another first each time.
    pub(super) fn turns<T: Copy>(&self, all: &[T]) -> Vec<T> {
        let first = (self.round as usize - 1) % all.len().max(1);
        all[first..].iter().chain(&all[..first]).copied().collect()
    }

    /// Hands out a number.
    pub(super) fn sample(&self, contestant: &str, metric: &str, unit: &str, value: f64) {
        self.say(&format!("{contestant:22} {metric}: {value:.4} {unit}"));
        emit(&Record::Sample(Sample {
            bench: self.bench.to_owned(),
            contestant: contestant.to_owned(),
            metric: metric.to_owned(),
            unit: unit.to_owned(),
            round: self.round,
            value,
        }));
    }

    /// Hands out a series.
    pub(super) fn series(
        &self,
        contestant: &str,
        metric: &str,
        unit: &str,
        marks: Vec<f64>,
        points: Vec<(f64, f64)>,
    ) {
        emit(&Record::Series(Series {
            bench: self.bench.to_owned(),
            contestant: contestant.to_owned(),
            metric: metric.to_owned(),
            unit: unit.to_owned(),
            round: self.round,
            marks,
            points,
        }));
    }

    /// Says that something cannot be measured here.
    pub(super) fn skipped(&self, why: &str) {
        self.say(&format!("skipped: {why}"));
        emit(&Record::Skipped(format!("{}: {why}", self.bench)));
    }

    /// Words for people.
    pub(super) fn say(&self, text: &str) {
        eprintln!("{} {}: {text}", self.bench, self.round);
    }
}

fn emit(record: &Record) {
    println!("{}", record.to_line());
}

/// A command with its arguments, ready to be changed or started.
pub(super) fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs a command that must end with status 0, and gives what it wrote.
pub(super) fn run(program: &str, args: &[&str]) -> Result<String> {
    succeed(&mut command(program, args))
}

/// The same of a command that is made already.
pub(super) fn succeed(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("starting {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?}: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A path as an argument.
pub(super) fn text(path: &Path) -> String {
    path.display().to_string()
}
