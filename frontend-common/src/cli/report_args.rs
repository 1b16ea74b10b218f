//! What the reports `pvs`, `vgs`, `lvs` and `fullreport` take.

use clap::Args;

use super::values::ReportFormat;
use crate::size::Units;

/// The options of a report.
#[derive(Args, Clone, Debug, Default)]
pub struct ReportArgs {
    /// Report only on these (PVs for pvs, VGs for vgs, VGs or LVs for lvs); default: all.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// The fields to show, or with + to add to the default ones, with - to leave out of them; `-o help`
    /// lists them.
    #[arg(
        short = 'o',
        long = "options",
        value_name = "[+|-]FIELD,...",
        allow_hyphen_values = true
    )]
    pub options: Vec<String>,
    /// Sort by these fields; - in front of one: downwards.
    #[arg(short = 'O', long = "sort", value_name = "[-]FIELD,...", allow_hyphen_values = true)]
    pub sort: Option<String>,
    /// Only rows of which this is true: FIELD=VALUE, also != > >= < <= =~ !~, joined by && || ! ( ).
    #[arg(short = 'S', long, value_name = "SELECTION")]
    pub select: Option<String>,
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
    #[arg(long, value_name = "STRING", allow_hyphen_values = true)]
    pub separator: Option<String>,
    /// Align the columns even with --separator.
    #[arg(long)]
    pub aligned: bool,
    /// Columns as rows.
    #[arg(long)]
    pub rows: bool,
    /// LVM2_FIELD='value', for a shell.
    #[arg(long)]
    pub nameprefixes: bool,
    /// With --nameprefixes: no quotation marks.
    #[arg(long)]
    pub unquoted: bool,
    /// 0 or 1 in the place of a word, where a field has two values.
    #[arg(long)]
    pub binary: bool,
    /// One line for each segment.
    #[arg(long)]
    pub segments: bool,
    /// Also what is hidden: the helper devices of moves (lvs), devices that are no PVs (pvs).
    #[arg(short, long)]
    pub all: bool,
    /// A table for people, or LVM's JSON: all values strings (json), or numbers as numbers (json_std).
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub reportformat: ReportFormat,
    /// Every report is one that changes nothing.
    #[arg(long, hide = true)]
    pub readonly: bool,
    /// Rows are written at once, all together.
    #[arg(long, hide = true)]
    pub unbuffered: bool,
    /// VGs with missing PVs are shown anyhow.
    #[arg(short = 'P', long, hide = true)]
    pub partial: bool,
    /// VGs with missing PVs are shown anyhow.
    #[arg(long, hide = true)]
    pub nopartial: bool,
    /// There are no clusters.
    #[arg(long, hide = true)]
    pub ignoreskippedcluster: bool,
    /// There is no history.
    #[arg(short = 'H', long, hide = true)]
    pub history: bool,
    /// VGs of other hosts are shown anyhow.
    #[arg(long, hide = true)]
    pub foreign: bool,
}
