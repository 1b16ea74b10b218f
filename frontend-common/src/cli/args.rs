//! The list of commands, and the options that all of them take.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::daemon_args::OwnCommand;
use super::day_args::{Display, Pvck, Pvresize, Scan, Vgcfgbackup, Vgcfgrestore, Vgrename};
use super::ignored::{Ignored, Scope};
use super::lv_args::{Lvchange, Lvcreate, Lvextend, Lvremove, Lvrename};
use super::pv_args::{Pvcreate, Pvmove, Pvremove};
use super::report_args::ReportArgs;
use super::udev_args::Udev;
use super::values::ReportFormat;
use super::vg_args::{Vgchange, Vgck, Vgcreate, Vgextend, Vgreduce, Vgremove};

/// Move logical volumes between disks while they are in use, and never call moved what is not.
///
/// The commands are LVM's, with LVM's options and meaning.
#[derive(Debug, Parser)]
#[command(
    version,
    propagate_version = true,
    disable_version_flag = true,
    infer_long_args = true,
    after_help = "Sizes take the units b s k m g t p e (powers of 1024, small or capital letters \
                  alike); without one, MiB.\nExit status: 0 done, 3 wrong arguments, 5 failed."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// The options of every command.
    #[command(flatten)]
    pub common: Common,
    /// What it is about.
    #[command(flatten)]
    pub scope: Scope,
    /// What LVM takes and has no meaning here.
    #[command(flatten)]
    pub ignored: Ignored,
}

/// All that can be typed after the name of a program; with `daemon`, that of the front end which
/// serves from one.
#[must_use]
pub fn command(program: &'static str, daemon: bool) -> clap::Command {
    let shared = Cli::command();
    let (about, more) = (shared.get_about().cloned(), shared.get_long_about().cloned());
    let all = if daemon { OwnCommand::augment_subcommands(shared) } else { shared };
    // The short text for both: the long one is the manual page.
    let help = Arg::new("help").short('h').long("help").global(true).action(ArgAction::HelpShort);
    let all = all.disable_help_flag(true).arg(help.help("Say this (more: man lvshift)"));
    all.about(about.unwrap_or_default())
        .long_about(more.unwrap_or_default())
        .name(program)
        .bin_name(program)
}

/// The arguments, if they are those of a command that only the front end with a daemon has, and
/// right. What else they are, [`crate::program::run`] finds out.
#[must_use]
pub fn own_command(program: &'static str, args: &[OsString]) -> Option<(OwnCommand, Common)> {
    let matches = command(program, true).try_get_matches_from(args).ok()?;
    let own = OwnCommand::from_arg_matches(&matches).ok()?;
    Some((own, Common::from_arg_matches(&matches).ok()?))
}

/// The options that every command takes.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Common {
    /// Print the version. There is no `-V`: that is LVM's --virtualsize.
    #[arg(long, global = true, action = ArgAction::Version)]
    pub version: Option<bool>,
    /// Answer every question with yes.
    #[arg(short = 'y', long, global = true)]
    pub yes: bool,
    /// Say more, in an error also its kind; twice: every step.
    #[arg(short = 'v', long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Say nothing but errors.
    #[arg(short = 'q', long, global = true, action = ArgAction::Count, conflicts_with = "verbose")]
    pub quiet: u8,
}

/// The commands, under LVM's names.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make devices into PVs.
    Pvcreate(Pvcreate),
    /// Take the PV label off devices that no VG uses.
    Pvremove(Pvremove),
    /// Use more of a device that has grown, or less of it.
    Pvresize(Pvresize),
    /// Check the labels and the metadata on devices.
    Pvck(Pvck),
    /// Report on PVs.
    #[command(after_help = "Example: pvs -o pv_name,pv_free --units g /dev/sdb")]
    Pvs(ReportArgs),
    /// Move extents of LVs to other PVs while the LVs are in use.
    Pvmove(Pvmove),
    /// Make a VG out of PVs.
    Vgcreate(Vgcreate),
    /// Add PVs to a VG.
    Vgextend(Vgextend),
    /// Take unused PVs out of a VG.
    Vgreduce(Vgreduce),
    /// Remove a VG, and with consent its LVs.
    Vgremove(Vgremove),
    /// Give all LVs of VGs their devices, or take them away.
    Vgchange(Vgchange),
    /// Check the metadata of VGs on every PV and say what is wrong.
    Vgck(Vgck),
    /// Give a VG another name.
    Vgrename(Vgrename),
    /// Write the metadata of VGs into files, as text.
    Vgcfgbackup(Vgcfgbackup),
    /// Put the LVs of a VG back to where a file of vgcfgbackup has them.
    Vgcfgrestore(Vgcfgrestore),
    /// Report on VGs.
    #[command(after_help = "Example: vgs -o +vg_extent_size vg0")]
    Vgs(ReportArgs),
    /// Make an LV.
    Lvcreate(Lvcreate),
    /// Make an LV larger; it may be in use.
    Lvextend(Lvextend),
    /// Give an LV another size; it may only become larger.
    Lvresize(Lvextend),
    /// Remove LVs and what is on them.
    Lvremove(Lvremove),
    /// Give an LV another name.
    Lvrename(Lvrename),
    /// Give LVs their devices, or take them away.
    Lvchange(Lvchange),
    /// Report on LVs.
    #[command(after_help = "Examples: lvs -o +devices vg0\n          lvs -a --segments")]
    Lvs(ReportArgs),
    /// Report on VGs, PVs, LVs and their segments, VG by VG.
    #[command(after_help = "Example: fullreport --reportformat json vg0")]
    Fullreport(ReportArgs),
    /// Show PVs, one paragraph each.
    Pvdisplay(Display),
    /// Show VGs, one paragraph each.
    Vgdisplay(Display),
    /// Show LVs, one paragraph each.
    Lvdisplay(Display),
    /// List PVs.
    Pvscan(Scan),
    /// List VGs.
    Vgscan(Scan),
    /// List LVs.
    Lvscan(Scan),
    /// Print versions.
    #[command(after_help = "Example: version")]
    Version,
    /// Print what is known of VGs and moves as Prometheus text.
    #[command(after_help = "Example: metrics > /var/lib/prometheus/node-exporter/lvshift.prom\n\n\
        The unit lvshift-metrics.timer does that every minute where it is enabled.")]
    Metrics,
    /// Say what a device is, in the words of udev's rules.
    #[command(hide = true)]
    Udev(Udev),
    /// List the names at which LVSHIFT_FAIL_AT can make a move die (for tests).
    #[cfg(feature = "failpoints")]
    #[command(hide = true)]
    Failpoints,
}

impl Command {
    /// The word that was typed.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Command::Pvcreate(_) => "pvcreate",
            Command::Pvremove(_) => "pvremove",
            Command::Pvs(_) => "pvs",
            Command::Pvresize(_) => "pvresize",
            Command::Pvck(_) => "pvck",
            Command::Vgrename(_) => "vgrename",
            Command::Vgcfgbackup(_) => "vgcfgbackup",
            Command::Vgcfgrestore(_) => "vgcfgrestore",
            Command::Lvresize(_) => "lvresize",
            Command::Fullreport(_) => "fullreport",
            Command::Pvdisplay(_) => "pvdisplay",
            Command::Vgdisplay(_) => "vgdisplay",
            Command::Lvdisplay(_) => "lvdisplay",
            Command::Pvscan(_) => "pvscan",
            Command::Vgscan(_) => "vgscan",
            Command::Lvscan(_) => "lvscan",
            Command::Version => "version",
            Command::Pvmove(_) => "pvmove",
            Command::Vgcreate(_) => "vgcreate",
            Command::Vgextend(_) => "vgextend",
            Command::Vgreduce(_) => "vgreduce",
            Command::Vgremove(_) => "vgremove",
            Command::Vgchange(_) => "vgchange",
            Command::Vgck(_) => "vgck",
            Command::Vgs(_) => "vgs",
            Command::Lvcreate(_) => "lvcreate",
            Command::Lvextend(_) => "lvextend",
            Command::Lvremove(_) => "lvremove",
            Command::Lvrename(_) => "lvrename",
            Command::Lvchange(_) => "lvchange",
            Command::Lvs(_) => "lvs",
            Command::Metrics => "metrics",
            Command::Udev(_) => "udev",
            #[cfg(feature = "failpoints")]
            Command::Failpoints => "failpoints",
        }
    }

    /// Whether what is said must be JSON.
    #[must_use]
    pub fn json(&self) -> bool {
        match self {
            Command::Pvs(a) | Command::Vgs(a) | Command::Lvs(a) | Command::Fullreport(a) => {
                a.reportformat != ReportFormat::Basic
            }
            Command::Pvdisplay(a) | Command::Vgdisplay(a) | Command::Lvdisplay(a) => {
                a.columns && a.report.reportformat != ReportFormat::Basic
            }
            Command::Pvmove(a) => a.json || a.reportformat != ReportFormat::Basic,
            _ => false,
        }
    }

    /// Whether it changes nothing by itself, so that `--test` has nothing to refuse.
    #[must_use]
    pub fn only_looks(&self) -> bool {
        match self {
            Command::Pvs(_)
            | Command::Vgs(_)
            | Command::Lvs(_)
            | Command::Fullreport(_)
            | Command::Pvdisplay(_)
            | Command::Vgdisplay(_)
            | Command::Lvdisplay(_)
            | Command::Pvck(_)
            | Command::Version
            | Command::Metrics
            | Command::Udev(_) => true,
            #[cfg(feature = "failpoints")]
            Command::Failpoints => true,
            Command::Pvmove(args) => args.source.is_some() && !args.abort,
            Command::Vgck(args) => !args.updatemetadata,
            Command::Vgcfgrestore(args) => args.list,
            Command::Pvscan(args) | Command::Vgscan(args) | Command::Lvscan(args) => {
                args.activate.is_none() && !args.mknodes
            }
            _ => false,
        }
    }
}
