//! The grammar of what the guest reports to the host.
//!
//! Reports travel over a virtio-serial port of their own, so no kernel message
//! can tear one. A report is one line:
//!
//! ```text
//! lvshift1 KIND TEXT\n
//! ```
//!
//! `TEXT` is escaped so that it holds no newline. Both sides are in this file.

use std::fmt;

/// The first word of every line; the digit is the version of the grammar.
const MAGIC: &str = "lvshift1";

/// The name of the virtio-serial port.
pub const PORT: &str = "lvshift.report";

/// One report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The guest has booted, knows no disk yet, and waits for an order.
    Ready,
    /// PID 1 is running and has opened the port; the text says which boot.
    Hello(u32),
    /// A line for the scenario's log.
    Log(String),
    /// Text for the terminal, as it is (the demo's pictures and progress).
    Show(String),
    /// Cut the power now and boot again.
    PowerCut,
    /// The guest has shut down in order; boot it again.
    Reboot,
    /// The guest's own init shuts it down now; the machine must be off within so many seconds. Then boot
    /// it again.
    ShutDown(u32),
    /// Something is wrong. The scenario fails, whatever follows.
    Fail(String),
    /// The scenario and the checks after it are done, with nothing wrong.
    Pass,
    /// Nothing follows.
    End,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, text) = match self {
            Self::Ready => ("ready", String::new()),
            Self::Hello(boot) => ("hello", boot.to_string()),
            Self::Log(text) => ("log", escape(text)),
            Self::Show(text) => ("show", escape(text)),
            Self::PowerCut => ("power-cut", String::new()),
            Self::Reboot => ("reboot", String::new()),
            Self::ShutDown(limit_s) => ("shut-down", limit_s.to_string()),
            Self::Fail(text) => ("fail", escape(text)),
            Self::Pass => ("pass", String::new()),
            Self::End => ("end", String::new()),
        };
        write!(f, "{MAGIC} {kind} {text}")
    }
}

impl Report {
    /// Reads one line, without its newline.
    ///
    /// # Errors
    /// The line itself, with what is wrong with it.
    pub fn parse(line: &str) -> Result<Self, String> {
        let bad = |why: &str| Err(format!("{why}: {line:?}"));
        let mut words = line.splitn(3, ' ');
        if words.next() != Some(MAGIC) {
            return bad("not a report");
        }
        let (Some(kind), Some(text)) = (words.next(), words.next()) else {
            return bad("a report cut short");
        };
        let Some(text) = unescape(text) else {
            return bad("a report with a broken escape");
        };
        Ok(match kind {
            "ready" => Self::Ready,
            "hello" => match text.parse() {
                Ok(boot) => Self::Hello(boot),
                Err(_) => return bad("a hello without its boot number"),
            },
            "log" => Self::Log(text),
            "show" => Self::Show(text),
            "power-cut" => Self::PowerCut,
            "reboot" => Self::Reboot,
            "shut-down" => match text.parse() {
                Ok(limit_s) => Self::ShutDown(limit_s),
                Err(_) => return bad("a shut-down without its limit"),
            },
            "fail" => Self::Fail(text),
            "pass" => Self::Pass,
            "end" => Self::End,
            _ => return bad("a report of unknown kind"),
        })
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out
}

fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push(match chars.next()? {
                '\\' => '\\',
                'n' => '\n',
                _ => return None,
            }),
            c => out.push(c),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_report_comes_back_as_it_was_sent() {
        let nasty = "two\nlines, a \\ and \\n, a tab\t, \r, ü, trailing space ";
        for report in [
            Report::Ready,
            Report::Hello(2),
            Report::Log(nasty.into()),
            Report::Show(nasty.into()),
            Report::Show(String::new()),
            Report::PowerCut,
            Report::Reboot,
            Report::ShutDown(15),
            Report::Fail(nasty.into()),
            Report::Pass,
            Report::End,
        ] {
            let line = report.to_string();
            assert!(!line.contains('\n'), "a report is one line: {line:?}");
            assert_eq!(Report::parse(&line), Ok(report));
        }
    }

    #[test]
    fn torn_and_foreign_lines_are_refused() {
        for line in [
            "",
            "pass",
            "lvshift1",
            "lvshift1 pass",
            "lvshift2 pass ",
            "lvshift1 passed ",
            "lvshift1 hello x",
            "lvshift1 shut-down soon",
            "lvshift1 log ends with \\",
            "lvshift1 log \\t",
            "[    1.0] lvshift1 pass ",
        ] {
            assert!(Report::parse(line).is_err(), "{line:?} was taken for a report");
        }
    }
}
