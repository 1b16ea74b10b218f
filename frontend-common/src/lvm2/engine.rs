//! A mirror of the front end's own, in place of the kernel's: the device of a move, `lvshiftN`, is then linear
//! onto the one that a daemon serves. See `docs/lvm2.md`.

use std::ops::Range;

use lvshift_core::units::{DeviceNumber, Uuid};
use lvshift_driver::CopyStatus;

use crate::error::Result;

/// What a daemon's own way to an image adds to the name of that image's device. The way is a device of its
/// own, so that the daemon has it alone while LVM2's device serves `lvshiftN` as well.
pub const PRIVATE_NAME: &str = "_ublk";
/// What it adds to the UUID. LVM2 leaves devices alone whose UUID goes on after its own.
pub const PRIVATE_UUID: &str = "-ublk";

/// Sectors before the mirrored ones on the device that is served. They answer with an error: whoever looks at
/// the start of every device must not find a file system or a PV there for the second time.
pub const HEAD: u64 = 2048;

/// A mirror that is to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The VG, as locks and daemons know it.
    pub vg: Uuid,
    /// The same as LVM2 spells it.
    pub vg_id: &'a str,
    /// The move.
    pub of: Uuid,
    /// `lvshiftN`, for messages.
    pub name: &'a str,
    /// The side that is copied from.
    pub source: DeviceNumber,
    /// The side that is copied to.
    pub destination: DeviceNumber,
    /// The log, in the kernel's form. Whoever holds it alone is the one mirror: LVM2 can load none beside it.
    pub log: DeviceNumber,
    /// How long both sides are.
    pub sectors: u64,
    /// Sectors of a region.
    pub region_size: u32,
    /// Where the source lies, in order.
    pub lies: Vec<Lies>,
}

/// A piece of a mirror's source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lies {
    /// The first sector of the mirror.
    pub sector: u64,
    /// The PV that has it.
    pub pv: Uuid,
    /// Its sector on the PV's device.
    pub on_pv: u64,
    /// How many follow there.
    pub sectors: u64,
}

/// A daemon that mirrors. Each may be asked for again after a failure.
pub trait Engine {
    /// Serves the device of this mirror, passing through to the source. Nothing is copied yet: until `lvshiftN` is
    /// on it, the application's writes pass it by. One that is served already is left.
    ///
    /// # Errors
    /// `Kind::InUse` while another process has one of the devices.
    fn serve(&mut self, wanted: &Wanted<'_>) -> Result<()>;

    /// Makes a device that passes through mirror, going on by what the log says; one that mirrors is left.
    ///
    /// # Errors
    /// `Kind::InUse` while another process has the log.
    fn mirror(&mut self, wanted: &Wanted<'_>) -> Result<()>;

    /// Whether the device that serves this move mirrors, and does not pass through.
    ///
    /// # Errors
    /// `Kind::Kernel` when the daemon does not answer.
    fn mirrors(&mut self, vg: Uuid, of: Uuid) -> Result<bool>;

    /// Whether it passes through to the destination.
    ///
    /// # Errors
    /// `Kind::Kernel` when the daemon does not answer.
    fn is_on_destination(&mut self, wanted: &Wanted<'_>) -> Result<bool>;

    /// The device that serves this move, after taking over what a dead daemon has left.
    ///
    /// # Errors
    /// `Kind::Kernel` when the daemon does not answer.
    fn device(&mut self, vg: Uuid, of: Uuid) -> Result<Option<DeviceNumber>>;

    /// How far its copy is. The next wait ends at a change after this look.
    ///
    /// # Errors
    /// `Kind::State` when none is served.
    fn status(&mut self, vg: Uuid, of: Uuid) -> Result<CopyStatus>;

    /// See [`lvshift_driver::Host::seal`]; flushes are acknowledged as before.
    ///
    /// # Errors
    /// When it cannot be told.
    fn seal(&mut self, vg: Uuid, of: Uuid) -> Result<bool>;

    /// Right before the first write of the commit of *Moved*: whether the seal holds, in the daemon that was
    /// sealed. From now on no flush is acknowledged until it is decided who is in charge.
    fn seal_again(&mut self, vg: Uuid, of: Uuid) -> bool;

    /// Says who is in charge now, so that what is held back can be told. Nothing to do where none is served.
    ///
    /// # Errors
    /// When the daemon does not answer.
    fn decide(&mut self, vg: Uuid, of: Uuid, destination: bool) -> Result<()>;

    /// The kernel's mirror is to go on from the log: nothing is copied any more and no bit of the log becomes clean,
    /// whichever daemon serves. Whether all that was under way has ended, and well. Only where the record says Copying.
    ///
    /// # Errors
    /// When the daemon does not answer.
    fn hand_over(&mut self, vg: Uuid, of: Uuid) -> Result<bool>;

    /// It is not to after all.
    ///
    /// # Errors
    /// When the daemon does not answer.
    fn keep(&mut self, vg: Uuid, of: Uuid) -> Result<()>;

    /// Ends it: its device is not in use any more. Nothing to do where none is served.
    ///
    /// # Errors
    /// When something of it is left that could still write.
    fn end(&mut self, vg: Uuid, of: Uuid) -> Result<()>;

    /// Sectors of the mirror that were compared since this was asked last, differed, and are copied again.
    fn differing(&mut self) -> Vec<Range<u64>>;

    /// Those that differ after that.
    fn differing_still(&self) -> Vec<Range<u64>>;

    /// Sectors of the mirror that the copy could not read, as of the last look, and the errors.
    fn unreadable(&self) -> Vec<(Range<u64>, i32)>;
}
