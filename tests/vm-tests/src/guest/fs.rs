//! File systems: make, fill, mount, hash, check.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::{Guest, Run};
use crate::writer::hash::{Hasher, mix};

/// A kind of file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fs {
    /// ext4
    Ext4,
    /// xfs (needs a device of 300 MiB or more)
    Xfs,
    /// btrfs (needs a device of 110 MiB or more)
    Btrfs,
}

impl Fs {
    /// Its name, as `mount -t` takes it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }
}

/// A hash for each file below a directory, by path.
pub type Tree = BTreeMap<PathBuf, u64>;

/// A mounted file system. Dropping it unmounts it, whatever uses it.
#[derive(Debug)]
pub struct Mounted<'g> {
    guest: &'g Guest,
    dir: PathBuf,
    up: bool,
}

impl Guest {
    /// Makes a file system.
    ///
    /// # Errors
    /// If mkfs fails.
    pub fn mkfs(&self, fs: Fs, device: impl AsRef<Path>) -> Result<()> {
        let device = device.as_ref().to_string_lossy();
        match fs {
            Fs::Ext4 => self.run("mkfs.ext4", &["-q", "-F", &device])?.ok()?,
            Fs::Xfs => self.run("mkfs.xfs", &["-q", "-f", &device])?.ok()?,
            Fs::Btrfs => self.run("mkfs.btrfs", &["-q", "-f", &device])?.ok()?,
        };
        Ok(())
    }

    /// Checks a file system that is not mounted, changing nothing.
    ///
    /// # Errors
    /// If anything is wrong with it.
    pub fn fsck(&self, fs: Fs, device: impl AsRef<Path>) -> Result<Run> {
        let device = device.as_ref().to_string_lossy();
        match fs {
            Fs::Ext4 => self.run("e2fsck", &["-f", "-n", &device])?.ok(),
            Fs::Xfs => self.run("xfs_repair", &["-n", &device])?.ok(),
            Fs::Btrfs => self.run("btrfs", &["check", "--readonly", &device])?.ok(),
        }
    }

    /// Mounts a device at `/mnt/NAME`.
    ///
    /// # Errors
    /// If it cannot be mounted.
    pub fn mount(&self, fs: Fs, device: impl AsRef<Path>, name: &str) -> Result<Mounted<'_>> {
        let dir = Path::new("/mnt").join(name);
        std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        let (device, at) = (device.as_ref().to_string_lossy(), dir.to_string_lossy());
        self.run("mount", &["-t", fs.word(), &device, &at])?.ok()?;
        Ok(Mounted { guest: self, dir, up: true })
    }
}

impl Mounted<'_> {
    /// Where it is mounted.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A path below it.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Unmounts it.
    ///
    /// # Errors
    /// If something uses it.
    pub fn umount(mut self) -> Result<()> {
        self.up = false;
        self.guest.run("umount", &[&self.dir.to_string_lossy()])?.ok()?;
        Ok(())
    }

    /// Writes `count` files of `size` bytes into the directory `name`, and syncs.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn fill(&self, name: &str, count: u32, size: usize, seed: u64) -> Result<()> {
        let dir = self.join(name);
        std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        for n in 0..count {
            let path = dir.join(format!("file-{n}"));
            let mut state = mix(seed ^ u64::from(n));
            let mut bytes = Vec::with_capacity(size + 8);
            while bytes.len() < size {
                state = mix(state);
                bytes.extend_from_slice(&state.to_le_bytes());
            }
            std::fs::File::create(&path)
                .and_then(|mut file| file.write_all(&bytes[..size]))
                .with_context(|| format!("writing {}", path.display()))?;
        }
        rustix::fs::sync();
        Ok(())
    }

    /// A hash of every file below the directory `name`, read from the disk.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn hash(&self, name: &str) -> Result<Tree> {
        self.guest.drop_caches()?;
        let mut tree = Tree::new();
        let mut todo = vec![self.join(name)];
        while let Some(dir) = todo.pop() {
            let entries = std::fs::read_dir(&dir);
            for entry in entries.with_context(|| format!("listing {}", dir.display()))? {
                let path = entry?.path();
                if path.is_dir() {
                    todo.push(path);
                } else {
                    let hash = hash_file(&path)?;
                    tree.insert(path, hash);
                }
            }
        }
        Ok(tree)
    }

    /// Fails unless every file below `name` is as it was, naming those that are not.
    ///
    /// # Errors
    /// The files that changed, came or went.
    pub fn same_tree(&self, name: &str, before: &Tree) -> Result<()> {
        let after = self.hash(name)?;
        let paths = before.keys().chain(after.keys());
        let wrong: std::collections::BTreeSet<_> =
            paths.filter(|path| before.get(*path) != after.get(*path)).collect();
        if wrong.is_empty() { Ok(()) } else { bail!("files that are not as they were: {wrong:?}") }
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        if self.up {
            let dir = self.dir.to_string_lossy();
            if let Ok(command) = self.guest.spawn_env(&[], "umount", &[&dir, "-l"]) {
                command.wait(Duration::from_secs(10)).ok();
            }
        }
    }
}

fn hash_file(path: &Path) -> Result<u64> {
    let mut hasher = Hasher::new(0);
    let mut buffer = vec![0; 1 << 18];
    let mut file =
        std::fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
    loop {
        match file.read(&mut buffer).with_context(|| format!("reading {}", path.display()))? {
            0 => return Ok(hasher.finish()),
            n => hasher.update(&buffer[..n]),
        }
    }
}
