//! The job that the host puts on the kernel's command line, or hands to a guest that has booted and waits
//! for one.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::scenario::Frontend;

/// What this boot is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The scenario to run; `None` means a shell on the console.
    pub scenario: Option<String>,
    /// The front end to run it on.
    pub frontend: Frontend,
    /// Which boot of this scenario it is, from 1.
    pub boot: u32,
    /// Whether the host shows what the scenario shows on a terminal.
    pub terminal: bool,
    /// Whether the scenario is to be run whole; else some leave out of many trials that are alike the most.
    pub full: bool,
}

impl Job {
    /// The words for the kernel's command line.
    #[must_use]
    pub fn to_cmdline(&self) -> String {
        let mut text =
            format!("lvshift.frontend={} lvshift.boot={}", self.frontend.word(), self.boot);
        if self.terminal {
            text.push_str(" lvshift.terminal=1");
        }
        if self.full {
            text.push_str(" lvshift.full=1");
        }
        if let Some(name) = &self.scenario {
            text.push_str(" lvshift.scenario=");
            text.push_str(name);
        }
        text
    }

    /// Reads the words back, ignoring all others.
    ///
    /// # Errors
    /// If a word of ours is missing or makes no sense.
    pub fn from_cmdline(text: &str) -> Result<Self> {
        let word = |key: &str| {
            text.split_whitespace()
                .filter_map(|w| w.split_once('='))
                .find(|w| w.0 == key)
                .map(|w| w.1)
        };
        let frontend = word("lvshift.frontend").context("no lvshift.frontend= was given")?;
        let Some(frontend) = Frontend::from_word(frontend) else {
            bail!("there is no front end {frontend:?}");
        };
        let boot = word("lvshift.boot").context("no lvshift.boot= was given")?;
        Ok(Self {
            scenario: word("lvshift.scenario").map(str::to_owned),
            frontend,
            terminal: word("lvshift.terminal") == Some("1"),
            full: word("lvshift.full") == Some("1"),
            boot: boot.parse().with_context(|| format!("lvshift.boot={boot}"))?,
        })
    }
}

/// On the kernel's command line: there is no job yet, the guest waits for an [`Order`].
pub const WAITS: &str = "lvshift.waits=1";

/// What a guest is told that was booted before there was a job for it: the job, and what such guests, each
/// a copy of one that has booted, must not have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// What it is to do.
    pub job: Job,
    /// The time of day, since 1970. Its own clock stood still.
    pub now: Duration,
    /// Makes its random numbers others than those of the next copy.
    pub seed: [u8; 32],
}

impl Order {
    /// The words, in one line.
    #[must_use]
    pub fn to_line(&self) -> String {
        let seed: String = self.seed.iter().map(|byte| format!("{byte:02x}")).collect();
        let now = self.now.as_millis();
        format!("{} lvshift.now={now} lvshift.seed={seed}", self.job.to_cmdline())
    }

    /// Reads the line back.
    ///
    /// # Errors
    /// If a word is missing or makes no sense.
    pub fn from_line(line: &str) -> Result<Self> {
        let word = |key: &str| {
            let found = line.split_whitespace().find_map(|word| word.strip_prefix(key));
            found.with_context(|| format!("no {key} was given"))
        };
        let now = word("lvshift.now=")?.parse().context("lvshift.now=")?;
        let digits = word("lvshift.seed=")?;
        let mut seed = [0; 32];
        if digits.len() != 2 * seed.len() || !digits.is_ascii() {
            bail!("lvshift.seed={digits}");
        }
        for (at, byte) in seed.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).context("lvshift.seed=")?;
        }
        Ok(Self { job: Job::from_cmdline(line)?, now: Duration::from_millis(now), seed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_job_comes_back_from_the_command_line() {
        for scenario in [None, Some("outline-ext4".to_owned())] {
            let job = Job { scenario, frontend: Frontend::Dm, boot: 2, terminal: true, full: true };
            let line = format!("quiet console=ttyS0 {} panic=-1\n", job.to_cmdline());
            assert_eq!(Job::from_cmdline(&line).expect("it was just written"), job);
        }
        assert!(Job::from_cmdline("quiet").is_err());
    }

    #[test]
    fn an_order_comes_back_from_its_line() {
        let job = Job {
            scenario: Some("outline-ext4".to_owned()),
            frontend: Frontend::Ublk,
            boot: 3,
            terminal: false,
            full: false,
        };
        let now = Duration::from_millis(1_795_745_912_345);
        let order = Order { job, now, seed: std::array::from_fn(|n| (n * 7) as u8) };
        assert_eq!(Order::from_line(&order.to_line()).expect("it was just written"), order);
        for wrong in ["", "lvshift.frontend=dm lvshift.boot=1 lvshift.now=5 lvshift.seed=00"] {
            assert!(Order::from_line(wrong).is_err(), "{wrong:?} was taken for an order");
        }
    }
}
