//! Debian packages fetched and unpacked below `target/vm`, without root and without installing them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::paths;

/// Where packages come from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    /// What this machine is set up for.
    Machine,
    /// What this configuration of apt's says instead.
    Config(&'a Path),
}

impl Source<'_> {
    /// One of apt's programs.
    pub(crate) fn command(self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("LC_ALL", "C");
        if let Source::Config(file) = self {
            command.env("APT_CONFIG", file);
        }
        command
    }

    /// What one of apt's programs prints.
    pub(crate) fn output(self, program: &str, args: &[&str]) -> Result<String> {
        printed(self.command(program).args(args), program, args)
    }
}

/// What a command prints.
pub(crate) fn output(program: &str, args: &[&str]) -> Result<String> {
    printed(Command::new(program).args(args).env("LC_ALL", "C"), program, args)
}

fn printed(command: &mut Command, program: &str, args: &[&str]) -> Result<String> {
    let output = command.output();
    let output = output.with_context(|| format!("starting {program} (is it installed?)"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {}: {}\n{}", args.join(" "), output.status, errors.trim_end());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Fetches packages and unpacks each over `into`.
pub(crate) fn unpack(from: Source<'_>, packages: &[String], into: &Path) -> Result<()> {
    let debs = paths::vm_dir("debs")?;
    let scratch = debs.join(format!("new-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).context("creating a directory for packages")?;
    let fetched = from
        .command("apt-get")
        .args(["-q", "-o", "APT::Sandbox::User=root", "download"])
        .args(packages)
        .current_dir(&scratch)
        .output()
        .context("starting apt-get")?;
    if !fetched.status.success() {
        let errors = String::from_utf8_lossy(&fetched.stderr);
        bail!("apt-get download {}: {}", packages.join(" "), errors.trim_end());
    }
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&scratch)?.map(|e| Ok(e?.path())).collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|e| e == "deb"));
    ensure!(
        files.len() == packages.len(),
        "apt-get fetched {} packages of {}",
        files.len(),
        packages.len()
    );
    files.sort();
    for file in files {
        crate::run(Command::new("dpkg").arg("-x").args([&file, into]))
            .with_context(|| format!("unpacking {}", file.display()))?;
    }
    std::fs::remove_dir_all(&scratch).context("removing fetched packages")
}

/// Puts a file that is complete into its place, so that half of one is never used.
pub(crate) fn make_file(place: &Path, bytes: &[u8]) -> Result<()> {
    let scratch = place.with_extension(format!("new-{}", std::process::id()));
    std::fs::write(&scratch, bytes)
        .and_then(|()| std::fs::rename(&scratch, place))
        .with_context(|| format!("writing {}", place.display()))
}

/// Moves a directory that is complete into its place, so that half of one is never used.
pub(crate) fn make_dir(place: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let name = place.file_name().context("a directory with a name")?.to_string_lossy();
    let scratch = place.with_file_name(format!("{name}.new-{}", std::process::id()));
    if scratch.exists() {
        std::fs::remove_dir_all(&scratch)?;
    }
    std::fs::create_dir_all(&scratch).with_context(|| format!("creating {}", scratch.display()))?;
    fill(&scratch)?;
    if place.exists() {
        std::fs::remove_dir_all(place)?;
    }
    std::fs::rename(&scratch, place).with_context(|| format!("creating {}", place.display()))
}
