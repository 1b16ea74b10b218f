//! The manifest that cargo-deb and cargo-generate-rpm read: what `packaging/package.toml` says, and
//! every file of the tree that was laid out.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::paths;

/// Where the manifest is.
pub(super) fn directory(dir: &Path) -> PathBuf {
    dir.join("manifest")
}

/// Writes it. The package in it has no code: the programs are built already.
pub(super) fn write(dir: &Path, root: &Path) -> Result<()> {
    let place = directory(dir);
    std::fs::create_dir_all(place.join("src")).context("a directory for the manifest")?;
    std::fs::write(place.join("src/lib.rs"), "").context("a package without code")?;
    let packaging = paths::root().join("packaging");
    let read = |name: &str| {
        let path = packaging.join(name);
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    };
    let mut files = Vec::new();
    list(root, &mut files)?;
    files.sort();
    let (mut deb, mut rpm) = (String::new(), String::new());
    for file in &files {
        let to = file.strip_prefix(root)?.to_string_lossy();
        let mode = std::fs::metadata(file)?.permissions().mode() & 0o777;
        let from = file.display();
        writeln!(deb, "  [{from:?}, {:?}, \"{mode:o}\"],", to.as_ref())?;
        let Some(to) = place_in_rpm(&to) else { continue };
        let config = if to.starts_with("etc/") { ", config = \"noreplace\"" } else { "" };
        writeln!(
            rpm,
            "  {{ source = {from:?}, dest = \"/{to}\", mode = \"100{mode:o}\"{config} }},"
        )?;
    }
    let text = read("package.toml")?
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
        .replace("@PACKAGING@", &packaging.display().to_string())
        .replace("@POST_INSTALL@", &read("rpm/post-install")?)
        .replace("@PRE_UNINSTALL@", &read("rpm/pre-uninstall")?)
        .replace("@POST_UNINSTALL@", &read("rpm/post-uninstall")?)
        .replace("@DEB_ASSETS@", &deb)
        .replace("@RPM_ASSETS@", &rpm);
    std::fs::write(place.join("Cargo.toml"), text).context("writing the manifest")
}

/// Where a file of the .deb is in the .rpm, if it is not Debian's alone.
pub(super) fn place_in_rpm(place: &str) -> Option<String> {
    let of_debian = ["usr/share/lintian", "usr/share/initramfs-tools"];
    if of_debian.iter().any(|dir| place.starts_with(dir)) || place.contains("changelog.Debian") {
        return None;
    }
    // Debian's word for the place is not everybody's.
    Some(place.replace("/zsh/vendor-completions/", "/zsh/site-functions/"))
}

/// Every file below a directory.
pub(super) fn list(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| format!("listing {}", dir.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            list(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}
