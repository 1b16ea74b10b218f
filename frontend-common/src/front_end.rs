//! What a front end must be able to do. The commands and the driver loop of a move are written
//! once, against this.

use std::ops::Range;
use std::path::PathBuf;

use lvshift_core::copier::Factor;
use lvshift_core::metadata::{LogImage, Lv, MovePart};
use lvshift_core::mover::{Live, Mapping};
use lvshift_core::units::{DeviceNumber, LvIndex, MoveIndex, Uuid};
use lvshift_core::{Leg, LegFault};

pub use lvshift_driver::{Aside, CopyStatus, Wake};

use crate::counted::Counted;
use crate::error::{Error, Kind, Result};
use crate::lvm2::mapper::Mapper;
use crate::pv::{Member, Members};
use crate::vg::Vg;

/// An LV that has a device.
#[derive(Clone, Debug)]
pub struct ActiveLv {
    /// Its number; never changes while it is active.
    pub number: DeviceNumber,
    /// The node of the device itself (`/dev/dm-3`, `/dev/ublkb0`).
    pub node: PathBuf,
    /// How many openers it has.
    pub open_count: u32,
    /// I/O to it is stopped.
    pub suspended: bool,
}

/// A VG's metadata together with the opened devices of its PVs: what a table is made from.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The metadata as committed.
    pub vg: &'a Vg,
    /// Its PVs' devices, identified and size-checked.
    pub members: &'a Members,
}

impl<'a> View<'a> {
    /// The LV at this index.
    ///
    /// # Errors
    /// [`Kind::Inconsistent`] where there is none.
    pub fn lv(self, lv: LvIndex) -> Result<&'a Lv> {
        let gone = || Error::new(Kind::Inconsistent, "the LV is not in the VG any more");
        self.vg.lv(lv).ok_or_else(gone)
    }

    /// Where a part's dirty log lies, and the PV's device.
    ///
    /// # Errors
    /// [`Kind::Missing`] where the PV is; [`Kind::Inconsistent`] where the log is outside of its area.
    pub fn log_image(self, part: &MovePart) -> Result<(&'a Member, LogImage)> {
        let missing = || Error::new(Kind::Missing, "the PV with the dirty log is missing");
        let member = self.members.get(part.destination.pv).ok_or_else(missing)?;
        let wrong = || Error::new(Kind::Inconsistent, "a dirty log is outside of its area");
        Ok((member, self.vg.log_image(part).ok_or_else(wrong)?))
    }
}

/// How the copy of a move is to be made, by a front end that makes it itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// At most so many bytes a second; `None` leaves it as it is.
    pub max_rate: Option<u64>,
    /// What the LV's users may feel of it; `None` leaves it as it is, which is at first
    /// [`Felt::Within`] of 1.5, or [`Felt::Any`] where there is a `max_rate`.
    pub felt: Option<Felt>,
    /// At least so many bytes a second where `felt` would make it slower; `None` leaves it as it is, at
    /// first 1 MiB.
    pub min_rate: Option<u64>,
    /// Writes to chunks that are not copied yet go to the source alone (device-mapper's rule)
    /// instead of waiting for the copy and then going to both sides; `None` leaves it as it is.
    pub source_first: Option<bool>,
    /// A destination that has not answered for so many seconds has failed, 0 for never; `None` leaves it as
    /// it is, which is at first 30.
    pub deadline: Option<u32>,
}

impl Pace {
    /// Whether the LV's users are made way for: they are unless it was said that they need not.
    #[must_use]
    pub fn is_polite(self) -> bool {
        self.felt != Some(Felt::Any)
    }
}

/// What the users of an LV may feel of its copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Felt {
    /// Whatever it costs them.
    Any,
    /// The 99th percentile of their latencies stays within this factor of what it is without the copy.
    Within(Factor),
}

/// A bad place that a diagnosis found, for the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPlace {
    /// On which side.
    pub leg: Leg,
    /// The PV's UUID.
    pub pv: Uuid,
    /// The 512-byte sectors on the PV's device.
    pub device_sectors: Range<u64>,
    /// The LV whose data it is.
    pub lv: Uuid,
    /// The same sectors, counted on the LV.
    pub lv_sectors: Range<u64>,
    /// The error in words.
    pub error: String,
}

impl BadPlace {
    /// What is said of sectors that were compared and are not the same on both sides.
    #[must_use]
    pub fn differs(again: bool) -> String {
        let text = if again {
            "it differs from the source after it was copied again"
        } else {
            "it differed from the source"
        };
        text.to_owned()
    }
}

/// A run of 512-byte sectors of a PV's device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PvSectors {
    /// The PV's UUID.
    pub pv: Uuid,
    /// The sectors.
    pub sectors: Range<u64>,
}

/// The operations in which the front ends differ. LV arguments are indices into `view.vg`.
pub trait FrontEnd {
    /// `lvshift-dm` or `lvshift-ublk`.
    fn name(&self) -> &'static str;

    /// Whether it serves from a daemon, and so has commands for that beside the shared ones.
    fn has_daemon(&self) -> bool {
        false
    }

    /// Has I/O go on that waits for a process of this front end which is dead: whoever reads every device, as LVM2
    /// does, would wait with it.
    fn revive(&mut self) {}

    /// From now on nothing is changed, repaired, resumed or held: the command is a report.
    fn look_only(&mut self) {}

    /// Says before the first change whether the kernel can do it.
    fn check_kernel(&mut self, for_a_move: bool) -> Result<()>;

    /// What it has counted itself of the requests to a VG's LVs; `None` where the kernel serves them.
    fn counted(&mut self, vg: Uuid) -> Option<Counted> {
        let _ = vg;
        None
    }

    /// The other front end of this host, to look at what it serves: for a report about the whole host.
    fn beside(&mut self) -> Option<&mut dyn FrontEnd> {
        None
    }

    /// The names of the VG and the LV that this device is, if it is one of this front end.
    fn lv_at(&mut self, device: DeviceNumber) -> Result<Option<(String, String)>> {
        let _ = device;
        Ok(None)
    }

    /// Device-mapper, for moves in VGs of LVM2's own.
    ///
    /// # Errors
    /// `Kind::Unsupported` for a front end that makes none.
    fn lvm2(&mut self) -> Result<&mut dyn Mapper> {
        let what = format!("{} does not move in VGs of LVM2's own yet", self.name());
        Err(Error::new(Kind::Unsupported, what).state("nothing was changed").next("use lvshift-dm"))
    }

    /// The LV's device, if it has one.
    fn active(&mut self, vg: &Vg, lv: LvIndex) -> Result<Option<ActiveLv>>;

    /// Gives the LV a device with the table `mapping` and, unless `private`, the link
    /// `/dev/VG/LV`. For `Mapping::Mirrored` the shadow and the logs are made first.
    fn activate(
        &mut self,
        view: View<'_>,
        lv: LvIndex,
        mapping: Mapping,
        private: bool,
    ) -> Result<ActiveLv>;

    /// Takes the LV's device down, with the shadow and logs of a move if there are any. Fails
    /// with `Kind::InUse` while it is open.
    fn deactivate(&mut self, vg: &Vg, lv: LvIndex) -> Result<()>;

    /// Says before the metadata change whether the device of an active LV can be made larger.
    ///
    /// # Errors
    /// `Kind::Unsupported` where it cannot.
    fn check_growth(&mut self) -> Result<()> {
        Ok(())
    }

    /// Loads and swaps in the table of the present metadata, after an extension.
    fn refresh(&mut self, view: View<'_>, lv: LvIndex) -> Result<()>;

    /// Gives the device and its link the LV's present name; `old` is the one it had.
    fn rename(&mut self, vg: &Vg, lv: LvIndex, old: &str) -> Result<()>;

    /// What the LV's device shows with respect to a move.
    fn observe(&mut self, view: View<'_>, of: MoveIndex, lv: LvIndex) -> Result<Live>;

    /// See `Action::CreateShadow`.
    fn create_shadow(&mut self, view: View<'_>, of: MoveIndex, lv: LvIndex) -> Result<()>;

    /// See `Action::Load`. Creates the LV's device, private, if it has none.
    fn load(&mut self, view: View<'_>, of: MoveIndex, lv: LvIndex, mapping: Mapping) -> Result<()>;

    /// See `Action::Swap`.
    fn swap(&mut self, view: View<'_>, of: MoveIndex, lv: LvIndex, mapping: Mapping) -> Result<()>;

    /// See `Action::RemoveShadow`.
    fn remove_shadow(&mut self, view: View<'_>, of: MoveIndex, lv: LvIndex) -> Result<()>;

    /// Whether a sector of the source that the copy cannot read costs the LV's users that sector and
    /// nothing else. Where it may cost more, the source is read once before a move.
    fn isolates_read_errors(&self) -> bool {
        false
    }

    /// How far the copy of this move is, read now.
    fn copy_status(&mut self, view: View<'_>, of: MoveIndex) -> Result<CopyStatus>;

    /// How the destination has failed until now, where that can be after it was sealed: see `Action::CheckDestination`.
    fn check_destination(&mut self, view: View<'_>, of: MoveIndex) -> Result<Option<LegFault>> {
        let _ = (view, of);
        Ok(None)
    }

    /// Makes sure, where writes pass through the front end, that from now until a table is loaded
    /// no write is acknowledged that the destination does not take. False if not all of the move
    /// was equal and healthy at that moment; then nothing has changed. `for_commit`: the commit
    /// follows at once, and no flush is acknowledged before it is decided.
    fn seal(&mut self, view: View<'_>, of: MoveIndex, for_commit: bool) -> Result<bool> {
        let _ = (view, of, for_commit);
        Ok(true)
    }

    /// Seals once more for the commit of `Moved`, under the metadata lock and right before it is
    /// written: `false` if what [`FrontEnd::seal`] promised does not hold any more. Waits for nothing
    /// who may wait for the lock.
    fn seal_again(&mut self, vg: &Vg, of: MoveIndex) -> bool {
        let _ = (vg, of);
        true
    }

    /// The places that the copy of this move could not read, as of the last `copy_status`, where
    /// the front end makes the copy itself and knows.
    fn bad_places(&mut self, view: View<'_>, of: MoveIndex) -> Vec<BadPlace> {
        let _ = (view, of);
        Vec::new()
    }

    /// The places on the destination that were compared since this was asked last, differed from the source, and
    /// are copied again.
    fn differing(&mut self, view: View<'_>, of: MoveIndex) -> Vec<BadPlace> {
        let _ = (view, of);
        Vec::new()
    }

    /// Has the moves that come now count as equal only once both sides were read and compared while no write
    /// could be between, where the mirror is the front end's own.
    fn verify(&mut self) {}

    /// Whether it does that; else both sides are compared from outside of the mirror.
    fn verifies(&self) -> bool {
        false
    }

    /// Blocks until the copy changes, a signal comes, or `timeout` passes. Never misses a change
    /// that came after the last `copy_status`.
    fn wait(&mut self, timeout: Option<std::time::Duration>) -> Result<Wake>;

    /// Gives up sectors of sources for the moves that come now: where one of them cannot be read, its copy is
    /// zeroes. Without any it says whether this front end can.
    ///
    /// # Errors
    /// `Kind::Unsupported` where the kernel makes the copy.
    fn give_up(&mut self, places: &[PvSectors]) -> Result<()> {
        let _ = places;
        let name = self.name();
        let what = format!("{name} cannot fill what cannot be read: the kernel makes its copy");
        Err(Error::new(Kind::Unsupported, what).state("nothing was changed").next(
            "`lvshift-ublk pvmove --fill-unreadable zero` can, in LVM2's VGs while the LV is in use; an LV of \
             lvshift's own is deactivated and then activated with lvshift-ublk before",
        ))
    }

    /// How the copies of the moves that come now are to be made.
    ///
    /// # Errors
    /// `Kind::Unsupported` where something is asked for and the kernel makes the copy.
    fn set_pace(&mut self, pace: Pace) -> Result<()> {
        by_the_kernel(self.name(), pace)
    }
}

/// What of a pace can be had where the kernel makes the copy: nothing that is asked for, but that it may cost
/// what it costs.
///
/// # Errors
/// `Kind::Unsupported` for the rest.
pub fn by_the_kernel(name: &str, pace: Pace) -> Result<()> {
    // Whatever it costs: that is the kernel's way.
    if (Pace { felt: pace.felt.filter(|&felt| felt != Felt::Any), ..pace }) == Pace::default() {
        return Ok(());
    }
    let what = format!("{name} cannot pace the copy: the kernel makes it");
    let mut error = Error::new(Kind::Unsupported, what).state("nothing was changed");
    if matches!(pace.felt, Some(Felt::Within(_))) {
        // Said in full: that the kernel has a throttle is known, and that it does harm is not.
        error = error.because(
            "the kernel gets its copy in stages, with pauses for the LV's users between, unless --pace=none; \
             within a stage it cannot be slowed: its one throttle (dm_mirror's raid1_resync_throttle) sleeps \
             while it holds a chunk, and is for all mirrors of the machine at once (docs/ublk.md)",
        );
    }
    Err(error.next(
        "use lvshift-ublk, or leave --pace, --max-rate, --min-rate, --write-policy and --deadline out",
    ))
}
