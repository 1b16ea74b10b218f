//! Which kernel the guest runs.

mod unpacked;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::{Machine, fetch, paths};

/// A kernel image and the directory of its modules.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    pub(crate) image: PathBuf,
    pub(crate) modules: PathBuf,
}

impl Kernel {
    /// The image as boot loaders take it, if it is kept beside the one that QEMU takes.
    pub(crate) fn packed(&self) -> PathBuf {
        let name = self.image.file_name().unwrap_or_default().to_string_lossy();
        let packed = self.image.with_file_name(name.replacen("vmlinux", "vmlinuz", 1));
        if packed.exists() { packed } else { self.image.clone() }
    }
}

/// The packages that will do: a 6.12 kernel, with ublk and dm-mirror, made for virtual machines.
const PATTERN: &str = r"^linux-image-6\.12\..*-cloud-amd64-unsigned$";

/// The kernel asked for, or the fetched one.
pub(crate) fn choose(machine: &Machine) -> Result<Kernel> {
    if let (Some(image), Some(modules)) = (&machine.kernel, &machine.modules) {
        return Ok(Kernel { image: image.clone(), modules: modules.clone() });
    }
    fetched()
}

/// Fetches the kernel package unless it is there.
pub(crate) fn fetched() -> Result<Kernel> {
    let place = paths::vm().join("kernel");
    if !place.exists() {
        let found = fetch::output("apt-cache", &["search", "--names-only", PATTERN])?;
        let names = found.lines().filter_map(|line| line.split_whitespace().next());
        let newest = names.max_by_key(|name| version(name)).with_context(|| {
            format!(
                "no package matches {PATTERN}. Debian 12 (with security updates) has one; \
                 elsewhere give --kernel IMAGE --modules DIR"
            )
        })?;
        println!("setup: fetching {newest} for the test VM");
        fetch::make_dir(&place, |dir| {
            fetch::unpack(fetch::Source::Machine, &[newest.to_owned()], dir)
        })?;
    }
    let modules = place.join("lib/modules");
    let image = unpacked::beside(&find_image(&place.join("boot"))?)?;
    Ok(Kernel { image, modules })
}

fn find_image(dir: &Path) -> Result<PathBuf> {
    for entry in std::fs::read_dir(dir).with_context(|| format!("listing {}", dir.display()))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("vmlinuz-") {
            return Ok(entry.path());
        }
    }
    anyhow::bail!("no kernel image in {}", dir.display())
}

/// The numbers in a package's name, for comparing.
fn version(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_kernel_is_not_the_last_by_alphabet() {
        let (old, new) = ("linux-image-6.12.9+deb12-cloud", "linux-image-6.12.117+deb12-cloud");
        assert!(version(new) > version(old));
    }
}
