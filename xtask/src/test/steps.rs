//! Steps of `cargo xtask test`, and how each went.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::seconds;

/// How one step went.
struct Row {
    name: String,
    took: Duration,
    good: bool,
    /// What it has counted; nothing if it failed.
    note: String,
}

/// Steps done so far.
#[derive(Default)]
pub(super) struct Steps(Vec<Row>);

impl Steps {
    /// Does one step; later steps run whatever comes of it.
    pub(super) fn step(&mut self, name: &str, work: impl FnOnce() -> Result<String>) {
        println!("--- {name}");
        let start = Instant::now();
        let result = work();
        if let Err(error) = &result {
            eprintln!("{name}: {error:#}");
        }
        let (good, note) = (result.is_ok(), result.unwrap_or_default());
        self.0.push(Row { name: name.to_owned(), took: start.elapsed(), good, note });
    }

    /// Says how each went; whether all went well.
    pub(super) fn tell(&self) -> bool {
        for Row { name, took, good, note } in &self.0 {
            let word = if *good { "ok  " } else { "FAIL" };
            println!("{word} {name:24} {:>8}  {note}", seconds(*took));
        }
        self.0.iter().all(|row| row.good)
    }
}
