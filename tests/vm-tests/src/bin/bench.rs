//! `bench NAME --disks DEV DEV [--quick]`: measures one thing on two disks, whose data it destroys.
//!
//! Records go to standard output, words for people to standard error. `cargo xtask bench` runs it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use lvshift_vm_tests::bench::{self, Lab, Scale};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:?}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let (name, disks, quick) = match words.as_slice() {
        [name, "--disks", one, two] => (name, [one, two], false),
        [name, "--disks", one, two, "--quick"] => (name, [one, two], true),
        _ => bail!("usage: bench NAME --disks DEV DEV [--quick]"),
    };
    let bench = bench::find(name).with_context(|| format!("there is no benchmark {name}"))?;
    let scale = Scale { quick };
    let mut lab = Lab::new(disks.map(PathBuf::from), scale, bench.name)?;
    for round in 1..=scale.rounds() {
        lab.round = round;
        (bench.round)(&mut lab)?;
    }
    Ok(())
}
