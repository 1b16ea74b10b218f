//! What the reports `pvs`, `vgs` and `lvs` take.

use clap::Args;

use super::values::ReportFormat;
use crate::size::Units;

/// The options of a report.
#[derive(Args, Debug, Default)]
pub struct ReportArgs {
    /// Report only on these (PVs for pvs, VGs for vgs, VGs or LVs for lvs); default: all.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// The fields to show, or with + to add to the default ones; `-o help` lists them.
    #[arg(short = 'o', long = "options", value_name = "[+]FIELD,...")]
    pub options: Vec<String>,
    /// Sort by these fields; - in front of one: downwards.
    #[arg(short = 'O', long = "sort", value_name = "[-]FIELD,...", allow_hyphen_values = true)]
    pub sort: Option<String>,
    /// No line of headings.
    #[arg(long)]
    pub noheadings: bool,
    /// The unit of sizes: r (human, rounded up marked <), h, b s k m g t p e; capitals: SI.
    #[arg(long, value_name = "UNIT", default_value = "r", hide_default_value = true)]
    pub units: Option<Units>,
    /// No unit letter after sizes.
    #[arg(long)]
    pub nosuffix: bool,
    /// What stands between two fields; turns alignment off.
    #[arg(long, value_name = "STRING")]
    pub separator: Option<String>,
    /// Align the columns even with --separator.
    #[arg(long)]
    pub aligned: bool,
    /// One line for each segment.
    #[arg(long)]
    pub segments: bool,
    /// Also what is hidden: the helper devices of moves (lvs), devices that are no PVs (pvs).
    #[arg(short, long)]
    pub all: bool,
    /// A table for people, or LVM's JSON.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub reportformat: ReportFormat,
}
