//! `cargo xtask scorecard`: the promises of this project as figures, each with the check that
//! counts it.
//!
//! A check is a command. What it has counted it prints as lines `figure=NAME COUNT`, with
//! `seed=SEED` behind where there is one; here they are compared with what was aimed at.

mod checks;
mod cuts;
mod dying;
mod figure;
mod fuzz;
mod habits;
mod honesty;
mod host;
mod listen;
mod liveness;
mod miri;
mod mutants;
mod panics;
mod scenarios;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{fetch, seconds};
use checks::{ALL, Check, Form};
use figure::Reached;
pub(crate) use scenarios::Seen;

/// What can be asked of it.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Run the large form of every check; it takes hours
    #[arg(long)]
    full: bool,
    /// Run only the check of this name (more than once for several)
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Only say which checks there are
    #[arg(long)]
    list: bool,
}

/// How much of a check is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// Some minutes for all of them together.
    Quick,
    /// Whatever it takes.
    Full,
}

impl Size {
    /// As the checks are told, in `LVSHIFT_SCORECARD`.
    fn word(self) -> &'static str {
        match self {
            Size::Quick => "quick",
            Size::Full => "full",
        }
    }
}

/// How one check went.
struct Row {
    check: &'static Check,
    reached: Vec<Reached>,
    error: Option<String>,
    took: Duration,
}

/// Runs the checks that were asked for and prints the table.
pub(crate) fn main(options: &Options) -> Result<ExitCode> {
    if options.list {
        return crate::list(ALL.iter().map(|check| {
            let when = if check.quick.is_some() { "" } else { " (only with --full)" };
            format!("{:16} {}{when}", check.name, check.says)
        }));
    }
    if let Some(unknown) = options.only.iter().find(|name| ALL.iter().all(|c| c.name != **name)) {
        bail!("there is no check {unknown}; --list names them");
    }
    let size = if options.full { Size::Full } else { Size::Quick };
    let chosen =
        |check: &&Check| options.only.is_empty() || options.only.contains(&check.name.into());
    let mut rows = Vec::new();
    let mut left_out = Vec::new();
    for check in ALL.iter().filter(chosen) {
        match check.form(size) {
            Some(_) => rows.push(run(check, size)),
            None => left_out.push(check.name),
        }
    }
    print(&rows, size);
    for name in &left_out {
        println!("NOT RUN: {name} has no quick form; --full --only {name} runs it");
    }
    let good = rows.iter().all(|row| row.error.is_none());
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a check runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// This machine's processors, for as long as it takes.
    Processors,
    /// Virtual machines.
    Machines,
}

/// The quick form of every check that has one, for `cargo xtask test`: its name and how to run it. Not
/// those that are made of scenarios: [`of_scenarios`] counts them where all were run.
pub(crate) fn quick(
    needs: Needs,
) -> impl Iterator<Item = (&'static str, impl FnOnce() -> Result<String>)> {
    let chosen = move |check: &&Check| match check.quick {
        None | Some(Form::Scenarios(_)) => false,
        Some(Form::Vm(_)) => needs == Needs::Machines,
        Some(Form::Cargo(..) | Form::Own(_)) => needs == Needs::Processors,
    };
    ALL.iter().filter(chosen).map(|check| {
        (check.name, move || {
            let row = run(check, Size::Quick);
            told(&row.reached, row.error)
        })
    })
}

/// The checks that are made of scenarios, counted in a run of all scenarios: their names and what each
/// found.
pub(crate) fn of_scenarios(seen: &[Seen]) -> impl Iterator<Item = (&'static str, Result<String>)> {
    ALL.iter().filter_map(move |check| {
        let Some(Form::Scenarios(made)) = check.quick else { return None };
        let reached = (made.count)(seen);
        let missed = check.missed(Size::Quick, &reached);
        Some((check.name, told(&reached, missed)))
    })
}

/// The figures in one line, or what is wrong.
fn told(reached: &[Reached], error: Option<String>) -> Result<String> {
    match error {
        None => Ok(reached.iter().map(Reached::to_string).collect::<Vec<_>>().join(", ")),
        Some(error) => bail!(error),
    }
}

fn run(check: &'static Check, size: Size) -> Row {
    println!("--- {}: {}", check.name, check.says);
    let start = Instant::now();
    let done = match check.form(size) {
        Some(form) => form.run(size),
        None => Err(anyhow::anyhow!("it has no {} form", size.word())),
    };
    let (reached, mut error) = match done {
        Ok(reached) => (reached, None),
        Err(error) => (Vec::new(), Some(format!("{error:#}"))),
    };
    if error.is_none() {
        error = check.missed(size, &reached);
    }
    if let Some(error) = &error {
        eprintln!("{}: {error}", check.name);
    }
    Row { check, reached, error, took: start.elapsed() }
}

fn print(rows: &[Row], size: Size) {
    println!("\n{:58} {:>14} {:>14}  {:18} {:>9}", "figure", "target", "reached", "seed", "time");
    for row in rows {
        for (n, figure) in row.check.figures.iter().enumerate() {
            let reached = row.reached.iter().find(|reached| reached.id == figure.id);
            let word = if figure.missed(size, &row.reached).is_none() { "ok  " } else { "FAIL" };
            let took = if n == 0 { seconds(row.took) } else { String::new() };
            println!(
                "{word} {:53} {:>14} {:>14}  {:18} {took:>9}",
                figure.says,
                figure.target(size).to_string(),
                reached.map_or("-".into(), |reached| figure::grouped(reached.count)),
                reached.and_then(|reached| reached.seed.as_deref()).unwrap_or("-"),
            );
        }
        for why in row.reached.iter().flat_map(|reached| &reached.why) {
            println!("     {}: {why}", row.check.name);
        }
        if let Some(error) = &row.error {
            println!("FAIL {}: {error}", row.check.name);
        }
    }
    println!("\ncommit {}, {} form", commit(), size.word());
}

/// Which sources were checked.
fn commit() -> String {
    let git = |args: &[&str]| fetch::output("git", args).map(|text| text.trim().to_owned());
    let Ok(head) = git(&["rev-parse", "--short", "HEAD"]) else { return "unknown".into() };
    let changed = git(&["status", "--porcelain"]).is_ok_and(|text| !text.is_empty());
    if changed { format!("{head} with changes") } else { head }
}
