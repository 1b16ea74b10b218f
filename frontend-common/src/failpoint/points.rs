//! `LVSHIFT_FAIL_AT` names steps at which this process kills or stops itself, or takes a step as failed;
//! several are separated by commas.
//!
//! `before:NAME` and `after:NAME` kill, `stop:NAME` stops once before, `error:NAME[:COUNT]` fails the
//! step without doing it (COUNT times, else always).

use std::sync::Mutex;
use std::time::Duration;

use lvshift_core::mover::Action;
use rustix::process::{Signal, getpid, kill_process};

use crate::error::{Error, Kind, Result};

/// The variable.
const VARIABLE: &str = "LVSHIFT_FAIL_AT";
/// How many slot writes of a commit are fail points of their own.
const SLOT_WRITES: usize = 4;

/// The steps in which a daemon's mirror goes to the kernel.
const HAND_OVER: [&str; 3] = ["hand-over-hush", "hand-over-swap", "hand-over-end"];

/// How long another thread of this process may take to see that it is to stop.
const STOPPING: Duration = Duration::from_millis(300);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    KillBefore,
    KillAfter,
    Stop { done: bool },
    Fail { left: Option<u32> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Point {
    name: String,
    effect: Effect,
}

static POINTS: Mutex<Option<Vec<Point>>> = Mutex::new(None);

/// Every name that a fail point may have.
pub(crate) fn names() -> Vec<String> {
    let mut names: Vec<String> = Action::NAMES.iter().map(|&name| name.to_owned()).collect();
    for commit in Action::NAMES.iter().filter(|name| name.starts_with("commit-")) {
        names.extend((1..=SLOT_WRITES).map(|count| format!("{commit}-slot{count}")));
    }
    names.extend(HAND_OVER.map(str::to_owned));
    names
}

fn parse(text: &str) -> Vec<Point> {
    text.split(',')
        .filter_map(|item| {
            let mut words = item.trim().split(':');
            let (effect, name) = (words.next()?, words.next()?);
            let effect = match effect {
                "before" => Effect::KillBefore,
                "after" => Effect::KillAfter,
                "stop" => Effect::Stop { done: false },
                "error" => Effect::Fail { left: words.next().and_then(|count| count.parse().ok()) },
                _ => return None,
            };
            Some(Point { name: name.to_owned(), effect })
        })
        .collect()
}

fn signal(signal: Signal, name: &str) {
    tracing::warn!(name, ?signal, "fail point");
    // If even this fails, the test that set the fail point sees that it had no effect.
    let _ = kill_process(getpid(), signal);
    if signal == Signal::STOP {
        // Any thread may take the signal, and until it does this one would run on past the point,
        // to where it holds a lock that others wait for.
        std::thread::sleep(STOPPING);
    }
}

/// The step `name` is about to be done.
///
/// # Errors
/// When a fail point wants it to fail.
pub(crate) fn before(name: &str) -> Result<()> {
    let Ok(mut points) = POINTS.lock() else { return Ok(()) };
    let points = points.get_or_insert_with(|| parse(&std::env::var(VARIABLE).unwrap_or_default()));
    for point in points.iter_mut().filter(|point| point.name == name) {
        match &mut point.effect {
            Effect::KillBefore => signal(Signal::KILL, name),
            Effect::Stop { done: true } => {}
            Effect::Stop { done } => {
                *done = true;
                signal(Signal::STOP, name);
            }
            Effect::Fail { left: Some(0) } | Effect::KillAfter => {}
            Effect::Fail { left } => {
                *left = left.map(|left| left - 1);
                return Err(Error::new(Kind::Io, format!("{name} failed at a fail point")));
            }
        }
    }
    Ok(())
}

/// The step `name` has been done.
pub(crate) fn after(name: &str) {
    let Ok(points) = POINTS.lock() else { return };
    let wanted = points.iter().flatten();
    if wanted.into_iter().any(|point| point.name == name && point.effect == Effect::KillAfter) {
        signal(Signal::KILL, name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_and_nonsense_is_ignored() {
        let points = parse("before:a, after:b,stop:c,error:d:2,error:e,nonsense,x:y");
        let effects: Vec<_> = points.iter().map(|p| (p.name.as_str(), p.effect)).collect();
        assert_eq!(
            effects,
            [
                ("a", Effect::KillBefore),
                ("b", Effect::KillAfter),
                ("c", Effect::Stop { done: false }),
                ("d", Effect::Fail { left: Some(2) }),
                ("e", Effect::Fail { left: None }),
            ]
        );
    }

    #[test]
    fn names_cover_the_actions_and_the_slots_of_commits() {
        let names = names();
        assert!(names.iter().any(|name| name == "await-copy"));
        assert!(names.iter().any(|name| name == "commit-moved-slot1"));
    }
}
