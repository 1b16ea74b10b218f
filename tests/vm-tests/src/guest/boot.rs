//! The job that the host puts on the kernel's command line.

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
            boot: boot.parse().with_context(|| format!("lvshift.boot={boot}"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_job_comes_back_from_the_command_line() {
        for scenario in [None, Some("outline-ext4".to_owned())] {
            let job = Job { scenario, frontend: Frontend::Dm, boot: 2, terminal: true };
            let line = format!("quiet console=ttyS0 {} panic=-1\n", job.to_cmdline());
            assert_eq!(Job::from_cmdline(&line).expect("it was just written"), job);
        }
        assert!(Job::from_cmdline("quiet").is_err());
    }
}
