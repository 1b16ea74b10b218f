//! `cargo xtask bench`: where both front ends stand against LVM2 and against the floor.

mod core_costs;
mod docs;
mod fio_root;
mod goals;
mod guest;
mod libublk;
mod machine;
mod native;
mod plot;
mod real;
mod results;
mod stats;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};

use self::results::Results;
use crate::{Machine, paths};

/// Those that need no disks and no VM.
const NATIVE: [(&str, &str); 2] = [native::COPY, core_costs::CORE];

/// What can be asked of it.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Few rounds of little data: minutes instead of hours
    #[arg(long)]
    quick: bool,
    /// Only this benchmark; may be given several times
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Name the benchmarks and run nothing
    #[arg(long)]
    list: bool,
    /// Draw plots, as SVG beside the results
    #[arg(long)]
    plot: bool,
    /// Measure on these two disks of this machine instead of in the test VM. All their data is lost
    #[arg(long, num_args = 2, value_names = ["DEV", "DEV"], requires = "only")]
    disks: Vec<PathBuf>,
    /// With --disks: do not ask
    #[arg(long, requires = "disks")]
    yes: bool,
    /// Measure `steady` of this lvshift-ublk and of that one in turns, in one boot: did a change cost anything?
    #[arg(long, value_name = "BINARY", requires = "only", conflicts_with = "disks")]
    against: Option<PathBuf>,
    /// Measure nothing: write docs/benchmarks/ and the summary of docs/benchmarks.md from the results there are
    #[arg(long, conflicts_with_all = ["only", "disks"])]
    write_docs: bool,
    #[command(flatten)]
    machine: Machine,
}

/// Measures what was asked for. Exit status 3: there is no benchmark of that name.
pub(crate) fn main(options: &Options) -> Result<ExitCode> {
    let disks = lvshift_vm_tests::bench::BENCHES.iter().map(|b| (b.name, b.about));
    let known: Vec<(&str, &str)> = disks.chain(NATIVE).collect();
    if options.list {
        return crate::list(known.iter().map(|(name, about)| format!("{name:16} {about}")));
    }
    if options.write_docs {
        return docs::write().map(|()| ExitCode::SUCCESS);
    }
    let mut chosen = Vec::new();
    for name in &options.only {
        match known.iter().find(|bench| bench.0 == name) {
            Some(bench) => chosen.push(bench.0),
            None => {
                eprintln!("error: no benchmark {name}. There are:");
                known.iter().for_each(|(name, _)| eprintln!("  {name}"));
                return Ok(ExitCode::from(3));
            }
        }
    }
    if chosen.is_empty() {
        chosen.extend(known.iter().map(|bench| bench.0));
    }
    let mut vm = None;
    let mut failed = Vec::new();
    for name in chosen {
        let measured = if name == native::COPY.0 {
            native::copy(options.quick)
        } else if name == core_costs::CORE.0 {
            core_costs::measure(options.quick)
        } else if let [one, two] = options.disks.as_slice() {
            real::measure(name, options.quick, [one, two], options.yes)
        } else {
            let vm = match &vm {
                Some(vm) => vm,
                None => {
                    vm.insert(guest::Guest::prepare(&options.machine, options.against.as_deref())?)
                }
            };
            vm.measure(name, options.quick)
        };
        match measured {
            Ok(results) => show(&results, options.plot)?,
            Err(error) => {
                eprintln!("{name}: FAILED: {error:#}");
                failed.push(name);
            }
        }
    }
    if !failed.is_empty() {
        bail!("not measured: {}", failed.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}

fn show(results: &Results, plots: bool) -> Result<()> {
    println!("\n{}", table::text(results));
    let file = results.write()?;
    println!("written: {}", file.display());
    if plots {
        for file in plot::write(results, &paths::target().join("bench"))? {
            println!("drawn:   {}", file.display());
        }
    }
    Ok(())
}
