//! What `pvcreate`, `pvremove` and `pvmove` take.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use lvshift_core::copier::Factor;

use super::spec::PvSpec;
use super::values::{AllocPolicy, OrNone, ReportFormat, YesNo, factor_or_none};
use super::vg_args::FormatArgs;
use crate::factor;
use crate::size::Size;

/// `pvcreate`.
#[derive(Args, Debug)]
#[command(after_help = "Example: pvcreate /dev/sdb /dev/sdc")]
pub struct Pvcreate {
    /// The devices: whole disks or partitions.
    #[arg(required = true, value_name = "DEV")]
    pub devices: Vec<PathBuf>,
    /// Overwrite what the device holds. A mounted device, or one in use, is refused even so.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub force: u8,
    /// Give the PV this UUID instead of a random one (one device only).
    #[arg(short, long, value_name = "UUID")]
    pub uuid: Option<String>,
    /// LVM wants it beside --uuid.
    #[arg(long, hide = true)]
    pub norestorefile: bool,
    /// Nothing is zeroed but what a label replaces.
    #[arg(short = 'Z', long, hide = true)]
    pub zero: Option<YesNo>,
    /// How LVM would lay it out.
    #[command(flatten)]
    pub format: FormatArgs,
}

/// `pvremove`.
#[derive(Args, Debug)]
#[command(after_help = "Example: pvremove /dev/sdb")]
pub struct Pvremove {
    /// The devices.
    #[arg(required = true, value_name = "DEV")]
    pub devices: Vec<PathBuf>,
    /// Take the label off even if a VG still lists the PV.
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub force: u8,
}

/// What a write to a chunk that is not copied yet does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WritePolicy {
    /// It waits for the chunk's copy and then goes to both sides.
    CopyFirst,
    /// It goes to the source alone, and the chunk is copied later.
    SourceFirst,
}

/// What takes the place of what cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fill {
    /// Zeroes.
    Zero,
}

/// `pvmove`.
#[derive(Args, Debug)]
#[command(
    after_help = "Without arguments it carries on every interrupted move of every VG. With the SRC of \
an interrupted move it carries that one on.\n\n\
A stop (ctrl-C, SIGTERM) leaves the move safely interrupted: carry on with `pvmove`, undo with \
`pvmove --abort`.\n\
A failed move ends with status 5, says what cannot be read or written, and leaves the data on SRC.\n\n\
Examples:\n  \
pvmove /dev/sdb                     everything away from sdb, wherever there is room\n  \
pvmove -n home /dev/sdb /dev/sdc    the extents of LV home from sdb to sdc\n  \
pvmove /dev/sdb:0-999 /dev/sdc      the first 1000 extents\n  \
pvmove --alloc anywhere /dev/sdb:0-99 /dev/sdb:500-\n  \
pvmove --watch                      follow what is moving, from any terminal\n  \
pvmove --abort"
)]
pub struct Pvmove {
    /// The PV to move from, perhaps only some extents of it (5, 0-99, 100-, 0+100).
    #[arg(value_name = "SRC[:PE[-PE]...]", value_parser = PvSpec::parse)]
    pub source: Option<PvSpec>,
    /// The PVs to move to, in order; default: any other PV of the VG.
    #[arg(value_name = "DST[:PE[-PE]...]", value_parser = PvSpec::parse)]
    pub destinations: Vec<PvSpec>,
    /// Move only the extents of this LV (LV or VG/LV).
    #[arg(short, long, value_name = "LV", requires = "source")]
    pub name: Option<String>,
    /// How to choose places [default: normal]. SRC itself is a destination only with `anywhere`.
    #[arg(long, value_enum, value_name = "POLICY", requires = "source")]
    pub alloc: Option<AllocPolicy>,
    /// All or nothing: the extents of all LVs switch together, or none does.
    #[arg(long, requires = "source")]
    pub atomic: bool,
    /// Move to a disk with larger blocks than the LV has now.
    ///
    /// Users of the LV that write smaller blocks then get errors; file systems usually cannot stand that.
    #[arg(long, requires = "source")]
    pub allow_mixed_block_sizes: bool,
    /// Read the source once before anything is changed (lvshift-dm does so by default).
    ///
    /// All sectors that cannot be read are named, and their extents stay; with --atomic the move is refused.
    /// lvshift-dm does so unless --skip-read-check is given, lvshift-ublk only if asked to.
    #[arg(long, requires = "source", overrides_with = "skip_read_check")]
    pub read_check: bool,
    /// Do not read the source before the move.
    ///
    /// The first sectors that turn out to be unreadable end the move then and undo it; with lvshift-dm, until it
    /// is undone, reads of other sectors may fail, too.
    #[arg(long, requires = "source", overrides_with = "read_check")]
    pub skip_read_check: bool,
    /// Give up what cannot be read: move it as zeroes (lvshift-ublk only).
    ///
    /// After a question that shows all of it, the extents that would stay are moved, with zeroes where a sector
    /// of the list cannot be read. The list is kept in a file, which is named.
    #[arg(long, value_enum, value_name = "WITH", requires = "source",
        conflicts_with_all = ["abort", "atomic", "background"])]
    pub fill_unreadable: Option<Fill>,
    /// Read both sides back and compare them before the move is said to be made.
    ///
    /// They are read past their caches, while no write can be between. lvshift-ublk copies what differs again
    /// and tells of it; what differs then, and with lvshift-dm whatever differs, undoes the move.
    #[arg(long, conflicts_with = "abort")]
    pub verify: bool,
    /// Copy at most so many bytes a second, as in 50m (lvshift-ublk only).
    ///
    /// The suffixes are those of sizes. With lvshift-dm it is the kernel that copies, which knows no limit.
    #[arg(long, value_name = "BYTES", conflicts_with = "abort")]
    pub max_rate: Option<Size>,
    /// Copy only so fast that the LV's users feel little [default: 1.5 with lvshift-ublk].
    ///
    /// The 99th percentile of their latencies stays within FACTOR of what it is without the copy, and the mean within a tenth
    /// of what that leaves. While the LV is
    /// not in use, the copy takes all that the disks have. none: whatever it costs them. The default is 1.5 with
    /// lvshift-ublk unless there is a --max-rate. lvshift-dm, with which the kernel copies, has no factor: it gives the
    /// kernel a little at a time, and pauses between, unless it is told none; in VGs of LVM2's the kernel has all at once.
    /// The source is read before the move (see --read-check) in the same way in both kinds of VG, whoever copies.
    #[arg(long, value_name = "FACTOR|none", value_parser = factor_or_none, num_args = 0..=1,
        require_equals = true, default_missing_value = factor::DEFAULT, conflicts_with = "abort")]
    pub pace: Option<OrNone<Factor>>,
    /// Copy at least so fast, whatever the pace [default: 1m] (lvshift-ublk only).
    ///
    /// In bytes a second, where a pace would make it slower.
    #[arg(long, value_name = "BYTES", conflicts_with = "abort")]
    pub min_rate: Option<Size>,
    /// What a write to a place that is not copied yet does (lvshift-ublk only).
    ///
    /// The kernel's mirror, which lvshift-dm uses, is source-first. With lvshift-ublk source-first is the default
    /// wherever there is a pace or a --max-rate, and copy-first without.
    #[arg(long, value_enum, value_name = "POLICY", conflicts_with = "abort")]
    pub write_policy: Option<WritePolicy>,
    /// A destination that has not answered for so many seconds has failed, and the move is taken back; none:
    /// it may take for ever [default: 30] (lvshift-ublk only). What a source has not read by then is left for last.
    #[arg(long, value_name = "SECONDS|none", conflicts_with = "abort")]
    pub deadline: Option<OrNone<u32>>,
    /// Return when the move is planned and recorded; it goes on in the background.
    #[arg(short, long, conflicts_with = "abort")]
    pub background: bool,
    /// Seconds between two lines of progress; never delays the end of the move.
    #[arg(short, long, value_name = "SECONDS", default_value = "15", value_parser = interval)]
    pub interval: u32,
    /// Undo what is interrupted or running: the data stays where it was.
    #[arg(long)]
    pub abort: bool,
    /// Follow what is recorded, whoever moves it, until it has ended; change nothing.
    ///
    /// A bar on a terminal and lines elsewhere, as of the move itself, a map of its chunks (equal on both sides: #,
    /// some of them: +, none: .), and what state it is in. The exit status is 5 if the move was undone, or no process
    /// carries it on.
    #[arg(long, conflicts_with_all = ["abort", "background", "name", "alloc", "atomic", "destinations",
        "max_rate", "pace", "min_rate", "write_policy", "read_check", "skip_read_check"])]
    pub watch: bool,
    /// Draw the disk that is being left: what of it is safe, left and bad.
    ///
    /// A character for each extent, or for as many as share one: on the destination as well, by the dirty log, or moved #, partly +, left .,
    /// with a sector that cannot be read x, an LV's but not asked for -, free _. Below the bar and in colour on a terminal
    /// (unless NO_COLOR is set), in lines elsewhere whenever it is another. With --watch, of moves that others make.
    #[arg(long, conflicts_with_all = ["abort", "background"])]
    pub map: bool,
    /// One JSON object a line on stdout: started, progress, finished, error (see docs/json.md).
    #[arg(long)]
    pub json: bool,
    /// json and `json_std`: as --json.
    #[arg(long, value_enum, default_value_t, hide_short_help = true)]
    pub reportformat: ReportFormat,
    /// Only what is recorded in this VG: what its unit asks for.
    #[arg(long, hide = true, value_name = "VG", conflicts_with = "source")]
    pub vg: Option<String>,
    /// Set by `--background` for the process that it leaves behind.
    #[arg(long, hide = true)]
    pub detached: bool,
}

/// LVM writes `+N` for "wait before the first look", which has no meaning here.
fn interval(text: &str) -> Result<u32, String> {
    text.strip_prefix('+').unwrap_or(text).parse().map_err(|_| "expected seconds".to_owned())
}
