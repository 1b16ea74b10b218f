//! What device-mapper must do for a VG of LVM2's: its devices by UUID, tables word for word.

use std::time::Duration;

use lvshift_core::units::DeviceNumber;
use lvshift_driver::Wake;

use super::engine::Engine;
use super::table::Line;
use crate::error::Result;

/// A device as the kernel tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its name now; LVM2 may have renamed it.
    pub name: String,
    /// Its number, which never changes.
    pub number: DeviceNumber,
    /// How many have it open: file systems, and tables that name it.
    pub open_count: u32,
    /// It has a table.
    pub live: bool,
    /// Another table waits in its inactive slot: the next resume, whoever's, switches to it.
    pub loaded: bool,
}

/// Device-mapper. Devices are named by UUID; `shown` is for messages.
pub trait Mapper {
    /// The front end's own mirror; `None` where the kernel's is used.
    fn engine(&mut self) -> Option<&mut dyn Engine> {
        None
    }

    /// Refuses a kernel that cannot mirror.
    ///
    /// # Errors
    /// `Kind::Kernel`.
    fn check(&mut self) -> Result<()>;

    /// The device with this UUID.
    ///
    /// # Errors
    /// `Kind::Kernel`.
    fn find(&mut self, uuid: &str) -> Result<Option<Device>>;

    /// A device without a table.
    ///
    /// # Errors
    /// `Kind::Exists` when another has the name.
    fn create(&mut self, name: &str, uuid: &str) -> Result<()>;

    /// The live table.
    ///
    /// # Errors
    /// `Kind::Kernel`.
    fn table(&mut self, uuid: &str) -> Result<Vec<Line>>;

    /// The status of each line of the live table, in `params`.
    ///
    /// # Errors
    /// `Kind::Kernel`.
    fn status(&mut self, uuid: &str) -> Result<Vec<Line>>;

    /// Puts a table into the inactive slot; it must read back word for word.
    ///
    /// # Errors
    /// `Kind::Kernel`, `Kind::Inconsistent`.
    fn load(&mut self, uuid: &str, shown: &str, table: &[Line]) -> Result<()>;

    /// Switches to the loaded table in one ioctl, without flushing what a mirror holds back; then this must
    /// be the live one.
    ///
    /// # Errors
    /// `Kind::Kernel`, `Kind::Inconsistent`.
    fn swap(&mut self, uuid: &str, shown: &str, table: &[Line]) -> Result<()>;

    /// Takes a device down that is not open.
    ///
    /// # Errors
    /// `Kind::InUse`.
    fn remove(&mut self, uuid: &str, shown: &str) -> Result<()>;

    /// Takes a device down when the last opener closes it.
    ///
    /// # Errors
    /// `Kind::Kernel`.
    fn remove_deferred(&mut self, uuid: &str, shown: &str) -> Result<()>;

    /// From now on a change of any device ends [`Mapper::wait`].
    ///
    /// # Errors
    /// `Kind::Kernel`.
    fn arm(&mut self) -> Result<()>;

    /// Blocks until a device changes, something is wanted of the mover, or the time is over.
    ///
    /// # Errors
    /// `Kind::Kernel`.
    fn wait(&mut self, timeout: Option<Duration>) -> Result<Wake>;
}
