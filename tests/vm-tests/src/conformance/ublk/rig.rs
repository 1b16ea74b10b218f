//! What the scenarios about ublk's own mirror share: volumes whose chunks have a chosen size, a
//! mirror that is held up, both of its legs, and what the kernel counted below.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lvshift_on_disk_format::record::MoveState;
use rustix::process::Signal;

use crate::conformance::fixture::wait::stopped_at;
use crate::conformance::fixture::{FAIL, HANG, Rig, VG};
use crate::guest::{Background, Guest, Region};

/// Long enough for a move on a busy machine.
pub(crate) const END: Duration = Duration::from_secs(60);

/// A VG with extents of this size, as on the command line. The chunks of a move are as long as its
/// shortest part (the largest power of two in it), so small extents make small chunks.
///
/// # Errors
/// If a command fails.
pub(crate) fn rig_of<'g>(guest: &'g Guest, devices: Vec<PathBuf>, extent: &str) -> Result<Rig<'g>> {
    let rig = Rig::found(guest, devices);
    let names: Vec<String> = (1..=rig.devices.len()).map(|n| rig.pv(n)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    guest.lvshift(&[&["pvcreate"], &names[..]].concat())?.ok()?;
    guest.lvshift(&[&["vgcreate", "-s", extent, VG], &names[..]].concat())?.ok()?;
    Ok(rig)
}

/// A move whose mover stands still before its first look at the legs: the copy goes on in the
/// daemon, and the mirror stays until the mover is let go.
pub(crate) struct HeldMove<'g> {
    guest: &'g Guest,
    moving: Background<'g>,
}

impl<'g> HeldMove<'g> {
    /// Starts it.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(crate) fn start(guest: &'g Guest, args: &[&str]) -> Result<HeldMove<'g>> {
        let env = [(FAIL, "stop:check-legs")];
        let args = [&["pvmove"], args].concat();
        let moving = guest.spawn_env(&env, guest.frontend().binary(), &args)?;
        Ok(HeldMove { guest, moving })
    }

    /// Waits until every chunk was equal once and the mover stands still.
    ///
    /// # Errors
    /// If the move ends instead, or takes too long.
    pub(crate) fn equal(&mut self) -> Result<()> {
        let end = Instant::now() + END;
        while let Err(error) = stopped_at(self.guest, &mut self.moving) {
            ensure!(self.moving.is_running()? && Instant::now() < end, error);
        }
        Ok(())
    }

    /// Lets it go, and waits for its good end.
    ///
    /// # Errors
    /// If it fails.
    pub(crate) fn finish(self) -> Result<()> {
        self.moving.signal(Signal::CONT)?;
        self.moving.wait(END)?.ok().map(drop)
    }
}

/// Waits until a move is mirrored: its record says Copying and the daemon shows a mirror.
///
/// # Errors
/// If it does not happen.
pub(crate) fn mirrored(rig: &Rig<'_>, lv: &str) -> Result<()> {
    rig.wait_for_state(MoveState::Copying)?;
    rig.guest.wait_for("the LV is mirrored", HANG, || {
        let run = rig.guest.lvshift(&["tables", &format!("{VG}/{lv}")])?;
        let live = run.stdout.lines().filter(|line| line.starts_with("live:"));
        Ok(live.into_iter().any(|line| line.contains(" mirror ")))
    })
}

/// Changes how the copies are made: `tune vg OPTIONS`.
///
/// # Errors
/// If the command fails.
pub(crate) fn tune(guest: &Guest, options: &[&str]) -> Result<()> {
    guest.lvshift(&[&["tune", VG], options].concat())?.ok().map(drop)
}

/// Both legs of every part that is being copied, source first.
///
/// # Errors
/// If the metadata cannot be read.
pub(crate) fn legs(rig: &Rig<'_>) -> Result<Vec<[Region; 2]>> {
    let meta = rig.meta()?;
    let leg = |pv: u16, pe: u32, count: u32| -> Result<Region> {
        let device = &meta.devices[usize::from(pv)];
        let sectors = u64::from(count) * meta.extent_sectors;
        Ok(Region::new(device, meta.sector_of(device, pe)?, sectors))
    };
    let copying = |of: u16| meta.moves[usize::from(of)].state == MoveState::Copying;
    let parts = meta.parts.iter().filter(|part| copying(part.of));
    parts
        .map(|part| {
            Ok([
                leg(part.source_pv, part.source_pe, part.count)?,
                leg(part.destination_pv, part.destination_pe, part.count)?,
            ])
        })
        .collect()
}

/// Fails unless both legs of everything that is being copied hold the same bytes. Only when all of
/// it is equal and nobody writes.
///
/// # Errors
/// The first sector that differs.
pub(crate) fn legs_are_equal(rig: &Rig<'_>) -> Result<()> {
    let legs = legs(rig)?;
    ensure!(!legs.is_empty(), "nothing is being copied");
    for [source, destination] in &legs {
        rig.guest.same_bytes(source, destination).context("the legs of a mirror")?;
    }
    let sectors: u64 = legs.iter().map(|[source, _]| source.sectors).sum();
    rig.guest.log(format!("both legs are equal: {sectors} sectors in {} parts", legs.len()));
    Ok(())
}

/// What the kernel counted on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) read_sectors: u64,
    pub(crate) written_sectors: u64,
    pub(crate) flushes: u64,
}

/// Reads what the kernel counted on a device.
///
/// # Errors
/// If it has no statistics.
pub(crate) fn counted(guest: &Guest, device: &Path) -> Result<Counted> {
    let path = format!("/sys/dev/block/{}/stat", guest.major_minor(device)?);
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    let &[_, _, read, _, _, _, written, _, _, _, _, _, _, _, _, flushes, _] = numbers.as_slice()
    else {
        anyhow::bail!("{path} has not the 17 numbers of Linux 5.5 and later: {text}");
    };
    Ok(Counted { read_sectors: read, written_sectors: written, flushes })
}

/// Bytes that differ from their neighbours and are never zero.
pub(crate) fn noise(seed: u64, bytes: &mut [u8]) {
    let mut state = seed | 1;
    for byte in bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        *byte = (state >> 56) as u8 | 1;
    }
}

/// What [`fill`] puts into the MiB at a sector.
pub(crate) fn pattern(seed: u64, sector: u64) -> Vec<u8> {
    let mut bytes = vec![0; 1 << 20];
    noise(seed, &mut bytes);
    // Each MiB another one.
    bytes[..8].copy_from_slice(&(sector | 1 << 63).to_le_bytes());
    bytes
}

/// Fills sectors of a device with noise, MiB by MiB.
///
/// # Errors
/// If a write fails.
pub(crate) fn fill(
    guest: &Guest,
    device: &Path,
    sector: u64,
    sectors: u64,
    seed: u64,
) -> Result<()> {
    for at in (sector..sector + sectors).step_by(2048) {
        let count = (sector + sectors - at).min(2048);
        guest.write_sectors(device, at, &pattern(seed, at)[..count as usize * 512])?;
    }
    Ok(())
}
