//! Waiting for a mover that a fail point kills, stops or lets go on.

use anyhow::{Result, ensure};

use super::fixture::HANG;
use crate::guest::{Background, Guest};

/// Waits until the process has stopped itself at its fail point.
///
/// # Errors
/// If it ends instead, or never stops.
pub(super) fn stopped_at(guest: &Guest, moving: &mut Background<'_>) -> Result<()> {
    guest.wait_for("the mover stops at its fail point", HANG, || {
        ensure!(moving.is_running()?, "it ended: {}{}", moving.stdout(), moving.stderr());
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", moving.pid()))?;
        Ok(stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T')))
    })
}
