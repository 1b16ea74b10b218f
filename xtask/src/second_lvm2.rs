//! Debian 13's LVM2 beside Debian 12's in the guest: from its packages, with all its libraries, in a place of its
//! own. A scenario that wants it puts it over the other's program.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::cpio::Archive;
use crate::fetch::Source;
use crate::{guest_root, paths};

/// Where it lies in the guest.
const PLACE: &str = "/opt/debian13";

/// This machine's apt may know another release alone. The keys of Debian 12 sign this one, too.
const SOURCES: &str = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] \
                       http://deb.debian.org/debian trixie main\n";

/// Fetches the packages, unless they are there.
pub(crate) fn fetched() -> Result<PathBuf> {
    let place = paths::vm().join("lvm2-debian13");
    if place.join(".packages").exists() {
        return Ok(place);
    }
    let apt = paths::vm_dir("apt-debian13")?;
    let config = configuration(&apt)?;
    let from = Source::Config(&config);
    let listed = from.command("apt-get").args(["-q", "update"]).output();
    let listed = listed.context("starting apt-get")?;
    let errors = String::from_utf8_lossy(&listed.stderr).into_owned();
    ensure!(listed.status.success(), "apt-get update for Debian 13: {}", errors.trim_end());
    let place = guest_root::fetched_into(from, &place, &["lvm2"])?;
    // The lists are larger than all that was fetched.
    std::fs::remove_dir_all(&apt).context("removing apt's lists")?;
    Ok(place)
}

/// An apt that knows that release alone and nothing of this machine.
fn configuration(apt: &Path) -> Result<PathBuf> {
    for dir in ["lists/partial", "cache/archives/partial"] {
        std::fs::create_dir_all(apt.join(dir)).context("directories for apt")?;
    }
    let dir = apt.display();
    let text = format!(
        "Dir::Etc::sourcelist \"{dir}/sources.list\";\n\
         Dir::Etc::sourceparts \"-\";\n\
         Dir::State::lists \"{dir}/lists\";\n\
         Dir::State::status \"{dir}/status\";\n\
         Dir::Cache \"{dir}/cache\";\n\
         APT::Architecture \"amd64\";\n\
         APT::Architectures \"amd64\";\n\
         APT::Sandbox::User \"root\";\n\
         Acquire::Languages \"none\";\n\
         Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n"
    );
    let file = apt.join("apt.conf");
    for (name, text) in [("sources.list", SOURCES), ("status", ""), ("apt.conf", &text)] {
        std::fs::write(apt.join(name), text).with_context(|| format!("writing apt's {name}"))?;
    }
    Ok(file)
}

/// Adds it: the program, its libraries and its loader, and a script that starts it with these.
pub(crate) fn add(archive: &mut Archive, root: &Path) -> Result<()> {
    let libraries = guest_root::libraries(&[root])?;
    let program = guest_root::find_program(root, "lvm")?;
    let bytes =
        std::fs::read(&program).with_context(|| format!("reading {}", program.display()))?;
    archive.file(&format!("{PLACE}/bin/lvm"), true, &bytes)?;
    let place = |name: &str| format!("{PLACE}/lib/{name}");
    guest_root::add_libraries_at(archive, &bytes, &libraries, &place)
        .context("for Debian 13's lvm")?;
    // `lvm` looks at the name that it is called by.
    let script = format!(
        "#!/bin/sh\nexec {PLACE}/lib/ld-linux-x86-64.so.2 --argv0 \"$0\" --library-path {PLACE}/lib \
         {PLACE}/bin/lvm \"$@\"\n"
    );
    archive.file(&format!("{PLACE}/lvm"), true, script.as_bytes())
}
