//! Which devices are looked at at all: those of `--devices`, else those that the devices file lists, else
//! all. As LVM's devices file, it is what keeps a disk that must not be touched from being touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use lvshift_core::units::DeviceNumber;

use super::sysfs;
use crate::error::{Error, Kind, Result};

const DIRECTORY: &str = "/etc/lvshift";
const FILE: &str = "devices";

/// The paths that count; none: every device does.
static CHOSEN: OnceLock<Option<Vec<PathBuf>>> = OnceLock::new();

/// Says once, before the first look, which devices are looked at.
///
/// # Errors
/// `Kind::Usage` for a file that was named and is not there.
pub fn choose(devices: &[PathBuf], file: Option<&str>) -> Result<()> {
    let chosen = match (devices, file) {
        ([_, ..], _) => Some(devices.to_vec()),
        (_, Some("")) => None,
        (_, Some(name)) => {
            let path = Path::new(DIRECTORY).join(name);
            Some(read(&path)?.ok_or_else(|| {
                Error::new(Kind::Usage, format!("there is no devices file {}", path.display()))
                    .state("nothing was changed")
            })?)
        }
        (_, None) => read(&Path::new(DIRECTORY).join(FILE))?,
    };
    let _ = CHOSEN.set(chosen);
    Ok(())
}

/// The file, if it is there: what cannot be read must not count as "all devices".
fn read(path: &Path) -> Result<Option<Vec<PathBuf>>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(parse(&text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::new(Kind::Kernel, "the devices file cannot be read")
            .device(path.display())
            .because(error)
            .state("nothing was changed")),
    }
}

/// One path a line; what follows a `#` is for people.
fn parse(text: &str) -> Vec<PathBuf> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).map(PathBuf::from).collect()
}

/// What is looked at, as of now: paths are looked up each time, since links move.
#[derive(Clone, Debug)]
pub struct Filter(Option<Vec<DeviceNumber>>);

impl Filter {
    /// As [`choose`] said, or as the devices file says where no option was given.
    #[must_use]
    pub fn now() -> Filter {
        // A file that cannot be read lets nothing pass.
        let default =
            || read(&Path::new(DIRECTORY).join(FILE)).unwrap_or_else(|_| Some(Vec::new()));
        let chosen = CHOSEN.get_or_init(default);
        let number = |path: &PathBuf| sysfs::device_at(&path.to_string_lossy());
        Filter(chosen.as_ref().map(|paths| paths.iter().filter_map(number).collect()))
    }

    /// Whether the device is looked at.
    #[must_use]
    pub fn takes(&self, number: DeviceNumber) -> bool {
        self.0.as_ref().is_none_or(|chosen| chosen.contains(&number))
    }
}

/// Refuses to make something of a device that would not be looked at afterwards.
///
/// # Errors
/// `Kind::State`.
pub fn check(path: &Path, number: DeviceNumber) -> Result<()> {
    if Filter::now().takes(number) {
        return Ok(());
    }
    let what = format!("{} is none of the devices that are looked at", path.display());
    Err(Error::new(Kind::State, what)
        .device(path.display())
        .state("nothing was changed")
        .next(format!("add a line to {DIRECTORY}/{FILE}, or say --devices")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_lists_a_path_a_line() {
        let text = "# ours\n/dev/sdb\n\n  /dev/disk/by-id/wwn-1  # the new one\n#/dev/sdc\n";
        assert_eq!(parse(text), [Path::new("/dev/sdb"), Path::new("/dev/disk/by-id/wwn-1")]);
    }

    #[test]
    fn what_is_not_listed_is_not_looked_at() {
        let number = |minor| DeviceNumber { major: 8, minor };
        let some = Filter(Some(vec![number(16)]));
        assert!(some.takes(number(16)) && !some.takes(number(32)));
        assert!(Filter(None).takes(number(32)));
        assert!(!Filter(Some(Vec::new())).takes(number(32)), "an empty file is a file");
    }
}
