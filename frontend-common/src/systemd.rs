//! systemd, where it runs and our units are installed: whoever must outlive a command is started as a
//! unit, since a child stays in the cgroup of its parent, and dies with the session or unit of that.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{Error, Kind, Result};

/// Where the units of a package are.
const UNITS: &[&str] = &["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
/// The directory of the programs that the units start.
const PROGRAMS: &str = "/usr/sbin";

/// The unit of this template for this instance (a name that is [`escape`]d, or a UUID, which is read as
/// it is), if systemd runs, has it, and would start the program that asks.
#[must_use]
pub fn unit(template: &str, instance: &str) -> Option<String> {
    if !Path::new("/run/systemd/system").exists() {
        return None;
    }
    let installed = UNITS.iter().any(|dir| {
        let file = Path::new(dir).join(format!("{template}@.service"));
        // What an administrator has masked is a link to /dev/null.
        file.exists() && !std::fs::read_link(&file).is_ok_and(|to| to == Path::new("/dev/null"))
    });
    let own = std::fs::read_link("/proc/self/exe");
    let own = own.is_ok_and(|exe| exe.parent() == Some(Path::new(PROGRAMS)));
    (installed && own).then(|| format!("{template}@{instance}.service"))
}

/// The command that starts a unit and ends when it is ready.
#[must_use]
pub fn start(unit: &str) -> Command {
    let mut command = Command::new("systemctl");
    command.args(["--quiet", "start", unit]).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Starts a unit and waits until it is ready.
///
/// # Errors
/// `Kind::Kernel` with what systemctl says.
pub fn start_now(unit: &str) -> Result<()> {
    let failed = || Error::new(Kind::Kernel, format!("systemd does not start {unit}"));
    let output = start(unit).output().map_err(|error| failed().because(error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(failed().because(said.trim()).next(format!("see journalctl -u '{unit}'")))
}

/// A name as systemd writes it in the name of a unit.
#[must_use]
pub fn escape(name: &str) -> String {
    let mut out = String::new();
    for (at, byte) in name.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || byte == b'_' || (byte == b'.' && at > 0);
        if plain { out.push(char::from(byte)) } else { out.push_str(&format!("\\x{byte:02x}")) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `systemd-escape` answers.
    #[test]
    fn a_name_becomes_part_of_a_unit() {
        assert_eq!(escape("vg0"), "vg0");
        assert_eq!(escape("my-vg+1.x"), "my\\x2dvg\\x2b1.x");
        assert_eq!(escape(".x"), "\\x2ex");
    }

    #[test]
    fn a_program_that_is_not_installed_starts_no_unit() {
        assert_eq!(unit("lvshift-pvmove", "vg0"), None);
    }
}
