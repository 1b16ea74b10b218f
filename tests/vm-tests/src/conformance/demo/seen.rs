//! Where the demo looks, and what it calls what it sees: device-mapper in the kernel, or the daemon.

use anyhow::{Result, ensure};

use crate::guest::Guest;
use crate::scenario::Frontend;

/// The LV's name in the kernel.
const DM: &str = "vg-lv";
/// The LV's name for `lvshift-ublk`.
const UBLK: &str = "vg/lv";

/// What is said of the same picture.
pub(super) struct Words {
    pub(super) swapped: &'static str,
    pub(super) copies: &'static str,
    pub(super) gone: &'static str,
    /// What the copy is counted in.
    pub(super) unit: &'static str,
}

pub(super) const fn words(guest: &Guest) -> Words {
    match guest.frontend() {
        Frontend::Dm => Words {
            swapped: "\nThe LV's table was swapped in one step, with the file system mounted: where \
                      nothing\nmoves the LV leads to a second device with its old table; PV2's part \
                      is a mirror.\n",
            copies: "The kernel copies. A chunk that is copied gets every write twice from then on.",
            gone: "swapped again. The second device is gone:\n",
            unit: "chunks",
        },
        Frontend::Ublk => Words {
            swapped: "\nThe daemon swapped the LV's table in one step, with the file system mounted: \
                      where\nnothing moves the LV leads to its old table, the shadow; PV2's part is a \
                      mirror.\nBoth tables are in the daemon; the kernel sees one device.\n",
            copies: "The daemon copies. A chunk that is copied gets every write twice from then on.",
            gone: "swapped again. The shadow is gone:\n",
            unit: "MiB",
        },
    }
}

/// Further arguments of `pvmove`: the kernel's copy can be watched, the daemon's would be over.
pub(super) const fn rate(guest: &Guest) -> &'static [&'static str] {
    match guest.frontend() {
        Frontend::Dm => &[],
        Frontend::Ublk => &["--max-rate", "24m"],
    }
}

/// The LV's table as it is now.
pub(super) fn live(guest: &Guest) -> Result<String> {
    if guest.frontend() == Frontend::Dm {
        return guest.dm_table(DM);
    }
    let run = guest.lvshift(&["tables", UBLK])?.ok()?;
    let lines = run.stdout.lines().filter_map(|line| line.strip_prefix("live: "));
    Ok(lines.map(|line| format!("{line}\n")).collect())
}

/// Shows the LV's table, and the shadow's where they are together.
pub(super) fn tables_shown(guest: &Guest) -> Result<()> {
    let (command, text) = match guest.frontend() {
        Frontend::Dm => (format!("dmsetup table {DM}"), guest.dm_table(DM)?),
        Frontend::Ublk => {
            (format!("lvshift-ublk tables {UBLK}"), guest.lvshift(&["tables", UBLK])?.ok()?.stdout)
        }
    };
    guest.show(format!("  # {command}\n"));
    text.lines().for_each(|line| guest.show(format!("  {line}\n")));
    Ok(())
}

/// How much of so many MiB is copied, and all, in the unit of [`Words`]; `None` if nothing is any more.
pub(super) fn copied(guest: &Guest, all_mib: u64) -> Result<Option<(u64, u64)>> {
    if guest.frontend() == Frontend::Dm {
        return Ok(chunks(&guest.dm_status(DM)?));
    }
    let run = guest.lvshift(&["lvs", "--noheadings", "-o", "copy_percent", UBLK])?.ok()?;
    let percent: Option<f64> = run.stdout.trim().parse().ok();
    Ok(percent.map(|percent| ((percent * all_mib as f64 / 100.0) as u64, all_mib)))
}

/// Fails if anything is there that only a move needs.
pub(super) fn nothing_left(guest: &Guest) -> Result<()> {
    if guest.frontend() == Frontend::Dm {
        let devices = guest.dm_devices()?;
        ensure!(devices.len() == 1, "helper devices are left: {devices:?}");
        return Ok(());
    }
    let tables = guest.lvshift(&["tables", UBLK])?.ok()?;
    ensure!(
        tables.stdout.lines().all(|line| line.starts_with("live: ")),
        "tables are left: {tables}"
    );
    let names = std::fs::read_dir("/sys/block")?.flatten().map(|entry| entry.file_name());
    let devices = names.filter(|name| name.to_string_lossy().starts_with("ublkb")).count();
    ensure!(devices == 1, "{devices} ublk devices");
    Ok(())
}

/// Chunks in step, and all, over the mirrors of a status; `None` if it has no mirror.
pub(super) fn chunks(status: &str) -> Option<(u64, u64)> {
    let mirrors = status.lines().filter(|line| line.split(' ').nth(2) == Some("mirror"));
    let counts = mirrors.filter_map(|line| {
        let (done, all) = line.split(' ').skip(3).find_map(|word| word.split_once('/'))?;
        Some((done.parse::<u64>().ok()?, all.parse::<u64>().ok()?))
    });
    counts.reduce(|sum, one| (sum.0 + one.0, sum.1 + one.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_added_up() {
        let status = "0 10 linear \n10 10 mirror 2 254:0 254:1 3/32 1 AA 3 disk 254:2 A\n\
                      20 10 mirror 2 254:0 254:1 1/8 1 AA 1 core\n";
        assert_eq!(chunks(status), Some((4, 40)));
        assert_eq!(chunks("0 10 linear \n"), None);
    }
}
