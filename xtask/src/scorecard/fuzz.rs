//! Runs the fuzz targets of `tests/fuzz` under libFuzzer.
//!
//! libFuzzer needs only coverage from the compiler, which stable Rust gives; cargo-fuzz and a
//! nightly are for people who want its reports.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use super::Size;
use super::figure::Reached;
use crate::{fetch, paths, setup};

/// What libFuzzer needs of the compiler.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=1 --cfg fuzzing";
/// Targets that run at the same time.
const AT_ONCE: usize = 2;

/// Builds the targets, tries the corpus, and runs each for some time.
pub(super) fn check(size: Size) -> Result<Vec<Reached>> {
    setup::for_fuzzing()?;
    let package = paths::root().join("tests/fuzz");
    let work = paths::target().join("fuzz");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let cargo = || {
        let mut command = Command::new(&cargo);
        command.current_dir(&package).env_remove("RUSTFLAGS");
        command
    };
    let host = host()?;
    // For a named target the flags are not those of build scripts.
    let built = ["--quiet", "--locked", "--release", "--target", &host, "--target-dir"];
    let mut build = cargo();
    crate::run(build.env("RUSTFLAGS", FLAGS).args(["build", "--bins"]).args(built).arg(&work))?;
    let targets = targets(&package)?;
    // A minute for all in the quick form.
    let seconds = match size {
        Size::Quick => 60 * AT_ONCE / targets.len(),
        Size::Full => 300,
    };
    let seed = match size {
        Size::Quick => 1,
        Size::Full => std::time::UNIX_EPOCH.elapsed()?.as_secs() as u32,
    };
    let mut executions = 0;
    let mut failed = Vec::new();
    for some in targets.chunks(AT_ONCE) {
        let running: Vec<_> = some
            .iter()
            .map(|name| {
                let program = work.join(&host).join("release").join(name);
                start(&program, &package, &work, name, seed, seconds)
            })
            .collect();
        for (name, run) in some.iter().zip(running) {
            let output = run?.wait_with_output()?;
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let count = stat(&text, "number_of_executed_units");
            println!("{name}: {} executions", count.unwrap_or(0));
            executions += count.unwrap_or(0);
            if !output.status.success() || count.is_none_or(|count| count == 0) {
                eprintln!("{name}: {}\n{text}", output.status);
                failed.push(name.as_str());
            }
        }
    }
    if !failed.is_empty() {
        bail!(
            "{}: the input that breaks it is in {}",
            failed.join(", "),
            artifacts(&work).display()
        );
    }
    let reached =
        |id: &str, count: u64| Reached { seed: Some(seed.to_string()), ..Reached::of(id, count) };
    Ok(vec![reached("fuzz-targets", targets.len() as u64), reached("fuzz-executions", executions)])
}

fn start(
    program: &Path,
    package: &Path,
    work: &Path,
    name: &str,
    seed: u32,
    seconds: usize,
) -> Result<std::process::Child> {
    // What is found goes below `target`; the corpus in the repository is what people put there.
    let found = work.join("corpus").join(name);
    std::fs::create_dir_all(&found).context("creating a directory for the corpus")?;
    std::fs::create_dir_all(artifacts(work)).context("creating a directory for findings")?;
    let corpus = package.join("corpus").join(name);
    ensure!(corpus.is_dir(), "{name} has no corpus: {}", corpus.display());
    Command::new(program)
        .arg(format!("-seed={seed}"))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/{name}-", artifacts(work).display()))
        .args(["-max_len=20000", "-timeout=10", "-print_final_stats=1"])
        .args([&found, &corpus])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {}", program.display()))
}

fn artifacts(work: &Path) -> PathBuf {
    work.join("artifacts")
}

/// The programs of the package.
fn targets(package: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(package.join("fuzz_targets"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".rs").map(str::to_owned));
    }
    names.sort();
    ensure!(!names.is_empty(), "there are no fuzz targets");
    Ok(names)
}

/// A line `stat::NAME: COUNT` of libFuzzer.
fn stat(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name))?;
    line.trim_start_matches(':').trim().parse().ok()
}

fn host() -> Result<String> {
    let text = fetch::output("rustc", &["-vV"])?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not name its host")?.to_owned())
}
