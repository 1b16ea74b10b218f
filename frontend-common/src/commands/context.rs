//! What every command has: the front end, the ways to speak, and whether something failed.

use std::io::{BufRead, IsTerminal};

use crate::cli::Common;
use crate::error::{Error, Kind, Result};
use crate::front_end::FrontEnd;
use crate::journald::{self, Priority};
use crate::output::{self, out as print};
use crate::report::Log;

/// See the module.
pub(crate) struct Context<'a> {
    pub(crate) front_end: &'a mut dyn FrontEnd,
    /// `lvshift-dm` or `lvshift-ublk`.
    pub(crate) program: &'static str,
    pub(crate) command: &'static str,
    pub(crate) common: Common,
    pub(crate) json: bool,
    /// `--test`: nothing is to be changed.
    pub(crate) test: bool,
    /// What was said beside the result, for JSON.
    pub(crate) log: Log,
    /// The exit status so far.
    pub(crate) status: u8,
}

impl Context<'_> {
    /// Says what was done, as LVM does: on stdout, two spaces in front.
    pub(crate) fn say(&self, text: impl AsRef<str>) {
        if self.common.quiet == 0 && !self.json {
            print(&format!("  {}\n", text.as_ref()));
        }
    }

    /// Says more than most want to know.
    pub(crate) fn detail(&self, text: impl AsRef<str>) {
        if self.common.verbose > 0 && !self.json {
            print(&format!("    {}\n", text.as_ref()));
        }
    }

    /// Warns on stderr; the command goes on. A report of several parts may find the same in each: it is said once.
    pub(crate) fn warn(&mut self, text: impl Into<String>) {
        let text = text.into();
        if self.log.0.iter().any(|line| line.log_type == "warning" && line.log_message == text) {
            return;
        }
        complain_at(Priority::Warning, &format!("  WARNING: {text}"));
        self.log.warning(text);
    }

    /// Tells of a failure; the command goes on with the rest, but its exit status is not 0.
    pub(crate) fn fail(&mut self, error: &Error) {
        self.status = self.status.max(error.exit_status());
        complain(&self.describe(error));
        self.log.error(error);
    }

    /// Warns in the words of an error: something looks bad but does not stand in the way.
    pub(crate) fn warn_of(&mut self, error: &Error) {
        let text = format!("  WARNING: {}", indent(&error.to_string()));
        complain_at(Priority::Warning, &text);
        self.log.error(error);
    }

    /// An error for people.
    pub(crate) fn describe(&self, error: &Error) -> String {
        let kind = if self.common.verbose > 0 {
            format!(" [{}]", error.kind.word())
        } else {
            String::new()
        };
        let text = indent(&error.to_string());
        let (first, rest) = text.split_once('\n').map_or((&*text, ""), |(f, r)| (f, r));
        let rest = if rest.is_empty() { String::new() } else { format!("\n{rest}") };
        format!("  {} {}: {first}{kind}{rest}", self.program, self.command)
    }

    /// Asks before something that cannot be undone. Without a terminal to ask on it refuses.
    pub(crate) fn ask(&self, question: &str) -> Result<()> {
        if self.common.yes {
            return Ok(());
        }
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return Err(Error::new(Kind::State, question.to_owned())
                .state("nothing was changed")
                .next("there is no terminal to ask on: say yes with --yes"));
        }
        loop {
            output::err(&format!("{question} [y/n]: "));
            let mut answer = String::new();
            let read = stdin.lock().read_line(&mut answer);
            match (read, answer.trim().to_ascii_lowercase().as_str()) {
                (Ok(1..), "y" | "yes") => return Ok(()),
                (Ok(0) | Err(_), _) | (_, "n" | "no") => {
                    return Err(
                        Error::new(Kind::State, "the answer was no").state("nothing was changed")
                    );
                }
                _ => {}
            }
        }
    }
}

fn indent(text: &str) -> String {
    text.replace('\n', "\n  ")
}

/// A line on standard error.
pub(crate) fn complain(text: &str) {
    complain_at(Priority::Error, text);
}

fn complain_at(priority: Priority, text: &str) {
    output::err(&journald::for_stderr(priority, &format!("{text}\n")));
}
