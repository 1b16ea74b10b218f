//! Results as a table: for a terminal, and for a document.

use lvshift_vm_tests::bench::OTHER_UBLK;

use super::goals::{self, Verdict};
use super::results::Results;
use super::stats::{self, Spread, number};

/// One line.
struct Row {
    metric: String,
    contestant: String,
    median: String,
    spread: String,
    against: [String; 2],
}

/// For a terminal.
pub(super) fn text(results: &Results) -> String {
    let rows = rows(results);
    let mut out = format!("{}: {}\n", results.bench, results.about);
    let wide = rows.iter().map(|row| row.contestant.len()).max().unwrap_or(0);
    let mut metric = "";
    for row in &rows {
        if row.metric != metric {
            metric = &row.metric;
            out.push_str(&format!("  {metric}\n"));
        }
        out.push_str(&format!(
            "    {:wide$}  {:>10}  {:23}  {:28}  {}\n",
            row.contestant, row.median, row.spread, row.against[0], row.against[1]
        ));
    }
    for why in &results.skipped {
        out.push_str(&format!("  skipped: {why}\n"));
    }
    for verdict in goals::of(results) {
        out.push_str(&format!("  {verdict}\n"));
    }
    out
}

/// For a document.
pub(super) fn markdown(results: &Results) -> String {
    let mut out = String::from("| | | median | least to most | | |\n|---|---|---:|---|---|---|\n");
    let mut metric = String::new();
    for row in rows(results) {
        let first = if row.metric == metric { "" } else { &row.metric };
        out.push_str(&format!(
            "| {first} | {} | {} | {} | {} | {} |\n",
            row.contestant, row.median, row.spread, row.against[0], row.against[1]
        ));
        metric.clone_from(&row.metric);
    }
    for why in &results.skipped {
        out.push_str(&format!("\nNot measured: {why}.\n"));
    }
    let verdicts: Vec<Verdict> = goals::of(results);
    if !verdicts.is_empty() {
        out.push('\n');
    }
    for verdict in verdicts {
        out.push_str(&format!("* {verdict}\n"));
    }
    out
}

/// Whom contestants are compared with beside the floor.
const PEERS: [&str; 4] = ["pvmove", "libublk loop", "QEMU mirror", OTHER_UBLK];

fn rows(results: &Results) -> Vec<Row> {
    let contestants = results.contestants();
    let floor = contestants.iter().find(|n| n.starts_with("raw") || n.starts_with("plain"));
    let peer = contestants.iter().find(|n| PEERS.contains(n));
    let mut rows = Vec::new();
    for (metric, unit) in results.metrics() {
        for &contestant in &contestants {
            let values = stats::of(&results.samples, contestant, metric);
            let Some(spread) = stats::spread(values.iter().map(|v| v.1).collect()) else {
                continue;
            };
            let against = [floor, peer].map(|other| {
                let other = other.filter(|&&other| other != contestant);
                let Some(other) = other else { return String::new() };
                let ratio = stats::ratio(&values, &stats::of(&results.samples, other, metric));
                ratio.map_or(String::new(), |ratio| times(ratio, other))
            });
            rows.push(Row {
                metric: format!("{metric} ({unit})"),
                contestant: contestant.to_owned(),
                median: number(spread.median),
                spread: format!("{} to {}", number(spread.least), number(spread.most)),
                against,
            });
        }
    }
    rows
}

fn times(ratio: Spread, other: &str) -> String {
    format!(
        "{} x {other} ({} to {})",
        number(ratio.median),
        number(ratio.least),
        number(ratio.most)
    )
}
