//! The results of one benchmark, as they are written to `target/bench/NAME.json` and read back.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use lvshift_vm_tests::bench::record::{Record, Sample, Series};
use serde_json::{Value, json};

use super::machine::Where;
use crate::paths;

/// What one run of one benchmark has found.
#[derive(Clone, Debug)]
pub(super) struct Results {
    pub(super) bench: String,
    pub(super) about: String,
    pub(super) quick: bool,
    pub(super) place: Where,
    pub(super) samples: Vec<Sample>,
    pub(super) series: Vec<Series>,
    pub(super) skipped: Vec<String>,
}

impl Results {
    /// Sorts records.
    pub(super) fn new(
        bench: &str,
        about: &str,
        quick: bool,
        place: Where,
        records: Vec<Record>,
    ) -> Results {
        let mut results = Results {
            bench: bench.to_owned(),
            about: about.to_owned(),
            quick,
            place,
            samples: Vec::new(),
            series: Vec::new(),
            skipped: Vec::new(),
        };
        for record in records {
            match record {
                Record::Sample(sample) => results.samples.push(sample),
                Record::Series(series) => results.series.push(series),
                Record::Skipped(why) if results.skipped.contains(&why) => {}
                Record::Skipped(why) => results.skipped.push(why),
            }
        }
        results
    }

    /// What was measured, in the order in which it came.
    pub(super) fn metrics(&self) -> Vec<(&str, &str)> {
        let mut found = Vec::new();
        for sample in &self.samples {
            let metric = (sample.metric.as_str(), sample.unit.as_str());
            if !found.contains(&metric) {
                found.push(metric);
            }
        }
        found
    }

    /// Who was measured, in the order of their names, the floor and LVM2 first.
    pub(super) fn contestants(&self) -> Vec<&str> {
        let mut found: Vec<&str> = Vec::new();
        for sample in &self.samples {
            if !found.contains(&sample.contestant.as_str()) {
                found.push(&sample.contestant);
            }
        }
        let rank = |name: &str| match name {
            name if name.starts_with("raw") || name.starts_with("plain") => 0,
            "pvmove" => 1,
            name if name.starts_with("lvshift") => 3,
            _ => 2,
        };
        found.sort_by_key(|name| (rank(name), name.to_owned()));
        found
    }

    /// Writes the file and says where it is.
    pub(super) fn write(&self) -> Result<PathBuf> {
        let samples = self.samples.iter().map(|s| Record::Sample(s.clone()));
        let series = self.series.iter().map(|s| Record::Series(s.clone()));
        let skipped = self.skipped.iter().map(|s| Record::Skipped(s.clone()));
        let records = samples.chain(series).chain(skipped);
        let records: Vec<Value> = records.map(|record| record.to_json()).collect();
        let all = json!({
            "bench": self.bench, "about": self.about, "quick": self.quick,
            "place": self.place.to_json(), "records": records,
        });
        let dir = paths::target().join("bench");
        std::fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        let file = dir.join(format!("{}.json", self.bench));
        let text = serde_json::to_string(&all).context("writing JSON")?;
        std::fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
        Ok(file)
    }

    /// Reads the results of a benchmark, if there are any.
    pub(super) fn read(bench: &str) -> Result<Option<Results>> {
        let file = paths::target().join("bench").join(format!("{bench}.json"));
        let Ok(text) = std::fs::read_to_string(&file) else { return Ok(None) };
        let parse = || -> Result<Results> {
            let all: Value = serde_json::from_str(&text).context("not JSON")?;
            let word = |key: &str| all.get(key).and_then(Value::as_str).context("a missing word");
            let records = all.get("records").and_then(Value::as_array).context("no records")?;
            let records: Result<Vec<Record>> = records.iter().map(Record::from_json).collect();
            let quick = all.get("quick").and_then(Value::as_bool).context("quick or not?")?;
            let place = Where::from_json(all.get("place").context("no place")?)?;
            Ok(Results::new(word("bench")?, word("about")?, quick, place, records?))
        };
        parse().map(Some).with_context(|| format!("reading {}", file.display()))
    }
}
