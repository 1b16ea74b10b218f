//! Where something was measured: without it a figure says nothing.

use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::paths;

/// The machine, the kernel, the commit, and how busy the machine was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Where {
    pub(super) machine: String,
    pub(super) kernel: String,
    pub(super) commit: String,
    pub(super) date: String,
    pub(super) load: String,
}

const KEYS: [&str; 5] = ["machine", "kernel", "commit", "date", "load"];

impl Where {
    /// Here and now; `how` is what lies between this machine and what is measured.
    pub(super) fn here(how: &str, kernel: String) -> Where {
        let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpus.lines().find_map(|line| line.strip_prefix("model name"));
        let model = model.and_then(|line| line.split(':').nth(1)).unwrap_or("unknown").trim();
        let count = std::thread::available_parallelism().map_or(0, usize::from);
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split_whitespace().next().unwrap_or("unknown").to_owned();
        Where {
            machine: format!("{count} processors ({model}), {how}"),
            kernel,
            commit: commit(),
            date: said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
            load,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "machine": self.machine, "kernel": self.kernel, "commit": self.commit,
            "date": self.date, "load": self.load,
        })
    }

    pub(super) fn from_json(value: &Value) -> Result<Where> {
        let word = |at: usize| {
            let key = KEYS[at];
            let word = value.get(key).and_then(Value::as_str);
            word.map(str::to_owned).with_context(|| format!("no {key:?}"))
        };
        Ok(Where {
            machine: word(0)?,
            kernel: word(1)?,
            commit: word(2)?,
            date: word(3)?,
            load: word(4)?,
        })
    }
}

/// This machine's own kernel.
pub(super) fn own_kernel() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

fn commit() -> String {
    let commit = said("git", &["rev-parse", "--short", "HEAD"]);
    let changed = !said("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty();
    format!("{commit}{}", if changed { ", changed" } else { "" })
}

fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(paths::root()).output();
    let text = output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
    text.unwrap_or_default()
}
