//! What stands under `/run/lvshift/ublk`: a socket and a lock for each VG's daemon, a note for each
//! device, by which a new daemon knows which LV `/dev/ublkbN` is, and how its copies are to be made.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use lvshift_core::units::Uuid;
use lvshift_frontend_common::error::{Error, Kind, Result};
use lvshift_frontend_common::lock::run_directory;

use crate::platform::Note;
use crate::protocol::{Kept, Tuning, WirePv};

fn directory() -> Result<PathBuf> {
    let path = run_directory()?.join("ublk");
    match DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(failed(error)),
        _ => Ok(path),
    }
}

/// The socket of the VG's daemon.
pub(crate) fn socket(vg: Uuid) -> Result<PathBuf> {
    Ok(directory()?.join(format!("{vg}.socket")))
}

/// What the VG's daemon has to say when it was started by a command.
pub(crate) fn log(vg: Uuid) -> Result<PathBuf> {
    Ok(directory()?.join(format!("{vg}.log")))
}

/// Makes this process the VG's daemon for as long as the file is open. `None`: there is one.
pub(crate) fn become_daemon(vg: Uuid) -> Result<Option<File>> {
    let path = directory()?.join(format!("{vg}.lock"));
    let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
    let file = file.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Notes a device, before it appears.
pub(crate) fn note(note: &Note) -> Result<()> {
    let directory = directory()?;
    let scratch = directory.join(format!(".ublkb{}", note.device));
    // What the device was before has no name any more.
    let _ = fs::remove_file(name_path(&directory, OsStr::new(&format!("ublkb{}", note.device))));
    let text = serde_json::to_vec(note).map_err(|error| failed(error.into()))?;
    let write = || -> std::io::Result<()> {
        File::create(&scratch)?.write_all(&text)?;
        fs::rename(&scratch, directory.join(format!("ublkb{}", note.device)))
    };
    write().map_err(failed)
}

/// Forgets a device.
pub(crate) fn forget(device: u32) -> Result<()> {
    match fs::remove_file(directory()?.join(format!("ublkb{device}"))) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

/// The devices of a VG that were noted.
pub(crate) fn notes(vg: Uuid) -> Result<Vec<Note>> {
    let mut notes = Vec::new();
    for entry in fs::read_dir(directory()?).map_err(failed)?.flatten() {
        if !entry.file_name().to_string_lossy().starts_with("ublkb") {
            continue;
        }
        let text = fs::read(entry.path()).unwrap_or_default();
        match serde_json::from_slice::<Note>(&text) {
            Ok(note) if note.vg == vg.0 => notes.push(note),
            _ => {}
        }
    }
    notes.sort_by_key(|note| note.device);
    Ok(notes)
}

/// Notes which devices are the VG's PVs: by these, and nothing else, a new daemon takes over.
pub(crate) fn note_pvs(vg: Uuid, pvs: &[WirePv]) -> Result<()> {
    let directory = directory()?;
    let scratch = directory.join(format!(".{vg}.pvs"));
    let text = serde_json::to_vec(pvs).map_err(|error| failed(error.into()))?;
    let write = || -> std::io::Result<()> {
        File::create(&scratch)?.write_all(&text)?;
        fs::rename(&scratch, directory.join(format!("{vg}.pvs")))
    };
    write().map_err(failed)
}

/// Forgets them: better no note than an old one.
pub(crate) fn forget_pvs(vg: Uuid) {
    if let Ok(directory) = directory() {
        let _ = fs::remove_file(directory.join(format!("{vg}.pvs")));
    }
}

/// The devices that were noted; none where nobody has, or the note makes no sense.
pub(crate) fn noted_pvs(vg: Uuid) -> Vec<WirePv> {
    let text =
        directory().and_then(|path| fs::read(path.join(format!("{vg}.pvs"))).map_err(failed));
    text.ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

/// The names of the VG and the LV that a device (`ublkb0`) is, for udev's rules.
pub(crate) fn name(device: &OsStr) -> Option<(String, String)> {
    let text = fs::read_to_string(name_path(&directory().ok()?, device)).ok()?;
    let (vg, lv) = text.trim_end().split_once('/')?;
    Some((vg.to_owned(), lv.to_owned()))
}

/// Keeps them.
pub(crate) fn keep_name(device: &OsStr, vg: &str, lv: &str) -> Result<()> {
    fs::write(name_path(&directory()?, device), format!("{vg}/{lv}\n")).map_err(failed)
}

fn name_path(directory: &Path, device: &OsStr) -> PathBuf {
    directory.join(format!("name-{}", device.to_string_lossy()))
}

/// How an LV's copies are to be made, as somebody has asked; gone with the next boot.
pub(crate) fn tuning(lv: Uuid) -> Tuning {
    let text = directory().and_then(|path| fs::read(tuning_path(&path, lv)).map_err(failed));
    text.ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

/// Keeps it for the next daemon.
pub(crate) fn keep_tuning(lv: Uuid, tuning: &Tuning) -> Result<()> {
    let directory = directory()?;
    let scratch = directory.join(format!(".{lv}.tuning"));
    let text = serde_json::to_vec(tuning).map_err(|error| failed(error.into()))?;
    let write = || -> std::io::Result<()> {
        File::create(&scratch)?.write_all(&text)?;
        fs::rename(&scratch, tuning_path(&directory, lv))
    };
    write().map_err(failed)
}

/// Forgets it.
pub(crate) fn forget_tuning(lv: Uuid) -> Result<()> {
    match fs::remove_file(tuning_path(&directory()?, lv)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

/// What is served for a move in a VG of LVM2's: the next daemon serves it again, and then looks for who is in
/// charge.
pub(crate) fn mirror(lv: Uuid) -> Option<Kept> {
    let text = fs::read(mirror_path(&directory().ok()?, lv)).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Keeps it.
pub(crate) fn keep_mirror(lv: Uuid, kept: &Kept) -> Result<()> {
    let directory = directory()?;
    let scratch = directory.join(format!(".{lv}.mirror"));
    let text = serde_json::to_vec(kept).map_err(|error| failed(error.into()))?;
    let write = || -> std::io::Result<()> {
        File::create(&scratch)?.write_all(&text)?;
        fs::rename(&scratch, mirror_path(&directory, lv))
    };
    write().map_err(failed)
}

/// The VGs of LVM2's with a mirror that is served, or waits for that.
pub(crate) fn mirrored() -> Vec<Uuid> {
    let entries = directory().and_then(|path| fs::read_dir(path).map_err(failed));
    let mut vgs = Vec::new();
    for entry in entries.into_iter().flatten().flatten() {
        let note = fs::read(entry.path()).unwrap_or_default();
        let Ok(note) = serde_json::from_slice::<Note>(&note) else { continue };
        if mirror(Uuid(note.lv)).is_some() && !vgs.contains(&Uuid(note.vg)) {
            vgs.push(Uuid(note.vg));
        }
    }
    vgs
}

/// Forgets it.
pub(crate) fn forget_mirror(lv: Uuid) -> Result<()> {
    match fs::remove_file(mirror_path(&directory()?, lv)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

fn mirror_path(directory: &Path, lv: Uuid) -> PathBuf {
    directory.join(format!("{lv}.mirror"))
}

fn tuning_path(directory: &Path, lv: Uuid) -> PathBuf {
    directory.join(format!("{lv}.tuning"))
}

fn failed(error: std::io::Error) -> Error {
    Error::new(Kind::Kernel, "the directory /run/lvshift/ublk cannot be used").because(error)
}
