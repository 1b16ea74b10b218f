//! What the `lv` commands take.

use clap::Args;

use super::spec::PvSpec;
use super::values::{Activate, AllocPolicy, YesNo};
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
    /// Whether it is activated when the PVs of its VG appear, as at boot [default: y].
    #[arg(long, value_name = "y|n")]
    pub setautoactivation: Option<YesNo>,
    /// y: zero its first 4 KiB, so that nothing old is found there; n: leave all as it is.
    #[arg(short = 'Z', long, value_name = "y|n")]
    pub zero: Option<YesNo>,
    /// y: wipe the signatures of others that are found on it (what is found is named); n: leave them.
    #[arg(short = 'W', long, value_name = "y|n")]
    pub wipesignatures: Option<YesNo>,
    /// linear, which every LV is; other kinds are refused.
    #[arg(long = "type", hide = true)]
    pub kind: Option<String>,
    /// 1, which every LV has; more are refused.
    #[arg(short = 'i', long, hide = true)]
    pub stripes: Option<u32>,
    /// There are no stripes.
    #[arg(short = 'I', long, hide = true)]
    pub stripesize: Option<Size>,
    /// The kernel's default holds.
    #[arg(short = 'r', long, hide = true)]
    pub readahead: Option<String>,
    /// y: as --alloc contiguous.
    #[arg(short = 'C', long, value_name = "y|n", hide_short_help = true)]
    pub contiguous: Option<YesNo>,
    /// n, which it is: no activation is skipped. y is refused.
    #[arg(short = 'k', long, hide = true)]
    pub setactivationskip: Option<YesNo>,
    /// How to choose places.
    #[arg(long, value_enum, value_name = "POLICY", default_value = "normal")]
    pub alloc: AllocPolicy,
    /// Also on PVs with larger blocks than the others have.
    ///
    /// Users of the LV that write smaller blocks then get errors; file systems usually cannot stand that.
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
    after_help = "Examples:\n  lvextend -r -L +1g vg0/home\n  lvextend -l +100%FREE vg0/home /dev/sdc\n  \
    lvextend vg0/home /dev/sdc      by all that is free there"
)]
pub struct Lvextend {
    /// The new size, or with + what to add; rounded up to whole extents; default unit MiB.
    #[arg(
        short = 'L',
        long,
        value_name = "[+]SIZE",
        conflicts_with = "extents",
        required_unless_present_any = ["extents", "pvs"],
        allow_hyphen_values = true
    )]
    pub size: Option<SignedSize>,
    /// The new size, or with + what to add, in extents: N, N%FREE, N%VG, N%PVS, N%LV.
    #[arg(short = 'l', long, value_name = "[+]N[%FREE|%VG|%PVS|%LV]", allow_hyphen_values = true)]
    pub extents: Option<ExtentsArg>,
    /// Grow the file system on it, too, with its own tool.
    #[arg(short, long)]
    pub resizefs: bool,
    /// Nothing is ever shrunk.
    #[arg(short, long, hide = true)]
    pub force: bool,
    /// The file system's tool is left to know whether it checks.
    #[arg(short, long, hide = true)]
    pub nofsck: bool,
    /// linear, which every LV is; other kinds are refused.
    #[arg(long = "type", hide = true)]
    pub kind: Option<String>,
    /// 1, which every LV has; more are refused.
    #[arg(short = 'i', long, hide = true)]
    pub stripes: Option<u32>,
    /// How to choose places.
    #[arg(long, value_enum, value_name = "POLICY", default_value = "normal")]
    pub alloc: AllocPolicy,
    /// Also on PVs with larger blocks than the others have.
    ///
    /// Users of the LV that write smaller blocks then get errors; file systems usually cannot stand that.
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
    /// y: make the LVs' devices; ay: of those that are to be activated at boot; n: take them away.
    #[arg(short, long, value_name = "y|ay|n",
        required_unless_present_any = ["refresh", "setautoactivation"])]
    pub activate: Option<Activate>,
    /// Whether they are activated when the PVs of their VG appear, as at boot.
    #[arg(long, value_name = "y|n", conflicts_with_all = ["activate", "refresh"])]
    pub setautoactivation: Option<YesNo>,
    /// Make links that are missing.
    #[arg(long)]
    pub refresh: bool,
    /// An LV that lacks a PV is not activated, whatever is asked for.
    #[arg(short = 'P', long, hide = true)]
    pub partial: bool,
    /// There is nothing to force.
    #[arg(short, long, hide = true)]
    pub force: bool,
    /// The LVs: VG/LV or /dev/VG/LV; a VG means all of its LVs.
    #[arg(required = true, value_name = "VG/LV")]
    pub lvs: Vec<String>,
}
