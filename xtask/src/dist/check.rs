//! `cargo xtask dist --check`: what is wrong with the packages, looked at from outside.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::{layout, manifest, manuals};
use crate::{elf, fetch, host, paths};

/// What `packaging/rpm` has, and how rpm calls it.
const SCRIPTLETS: [(&str, &str); 3] = [
    ("post-install", "postinstall scriptlet"),
    ("pre-uninstall", "preuninstall scriptlet"),
    ("post-uninstall", "postuninstall scriptlet"),
];

/// The installed scripts: also those that nothing here can run.
pub(super) fn scripts() -> Result<()> {
    crate::run(Command::new("shellcheck").args(layout::scripts()?)).context("shellcheck")?;
    // rpm's have no first line that names their shell.
    let of_rpm = SCRIPTLETS.map(|(name, _)| paths::root().join("packaging/rpm").join(name));
    crate::run(Command::new("shellcheck").arg("--shell=sh").args(of_rpm)).context("shellcheck")
}

/// A .deb. A warning is no error; what is a matter of taste is in the overrides, each with its reason.
pub(super) fn deb(package: &Path) -> Result<()> {
    let mut lintian = Command::new("lintian");
    lintian.args(["--fail-on", "error", "--info", "--allow-root"]).arg(package);
    crate::run(&mut lintian).context("lintian")
}

/// An .rpm: what it says of itself; and installed below a scratch root it brings what the .deb brings, and takes
/// all of it away again.
pub(super) fn rpm(package: &Path, deb: &Path, scratch: &Path) -> Result<()> {
    let file = package.to_string_lossy();
    let query = |what: &str| fetch::output("rpm", &["-qp", what, &file]);
    scriptlets(&query("--scripts")?)?;
    requires(&query("--requires")?, deb.with_file_name("root"))?;
    let owners =
        fetch::output("rpm", &["-qp", "--qf", "[%{FILEUSERNAME}:%{FILEGROUPNAME}\n]", &file])?;
    ensure!(
        owners.lines().all(|owner| owner == "root:root"),
        "files of others than root: {owners}"
    );
    let configuration = query("--configfiles")?;
    ensure!(configuration.trim() == "/etc/default/lvshift", "configuration files: {configuration}");

    if scratch.exists() {
        host::as_root(&format!("rm -rf {}", scratch.display()))?;
    }
    let (of_deb, of_rpm) = (scratch.join("deb"), scratch.join("rpm"));
    std::fs::create_dir_all(&of_rpm).context("a scratch root")?;
    crate::run(Command::new("dpkg-deb").arg("-x").arg(deb).arg(&of_deb)).context("dpkg-deb -x")?;
    // The scriptlets are for a machine with a shell; here is none, and none of the libraries.
    // Debian's rpm would keep its notes in root's home.
    let rpm = format!("rpm --root {} --dbpath /var/lib/rpm --nodeps --noscripts", of_rpm.display());
    host::as_root(&format!("{rpm} -i {} 2>&1", package.display()))?;
    let (brought, expected) = (files(&of_rpm)?, files(&of_deb)?);
    let expected: BTreeMap<String, File> = expected
        .into_iter()
        .filter_map(|(place, file)| Some((manifest::place_in_rpm(&place)?, file)))
        .collect();
    for (place, file) in &expected {
        ensure!(
            brought.get(place) == Some(file),
            "{place} is not in the .rpm as it is in the .deb"
        );
    }
    let more: Vec<&String> =
        brought.keys().filter(|place| !expected.contains_key(*place)).collect();
    ensure!(more.is_empty(), "in the .rpm and not in the .deb: {more:?}");
    host::as_root(&format!("{rpm} -e lvshift 2>&1"))?;
    let left = files(&of_rpm)?;
    ensure!(left.is_empty(), "removing the .rpm leaves {:?}", left.keys());
    println!("{}: {} files, those of the .deb; removed, none is left", file, expected.len());
    host::as_root(&format!("rm -rf {}", scratch.display()))
}

/// The scriptlets are those of `packaging/rpm`, each at its moment.
fn scriptlets(told: &str) -> Result<()> {
    for (name, title) in SCRIPTLETS {
        let text = std::fs::read_to_string(paths::root().join("packaging/rpm").join(name))?;
        let at = told.find(title).with_context(|| format!("no {title} in the .rpm:\n{told}"))?;
        let said = told.get(at..).unwrap_or_default();
        let said = said.split_once('\n').map_or("", |(_, rest)| rest);
        ensure!(
            said.starts_with(text.trim_end()),
            "the {title} is not packaging/rpm/{name}:\n{said}"
        );
    }
    Ok(())
}

/// It requires the libraries that its programs load.
fn requires(told: &str, root: PathBuf) -> Result<()> {
    for (program, _) in layout::PROGRAMS {
        let bytes = std::fs::read(root.join("usr/sbin").join(program))?;
        for library in elf::needed(&bytes)? {
            let named = told.lines().any(|line| line.starts_with(&library));
            ensure!(named, "{program} needs {library}, and the .rpm does not say so:\n{told}");
        }
    }
    Ok(())
}

/// A file's bytes and mode.
#[derive(PartialEq, Eq)]
struct File(Vec<u8>, u32);

/// All files below a directory, but for rpm's own notes of what is installed.
fn files(root: &Path) -> Result<BTreeMap<String, File>> {
    let mut all = Vec::new();
    manifest::list(root, &mut all)?;
    let mut files = BTreeMap::new();
    for path in all {
        let place = path.strip_prefix(root)?.to_string_lossy().into_owned();
        if !place.starts_with("var/lib/rpm/") {
            let mode = std::fs::metadata(&path)?.permissions().mode() & 0o777;
            files.insert(place, File(std::fs::read(&path)?, mode));
        }
    }
    Ok(files)
}

/// Writes the manual pages to a directory, and has groff look for errors in them.
pub(super) fn manuals(dir: &Path) -> Result<()> {
    if dir.exists() {
        std::fs::remove_dir_all(dir).context("removing the last pages")?;
    }
    std::fs::create_dir_all(dir).context("a directory for the pages")?;
    for page in manuals::pages()? {
        let place = dir.join(page.file());
        std::fs::write(&place, &page.text).with_context(|| page.file())?;
        // As lintian does; what groff has to say goes to its standard error.
        let mut groff = Command::new("groff");
        groff.args(["-man", "-ww", "-z", "-Tutf8", "-rLL=117n"]).arg(&place);
        let told = groff.stdin(Stdio::null()).output().context("groff")?;
        let told = String::from_utf8_lossy(&told.stderr).into_owned();
        ensure!(told.is_empty(), "{}: {told}", page.file());
    }
    Ok(())
}

/// The package that has promtool: as large as all else here together, so the one program of it is unpacked.
const PROMTOOL: &str = "prometheus";

/// What `metrics` prints, as a test of the code that does so has left it, before the eyes of Prometheus's own tool.
pub(super) fn metrics() -> Result<()> {
    let dir = paths::target().join("tools/promtool");
    let program = dir.join("usr/bin/promtool");
    if !program.exists() {
        println!("setup: fetching promtool");
        fetch::make_dir(&dir, |dir| {
            let whole = dir.join("whole");
            std::fs::create_dir_all(&whole).context("a directory for the package")?;
            fetch::unpack(fetch::Source::Machine, &[PROMTOOL.to_owned()], &whole)?;
            std::fs::create_dir_all(dir.join("usr/bin")).context("a directory for the program")?;
            std::fs::rename(whole.join("usr/bin/promtool"), dir.join("usr/bin/promtool"))
                .context("promtool is not in its package")?;
            std::fs::remove_dir_all(whole).context("removing the rest")
        })?;
    }
    let text = paths::root().join("frontend-common/src/report/metrics/golden.prom");
    let text = std::fs::File::open(&text).with_context(|| text.display().to_string())?;
    crate::run(Command::new(program).args(["check", "metrics"]).stdin(text)).context("promtool")
}
