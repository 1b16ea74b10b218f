//! Which file goes where on a machine.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use clap_complete::Shell;
use lvshift_frontend_common::cli;

use super::manuals;
use crate::{fetch, paths};

/// Directories of `packaging/` and where their files go; scripts are executable.
const COPIED: &[(&str, &str, u32)] = &[
    ("systemd", "usr/lib/systemd/system", 0o644),
    ("systemd-shutdown", "usr/lib/systemd/system/shutdown.target.d", 0o644),
    ("udev", "usr/lib/udev/rules.d", 0o644),
    ("lib", "usr/lib/lvshift", 0o755),
    ("default", "etc/default", 0o644),
    ("tmpfiles", "usr/lib/tmpfiles.d", 0o644),
    ("initramfs-tools/hooks", "usr/share/initramfs-tools/hooks", 0o755),
    ("initramfs-tools/scripts/local-block", "usr/share/initramfs-tools/scripts/local-block", 0o755),
    ("dracut", "usr/lib/dracut/modules.d/90lvshift", 0o755),
    ("overrides", "usr/share/lintian/overrides", 0o644),
];

/// What a person or a packager reads.
const DOCUMENTS: &[(&str, &str)] = &[
    ("packaging/copyright", "copyright"),
    ("README.md", "README.md"),
    ("docs/json.md", "json.md"),
    ("docs/packaging.md", "packaging.md"),
];

/// The programs: their name, and whether they have the commands of a daemon.
pub(super) const PROGRAMS: &[(&str, bool)] = &[("lvshift-dm", false), ("lvshift-ublk", true)];

/// Lays the tree out anew; `binaries` is where cargo has put the programs.
pub(super) fn fill(root: &Path, binaries: &Path) -> Result<()> {
    if root.exists() {
        std::fs::remove_dir_all(root).context("removing the last tree")?;
    }
    let put = |place: &str, bytes: &[u8], mode: u32| put(&root.join(place), bytes, mode);
    for (name, daemon) in PROGRAMS {
        let program = binaries.join(name);
        let bytes = std::fs::read(&program);
        let bytes = bytes.with_context(|| format!("reading {}", program.display()))?;
        let place = root.join(format!("usr/sbin/{name}"));
        self::put(&place, &bytes, 0o755)?;
        crate::run(Command::new("strip").arg("--strip-unneeded").arg(&place))?;
        for (shell, place) in [
            (Shell::Bash, format!("usr/share/bash-completion/completions/{name}")),
            (Shell::Zsh, format!("usr/share/zsh/vendor-completions/_{name}")),
            (Shell::Fish, format!("usr/share/fish/vendor_completions.d/{name}.fish")),
        ] {
            let mut text = Vec::new();
            let mut command = cli::command(name, *daemon);
            clap_complete::generate(shell, &mut command, *name, &mut text);
            put(&place, &text, 0o644)?;
        }
    }
    let packaging = paths::root().join("packaging");
    for (from, to, mode) in COPIED {
        let from = packaging.join(from);
        let entries = std::fs::read_dir(&from);
        for entry in entries.with_context(|| format!("listing {}", from.display()))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            put(&format!("{to}/{name}"), &std::fs::read(entry.path())?, *mode)?;
        }
    }
    for page in manuals::pages()? {
        let place = format!("usr/share/man/man{}/{}.gz", page.section, page.file());
        put(&place, &gzip(page.text.as_bytes())?, 0o644)?;
    }
    for (from, to) in DOCUMENTS {
        let bytes = std::fs::read(paths::root().join(from));
        put(
            &format!("usr/share/doc/lvshift/{to}"),
            &bytes.with_context(|| (*from).to_owned())?,
            0o644,
        )?;
    }
    let changes = std::fs::read(paths::root().join("CHANGELOG.md")).context("the changelog")?;
    put("usr/share/doc/lvshift/changelog.gz", &gzip(&changes)?, 0o644)?;
    let changes = debian_changelog();
    put("usr/share/doc/lvshift/changelog.Debian.gz", &gzip(changes.as_bytes())?, 0o644)
}

/// Debian's own changelog tells of the packaging; what changed in lvshift is told elsewhere.
fn debian_changelog() -> String {
    let root = paths::root().to_string_lossy();
    let date = fetch::output("git", &["-C", &root, "log", "-1", "--format=%aD"]);
    let date = date.unwrap_or_else(|_| "Thu, 01 Jan 2026 00:00:00 +0000".to_owned());
    format!(
        "lvshift ({}-1) unstable; urgency=medium\n\n  * See changelog.gz.\n\n \
         -- the lvshift developers <lvshift@lvshift.invalid>  {}\n",
        env!("CARGO_PKG_VERSION"),
        date.trim()
    )
}

/// The scripts of the packages, also those that nothing here can run.
pub(super) fn scripts() -> Result<Vec<PathBuf>> {
    let packaging = paths::root().join("packaging");
    let installed = COPIED.iter().filter(|(.., mode)| *mode == 0o755).map(|(from, ..)| *from);
    let mut all = Vec::new();
    for from in installed.chain(["debian"]) {
        let dir = packaging.join(from);
        let entries = std::fs::read_dir(&dir);
        for entry in entries.with_context(|| format!("listing {}", dir.display()))? {
            all.push(entry?.path());
        }
    }
    all.sort();
    Ok(all)
}

fn put(place: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let dir = place.parent().context("a place in a directory")?;
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(dir)?;
        std::fs::write(place, bytes)?;
        std::fs::set_permissions(place, std::fs::Permissions::from_mode(mode))
    };
    write().with_context(|| format!("writing {}", place.display()))
}

/// Packed as Debian wants it: small, and without a time, so that the same tree gives the same bytes.
fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut child = Command::new("gzip")
        .args(["-9", "-n", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting gzip")?;
    let mut input = child.stdin.take().context("gzip's input")?;
    let output = std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(bytes));
        child.wait_with_output()
    })?;
    ensure!(output.status.success(), "gzip: {}", output.status);
    Ok(output.stdout)
}
