//! What the project wants to reach, and whether these results do.

use std::fmt;

use super::results::Results;
use super::stats::{self, number};

/// One goal: a contestant's metric, perhaps as a ratio to another's, below or above a bound.
struct Goal {
    bench: &'static str,
    contestant: &'static str,
    metric: &'static str,
    /// Another contestant and a metric of that.
    against: Option<(&'static str, &'static str)>,
    bound: Bound,
}

#[derive(Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}
use Bound::{AtLeast, AtMost};

const fn goal(
    bench: &'static str,
    contestant: &'static str,
    metric: &'static str,
    against: Option<(&'static str, &'static str)>,
    bound: Bound,
) -> Goal {
    Goal { bench, contestant, metric, against, bound }
}

const RAW: Option<(&str, &str)> = Some(("raw copy", "time"));
const PVMOVE: Option<(&str, &str)> = Some(("pvmove", "time"));
const DM: &str = "lvshift-dm";
const UBLK: &str = "lvshift-ublk";
const CORE: &str = "lvshift-core";
const PACED: &str = "lvshift-ublk, paced";

const IN_PLACE: &str = "one segment, time";

const GOALS: &[Goal] = &[
    goal("move-idle", DM, "time", RAW, AtMost(2.0)),
    goal("move-idle", DM, "time", PVMOVE, AtMost(0.75)),
    goal("move-idle", UBLK, "time", RAW, AtMost(1.1)),
    goal("move-idle", UBLK, "time", PVMOVE, AtMost(0.5)),
    goal("small-segments", DM, EIGHT, Some(("pvmove", EIGHT)), AtMost(0.02)),
    goal("small-segments", UBLK, EIGHT, Some(("pvmove", EIGHT)), AtMost(0.02)),
    goal("small-segments", DM, EIGHT, Some((DM, ONE)), AtMost(2.0)),
    goal("small-segments", UBLK, EIGHT, Some((UBLK, ONE)), AtMost(2.0)),
    goal("lvm2", UBLK, IN_PLACE, Some(("pvmove", IN_PLACE)), AtMost(0.8)),
    goal("app-4k", DM, "depth 4, requests kept", None, AtLeast(0.90)),
    goal("pace", PACED, "beside it, requests kept", None, AtLeast(0.95)),
    goal("app-4k", DM, "depth 4, worst latency", None, AtMost(2.0)),
    goal("pace", PACED, "beside it, worst latency", None, AtMost(2.0)),
    goal("pace", PACED, "beside it, p99", None, AtMost(1.5)),
    goal("slow-disks", DM, "rate", Some(("pvmove", "rate")), AtLeast(4.0)),
    goal("slow-disks", UBLK, "rate", Some(("pvmove", "rate")), AtLeast(8.0)),
    goal("late-disks", DM, "rate", Some(("pvmove", "rate")), AtLeast(4.0)),
    goal("late-disks", UBLK, "rate", Some(("pvmove", "rate")), AtLeast(8.0)),
    goal("sparse", UBLK, "data written to the destination, per 512 MiB", None, AtMost(40.0)),
    goal("sparse", DM, "data written to the destination, per 512 MiB", None, AtMost(40.0)),
    goal("steady", UBLK, DEEP, Some(("libublk loop", DEEP)), AtLeast(1.2)),
    goal("steady", UBLK, SINGLE, Some(("libublk loop", SINGLE)), AtLeast(1.0)),
    goal("steady", UBLK, LARGE, Some(("libublk loop", LARGE)), AtLeast(1.0)),
    goal("core", CORE, "lookup/10000", None, AtMost(20.0)),
    goal("core", CORE, "admit and end/random/1 thread", None, AtMost(60.0)),
    goal("core", CORE, "memory per TiB in chunks of 1 MiB", None, AtMost(8192.0)),
    goal("native-copy", "lvshift-ublk copier", "time", Some(("QEMU mirror", "time")), AtMost(0.8)),
    goal("native-copy", "lvshift-ublk copier", "time", Some(("plain copy", "time")), AtMost(1.05)),
];

/// Where the disks are the limit; of the move beside an application as it is by default.
const fn bound(bench: &'static str) -> [Goal; 9] {
    [
        goal(bench, UBLK, "time", RAW, AtMost(1.1)),
        goal(bench, UBLK, "time", PVMOVE, AtMost(0.8)),
        goal(bench, DM, "time", RAW, AtMost(1.1)),
        goal(bench, DM, "time", PVMOVE, AtMost(0.8)),
        goal(bench, UBLK, "beside it, requests kept", None, AtLeast(0.95)),
        goal(bench, UBLK, "beside it, p99", None, AtMost(1.5)),
        goal(bench, UBLK, "beside it, worst latency", None, AtMost(2.0)),
        goal(bench, DM, "beside it, requests kept", None, AtLeast(0.90)),
        goal(bench, DM, "beside it, p99", None, AtMost(2.0)),
    ]
}

const BOUND: &[[Goal; 9]] = &[bound("hard-disk"), bound("ssd"), bound("network-disk")];

fn all() -> impl Iterator<Item = &'static Goal> {
    BOUND.iter().flatten().chain(GOALS)
}

const EIGHT: &str = "eight segments, time";
const ONE: &str = "one segment, time";
const DEEP: &str = "4k reads, depth 16";
const SINGLE: &str = "4k reads, depth 1";
const LARGE: &str = "1m reads, depth 4";

/// A goal and how it went.
pub(super) struct Verdict {
    pub(super) met: bool,
    pub(super) goal: String,
    pub(super) found: String,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.met { "met" } else { "NOT met" };
        write!(f, "goal {word}: {}; measured {}", self.goal, self.found)
    }
}

/// Those goals that these results say something about.
pub(super) fn of(results: &Results) -> Vec<Verdict> {
    let own = all().filter(|goal| goal.bench == results.bench);
    own.filter_map(|goal| judge(goal, results)).collect()
}

fn judge(goal: &Goal, results: &Results) -> Option<Verdict> {
    let values = stats::of(&results.samples, goal.contestant, goal.metric);
    let (found, unit) = match goal.against {
        Some((other, metric)) => {
            let others = stats::of(&results.samples, other, metric);
            let what = if metric == goal.metric { "" } else { metric };
            (stats::ratio(&values, &others)?, format!(" x {other} {what}"))
        }
        None => {
            let unit = results.metrics().into_iter().find(|m| m.0 == goal.metric)?.1;
            (stats::spread(values.iter().map(|v| v.1).collect())?, format!(" {unit}"))
        }
    };
    let (met, bound) = match goal.bound {
        AtMost(most) => (found.median <= most, format!("at most {most}")),
        AtLeast(least) => (found.median >= least, format!("at least {least}")),
    };
    Some(Verdict {
        met,
        goal: format!(
            "`{}`: {}, {}: {bound}{}",
            goal.bench,
            goal.contestant,
            goal.metric,
            unit.trim_end()
        ),
        found: number(found.median),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_goal_is_about_a_benchmark_that_there_is() {
        for goal in all() {
            let known = lvshift_vm_tests::bench::find(goal.bench).is_some()
                || crate::bench::NATIVE.iter().any(|b| b.0 == goal.bench);
            assert!(known, "no benchmark {}", goal.bench);
        }
    }
}
