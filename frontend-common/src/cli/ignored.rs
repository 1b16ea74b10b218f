//! Options of LVM's that change nothing here: taken so that a script that sends them works, listed in the
//! manual page, and nowhere else.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::values::YesNo;

/// Taken by every command.
#[derive(Args, Debug, Default)]
pub struct Ignored {
    /// LVM's configuration, which is not ours.
    #[arg(long, global = true, hide = true, value_name = "CONFIG")]
    pub config: Vec<String>,
    /// LVM's profiles.
    #[arg(long, global = true, hide = true)]
    pub profile: Option<String>,
    /// LVM's profiles.
    #[arg(long, global = true, hide = true)]
    pub commandprofile: Option<String>,
    /// There are no automatic backups: every PV has the metadata twice.
    #[arg(short = 'A', long, global = true, hide = true, value_name = "y|n")]
    pub autobackup: Option<YesNo>,
    /// Links are made by us, and udev is waited for only where that does good.
    #[arg(long, global = true, hide = true)]
    pub noudevsync: bool,
    /// Locks are files under /run, and no command goes without.
    #[arg(long, global = true, hide = true)]
    pub nolocking: bool,
    /// As --nolocking.
    #[arg(long, global = true, hide = true)]
    pub ignorelockingfailure: bool,
    /// For LVM's lvmlockd.
    #[arg(long, global = true, hide = true)]
    pub lockopt: Option<String>,
    /// What LVM says early in the boot: all of our commands work then.
    #[arg(long, global = true, hide = true)]
    pub sysinit: bool,
    /// No LV has that flag.
    #[arg(short = 'K', long, global = true, hide = true)]
    pub ignoreactivationskip: bool,
    /// There are no hints.
    #[arg(long, global = true, hide = true)]
    pub nohints: bool,
    /// What LVM's event activation says.
    #[arg(long, global = true, hide = true)]
    pub journal: Option<String>,
    /// The kernel is asked itself.
    #[arg(long, global = true, hide = true, value_name = "y|n")]
    pub driverloaded: Option<YesNo>,
    /// Whether a poller is started: a move goes on where it was begun.
    #[arg(long, global = true, hide = true, value_name = "y|n")]
    pub poll: Option<YesNo>,
    /// More of LVM's own messages: -v says more here.
    #[arg(short = 'd', long, global = true, hide = true, action = ArgAction::Count)]
    pub debug: u8,
}

/// Which devices are looked at, and whether anything may be done: taken by every command, and meant.
#[derive(Args, Clone, Debug, Default)]
pub struct Scope {
    /// Look at these devices only (else: those of the devices file, or all).
    #[arg(
        id = "only_these_devices",
        long = "devices",
        global = true,
        value_name = "DEV,...",
        value_delimiter = ','
    )]
    pub devices: Vec<PathBuf>,
    /// The file that lists the devices to look at, under /etc/lvshift; "": look at all.
    #[arg(long, global = true, value_name = "FILE")]
    pub devicesfile: Option<String>,
    /// Change nothing: refused by commands that cannot tell what they would do.
    #[arg(short = 't', long = "test", global = true)]
    pub test: bool,
}
