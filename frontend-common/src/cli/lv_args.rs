//! What the `lv` commands take.

use clap::Args;

use super::spec::PvSpec;
use super::values::{AllocPolicy, YesNo};
use crate::size::{ExtentsArg, SignedSize, Size};

/// `lvcreate`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  lvcreate -n home -L 10g vg0\n  \
    lvcreate -n home -l 100%FREE vg0 /dev/sdb\n  \
    lvcreate -n three -l 30 vg0 /dev/sdb:0-9 /dev/sdc:0-9 /dev/sdd:0-9")]
pub struct Lvcreate {
    /// The name of the new LV [default: lvol0, lvol1, ...].
    #[arg(short, long, value_name = "LV")]
    pub name: Option<String>,
    /// Its size, rounded up to whole extents; default unit MiB.
    #[arg(
        short = 'L',
        long,
        value_name = "SIZE",
        conflicts_with = "extents",
        required_unless_present = "extents"
    )]
    pub size: Option<Size>,
    /// Its size in extents, or a percentage: N, N%FREE, N%VG, N%PVS.
    #[arg(short = 'l', long, value_name = "N[%FREE|%VG|%PVS]")]
    pub extents: Option<ExtentsArg>,
    /// y: make its device at once; n: do not.
    #[arg(short, long, value_name = "y|n", default_value = "y")]
    pub activate: YesNo,
    /// y: zero its first 4 KiB, so that nothing old is found there; n: leave all as it is.
    #[arg(short = 'Z', long, value_name = "y|n")]
    pub zero: Option<YesNo>,
    /// How to choose places.
    #[arg(long, value_enum, value_name = "POLICY", default_value = "normal")]
    pub alloc: AllocPolicy,
    /// Also on PVs with larger blocks than the others have. Users of the LV that write smaller blocks
    /// then get errors; file systems usually cannot stand that.
    #[arg(long)]
    pub allow_mixed_block_sizes: bool,
    /// The VG (or VG/LV instead of --name).
    #[arg(value_name = "VG")]
    pub vg: String,
    /// The PVs to use, perhaps only some extents of them, in this order.
    #[arg(value_name = "DEV[:PE[-PE]...]", value_parser = PvSpec::parse)]
    pub pvs: Vec<PvSpec>,
}

/// `lvextend`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  lvextend -L +1g vg0/home\n  lvextend -l +100%FREE vg0/home /dev/sdc\n\n\
The file system on it is not grown: use resize2fs or xfs_growfs afterwards."
)]
pub struct Lvextend {
    /// The new size, or with + what to add; rounded up to whole extents; default unit MiB.
    #[arg(
        short = 'L',
        long,
        value_name = "[+]SIZE",
        conflicts_with = "extents",
        required_unless_present = "extents"
    )]
    pub size: Option<SignedSize>,
    /// The new size, or with + what to add, in extents: N, N%FREE, N%VG, N%PVS, N%LV.
    #[arg(short = 'l', long, value_name = "[+]N[%FREE|%VG|%PVS|%LV]")]
    pub extents: Option<ExtentsArg>,
    /// How to choose places.
    #[arg(long, value_enum, value_name = "POLICY", default_value = "normal")]
    pub alloc: AllocPolicy,
    /// Also on PVs with larger blocks than the others have. Users of the LV that write smaller blocks
    /// then get errors; file systems usually cannot stand that.
    #[arg(long)]
    pub allow_mixed_block_sizes: bool,
    /// The LV: VG/LV or /dev/VG/LV.
    #[arg(value_name = "VG/LV")]
    pub lv: String,
    /// The PVs to use, perhaps only some extents of them, in this order.
    #[arg(value_name = "DEV[:PE[-PE]...]", value_parser = PvSpec::parse)]
    pub pvs: Vec<PvSpec>,
}

/// `lvremove`.
#[derive(Args, Debug)]
#[command(after_help = "Example: lvremove vg0/home")]
pub struct Lvremove {
    /// Do not ask.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub force: u8,
    /// The LVs: VG/LV or /dev/VG/LV; a VG means all of its LVs.
    #[arg(required = true, value_name = "VG/LV")]
    pub lvs: Vec<String>,
}

/// `lvrename`.
#[derive(Args, Debug)]
#[command(
    override_usage = "lvrename VG/OLD NEW\n       lvrename VG OLD NEW",
    after_help = "Example: lvrename vg0/home vg0/users"
)]
pub struct Lvrename {
    /// VG/OLD NEW, or VG OLD NEW; NEW may be VG/NEW.
    #[arg(required = true, num_args = 2..=3, value_name = "NAME")]
    pub names: Vec<String>,
}

/// `lvchange`.
#[derive(Args, Debug)]
#[command(after_help = "Examples: lvchange -a y vg0/home\n          lvchange -an vg0")]
pub struct Lvchange {
    /// y: make the LVs' devices; n: take them away.
    #[arg(short, long, value_name = "y|n")]
    pub activate: YesNo,
    /// The LVs: VG/LV or /dev/VG/LV; a VG means all of its LVs.
    #[arg(required = true, value_name = "VG/LV")]
    pub lvs: Vec<String>,
}
