//! Choosing kernel modules for the guest, in an order in which they can be loaded.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use lvshift_vm_tests::guest::modules::{LIST, Module, normal};

use crate::cpio::Archive;
use crate::elf;

/// What scenarios may use. Those a kernel has built in are no files and no loss.
const WANTED: &[&str] = &[
    "virtio_blk",
    "virtio_pci",
    "virtio_console",
    "dm-mod",
    "dm-mirror",
    "dm-log",
    "dm-region-hash",
    "dm-flakey",
    "dm-delay",
    "dm-log-writes",
    "dm-thin-pool",
    "dm-snapshot",
    "dm-zero",
    "dm-raid",
    "raid1",
    "raid456",
    "dm-integrity",
    "dm-cache",
    "dm-cache-smq",
    "dm-writecache",
    "dm-switch",
    "ublk_drv",
    "null_blk",
    "scsi_debug",
    "sd_mod",
    "sg",
    "loop",
    "brd",
    "nbd",
    "zram",
    "ext4",
    "xfs",
    "btrfs",
    "crc32c_generic",
    "crc32c_intel",
    "configfs",
];

/// Those without which no test runs: not finding one (nor having it built in) is an error.
const NEEDED: &[&str] = &["virtio_blk", "dm-mod", "dm-mirror", "dm-flakey", "dm-delay"];

/// Adds the wanted modules below `dir`, those they need, and the list of all.
pub(crate) fn add(archive: &mut Archive, dir: &Path) -> Result<()> {
    let mut files = BTreeMap::new();
    let mut builtin = String::new();
    find(dir, &mut files, &mut builtin)?;
    let mut chosen = Chosen { files: &files, builtin: &builtin, done: Vec::new(), archive };
    for name in WANTED {
        chosen.take(&normal(name), NEEDED.contains(name))?;
    }
    let list: String = chosen.done.iter().map(Module::to_line).collect();
    archive.file(LIST, false, list.as_bytes())
}

struct Chosen<'a> {
    files: &'a BTreeMap<String, PathBuf>,
    builtin: &'a str,
    done: Vec<Module>,
    archive: &'a mut Archive,
}

impl Chosen<'_> {
    /// Takes a module after those it depends on. Returns what must be loaded, itself last.
    fn take(&mut self, name: &str, needed: bool) -> Result<Vec<String>> {
        if let Some(module) = self.done.iter().find(|m| m.name == name) {
            return Ok(module.deps.iter().chain([&module.name]).cloned().collect());
        }
        let Some(path) = self.files.get(name) else {
            let file = format!("/{name}.ko");
            let built_in = self.builtin.lines().any(|line| normal(line).ends_with(&file));
            ensure!(built_in || !needed, "the kernel has no module {name}");
            return Ok(Vec::new());
        };
        let bytes = unpacked(path)?;
        let info = elf::modinfo(&bytes).with_context(|| path.display().to_string())?;
        let values = |key: &'static str| {
            info.iter().filter(move |pair| pair.0 == key).map(|pair| pair.1.as_str())
        };
        let hard = values("depends").flat_map(|v| v.split(',')).filter(|n| !n.is_empty());
        let hard: Vec<String> = hard.map(normal).collect();
        let soft: Vec<String> = values("softdep")
            .filter_map(|v| v.strip_prefix("pre:"))
            .flat_map(str::split_whitespace)
            .map(normal)
            .collect();
        let mut deps: Vec<String> = Vec::new();
        for (dep, is_hard) in hard.iter().map(|d| (d, true)).chain(soft.iter().map(|d| (d, false)))
        {
            for one in self.take(dep, is_hard)? {
                if !deps.contains(&one) {
                    deps.push(one);
                }
            }
        }
        let aliases = values("alias").filter(|a| !a.contains('*')).map(str::to_owned).collect();
        let in_guest = format!("/lib/modules/{name}.ko");
        // /lib is a link in the guest.
        self.archive.file(&format!("/usr{in_guest}"), false, &bytes)?;
        let module = Module { name: name.to_owned(), path: in_guest, deps, aliases };
        let all = module.deps.iter().chain([&module.name]).cloned().collect();
        self.done.push(module);
        Ok(all)
    }
}

fn find(dir: &Path, files: &mut BTreeMap<String, PathBuf>, builtin: &mut String) -> Result<()> {
    let entries = std::fs::read_dir(dir);
    for entry in entries.with_context(|| format!("listing the modules in {}", dir.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            find(&entry.path(), files, builtin)?;
        } else if name == "modules.builtin" {
            *builtin = std::fs::read_to_string(entry.path())?;
        } else if let Some((stem, _)) = name.split_once(".ko") {
            files.insert(normal(stem), entry.path());
        }
    }
    Ok(())
}

fn unpacked(path: &Path) -> Result<Vec<u8>> {
    let what = || format!("reading {}", path.display());
    let packed = std::fs::read(path).with_context(what)?;
    let name = path.to_string_lossy();
    if name.ends_with(".ko") {
        return Ok(packed);
    }
    let mut bytes = Vec::new();
    if name.ends_with(".ko.xz") {
        lzma_rust2::XzReader::new(&packed[..], true).read_to_end(&mut bytes).with_context(what)?;
    } else {
        // .ko.zst, .ko.gz: those programs come with the distributions that use them.
        let program = if name.ends_with(".zst") { "zstd" } else { "gzip" };
        let output = std::process::Command::new(program).args(["-dc", "--"]).arg(path).output();
        let output = output.with_context(|| format!("running {program} for {name}"))?;
        if !output.status.success() {
            bail!("{program} cannot unpack {name}");
        }
        bytes = output.stdout;
    }
    Ok(bytes)
}
