//! A copy that lasts: what is done in mid-copy must be done in mid-copy, however fast a front end and
//! the machine are.
//!
//! The kernel's copy has no limit of its own, so on device-mapper the destination is made slow. That of
//! lvshift-ublk is limited with `--max-rate`: many times slower than any command here takes.

use anyhow::{Result, bail};
use lvshift_on_disk_format::record::MoveState;

use super::fixture::{DATA, HANG, Rig, VG};
use crate::guest::{Faulty, Guest};
use crate::scenario::Frontend;

/// A chunk of 2 MiB every eight seconds.
const SLOW: &[&str] = &["--max-rate", "256k"];

impl Rig<'_> {
    /// From now on a move to this destination takes its time: on device-mapper each write of data takes
    /// `ms`, on ublk the moves that [`Rig::spawn_move`] begins are limited.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub(super) fn slow_copy(&self, destination: &Faulty<'_>, ms: u32) -> Result<()> {
        match self.guest.frontend() {
            Frontend::Dm => slow_data(self.guest, destination, ms),
            Frontend::Ublk => {
                self.limit.set(SLOW);
                Ok(())
            }
        }
    }

    /// The destination works and a copy is as fast as it goes, also one that runs already.
    ///
    /// # Errors
    /// If the kernel or the front end refuses.
    pub(super) fn full_speed(&self, destination: &mut Faulty<'_>) -> Result<()> {
        destination.good()?;
        self.unlimited()
    }

    /// On ublk, takes the limit of [`Rig::slow_copy`] away, and leaves the destination as it is.
    ///
    /// # Errors
    /// If the front end refuses.
    pub(super) fn unlimited(&self) -> Result<()> {
        if !self.limit.replace(&[]).is_empty() {
            self.guest.lvshift(&["tune", VG, "--max-rate", "none"])?.ok()?;
        }
        Ok(())
    }

    /// What a `pvmove` that is begun now gets as further arguments.
    pub(super) fn rate_limit(&self) -> &'static [&'static str] {
        self.limit.get()
    }

    /// Waits until some chunks are equal and some are not.
    ///
    /// # Errors
    /// If it does not happen, or is over.
    pub(super) fn wait_for_mid_copy(&self) -> Result<()> {
        self.guest.wait_for("the move is in mid-copy", HANG, || {
            // While it is being written it may disagree for a moment.
            let Ok(meta) = self.meta() else { return Ok(false) };
            if !meta.states().contains(&MoveState::Copying) {
                return Ok(false);
            }
            let (done, all) = match self.guest.frontend() {
                Frontend::Dm => {
                    let (clean, all) = meta.clean_chunks(self.guest).unwrap_or_default();
                    (f64::from(clean), f64::from(all))
                }
                // Its log names what a crash may forget, and a chunk that is written all the time
                // stays in there: the daemon knows better what is equal.
                Frontend::Ublk => (self.percent()?, 100.0),
            };
            if all > 0.0 && done >= all {
                bail!("all is equal: mid-copy is over");
            }
            Ok(done > 0.0)
        })
    }

    /// How much of the moves is equal, as `lvs` says; 0 if nothing moves yet.
    ///
    /// # Errors
    /// If the report cannot be had.
    pub(super) fn percent(&self) -> Result<f64> {
        let run = self.guest.lvshift(&["lvs", "--noheadings", "-o", "copy_percent", VG])?.ok()?;
        Ok(run.stdout.split_whitespace().find_map(|word| word.parse().ok()).unwrap_or(0.0))
    }
}

/// Makes every write to the data area of the disk behind `disk` that much slower; labels, metadata
/// and dirty log stay as fast as they were. 0 is as before.
///
/// # Errors
/// If the kernel refuses.
pub(super) fn slow_data(guest: &Guest, disk: &Faulty<'_>, ms: u32) -> Result<()> {
    let (lower, rest) = (disk.lower().display(), disk.sectors() - DATA);
    let data = if ms == 0 {
        format!("{DATA} {rest} linear {lower} {DATA}")
    } else {
        format!("{DATA} {rest} delay {lower} {DATA} 0 {lower} {DATA} {ms}")
    };
    guest.dm_reload(disk.name(), &format!("0 {DATA} linear {lower} 0\n{data}"))
}
