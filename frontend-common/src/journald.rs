//! What whoever keeps a machine looks for afterwards goes to systemd's journal, with a priority and fields of its own
//! (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>). Where there is no journal nothing happens, and a journal that
//! takes nothing holds no mover up.

use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::sync::OnceLock;

use lvshift_core::mover::{AbortReason, Outcome};

use crate::drive::Report;

const SOCKET: &str = "/run/systemd/journal/socket";

/// As syslog has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Something failed.
    Error = 3,
    /// Something looks bad.
    Warning = 4,
    /// All is well, and it is worth a note.
    Notice = 5,
}

/// Tells of a move's begin and end.
pub(crate) fn hear(vg: &str, report: &Report<'_>) {
    match *report {
        Report::Started { of, again, from, to } => {
            let (from, to) = (from.join(" "), to.join(" "));
            let begins = if again { "is carried on" } else { "begins" };
            let text = format!("VG {vg}: the move from {from} to {to} {begins}");
            let fields = [("FROM", from.as_str()), ("TO", &to)];
            send(Priority::Notice, &text, vg, &of.to_string(), &fields);
        }
        Report::Ended(report) => {
            let (outcome, priority) = match report.outcome {
                Outcome::Moved => ("moved", Priority::Notice),
                Outcome::Left => ("left", Priority::Warning),
                Outcome::Aborted(AbortReason::Requested) => ("undone", Priority::Notice),
                Outcome::Aborted(_) => ("undone", Priority::Error),
                Outcome::Stuck { .. } => ("stuck", Priority::Error),
                Outcome::Refused => ("refused", Priority::Error),
            };
            let error = report.error().map(|error| error.to_string()).unwrap_or_default();
            let colon = if error.is_empty() { "" } else { ": " };
            let text = format!("VG {vg}: the move has ended, {outcome}{colon}{error}");
            let bytes = report.bytes_total.to_string();
            let fields = [("OUTCOME", outcome), ("BYTES", bytes.as_str())];
            send(priority, &text, vg, &report.of.to_string(), &fields);
        }
        Report::Copied(_) | Report::Note(_) => {}
    }
}

fn send(priority: Priority, text: &str, vg: &str, of: &str, fields: &[(&str, &str)]) {
    let mut entry = Vec::new();
    field(&mut entry, "MESSAGE", text);
    field(&mut entry, "PRIORITY", &(priority as u8).to_string());
    field(&mut entry, "SYSLOG_IDENTIFIER", "lvshift");
    field(&mut entry, "LVSHIFT_VG", vg);
    field(&mut entry, "LVSHIFT_MOVE", of);
    for (name, value) in fields {
        field(&mut entry, &format!("LVSHIFT_{name}"), value);
    }
    let Ok(socket) = UnixDatagram::unbound() else { return };
    let ready = socket.set_nonblocking(true);
    let _ = ready.and_then(|()| socket.send_to(&entry, SOCKET));
}

/// A value of one line, or one whose length is told.
fn field(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

/// A text for standard error: with its priority in front of each line where that is the journal.
#[must_use]
pub fn for_stderr(priority: Priority, text: &str) -> String {
    static IS_JOURNAL: OnceLock<bool> = OnceLock::new();
    if *IS_JOURNAL.get_or_init(stderr_is_journal) {
        prefixed(priority, text)
    } else {
        text.to_owned()
    }
}

/// See sd-daemon(3).
fn prefixed(priority: Priority, text: &str) -> String {
    text.lines().map(|line| format!("<{}>{line}\n", priority as u8)).collect()
}

fn stderr_is_journal() -> bool {
    let told = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let file = std::fs::metadata("/proc/self/fd/2");
    file.is_ok_and(|file| told == format!("{}:{}", file.dev(), file.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_a_line_or_has_its_length() {
        let mut entry = Vec::new();
        field(&mut entry, "A", "b=c");
        field(&mut entry, "D", "e\nf");
        assert_eq!(entry, b"A=b=c\nD\n\x03\0\0\0\0\0\0\0e\nf\n");
    }

    #[test]
    fn every_line_has_the_priority() {
        assert_eq!(prefixed(Priority::Error, "a\nb\n"), "<3>a\n<3>b\n");
    }
}
