//! What the `vg` commands take.

use std::path::PathBuf;

use clap::Args;

use super::values::{Activate, YesNo};
use crate::size::Size;

/// `vgcreate`.
#[derive(Args, Debug)]
#[command(after_help = "Example: vgcreate -s 4m vg0 /dev/sdb /dev/sdc")]
pub struct Vgcreate {
    /// The size of an extent: a power of two, 4 KiB to 4 GiB.
    #[arg(short = 's', long = "physicalextentsize", value_name = "SIZE", default_value = "4m")]
    pub extent_size: Size,
    /// Overwrite what a device that is no PV yet holds.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub force: u8,
    /// How LVM would lay it out.
    #[command(flatten)]
    pub format: FormatArgs,
    /// Whether its LVs are activated when its PVs appear, as at boot [default: y].
    #[arg(long, value_name = "y|n")]
    pub setautoactivation: Option<YesNo>,
    /// A VG has no policy of allocation: each command says its own.
    #[arg(long, hide = true)]
    pub alloc: Option<String>,
    /// The system id of the host that it belongs to (default: this host's); "": any host's.
    #[arg(long, value_name = "ID")]
    pub systemid: Option<String>,
    /// The name of the new VG.
    #[arg(value_name = "VG")]
    pub vg: String,
    /// Its devices, in order; those that are no PVs yet become PVs.
    #[arg(required = true, value_name = "DEV")]
    pub devices: Vec<PathBuf>,
}

/// `vgextend`.
#[derive(Args, Debug)]
#[command(after_help = "Example: vgextend vg0 /dev/sdd")]
pub struct Vgextend {
    /// Overwrite what a device that is no PV yet holds.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub force: u8,
    /// How LVM would lay it out.
    #[command(flatten)]
    pub format: FormatArgs,
    /// The VG.
    #[arg(value_name = "VG")]
    pub vg: String,
    /// The devices to add; those that are no PVs yet become PVs.
    #[arg(required = true, value_name = "DEV")]
    pub devices: Vec<PathBuf>,
}

/// `vgreduce`.
#[derive(Args, Debug)]
#[command(after_help = "Examples: vgreduce vg0 /dev/sdb\n          vgreduce --removemissing vg0")]
pub struct Vgreduce {
    /// Every PV that holds no extents.
    #[arg(short, long, conflicts_with_all = ["removemissing", "devices"])]
    pub all: bool,
    /// Every PV that is not there; with --force the LVs that lie on it are lost.
    #[arg(long, conflicts_with = "devices")]
    pub removemissing: bool,
    /// With --removemissing: remove the LVs that lie on what is missing, after a question. A device that is there
    /// and in use is never taken out.
    #[arg(short, long)]
    pub force: bool,
    /// The VG.
    #[arg(value_name = "VG")]
    pub vg: String,
    /// The PVs to take out; they stay PVs of no VG.
    #[arg(value_name = "DEV", required_unless_present_any = ["all", "removemissing"])]
    pub devices: Vec<PathBuf>,
}

/// `vgremove`.
#[derive(Args, Debug)]
#[command(after_help = "Example: vgremove vg0")]
pub struct Vgremove {
    /// Do not ask before LVs are removed.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub force: u8,
    /// The VGs.
    #[arg(required = true, value_name = "VG")]
    pub vgs: Vec<String>,
}

/// `vgchange`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples: vgchange -a y\n          vgchange -an vg0\n          vgchange --systemid \"$(cat /etc/machine-id)\" --force vg0"
)]
pub struct Vgchange {
    /// y: make the LVs' devices; ay: of those that are to be activated at boot; n: take them away.
    #[arg(short, long, value_name = "y|ay|n",
        required_unless_present_any = ["refresh", "systemid", "setautoactivation"])]
    pub activate: Option<Activate>,
    /// Whether its LVs are activated when its PVs appear, as at boot.
    #[arg(long, value_name = "y|n", conflicts_with_all = ["activate", "refresh", "systemid"])]
    pub setautoactivation: Option<YesNo>,
    /// Make links that are missing.
    #[arg(long)]
    pub refresh: bool,
    /// Give the VG to the host with this system id; "": to any host.
    #[arg(long, value_name = "ID", conflicts_with_all = ["activate", "refresh"], requires = "vgs")]
    pub systemid: Option<String>,
    /// With --systemid: also when the VG belongs to another host, which must not use it any more.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub force: u8,
    /// An LV that lacks a PV is not activated, whatever is asked for.
    #[arg(short = 'P', long, hide = true)]
    pub partial: bool,
    /// The VGs; default: all.
    #[arg(value_name = "VG")]
    pub vgs: Vec<String>,
}

/// `vgck`.
#[derive(Args, Debug)]
#[command(after_help = "Example: vgck vg0")]
pub struct Vgck {
    /// Write the newest metadata to every PV of the VG first.
    ///
    /// This repairs damaged copies, and takes back a PV that was away.
    #[arg(long)]
    pub updatemetadata: bool,
    /// Where PVs hold different metadata of one age: ask which to keep.
    ///
    /// That is what two hosts leave that changed them apart from each other. Each is shown, and the one that is
    /// kept is written to every PV. With =DEV: those on DEV are kept, without a question.
    #[arg(long, value_name = "DEV", num_args = 0..=1, require_equals = true, default_missing_value = "",
        conflicts_with = "updatemetadata", requires = "vgs")]
    pub choose: Option<String>,
    /// The VGs; default: all.
    #[arg(value_name = "VG")]
    pub vgs: Vec<String>,
}

/// How LVM lays out a PV, where ours lays it out in one way.
#[derive(Args, Debug, Default)]
pub struct FormatArgs {
    /// Data start at 8 MiB; what that is no multiple of is refused.
    #[arg(long, hide = true, value_name = "SIZE")]
    pub dataalignment: Option<Size>,
    /// The room for metadata is fixed.
    #[arg(long, hide = true)]
    pub metadatasize: Option<Size>,
    /// Every PV has the metadata twice.
    #[arg(long, hide = true)]
    pub metadatacopies: Option<String>,
    /// As --metadatacopies.
    #[arg(long, hide = true)]
    pub pvmetadatacopies: Option<String>,
    /// There is one format.
    #[arg(short = 'M', long, hide = true)]
    pub metadatatype: Option<String>,
}
