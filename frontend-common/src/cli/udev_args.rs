//! What udev's rules ask.

use std::path::PathBuf;

use clap::Args;

/// `udev`.
#[derive(Args, Debug)]
#[command(after_help = "Example: udev /dev/sdb")]
pub struct Udev {
    /// The device.
    #[arg(value_name = "DEV")]
    pub device: PathBuf,
}
