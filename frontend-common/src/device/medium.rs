//! What a simulated device is made of.

use std::io;

use lvshift_core::units::Sectors;

/// A disk that the simulator makes up.
pub trait Medium: std::fmt::Debug + Send + Sync {
    /// How many sectors it has.
    fn size(&self) -> Sectors;
    /// Fills `buffer`.
    ///
    /// # Errors
    /// As the disk likes.
    fn read(&self, start: Sectors, buffer: &mut [u8]) -> io::Result<()>;
    /// Takes all of `buffer`, into its cache.
    ///
    /// # Errors
    /// As the disk likes.
    fn write(&self, start: Sectors, buffer: &[u8]) -> io::Result<()>;
    /// Makes its cache durable.
    ///
    /// # Errors
    /// As the disk likes.
    fn flush(&self) -> io::Result<()>;
}
