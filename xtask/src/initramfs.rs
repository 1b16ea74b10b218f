//! The guest's root: one archive of tools and modules that seldom changes, one of our binaries.
//!
//! The kernel unpacks archives that follow each other as one, so the first is cached.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};
use lvshift_vm_tests::scenario::Frontend;

use crate::cpio::Archive;
use crate::kernel::Kernel;
use crate::{fetch, guest_root, modules, paths, second_lvm2, seconds};

/// Makes the initramfs and says where it is.
pub(crate) fn make(kernel: &Kernel, binaries: &Path) -> Result<PathBuf> {
    let root = guest_root::fetched()?;
    let base = base(kernel, &root)?;
    let mut archive = Archive::default();
    let libraries = guest_root::libraries(&[&root, Path::new("/")])?;
    for name in Frontend::ALL.iter().map(|f| f.binary()).chain(["init", "writer"]) {
        let path = binaries.join(name);
        let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        archive.file(&format!("/usr/local/bin/{name}"), true, &bytes)?;
        guest_root::add_libraries(&mut archive, &bytes, &libraries)
            .with_context(|| format!("for {name}"))?;
    }
    archive.link("/init", "/usr/local/bin/init")?;
    let mut bytes = std::fs::read(&base).with_context(|| format!("reading {}", base.display()))?;
    bytes.extend_from_slice(&archive.finish());
    remove_old(&paths::vm_dir("images")?)?;
    // `test` makes one for each front end in turn, so the process is not name enough.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("initramfs-{number}-{}", std::process::id());
    let place = paths::vm_dir("images")?.join(name);
    std::fs::write(&place, bytes).with_context(|| format!("writing {}", place.display()))?;
    Ok(place)
}

/// Removes what runs that were killed have left.
fn remove_old(dir: &Path) -> Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| format!("listing {}", dir.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let ours = name.starts_with("initramfs-") || name.starts_with("copy-");
        let owner = name.rsplit('-').next().filter(|_| ours);
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            // Another run may be doing the same.
            std::fs::remove_file(&path).ok();
        }
    }
    Ok(())
}

/// The cached archive of tools and modules, made again when its ingredients are newer.
fn base(kernel: &Kernel, root: &Path) -> Result<PathBuf> {
    let place = paths::vm_dir("images")?.join("base");
    let key_file = place.with_extension("key");
    let changed = |path: &Path| -> Result<String> {
        let time = std::fs::metadata(path).and_then(|m| m.modified());
        let time = time.with_context(|| format!("looking at {}", path.display()))?;
        Ok(format!("{} {time:?}\n", path.display()))
    };
    let me = std::env::current_exe().context("finding xtask itself")?;
    let key = changed(&me)? + &changed(&kernel.modules)? + &changed(&root.join(".packages"))?;
    if place.exists() && std::fs::read_to_string(&key_file).is_ok_and(|text| text == key) {
        return Ok(place);
    }
    let start = std::time::Instant::now();
    let mut archive = Archive::default();
    guest_root::add(&mut archive, root)?;
    second_lvm2::add(&mut archive, &second_lvm2::fetched()?)?;
    modules::add(&mut archive, &kernel.modules)?;
    let bytes = archive.finish();
    let size = bytes.len() >> 20;
    fetch::make_file(&place, &bytes)?;
    std::fs::write(&key_file, key).context("writing the archive's key")?;
    println!(
        "setup: packed the guest's tools and modules, {size} MiB, {}",
        seconds(start.elapsed())
    );
    Ok(place)
}
