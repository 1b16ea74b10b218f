//! What stands under `/run/lvshift/ublk`: a socket and a lock for each VG's daemon, a note for each
//! device, by which a new daemon knows which LV `/dev/ublkbN` is, and how its copies are to be made.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File};
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use lvshift_core::units::Uuid;
use lvshift_frontend_common::error::{Error, Kind, Result};
use lvshift_frontend_common::lock::run_directory;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::platform::Note;
use crate::protocol::{Kept, Tuning, WirePv};

fn directory() -> Result<PathBuf> {
    let path = run_directory()?.join("ublk");
    match DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(failed(error)),
        _ => Ok(path),
    }
}

/// Where all notes and locks lie.
pub(super) fn directories() -> std::io::Result<[PathBuf; 2]> {
    let failed = std::io::Error::other;
    Ok([run_directory().map_err(failed)?, directory().map_err(failed)?])
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
    // What the device was before has no name any more.
    let before = OsString::from(format!("ublkb{}", note.device));
    let _ = fs::remove_file(name_path(&directory()?, &before));
    keep(&format!("ublkb{}", note.device), note)
}

/// Forgets a device.
pub(crate) fn forget(device: u32) -> Result<()> {
    drop_kept(&format!("ublkb{device}"))
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
    keep(&format!("{vg}.pvs"), pvs)
}

/// Forgets them: better no note than an old one.
pub(crate) fn forget_pvs(vg: Uuid) {
    let _ = drop_kept(&format!("{vg}.pvs"));
}

/// The devices that were noted; none where there is no note, or it makes no sense.
pub(crate) fn noted_pvs(vg: Uuid) -> Vec<WirePv> {
    kept(&format!("{vg}.pvs")).unwrap_or_default()
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

/// How an LV's copies are to be made, as was asked; gone with the next boot.
pub(crate) fn tuning(lv: Uuid) -> Tuning {
    kept(&format!("{lv}.tuning")).unwrap_or_default()
}

/// Keeps it for the next daemon.
pub(crate) fn keep_tuning(lv: Uuid, tuning: &Tuning) -> Result<()> {
    keep(&format!("{lv}.tuning"), tuning)
}

/// Forgets it.
pub(crate) fn forget_tuning(lv: Uuid) -> Result<()> {
    drop_kept(&format!("{lv}.tuning"))
}

/// What is served for a move in a VG of LVM2's: the next daemon serves it again, and then looks for who is in
/// charge.
pub(crate) fn mirror(lv: Uuid) -> Option<Kept> {
    kept(&format!("{lv}.mirror"))
}

/// Keeps it.
pub(crate) fn keep_mirror(lv: Uuid, mirror: &Kept) -> Result<()> {
    keep(&format!("{lv}.mirror"), mirror)
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
    drop_kept(&format!("{lv}.mirror"))
}

/// Writes a file of that name whole, or leaves what was there.
fn keep<T: Serialize + ?Sized>(name: &str, value: &T) -> Result<()> {
    let directory = directory()?;
    let scratch = directory.join(format!(".{name}"));
    let text = serde_json::to_vec(value).map_err(|error| failed(error.into()))?;
    let write = || -> std::io::Result<()> {
        File::create(&scratch)?.write_all(&text)?;
        fs::rename(&scratch, directory.join(name))
    };
    write().map_err(failed)
}

/// What was kept under that name; none where nothing was, or what makes no sense.
fn kept<T: DeserializeOwned>(name: &str) -> Option<T> {
    serde_json::from_slice(&fs::read(directory().ok()?.join(name)).ok()?).ok()
}

fn drop_kept(name: &str) -> Result<()> {
    match fs::remove_file(directory()?.join(name)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::new(Kind::Kernel, "the directory /run/lvshift/ublk cannot be used").because(error)
}
