//! What only a front end that serves from a daemon takes: `tables`, `tune`, `verify`, `upgrade`, `daemon`.

use clap::{Args, Subcommand};

use lvshift_core::copier::Factor;
use lvshift_core::units::Uuid;

use super::pv_args::WritePolicy;
use super::values::{OrNone, factor_or_none};
use crate::requests::parse_uuid;
use crate::size::Size;

/// The commands that stand beside LVM's in `lvshift-ublk`.
#[derive(Debug, Subcommand)]
pub enum OwnCommand {
    /// Show the mapping tables that an LV's device has, in the manner of dmsetup table.
    Tables(Tables),
    /// Change how the running copies of a VG are made.
    Tune(Tune),
    /// Compare both sides of what is being moved, while it is in use.
    Verify(Verify),
    /// Hand what the daemon mirrors in a VG of LVM2's over to the kernel's mirror, in use as it is.
    HandOver(HandOver),
    /// Replace the daemon of VGs by this version, without a stop.
    Upgrade(Upgrade),
    /// Serve the LVs of one VG (systemd and the other commands start it).
    Daemon(Daemon),
}

/// `tables`.
#[derive(Args, Debug)]
#[command(after_help = "Example: tables vg0/home")]
pub struct Tables {
    /// The LV.
    #[arg(value_name = "VG/LV")]
    pub lv: String,
}

/// `verify`.
#[derive(Args, Debug)]
#[command(
    after_help = "Sectors that differ are copied again from the source, which is in charge; what differs then \
undoes the move. Status 5 if anything differed.\n\nExample: verify vg0/home"
)]
pub struct Verify {
    /// An LV, or a VG: all of its LVs that move.
    #[arg(value_name = "VG[/LV]")]
    pub name: String,
}

/// `tune`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  tune vg0 --max-rate 50m\n  tune vg0 --pause\n  \
    tune vg0 --resume --max-rate none")]
pub struct Tune {
    /// The VG.
    #[arg(value_name = "VG")]
    pub vg: String,
    /// Copy at most so many bytes a second (suffixes as for sizes); none: as fast as it goes.
    #[arg(long, value_name = "BYTES|none")]
    pub max_rate: Option<OrNone<Size>>,
    /// Copy only so fast that the LV's users feel little; none: whatever it costs.
    ///
    /// The 99th percentile of the LV's latencies stays within FACTOR of what it is without the copy.
    #[arg(long, value_name = "FACTOR|none", value_parser = factor_or_none)]
    pub pace: Option<OrNone<Factor>>,
    /// Copy at least so many bytes a second where a pace would make it slower; none: 1 MiB.
    #[arg(long, value_name = "BYTES|none")]
    pub min_rate: Option<OrNone<Size>>,
    /// What a write to a place that is not copied yet does.
    #[arg(long, value_enum, value_name = "POLICY")]
    pub write_policy: Option<WritePolicy>,
    /// A destination that has not answered for so many seconds has failed; none: it may take for ever.
    #[arg(long, value_name = "SECONDS|none")]
    pub deadline: Option<OrNone<u32>>,
    /// Stop copying until --resume. What is copied already stays so.
    #[arg(long)]
    pub pause: bool,
    /// Go on copying.
    #[arg(long, conflicts_with = "pause")]
    pub resume: bool,
}

/// `hand-over`.
#[derive(Args, Debug)]
#[command(
    after_help = "lvshift-dm pvmove does this by itself where it carries on what lvshift-ublk has begun. The copy \
goes on from where it is.\n\nExample: hand-over vg0"
)]
pub struct HandOver {
    /// The VG.
    #[arg(value_name = "VG")]
    pub vg: String,
}

/// `upgrade`.
#[derive(Args, Debug)]
#[command(after_help = "Example: upgrade vg0")]
pub struct Upgrade {
    /// The VG; default: all.
    #[arg(value_name = "VG")]
    pub vg: Option<String>,
}

/// `daemon`.
#[derive(Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "This is not typed: the first LV that is activated starts its VG's daemon, as the unit \
lvshift-ublk@UUID.service where systemd runs.\n\nExample: daemon --foreground --vg \
01234567-89ab-cdef-0123-456789abcdef"
)]
pub struct Daemon {
    /// The UUID of the VG.
    #[arg(long, value_name = "UUID", value_parser = uuid)]
    #[cfg_attr(feature = "failpoints", arg(required_unless_present = "failpoints"))]
    #[cfg_attr(not(feature = "failpoints"), arg(required = true))]
    pub vg: Option<Uuid>,
    /// Stay in the foreground, and leave it to the caller to start it again when it dies.
    #[arg(long)]
    pub foreground: bool,
    /// Wait, loaded and locked into memory, until the process that has started this one needs it.
    #[arg(long, hide = true)]
    pub standby: bool,
    /// See to it that there is a daemon, beside one that has lost who did.
    #[arg(long, hide = true)]
    pub beside: bool,
    /// List the names at which it can be made to die (for tests).
    #[cfg(feature = "failpoints")]
    #[arg(long, hide = true)]
    pub failpoints: bool,
}

fn uuid(text: &str) -> Result<Uuid, String> {
    parse_uuid(text).ok_or_else(|| "expected a UUID of 32 hexadecimal digits".to_owned())
}
