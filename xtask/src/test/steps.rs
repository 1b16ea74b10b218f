//! Steps of `cargo xtask test`: how each went, and how that is told to another process.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::{cpu_time, seconds};

/// How one step went.
#[derive(Serialize, Deserialize)]
struct Row {
    name: String,
    took: Duration,
    /// On the processors, of which this machine may have several.
    cpu: Duration,
    good: bool,
    /// What it has counted; nothing if it failed.
    note: String,
}

/// Steps done so far.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Steps(Vec<Row>);

impl Steps {
    /// Does one step; later steps run whatever comes of it.
    pub(super) fn step(&mut self, name: &str, work: impl FnOnce() -> Result<String>) {
        println!("--- {name}");
        let (start, before) = (Instant::now(), cpu_time::of_ended_children());
        let result = work();
        let cpu = cpu_time::of_ended_children().saturating_sub(before);
        if let Err(error) = &result {
            eprintln!("{name}: {error:#}");
        }
        let (good, note) = (result.is_ok(), result.unwrap_or_default());
        self.0.push(Row { name: name.to_owned(), took: start.elapsed(), cpu, good, note });
    }

    /// Adds the steps of another process.
    pub(super) fn take_over(&mut self, others: Steps) {
        self.0.extend(others.0);
    }

    /// For another process.
    pub(super) fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_string(self).context("telling how the steps went")?;
        std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))
    }

    /// What another process wrote.
    pub(super) fn read(file: &Path) -> Result<Steps> {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("reading {}", file.display()))
    }

    /// Says how each went; whether all went well.
    pub(super) fn tell(&self) -> bool {
        println!("     {:24} {:>8} {:>11}", "", "took", "processors");
        for Row { name, took, cpu, good, note } in &self.0 {
            let word = if *good { "ok  " } else { "FAIL" };
            println!("{word} {name:24} {:>8} {:>11}  {note}", seconds(*took), seconds(*cpu));
        }
        self.0.iter().all(|row| row.good)
    }
}
