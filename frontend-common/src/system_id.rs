//! Which host this is, for VGs that belong to one: the line of `/etc/lvshift/system_id`, else the machine id.
//! A VG of another host is looked at and nothing else, since its own host may be using it at this moment.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use lvshift_core::metadata::{Store, SystemId, Vg};

use crate::error::{Error, Kind, Result};

pub(crate) const FILE: &str = "/etc/lvshift/system_id";
const MACHINE_ID: &str = "/etc/machine-id";

/// This host's own; `None` where it has none: then it uses VGs of no host alone.
///
/// # Errors
/// `Kind::Usage` where the file is there and holds no system id.
pub fn local() -> Result<Option<SystemId>> {
    // A simulation makes its hosts up.
    #[cfg(feature = "sim")]
    if let Some(host) = crate::simulation::host() {
        return Ok(host);
    }
    // And a test is none.
    if cfg!(any(test, feature = "sim")) {
        return Ok(None);
    }
    match read(Path::new(FILE))? {
        Some(text) => parse(&text),
        None => Ok(read(Path::new(MACHINE_ID))?.and_then(|text| of_machine(&text))),
    }
}

fn read(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::new(Kind::Kernel, "this host's system id cannot be read")
            .device(path.display())
            .because(error)
            .state("nothing was changed")),
    }
}

/// The first line that says something; none says that this host has no system id.
fn parse(text: &str) -> Result<Option<SystemId>> {
    let mut lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let Some(line) = lines.find(|line| !line.is_empty()) else { return Ok(None) };
    parse_id(line).map(Some).map_err(|error| error.device(FILE))
}

/// A system id as it is written.
///
/// # Errors
/// `Kind::Usage`.
pub fn parse_id(text: &str) -> Result<SystemId> {
    SystemId::new(text).map_err(|error| {
        Error::new(Kind::Usage, format!("{text:?} is no system id: {error}"))
            .state("nothing was changed")
            .next("up to 67 of A-Z a-z 0-9 + _ . -, as the host's name or /etc/machine-id")
    })
}

/// 32 hexadecimal digits; before the first boot is done the file is empty or says `uninitialized`.
fn of_machine(text: &str) -> Option<SystemId> {
    let text = text.trim();
    let is = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    SystemId::new(text).ok().filter(|_| is)
}

/// Refuses a VG of another host.
///
/// # Errors
/// `Kind::State`, with what to type.
pub fn check<S: Store>(vg: &Vg<S>) -> Result<()> {
    let host = local()?;
    if vg.is_foreign_to(host.as_ref()) { Err(refusal(vg, host.as_ref())) } else { Ok(()) }
}

fn refusal<S: Store>(vg: &Vg<S>, host: Option<&SystemId>) -> Error {
    let (name, id) = (vg.name(), shown(vg.system_id()));
    let this = shown(host);
    let what =
        format!("VG {name} belongs to another host: its system id is {id}, this host's is {this}");
    let error = Error::new(Kind::State, what).state("nothing was changed");
    match host {
        Some(host) => error.next(format!(
            "if that host uses it no more: vgchange --systemid {host} --force {name}; on that host \
             vgchange --systemid {host} {name} gives it away"
        )),
        None => error.next(format!("give this host a system id in {FILE}")),
    }
}

/// For people.
#[must_use]
pub fn shown(id: Option<&SystemId>) -> &str {
    id.map_or("none", SystemId::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_line_that_counts() {
        let id = |text: &str| parse(text).expect("legal").map(|id| id.to_string());
        assert_eq!(id("# this host\nalpha  # of the pair\n"), Some("alpha".to_owned()));
        assert_eq!(id("# none\n\n"), None);
        assert_eq!(parse("two words").expect_err("illegal").kind, Kind::Usage);
    }

    #[test]
    fn a_machine_id_is_one_only_when_it_is_whole() {
        let whole = "0123456789abcdef0123456789abcdef";
        assert_eq!(of_machine(&format!("{whole}\n")), SystemId::new(whole).ok());
        assert_eq!(of_machine("uninitialized\n"), None);
        assert_eq!(of_machine(""), None);
    }

    #[test]
    fn a_refusal_says_what_to_type() {
        let mut vg = crate::vg::Vg::empty();
        vg.set_system_id(SystemId::new("there").ok());
        let error = refusal(&vg, SystemId::new("here").ok().as_ref()).to_string();
        assert!(error.contains("vgchange --systemid here --force"), "{error}");
    }
}
