//! What stands under `/run/lvshift/ublk`, kept in memory. It survives processes, not the power.

use std::cell::RefCell;
use std::collections::BTreeMap;

use lvshift_core::units::Uuid;
use lvshift_frontend_common::error::Result;

use super::host::{asked, host};
use crate::platform::Note;
use crate::protocol::{Kept, Tuning, WirePv};

thread_local! {
    static NOTES: RefCell<Vec<Note>> = const { RefCell::new(Vec::new()) };
    static TUNINGS: RefCell<BTreeMap<Uuid, Tuning>> = const { RefCell::new(BTreeMap::new()) };
}

pub(crate) fn note(note: &Note) -> Result<()> {
    asked("noting a device")?;
    NOTES.with(|notes| notes.borrow_mut().push(note.clone()));
    Ok(())
}

/// Gives the host these notes in the place of its own, which come back.
pub(crate) fn set_notes(notes: Vec<Note>) -> Vec<Note> {
    NOTES.with(|cell| cell.replace(notes))
}

pub(crate) fn forget(device: u32) -> Result<()> {
    NOTES.with(|notes| notes.borrow_mut().retain(|note| note.device != device));
    Ok(())
}

pub(crate) fn notes(vg: Uuid) -> Result<Vec<Note>> {
    Ok(NOTES.with(|notes| notes.borrow().iter().filter(|note| note.vg == vg.0).cloned().collect()))
}

pub(crate) fn mirror(_lv: Uuid) -> Option<Kept> {
    None
}

pub(crate) fn keep_mirror(_lv: Uuid, _kept: &Kept) -> Result<()> {
    Ok(())
}

pub(crate) fn mirrored() -> Vec<Uuid> {
    Vec::new()
}

pub(crate) fn forget_mirror(_lv: Uuid) -> Result<()> {
    Ok(())
}

pub(crate) fn tuning(lv: Uuid) -> Tuning {
    let kept = TUNINGS.with(|all| all.borrow().get(&lv).copied().unwrap_or_default());
    Tuning { deadline: kept.deadline.or(Some(host().deadline())), ..kept }
}

pub(crate) fn keep_tuning(lv: Uuid, tuning: &Tuning) -> Result<()> {
    asked("keeping how a move is tuned")?;
    TUNINGS.with(|all| all.borrow_mut().insert(lv, *tuning));
    Ok(())
}

pub(crate) fn forget_tuning(lv: Uuid) -> Result<()> {
    TUNINGS.with(|all| all.borrow_mut().remove(&lv));
    Ok(())
}

/// The simulator's devices are its own, and none of them hangs: they are scanned for.
pub(crate) fn note_pvs(_vg: Uuid, _pvs: &[WirePv]) -> Result<()> {
    Ok(())
}

pub(crate) fn forget_pvs(_vg: Uuid) {}

pub(crate) fn noted_pvs(_vg: Uuid) -> Vec<WirePv> {
    Vec::new()
}

/// The power was off.
pub(crate) fn clear() {
    TUNINGS.with(|all| all.borrow_mut().clear());
    NOTES.with(|notes| notes.borrow_mut().clear());
}
