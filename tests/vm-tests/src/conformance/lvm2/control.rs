//! The control: LVM2's own pvmove under the first two faults of `fault/disks.rs`.
//!
//! It is known to lose data there and to end with status 0. If it does not, the injection does not
//! work, and what `fault/disks.rs` proves is worth nothing.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::conformance::fixture;
use crate::guest::{Faulty, Guest};
use crate::scenario::{Frontend, Scenario};
use crate::writer::{Config, Writer};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "control-source-unreadable",
        about: "LVM2's pvmove loses data silently where fault-source-unreadable does not",
        frontends: Frontend::DM,
        disks: fixture::TWO,
        run: |guest| control(guest, Fault::Source),
        ..Scenario::DEFAULT
    },
    Scenario {
        name: "control-destination-unwritable",
        about: "LVM2's pvmove loses data silently where fault-destination-unwritable does not",
        frontends: Frontend::DM,
        disks: fixture::TWO,
        run: |guest| control(guest, Fault::Destination),
        ..Scenario::DEFAULT
    },
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Source,
    Destination,
}

/// Runs LVM2 on these two devices alone: else it finds its PVs a second time on the disks below.
fn lvm(guest: &Guest, args: &[&str]) -> Result<String> {
    let only = ["--devices", "/dev/mapper/faulty-pv1,/dev/mapper/faulty-pv2"];
    let limit = Duration::from_secs(50);
    Ok(guest.spawn_env(&[], "lvm", &[args, &only].concat())?.wait(limit)?.ok()?.stdout)
}

fn first_data_sector(guest: &Guest, pv: &Faulty<'_>) -> Result<u64> {
    let args = ["pvs", "--noheadings", "--nosuffix", "--units", "s", "-o", "pe_start", &pv.arg()];
    let text = lvm(guest, &args)?;
    let text = text.trim().split('.').next().unwrap_or_default().to_owned();
    text.parse().with_context(|| format!("pe_start {text:?}"))
}

fn control(guest: &mut Guest, fault: Fault) -> Result<()> {
    let (mut one, mut two) = (guest.faulty("pv1")?, guest.faulty("pv2")?);
    guest.modprobe("dm-mirror")?;
    lvm(guest, &["vgcreate", "-s", "1m", "cvg", &one.arg(), &two.arg()])?;
    lvm(guest, &["lvcreate", "-an", "-Zn", "-Wn", "-l8", "-n", "lv", "cvg", &one.arg()])?;
    lvm(guest, &["lvchange", "-ay", "cvg/lv"])?;
    let lv = Path::new("/dev/mapper/cvg-lv");
    let writer = Writer::start(Config::new(lv, 601))?;
    fixture::served(&writer)?;
    writer.pause();
    match fault {
        Fault::Source => one.bad_reads(first_data_sector(guest, &one)? + 10_000, 8)?,
        Fault::Destination => two.bad_writes(first_data_sector(guest, &two)? + 10_000, 8)?,
    }
    // Status 0 is checked by `lvm`: it says that all went well.
    lvm(guest, &["pvmove", "-i1", &one.arg(), &two.arg()])?;
    one.good()?;
    two.good()?;
    guest.drop_caches()?;
    let outcome = writer.stop()?;
    guest.log(format!("LVM2's pvmove: {} wrong sectors", outcome.counters.mismatches));
    ensure!(
        outcome.counters.mismatches > 0,
        "LVM2's pvmove lost nothing: the injection does not work, or LVM2 has learnt"
    );
    lvm(guest, &["vgchange", "-an", "cvg"]).map(drop)
}
