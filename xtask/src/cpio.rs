//! Writing a cpio archive in the "newc" form, which the kernel unpacks as its initramfs.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use anyhow::{Result, ensure};

const DIRECTORY: u32 = 0o040_755;
const FILE: u32 = 0o100_644;
const PROGRAM: u32 = 0o100_755;
const SYMLINK: u32 = 0o120_777;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// An archive being written. Parents of what is added are added by themselves.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
    names: BTreeSet<String>,
    inode: u32,
}

impl Archive {
    /// Adds a file.
    pub(crate) fn file(&mut self, name: &str, program: bool, bytes: &[u8]) -> Result<()> {
        self.entry(name, if program { PROGRAM } else { FILE }, (0, 0), bytes)
    }

    /// Adds a symbolic link.
    pub(crate) fn link(&mut self, name: &str, to: &str) -> Result<()> {
        self.entry(name, SYMLINK, (0, 0), to.as_bytes())
    }

    /// Adds an empty directory.
    pub(crate) fn dir(&mut self, name: &str) -> Result<()> {
        self.entry(name, DIRECTORY, (0, 0), &[])
    }

    /// Adds a character device.
    pub(crate) fn device(&mut self, name: &str, major: u32, minor: u32) -> Result<()> {
        self.entry(name, CHARACTER_DEVICE, (major, minor), &[])
    }

    /// Whether something of that name was added.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.contains(name.trim_start_matches('/'))
    }

    /// The archive, whole.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.raw("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), data: &[u8]) -> Result<()> {
        let name = name.trim_matches('/');
        ensure!(
            Path::new(name).components().all(|c| matches!(c, Component::Normal(_))),
            "{name:?} is no name for an archive"
        );
        for (at, _) in name.match_indices('/') {
            if !self.names.contains(&name[..at]) {
                self.names.insert(name[..at].to_owned());
                self.raw(&name[..at], DIRECTORY, (0, 0), &[]);
            }
        }
        let new = self.names.insert(name.to_owned());
        if new {
            self.raw(name, mode, device, data);
        } else {
            ensure!(mode == DIRECTORY, "{name} was added twice");
        }
        Ok(())
    }

    fn raw(&mut self, name: &str, mode: u32, (major, minor): (u32, u32), data: &[u8]) {
        self.inode += 1;
        let links = if mode == DIRECTORY { 2 } else { 1 };
        let size = u32::try_from(data.len()).expect("no file of 4 GiB belongs in an initramfs");
        let name_size = u32::try_from(name.len() + 1).expect("a short name");
        let fields = [self.inode, mode, 0, 0, links, 0, size, 0, 0, major, minor, name_size, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(data);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_headers_names_and_padding() {
        let mut archive = Archive::default();
        archive.file("/a/b", true, b"hello").expect("a good name");
        let bytes = archive.finish();
        assert_eq!(&bytes[..6], b"070701");
        assert_eq!(&bytes[110..112], b"a\0", "the parent comes first");
        assert_eq!(bytes.len() % 512, 0);
        let file = bytes.windows(5).position(|w| w == b"hello").expect("the data is there");
        assert_eq!(file % 4, 0);
        assert!(bytes.windows(11).any(|w| w == b"TRAILER!!!\0"));
    }

    #[test]
    fn bad_names_and_doubles_are_refused() {
        let mut archive = Archive::default();
        assert!(archive.file("../x", false, b"").is_err());
        archive.file("x", false, b"1").expect("a good name");
        assert!(archive.file("x", false, b"2").is_err());
        assert!(archive.dir("x/y").is_ok());
    }
}
