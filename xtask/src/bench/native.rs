//! Copiers on files of this machine, without a VM: a plain copy by io_uring, QEMU's mirror job, and
//! the copier of the ublk front end, all with O_DIRECT.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use lvshift_vm_tests::bench::record::{Record, Sample};
use lvshift_vm_tests::bench::{Scale, uring_copy};
use serde_json::{Value, json};

use super::machine::{Where, own_kernel};
use super::results::Results;
use crate::{fetch, paths};

/// Its name, and what it is about.
pub(super) const COPY: (&str, &str) = (
    "native-copy",
    "file to file on this machine, O_DIRECT: plain io_uring copy, QEMU's mirror job, our copier",
);

const MIB: u64 = 1 << 20;
/// Behind the data, for the dirty log.
const TAIL: u64 = 4 * MIB;
const QEMU: &str = "qemu-storage-daemon";

#[derive(Clone, Copy)]
enum Way {
    Plain,
    Qemu,
    Ours,
}

/// Measures all of them in turn.
pub(super) fn copy(quick: bool) -> Result<Results> {
    let scale = Scale { quick };
    let bytes = if quick { 512 } else { 2048 } * MIB;
    let ours = build()?;
    let dir = paths::target().join("bench/files");
    std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
    let (source, destination) = (dir.join("source"), dir.join("destination"));
    noise(&source, bytes)?;
    let place = Where::here("no virtual machine of ours, files in target/", own_kernel());
    let mut records = Vec::new();
    crate::setup::for_the_bench()?;
    for round in 1..=scale.rounds() {
        let mut ways = [Way::Plain, Way::Ours, Way::Qemu];
        let first = (round as usize - 1) % ways.len();
        ways.rotate_left(first);
        for way in ways {
            // Fresh and written once, so that nobody pays for finding room in the file system.
            noise(&destination, bytes)?;
            let (name, took) = match way {
                Way::Plain => ("plain copy", plain(&source, &destination, bytes)?),
                Way::Qemu => ("QEMU mirror", qemu(&source, &destination)?),
                Way::Ours => ("lvshift-ublk copier", own(&ours, &source, &destination, bytes)?),
            };
            ensure!(same(&source, &destination, bytes)?, "{name} did not copy everything");
            println!("{} {round}: {name:20} {:.3} s", COPY.0, took.as_secs_f64());
            for (metric, unit, value) in [
                ("time", "s", took.as_secs_f64()),
                ("rate", "MiB/s", bytes as f64 / MIB as f64 / took.as_secs_f64()),
            ] {
                records.push(Record::Sample(Sample {
                    bench: COPY.0.to_owned(),
                    contestant: name.to_owned(),
                    metric: metric.to_owned(),
                    unit: unit.to_owned(),
                    round,
                    value,
                }));
            }
        }
    }
    std::fs::remove_dir_all(&dir).context("removing the files")?;
    Ok(Results::new(COPY.0, COPY.1, quick, place, records))
}

fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(paths::root()).args(["build", "--quiet", "--profile", "measured"]);
    command.args(["-p", "lvshift-ublk", "--features", "bench"]);
    crate::run(&mut command).context("building our copier")?;
    // The next build without the feature puts another program into its place.
    let (from, dir) =
        (paths::target().join("measured/lvshift-ublk"), paths::target().join("bench"));
    let own = dir.join("copier");
    std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
    std::fs::copy(&from, &own).with_context(|| format!("copying {}", from.display()))?;
    Ok(own)
}

fn direct(path: &Path) -> Result<File> {
    let flags = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).expect("a small flag");
    let file = File::options().read(true).write(true).custom_flags(flags).open(path);
    file.with_context(|| format!("opening {}", path.display()))
}

fn plain(source: &Path, destination: &Path, bytes: u64) -> Result<Duration> {
    let start = Instant::now();
    uring_copy::copy(&direct(source)?, &direct(destination)?, 0, bytes)?;
    Ok(start.elapsed())
}

fn own(program: &Path, source: &Path, destination: &Path, bytes: u64) -> Result<Duration> {
    let (source, destination) = (source.to_string_lossy(), destination.to_string_lossy());
    let args = ["bench-copy", &*source, &*destination, &bytes.to_string()];
    let said = fetch::output(&program.to_string_lossy(), &args)?;
    let seconds: f64 = said.trim().parse().with_context(|| format!("it said {said:?}"))?;
    Ok(Duration::from_secs_f64(seconds))
}

/// From the command to the event that both sides are equal, and the flush.
fn qemu(source: &Path, destination: &Path) -> Result<Duration> {
    let mut command = Command::new(QEMU);
    for (name, path) in [("source", source), ("destination", destination)] {
        command.arg("--blockdev").arg(format!(
            "driver=file,node-name={name},filename={},cache.direct=on,aio=io_uring",
            path.display()
        ));
    }
    command.args(["--chardev", "stdio,id=qmp", "--monitor", "chardev=qmp"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("starting {QEMU}"))?;
    let took = mirrored(&mut child, destination);
    // It ends at "quit"; after an error it has to be told.
    if took.is_err() {
        child.kill().ok();
    }
    child.wait().context("waiting for QEMU")?;
    took
}

fn mirrored(child: &mut Child, destination: &Path) -> Result<Duration> {
    let mut input = child.stdin.take().context("QEMU's input")?;
    let mut answers = BufReader::new(child.stdout.take().context("QEMU's output")?).lines();
    let mut next = || -> Result<Value> {
        let line = answers.next().context("QEMU ended")?.context("reading QEMU's answers")?;
        let answer: Value = serde_json::from_str(&line).context("QEMU's JSON")?;
        if let Some(error) = answer.get("error") {
            bail!("QEMU refused: {error}");
        }
        Ok(answer)
    };
    next()?;
    tell(&mut input, &json!({ "execute": "qmp_capabilities" }))?;
    next()?;
    let start = Instant::now();
    tell(
        &mut input,
        &json!({ "execute": "blockdev-mirror", "arguments": {
            "job-id": "move", "device": "source", "target": "destination", "sync": "full",
        }}),
    )?;
    loop {
        let answer = next()?;
        match answer.get("event").and_then(Value::as_str) {
            Some("BLOCK_JOB_READY") => break,
            Some("BLOCK_JOB_ERROR" | "BLOCK_JOB_COMPLETED") => bail!("QEMU: {answer}"),
            _ => {}
        }
    }
    direct(destination)?.sync_data().context("flushing the destination")?;
    let took = start.elapsed();
    tell(&mut input, &json!({ "execute": "quit" }))?;
    Ok(took)
}

fn tell(input: &mut ChildStdin, command: &Value) -> Result<()> {
    writeln!(input, "{command}").context("telling QEMU")
}

/// Writes noise to all of a file, which is made if it is not there.
fn noise(path: &Path, bytes: u64) -> Result<()> {
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .with_context(|| format!("creating {}", path.display()))?;
    let mut state = 0x5EED ^ path.as_os_str().len() as u64;
    let mut block = vec![0; MIB as usize];
    for _ in 0..(bytes + TAIL) / MIB {
        for word in block.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        file.write_all(&block).with_context(|| format!("writing {}", path.display()))?;
    }
    file.set_len(bytes + TAIL).context("setting a file's size")?;
    file.sync_all().context("flushing a file")
}

fn same(source: &Path, destination: &Path, bytes: u64) -> Result<bool> {
    use std::io::Read as _;
    let (mut one, mut two) =
        (File::open(source)?.take(bytes), File::open(destination)?.take(bytes));
    let (mut left, mut right) = (vec![0; MIB as usize], vec![0; MIB as usize]);
    for _ in 0..bytes / MIB {
        one.read_exact(&mut left).context("reading the source")?;
        two.read_exact(&mut right).context("reading the destination")?;
        if left != right {
            return Ok(false);
        }
    }
    Ok(true)
}
