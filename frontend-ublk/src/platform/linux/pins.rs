//! What the next daemon reads before it serves, kept in memory: the notes and the locks lie in a tmpfs, and what the
//! kernel swaps out of that may lie on the very LVs that are not served then.
//!
//! The standby has them mapped and locked, and maps them anew when they change. Nothing is read through the
//! mappings: who reads a file finds its pages where they are.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;

use lvshift_frontend_common::output;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use super::files;
use super::sys::Pinned;

/// A change after which a file has other pages, or there is another file. Who holds a lock has its file open.
const CHANGES: WatchFlags =
    WatchFlags::MODIFY.union(WatchFlags::MOVED_TO).union(WatchFlags::DELETE);

/// The files, mapped.
#[derive(Debug)]
pub(super) struct Pins {
    /// `None` where the kernel does not tell of changes: then what is there now stays.
    changes: Option<OwnedFd>,
    files: Vec<Pinned>,
}

impl Pins {
    /// Of the notes that are there now.
    pub(super) fn new() -> Pins {
        let changes = watch().map_err(|error| can_be_swapped(&error)).ok();
        let mut pins = Pins { changes, files: Vec::new() };
        pins.renew();
        pins
    }

    /// Waits until there is something to be read there, and follows what changes meanwhile.
    pub(super) fn until_readable(&mut self, other: &io::Stdin) {
        loop {
            let mut fds = vec![PollFd::new(other, PollFlags::IN)];
            fds.extend(self.changes.iter().map(|changes| PollFd::new(changes, PollFlags::IN)));
            match poll(&mut fds, None) {
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => return,
                Ok(_) => {}
            }
            if fds.first().is_none_or(|word| !word.revents().is_empty()) {
                return;
            }
            if let Some(changes) = &self.changes {
                let mut told = [0; 4096];
                while rustix::io::read(changes, &mut told).is_ok_and(|n| n > 0) {}
                self.renew();
            }
        }
    }

    /// The new ones are there before the old ones go: what stays the same is locked all the time.
    fn renew(&mut self) {
        match all() {
            Ok(files) => self.files = files,
            Err(error) => can_be_swapped(&error),
        }
    }
}

fn can_be_swapped(error: &io::Error) {
    output::err(&format!(
        "lvshift-ublk: the notes for the next daemon can be swapped out: {error}\n"
    ));
}

fn watch() -> io::Result<OwnedFd> {
    let changes = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    for directory in files::directories()? {
        inotify::add_watch(&changes, directory, CHANGES)?;
    }
    Ok(changes)
}

fn all() -> io::Result<Vec<Pinned>> {
    let mut pinned = Vec::new();
    for directory in files::directories()? {
        for entry in fs::read_dir(directory)?.flatten() {
            // A log may be long, and nothing depends on it.
            let is_log = entry.file_name().to_string_lossy().ends_with(".log");
            if is_log || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
                continue;
            }
            match File::open(entry.path()).and_then(|file| Pinned::new(&file)) {
                Ok(file) => pinned.extend(file),
                // It was replaced, and that is told.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(pinned)
}
