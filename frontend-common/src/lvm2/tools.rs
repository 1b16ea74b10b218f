//! LVM2's own programs: asked for everything that its configuration decides (devices file, filters, system
//! id, lock directory), so that none of its files is read here.

use std::collections::HashMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use lvshift_core::units::DeviceNumber;
use serde::Deserialize;

use super::patience;
use crate::error::{Error, Kind, Result};
use crate::lock::holder;

/// The versions that were tried, first and last: (2.03.16 and 2.03.31 of Debian 12 and 13). Since 2.03.36
/// hidden LVs have other dm UUIDs, which was not tried here.
const FIRST: [u32; 3] = [2, 3, 11];
const END: [u32; 3] = [2, 3, 36];

/// How long a command of LVM2 that only reads is waited for: who holds its lock may be waiting for a person's answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A PV as LVM2 reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundPv {
    /// The path that LVM2 shows.
    pub path: PathBuf,
    /// Its id, with hyphens.
    pub id: String,
    /// The name of its VG, if it is in one.
    pub vg: Option<String>,
    /// Its device, unless it is missing.
    pub number: Option<DeviceNumber>,
}

/// The program `lvm`.
#[derive(Clone, Debug)]
pub struct Lvm {
    program: PathBuf,
    /// How long a command may take; none: one that only reads [`PATIENCE`], one that works under the VG's lock
    /// as long as it likes.
    limit: Option<Duration>,
}

impl Lvm {
    /// LVM2, if this machine has it.
    #[must_use]
    pub fn find() -> Option<Lvm> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let standard = ["/usr/sbin", "/sbin"].map(PathBuf::from);
        let mut places = std::env::split_paths(&path).chain(standard);
        let program = places.find_map(|place| Some(place.join("lvm")).filter(|p| p.is_file()))?;
        Some(Lvm { program, limit: None })
    }

    /// The same, of which no command is waited for longer than this. Only for what changes nothing: one that is
    /// too slow is killed.
    #[must_use]
    pub fn within(self, limit: Duration) -> Lvm {
        Lvm { limit: Some(limit), ..self }
    }

    /// Runs a command of LVM2 and gives what it wrote to standard output. `held` is LVM2's lock of the VG,
    /// if we have it: the command keeps it, too, so that our death does not open the VG to others while
    /// the command still writes.
    ///
    /// # Errors
    /// `Kind::Kernel` with LVM2's own words; `Kind::Locked` when it took too long.
    pub fn run(&self, args: &[&str], held: Option<&File>) -> Result<String> {
        let failed = |why: String| {
            let what = format!("LVM2's `lvm {}` failed", args.join(" "));
            Error::new(Kind::Kernel, what).because(why)
        };
        let stdin = match held {
            Some(lock) => lock.try_clone().map_err(|e| failed(e.to_string()))?.into(),
            None => Stdio::null(),
        };
        let mut command = Command::new(&self.program);
        command.args(args).env("LC_ALL", "C").env("LVM_SUPPRESS_FD_WARNINGS", "1").stdin(stdin);
        let limit = self.limit.or_else(|| held.is_none().then_some(PATIENCE));
        let output = match limit {
            None => command.output(),
            Some(limit) => patience::output(&mut command, limit),
        };
        let output = output.map_err(|error| match error.kind() {
            ErrorKind::TimedOut => {
                let late = Error { kind: Kind::Locked, ..failed(error.to_string()) };
                match self.holders() {
                    None => late.next("a device that LVM2 looks at may not answer"),
                    Some(who) => late.because(format!("LVM2's lock is held by {who}")).next(
                        "let that process go on (it may wait for an answer), or end it; then try again",
                    ),
                }
            }
            _ => failed(error.to_string()),
        })?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        tracing::debug!(?args, status = ?output.status, %said, "lvm");
        if !output.status.success() {
            let said = said.lines().map(str::trim).collect::<Vec<_>>().join("; ");
            return Err(failed(format!("{}: {said}", output.status)));
        }
        String::from_utf8(output.stdout).map_err(|_| failed("it does not write UTF-8".to_owned()))
    }

    /// Who holds the lock of a VG of LVM2's.
    fn holders(&self) -> Option<String> {
        let files = std::fs::read_dir(self.locking_dir().ok()?).ok()?.flatten();
        let locks = files.filter(|file| file.file_name().as_encoded_bytes().starts_with(b"V_"));
        let held = locks.filter_map(|lock| holder::of(&File::open(lock.path()).ok()?));
        let all: Vec<String> = held.map(|holder| holder.to_string()).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// Refuses a version that was not tried. LVM2 says it at the top of every text that it writes.
    ///
    /// # Errors
    /// `Kind::Unsupported`; as [`Lvm::run`].
    pub fn check_version(&self, text: &str) -> Result<()> {
        let version = match version_in(text, "# Generated by LVM2 version") {
            Some(version) => version,
            None => version_in(&self.run(&["version"], None)?, "LVM version:").unwrap_or_default(),
        };
        if version >= FIRST && version < END {
            return Ok(());
        }
        let [major, minor, patch] = version;
        Err(Error::new(
            Kind::Unsupported,
            format!("moves in VGs of LVM2 {major}.{minor:02}.{patch:02} were never tried"),
        )
        .state("nothing was changed")
        .next("2.03.11 to 2.03.35 are known"))
    }

    /// All PVs that LVM2 sees. `held` and `only` as in [`Lvm::text`]: under its lock LVM2 must not ask for it
    /// once more.
    ///
    /// # Errors
    /// As [`Lvm::run`].
    pub fn pvs(&self, held: Option<&File>, only: &[PathBuf]) -> Result<Vec<FoundPv>> {
        #[derive(Deserialize)]
        struct Row {
            pv_name: String,
            pv_uuid: String,
            vg_name: String,
            pv_major: String,
            pv_minor: String,
        }
        let fields = "pv_name,pv_uuid,vg_name,pv_major,pv_minor";
        let devices = devices(only);
        let mut args = vec!["pvs", "-o", fields];
        args.extend(held.map(|_| "--nolocking"));
        args.extend(devices.iter().map(String::as_str));
        let rows: Vec<Row> = self.report(&args, &["pv"], held)?;
        Ok(rows
            .into_iter()
            .map(|row| FoundPv {
                path: PathBuf::from(row.pv_name),
                id: row.pv_uuid,
                vg: Some(row.vg_name).filter(|name| !name.is_empty()),
                number: row
                    .pv_major
                    .parse()
                    .ok()
                    .zip(row.pv_minor.parse().ok())
                    .map(|(major, minor)| DeviceNumber { major, minor }),
            })
            .collect())
    }

    /// The names of the VGs in which there are LVs of ours, hidden as they are.
    ///
    /// # Errors
    /// As [`Lvm::run`].
    pub fn vgs_with_moves(&self) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Row {
            vg_name: String,
        }
        let select = format!("lv_tags={{\"{}\"}}", super::text::moves::TAG);
        let args = ["lvs", "-a", "-o", "vg_name", "--select", &select];
        let rows: Vec<Row> = self.report(&args, &["lv"], None)?;
        let mut names: Vec<String> = rows.into_iter().map(|row| row.vg_name).collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// The present name of the VG with this id.
    ///
    /// # Errors
    /// As [`Lvm::run`]; `Kind::NotFound`.
    pub fn vg_name(&self, id: &str) -> Result<String> {
        #[derive(Deserialize)]
        struct Row {
            vg_name: String,
        }
        let select = format!("vg_uuid={id}");
        let rows: Vec<Row> =
            self.report(&["vgs", "-o", "vg_name", "--select", &select], &["vg"], None)?;
        match rows.as_slice() {
            [row] => Ok(row.vg_name.clone()),
            _ => Err(Error::new(Kind::NotFound, format!("LVM2 has no VG with the id {id}"))),
        }
    }

    /// Where LVM2 keeps its locks.
    ///
    /// # Errors
    /// As [`Lvm::run`].
    pub fn locking_dir(&self) -> Result<PathBuf> {
        let text = self.run(&["config", "--typeconfig", "full", "global/locking_dir"], None)?;
        let value = text.trim().split_once('=').map(|(_, value)| value.trim_matches('"'));
        match value.map(Path::new).filter(|path| path.is_absolute()) {
            Some(path) => Ok(path.to_owned()),
            None => Err(Error::new(Kind::Kernel, "LVM2 does not say where its locks are")
                .because(text.trim().to_owned())),
        }
    }

    /// The text of a VG's metadata. `held` as in [`Lvm::run`]; `only`: LVM2 is to look at these devices and no
    /// others (none: at what it looks at ever).
    ///
    /// # Errors
    /// As [`Lvm::run`].
    pub fn text(&self, vg: &str, held: Option<&File>, only: &[PathBuf]) -> Result<String> {
        let file = scratch("read")?;
        let name = file.display().to_string();
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(unusable(&file, error));
            }
            _ => {}
        }
        let mut args = vec!["vgcfgbackup", "-f", &name, vg];
        args.extend(held.map(|_| "--nolocking"));
        let devices = devices(only);
        args.extend(devices.iter().map(String::as_str));
        self.run(&args, held)?;
        let text = std::fs::read_to_string(&file).map_err(|error| unusable(&file, error))?;
        let _ = std::fs::remove_file(&file);
        Ok(text)
    }

    /// Commits a text as the VG's metadata; LVM2 gives it the text's sequence number plus 1. A text that it does not
    /// accept changes nothing.
    ///
    /// # Errors
    /// As [`Lvm::run`].
    pub fn restore(&self, vg: &str, text: &str, held: &File, only: &[PathBuf]) -> Result<()> {
        let file = scratch("write")?;
        std::fs::write(&file, text).map_err(|error| unusable(&file, error))?;
        let name = file.display().to_string();
        // LVM2's own archive under /etc may lie on what is moving.
        let config = "backup{archive=0 backup=0}";
        let mut args = vec!["vgcfgrestore", "--nolocking", "-y", "--force", "--config", config];
        let devices = devices(only);
        args.extend(devices.iter().map(String::as_str));
        args.extend(["-f", &name, vg]);
        let done = self.run(&args, Some(held)).map(drop);
        let _ = std::fs::remove_file(&file);
        done
    }

    /// The rows of a report: `args` with its fields, e.g. `["pvs", "-o", "pv_name"]`. Sizes are in sectors.
    ///
    /// # Errors
    /// As [`Lvm::run`].
    pub fn rows(&self, args: &[&str]) -> Result<Vec<HashMap<String, String>>> {
        self.report(args, &["pv", "vg", "lv", "seg", "pvseg"], None)
    }

    fn report<T: for<'a> Deserialize<'a>>(
        &self,
        args: &[&str],
        kinds: &[&str],
        held: Option<&File>,
    ) -> Result<Vec<T>> {
        #[derive(Deserialize)]
        struct Document {
            report: Vec<HashMap<String, serde_json::Value>>,
        }
        let more = ["--reportformat", "json", "--units", "s", "--nosuffix"];
        let text = self.run(&[args, &more].concat(), held)?;
        let strange = |why: String| {
            Error::new(
                Kind::Kernel,
                format!("what LVM2's `lvm {}` says is not understood", args[0]),
            )
            .because(why)
        };
        let document: Document =
            serde_json::from_str(&text).map_err(|error| strange(error.to_string()))?;
        let mut rows = Vec::new();
        for mut part in document.report {
            for value in kinds.iter().filter_map(|kind| part.remove(*kind)) {
                let some: Vec<T> =
                    serde_json::from_value(value).map_err(|error| strange(error.to_string()))?;
                rows.extend(some);
            }
        }
        Ok(rows)
    }
}

fn devices(only: &[PathBuf]) -> Vec<String> {
    if only.is_empty() {
        return Vec::new();
    }
    let paths: Vec<String> = only.iter().map(|path| path.display().to_string()).collect();
    vec!["--devices".to_owned(), paths.join(",")]
}

/// A file of this process's own in our run directory, which is in memory.
fn scratch(what: &str) -> Result<PathBuf> {
    let name = format!("lvm2-{}-{what}.text", std::process::id());
    Ok(crate::lock::run_directory()?.join(name))
}

fn unusable(path: &Path, error: std::io::Error) -> Error {
    Error::new(Kind::Kernel, format!("the file {} cannot be used", path.display())).because(error)
}

/// The version behind these words at the start of a line.
fn version_in(text: &str, words: &str) -> Option<[u32; 3]> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix(words))?;
    let word = line.split_whitespace().next()?;
    let mut numbers = word.split(['.', '(']).map(|part| part.parse::<u32>().ok());
    Some([numbers.next()??, numbers.next()??, numbers.next()??])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found() {
        let text = "  LVM version:     2.03.16(2) (2022-05-18)\n  Library version: 1.02.185\n";
        assert_eq!(version_in(text, "LVM version:"), Some([2, 3, 16]));
        assert_eq!(version_in("nothing", "LVM version:"), None);
        let text =
            "# Generated by LVM2 version 2.03.31(2) (2025-02-27): Thu Nov 26 22:35:18 2026\n";
        assert_eq!(version_in(text, "# Generated by LVM2 version"), Some([2, 3, 31]));
    }
}
