//! Plots, as SVG: a quantity over time, and bars of ratios.

mod svg;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use lvshift_vm_tests::bench::record::Series;

use self::svg::{Bar, Line, Lines};
use super::results::Results;
use super::stats;

/// Draws everything that results have to show, and says where.
pub(super) fn write(results: &Results, dir: &Path) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
    let mut drawn = Vec::new();
    let mut put = |name: String, text: String| -> Result<()> {
        let file = dir.join(name);
        std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
        drawn.push(file);
        Ok(())
    };
    let mut metrics: Vec<&str> = Vec::new();
    for series in &results.series {
        if !metrics.contains(&series.metric.as_str()) {
            metrics.push(&series.metric);
        }
    }
    for metric in metrics {
        let name = format!("{}-{}.svg", results.bench, file_name(metric));
        let series = |s: &&Series| s.metric == metric && s.round == 1;
        let all: Vec<&Series> = results.series.iter().filter(series).collect();
        put(name, over_time(&results.bench, metric, &all))?;
    }
    if let Some(bars) = ratios(results) {
        put(format!("{}-ratios.svg", results.bench), bars)?;
    }
    Ok(drawn)
}

fn over_time(bench: &str, metric: &str, all: &[&Series]) -> String {
    let unit = all.first().map_or("", |series| series.unit.as_str());
    let lines = all.iter().map(|series| Line {
        name: &series.contestant,
        marks: &series.marks,
        points: &series.points,
    });
    let title = format!("{bench}: {metric}");
    svg::lines(&Lines { title: &title, unit, lines: lines.collect() })
}

/// The first metric, against the first contestant that the others are held against.
fn ratios(results: &Results) -> Option<String> {
    let (metric, _) = *results.metrics().first()?;
    let contestants = results.contestants();
    let first = *contestants.first()?;
    let base = stats::of(&results.samples, first, metric);
    let mut bars = Vec::new();
    for name in &contestants {
        let values = stats::of(&results.samples, name, metric);
        if let Some(ratio) = stats::ratio(&values, &base) {
            bars.push(Bar { name, value: ratio.median, least: ratio.least, most: ratio.most });
        }
    }
    let title = format!("{}: {metric}, {first} = 1", results.bench);
    Some(svg::bars(&title, &bars))
}

fn file_name(metric: &str) -> String {
    let plain = metric.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
    plain.collect::<String>().replace("--", "-")
}
