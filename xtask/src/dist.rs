//! `cargo xtask dist`: a .deb and an .rpm of both programs and of all that a machine needs to be at
//! home with them.
//!
//! The tree that is installed is laid out once below `target/dist`, from `packaging/` and from what
//! is generated; both packages are made of it.

mod check;
mod layout;
mod manifest;
mod manuals;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::{fetch, paths, setup};

/// The programs that make the packages, with their versions.
const CARGO_DEB: (&str, &str) = ("cargo-deb", "3.8.0");
const CARGO_GENERATE_RPM: (&str, &str) = ("cargo-generate-rpm", "0.21.1");

/// What can be asked of it.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Package what this profile builds
    #[arg(long, value_name = "PROFILE", default_value = "release")]
    profile: String,
    /// Also look for errors in both packages and in what `metrics` prints, and install the .rpm below a scratch root
    #[arg(long)]
    check: bool,
    /// Only write the manual pages and look for errors in them, to be read with man -l
    #[arg(long)]
    manuals: bool,
}

/// Makes both packages and says where they are.
pub(crate) fn main(options: &Options) -> Result<ExitCode> {
    let manuals = paths::target().join("dist/man");
    if options.manuals {
        setup::for_checking_packages()?;
        check::manuals(&manuals)?;
        println!("{}", manuals.display());
        return Ok(ExitCode::SUCCESS);
    }
    setup::for_building()?;
    let deb = deb(&options.profile)?;
    println!("{}", deb.display());
    let rpm = rpm(&options.profile)?;
    println!("{}", rpm.display());
    if options.check {
        setup::for_checking_packages()?;
        check::scripts()?;
        check::manuals(&manuals)?;
        check::metrics()?;
        check::deb(&deb)?;
        check::rpm(&rpm, &deb, &paths::target().join("dist/scratch"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes the .deb of what a profile builds.
pub(crate) fn deb(profile: &str) -> Result<PathBuf> {
    let dir = laid_out(profile)?;
    let program = tool(CARGO_DEB)?;
    let place = dir.join("lvshift.deb");
    let mut command = cargo_tool(&program, "deb", &dir);
    command.args(["--quiet", "--no-build", "--no-strip", "--output"]).arg(&place);
    crate::run(command.stdout(Stdio::null())).context("making the .deb")?;
    ensure!(place.exists(), "cargo-deb left no package");
    named(&place, "deb")
}

/// Makes the .rpm of what a profile builds.
pub(crate) fn rpm(profile: &str) -> Result<PathBuf> {
    let dir = laid_out(profile)?;
    let program = tool(CARGO_GENERATE_RPM)?;
    let place = dir.join("lvshift.rpm");
    let mut command = Command::new(&program);
    command.current_dir(manifest::directory(&dir)).args(["generate-rpm", "--output"]).arg(&place);
    crate::run(&mut command).context("making the .rpm")?;
    ensure!(place.exists(), "cargo-generate-rpm left no package");
    named(&place, "rpm")
}

/// Gives a package the name that its kind of package has.
fn named(place: &Path, kind: &str) -> Result<PathBuf> {
    let version = env!("CARGO_PKG_VERSION");
    let name = match kind {
        "deb" => format!("lvshift_{version}-1_amd64.deb"),
        _ => format!("lvshift-{version}-1.x86_64.rpm"),
    };
    let named = place.with_file_name(name);
    std::fs::rename(place, &named).with_context(|| format!("naming {}", named.display()))?;
    Ok(named)
}

/// Builds the programs, and lays out the tree and the manifest that lists it.
fn laid_out(profile: &str) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(paths::root()).args(["build", "--quiet", "--bins", "--profile", profile]);
    build.args(["-p", "lvshift-dm", "-p", "lvshift-ublk"]);
    crate::run(&mut build).context("building what is packaged")?;
    let dir = paths::target().join("dist").join(profile);
    let root = dir.join("root");
    layout::fill(&root, &paths::target().join(profile))?;
    manifest::write(&dir, &root)?;
    Ok(dir)
}

/// A subcommand of cargo, run on the manifest below `dir`.
fn cargo_tool(program: &Path, word: &str, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(manifest::directory(dir)).arg(word);
    command
}

/// One of the programs that make packages, which is fetched where it is missing.
fn tool((name, version): (&str, &str)) -> Result<PathBuf> {
    let root = paths::target().join("tools");
    let program = root.join("bin").join(name);
    let said = fetch::output(&program.to_string_lossy(), &["--version"]);
    if said.is_ok_and(|text| text.contains(version)) {
        return Ok(program);
    }
    println!("setup: cargo install {name} {version}");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut install = Command::new(cargo);
    install.args(["install", name, "--locked", "--quiet", "--version", version]);
    crate::run(install.arg("--root").arg(&root))
        .with_context(|| format!("{name} cannot be installed"))?;
    Ok(program)
}
