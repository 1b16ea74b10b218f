//! Who holds a lock: its number, its command, and since when, for the one who waits.

use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::Duration;

/// Who holds a lock, as far as can be found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pid: u32,
    command: String,
    /// Since it took the lock; readers leave no note of that.
    held: Option<Duration>,
    /// It was stopped (SIGSTOP, ctrl-Z) and cannot let go.
    stopped: bool,
}

/// What a holder writes into its lock file, so that others can name it.
pub(super) fn note(file: &File, label: Option<&str>) -> std::io::Result<()> {
    let label = label.map_or_else(own_command, str::to_owned);
    let text = format!("process {}, {label}\n", std::process::id());
    file.set_len(0)?;
    file.write_all_at(text.as_bytes(), 0)
}

fn own_command() -> String {
    let words: Vec<String> =
        std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    words.join(" ")
}

/// The first that the kernel names as holding a `flock` on this file.
pub(crate) fn of(file: &File) -> Option<Holder> {
    let metadata = file.metadata().ok()?;
    let (major, minor) = (rustix::fs::major(metadata.dev()), rustix::fs::minor(metadata.dev()));
    let place = format!("{major:02x}:{minor:02x}:{}", metadata.ino());
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let pid = holders(&locks, &place).next()?;
    // Another PID namespace's processes have no number here.
    let pid = u32::try_from(pid).ok().filter(|pid| *pid > 0)?;
    // A command line is memory of its process, which may have been swapped out to what is not served now.
    let line = if super::takes_over() { "comm" } else { "cmdline" };
    let command = fs::read(format!("/proc/{pid}/{line}")).ok()?;
    let words: Vec<String> = command
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).trim_end().to_owned())
        .collect();
    let mut text = [0; 64];
    let length = file.read_at(&mut text, 0).unwrap_or(0);
    let noted =
        text.get(..length).is_some_and(|t| t.starts_with(format!("process {pid},").as_bytes()));
    let held = metadata.modified().ok().and_then(|at| at.elapsed().ok()).filter(|_| noted);
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let stopped = state.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['T', 't']));
    Some(Holder { pid, command: words.join(" "), held, stopped })
}

/// A line is `1: FLOCK  ADVISORY  WRITE 1234 00:1a:5678 0 EOF`; one that only waits has `->`.
fn holders<'a>(locks: &'a str, place: &'a str) -> impl Iterator<Item = i64> + 'a {
    locks.lines().filter_map(move |line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_it = words.get(1) == Some(&"FLOCK") && words.get(5) == Some(&place);
        words.get(4).filter(|_| is_it)?.parse().ok()
    })
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({})", self.pid, self.command)?;
        if let Some(held) = self.held {
            write!(f, ", for {} s", held.as_secs())?;
        }
        if self.stopped { f.write_str(", which is stopped") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_are_named_and_those_who_wait_are_not() {
        let locks = "1: POSIX  ADVISORY  WRITE 11 00:19:7 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 12 00:19:8 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 13 00:19:8 0 EOF\n\
                     3: FLOCK  ADVISORY  READ 14 00:19:10 0 EOF\n";
        let found = |place| holders(locks, place).collect::<Vec<_>>();
        assert_eq!(found("00:19:8"), [12]);
        assert_eq!(found("00:19:10"), [14]);
        assert!(found("00:19:7").is_empty() && found("00:19:1").is_empty());
    }

    #[test]
    fn a_holder_is_told_with_all_that_is_known() {
        let holder = Holder {
            pid: 7,
            command: "lvshift-dm lvremove vg/b".to_owned(),
            held: Some(Duration::from_secs(31)),
            stopped: true,
        };
        assert_eq!(
            holder.to_string(),
            "process 7 (lvshift-dm lvremove vg/b), for 31 s, which is stopped"
        );
    }
}
