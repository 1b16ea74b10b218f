//! Time on this machine's processors, as /proc counts it.

use std::time::Duration;

/// What a process has used; nothing if that is not known.
pub(crate) fn of(pid: u32) -> Duration {
    ticks(&format!("/proc/{pid}/stat"), 14)
}

/// What the children of this process had used that have ended, and theirs.
pub(crate) fn of_ended_children() -> Duration {
    ticks("/proc/self/stat", 16)
}

/// The sum of two fields, in user mode and in the kernel, counted from one as proc_pid_stat(5) does.
fn ticks(path: &str, first: usize) -> Duration {
    let stat = std::fs::read_to_string(path).unwrap_or_default();
    // The second field, a name in parentheses, may hold blanks.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields = rest.split_whitespace().skip(first - 3).take(2);
    // A tick is 10 ms on every x86.
    Duration::from_millis(fields.filter_map(|field| field.parse::<u64>().ok()).sum::<u64>() * 10)
}
