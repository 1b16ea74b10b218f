//! What the commands of every day take that are neither reports nor moves: sizes, names, scans, backups.

use std::path::PathBuf;

use clap::Args;

use super::report_args::ReportArgs;
use super::values::YesNo;
use crate::size::Size;

/// `pvresize`.
#[derive(Args, Debug)]
#[command(after_help = "Example: pvresize /dev/sdb")]
pub struct Pvresize {
    /// The PVs, whose devices have become larger or are to be used less far.
    #[arg(required = true, value_name = "DEV")]
    pub devices: Vec<PathBuf>,
    /// Use so much of the device and no more.
    #[arg(long = "setphysicalvolumesize", value_name = "SIZE")]
    pub size: Option<Size>,
}

/// `vgrename`.
#[derive(Args, Debug)]
#[command(after_help = "Example: vgrename vg0 data")]
pub struct Vgrename {
    /// The VG: its name, or its UUID where two have the name.
    #[arg(value_name = "VG")]
    pub old: String,
    /// Its new name.
    #[arg(value_name = "NEW")]
    pub new: String,
    /// There is nothing to force.
    #[arg(short, long, hide = true)]
    pub force: bool,
}

/// `vgcfgbackup`.
#[derive(Args, Debug)]
#[command(after_help = "Example: vgcfgbackup -f /root/vg0.json vg0")]
pub struct Vgcfgbackup {
    /// Write to this file; `%s` stands for the VG's name [default: /etc/lvshift/backup/VG.json].
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<String>,
    /// The VGs; default: all.
    #[arg(value_name = "VG")]
    pub vgs: Vec<String>,
}

/// `vgcfgrestore`.
#[derive(Args, Debug)]
#[command(after_help = "Example: vgcfgrestore -f /root/vg0.json vg0")]
pub struct Vgcfgrestore {
    /// Read this file; `%s` stands for the VG's name [default: /etc/lvshift/backup/VG.json].
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<String>,
    /// Say what is in the file, and restore nothing.
    #[arg(short, long)]
    pub list: bool,
    /// Do not ask before what is on an LV now is given up.
    #[arg(long)]
    pub force: bool,
    /// The VG.
    #[arg(value_name = "VG")]
    pub vg: String,
}

/// `pvscan`, `vgscan`, `lvscan`.
#[derive(Args, Debug)]
#[command(after_help = "Example: pvscan")]
pub struct Scan {
    /// Only these devices (pvscan).
    #[arg(value_name = "DEV")]
    pub devices: Vec<PathBuf>,
    /// There is no cache to bring up to date: nothing is printed but what else was asked for.
    #[arg(long)]
    pub cache: bool,
    /// ay: activate the VG of each DEV when all its PVs are there (pvscan).
    #[arg(short, long, value_name = "ay")]
    pub activate: Option<YesNo>,
    /// Name the VG that has DEV (pvscan).
    #[arg(long)]
    pub listvg: bool,
    /// With --listvg: say whether all PVs of the VG are there (pvscan).
    #[arg(long)]
    pub checkcomplete: bool,
    /// With --listvg: say it in the manner of udev's IMPORT (pvscan).
    #[arg(long)]
    pub udevoutput: bool,
    /// Make links that are missing (vgscan).
    #[arg(long)]
    pub mknodes: bool,
    /// Which VGs are complete is seen, not remembered.
    #[arg(long, hide = true)]
    pub vgonline: bool,
    /// What makes LVM ask.
    #[arg(long, hide = true, value_name = "EVENT")]
    pub autoactivation: Option<String>,
    /// Also what is hidden.
    #[arg(long)]
    pub all: bool,
}

/// `pvdisplay`, `vgdisplay`, `lvdisplay`.
#[derive(Args, Debug)]
#[command(after_help = "Examples: vgdisplay vg0\n          lvdisplay -C -o lv_name,lv_size")]
pub struct Display {
    /// In columns, as the reports have it.
    #[arg(short = 'C', long)]
    pub columns: bool,
    /// Maps are shown by the reports (-o +devices).
    #[arg(short, long, hide = true)]
    pub maps: bool,
    /// How it is shown; -o and its like go with -C only.
    #[command(flatten)]
    pub report: ReportArgs,
}

/// `pvck`.
#[derive(Args, Debug)]
#[command(after_help = "Example: pvck /dev/sdb")]
pub struct Pvck {
    /// The devices.
    #[arg(required = true, value_name = "DEV")]
    pub devices: Vec<PathBuf>,
}
