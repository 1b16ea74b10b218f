//! Where the disks are the limit: QEMU holds them back, so a copy waits for them and not for the
//! emulated processor.

use anyhow::Result;

use super::contestant::Tool;
use super::lab::Lab;
use super::moves::{Way, measure};
use super::pace::{Case, beside};
use crate::scenario::DiskLimit;

/// A hard disk: what it does in one stream, and the seeks that it has for everybody.
pub(super) const HARD_DISK: DiskLimit = DiskLimit { mib: 120, requests: 250 };
/// A SATA SSD at a third of its speed: more than that an emulated guest cannot ask for.
pub(super) const SSD: DiskLimit = DiskLimit { mib: 180, requests: 3000 };
/// A small network volume of a cloud.
pub(super) const NETWORK_DISK: DiskLimit = DiskLimit { mib: 40, requests: 1500 };

const IDLE: &[Way] = &[
    Way::Raw,
    Way::Move(Tool::Lvm, "", &["-i1"]),
    Way::Move(Tool::Lvm, ", default", &[]),
    Way::Move(Tool::Dm, "", &[]),
    Way::Move(Tool::Dm, ", no read check", &["--skip-read-check"]),
    Way::Move(Tool::Ublk, "", &[]),
];

const BESIDE: &[Case] = &[
    ("pvmove", Tool::Lvm, &["-i1"], None),
    ("lvshift-dm", Tool::Dm, &[], None),
    ("lvshift-dm, unpaced", Tool::Dm, &["--pace=none"], None),
    ("lvshift-ublk", Tool::Ublk, &[], None),
    ("lvshift-ublk, unpaced", Tool::Ublk, &["--pace=none"], None),
];

/// So many MiB, first without anybody, then beside an application.
fn bound(lab: &mut Lab, full: u64) -> Result<()> {
    // An eighth would be over before a move has begun.
    let mib = if lab.scale.quick { full / 4 } else { full };
    lab.noise(mib)?;
    let disks = lab.disks.clone();
    for way in lab.turns(IDLE) {
        measure(lab, &disks, way, mib)?;
    }
    beside(lab, BESIDE, mib)
}

/// See [`HARD_DISK`].
pub(super) fn hard_disk(lab: &mut Lab) -> Result<()> {
    bound(lab, 1024)
}

/// See [`SSD`].
pub(super) fn ssd(lab: &mut Lab) -> Result<()> {
    bound(lab, 1024)
}

/// See [`NETWORK_DISK`].
pub(super) fn network_disk(lab: &mut Lab) -> Result<()> {
    bound(lab, 512)
}
