//! When may the next read of the source begin?
//!
//! Before a move all of it is read, of which the LV's users would feel more than of the copy: several large reads
//! in flight, as fast as the disk answers. So the reads go in stages, as the copy does (`crate::stages`).

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use lvshift_core::units::DeviceNumber;

use crate::device::sysfs;
use crate::stages::{Look, Next, Stages};

/// So long the LVs are looked at before the first read: long enough for their users to show.
const WATCH: Duration = Duration::from_millis(100);
/// So few bytes are read before it would be over.
const FEW: u64 = 4 << 20;

/// See the module. For many threads, each of which enters for one read.
pub(crate) struct Gate {
    /// The devices of the LVs whose users are made way for. The reads themselves go to the PV below, and are not
    /// counted there.
    lvs: Vec<DeviceNumber>,
    turn: Mutex<Turn>,
    changed: Condvar,
}

struct Turn {
    /// `None`: whoever comes may read.
    stages: Option<Stages>,
    /// Nothing is read before that.
    watch_until: Option<Instant>,
    /// Reads of the present stage that have not begun.
    left: u64,
    one_by_one: bool,
    in_flight: u64,
}

/// Held for as long as a read takes.
pub(crate) struct Pass<'a>(&'a Gate);

impl Gate {
    /// Makes way for the users of LVs with these devices while `bytes` are read, `read_bytes` at a time.
    pub(crate) fn polite(lvs: Vec<DeviceNumber>, read_bytes: u64, bytes: u64) -> Gate {
        if bytes <= FEW {
            return Gate::open();
        }
        let mut stages = Stages::without_exchanges(read_bytes);
        let look = look(&lvs);
        stages.watch(look);
        Gate::new(lvs, Some(stages), Some(look.at + WATCH))
    }

    /// Makes way for none.
    pub(crate) fn open() -> Gate {
        Gate::new(Vec::new(), None, None)
    }

    fn new(lvs: Vec<DeviceNumber>, stages: Option<Stages>, watch_until: Option<Instant>) -> Gate {
        let turn = Turn { stages, watch_until, left: 0, one_by_one: false, in_flight: 0 };
        Gate { lvs, turn: Mutex::new(turn), changed: Condvar::new() }
    }

    /// Waits until a read may begin.
    pub(crate) fn enter(&self) -> Pass<'_> {
        let mut turn = self.turn();
        while !turn.is_free() {
            turn = if turn.left > 0 || turn.in_flight > 0 {
                self.changed.wait(turn).expect("no reader panics holding it")
            } else {
                self.next_stage(turn)
            };
        }
        turn.left = turn.left.saturating_sub(1);
        turn.in_flight += 1;
        Pass(self)
    }

    /// All of a stage was read: another one, or what is left of the pause is waited for.
    fn next_stage<'a>(&'a self, mut turn: MutexGuard<'a, Turn>) -> MutexGuard<'a, Turn> {
        let Turn { stages: Some(stages), watch_until, .. } = &mut *turn else { return turn };
        let look = look(&self.lvs);
        let next = match *watch_until {
            Some(until) if look.at < until => Next::Rest(until),
            Some(_) => Next::Give(stages.first(look)),
            None => stages.next(look),
        };
        match next {
            Next::Give(stage) => {
                (turn.left, turn.one_by_one) = (stage.chunks, stage.one_by_one);
                turn.watch_until = None;
                self.changed.notify_all();
                turn
            }
            Next::Rest(until) => {
                let rest = until.saturating_duration_since(Instant::now());
                let woken = self.changed.wait_timeout(turn, rest);
                woken.expect("no reader panics holding it").0
            }
        }
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().expect("no reader panics holding it")
    }
}

impl Turn {
    fn is_free(&self) -> bool {
        self.stages.is_none() || (self.left > 0 && !(self.one_by_one && self.in_flight > 0))
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.0.turn().in_flight -= 1;
        self.0.changed.notify_all();
    }
}

/// What the LVs were asked so far. One that is not active is not used.
fn look(lvs: &[DeviceNumber]) -> Look {
    let of = |lv: &DeviceNumber| sysfs::stat(*lv).unwrap_or_default().requests();
    Look { at: Instant::now(), requests: lvs.iter().map(of).sum() }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn readers_of_a_stage_that_is_one_by_one_are_never_two() {
        let gate = Gate::new(Vec::new(), Some(Stages::without_exchanges(1 << 20)), None);
        (gate.turn().left, gate.turn().one_by_one) = (12, true);
        let (inside, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..3 {
                        let _pass = gate.enter();
                        let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(now, Ordering::SeqCst);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(most.load(Ordering::SeqCst), 1);
        assert_eq!(gate.turn().left, 0);
    }

    #[test]
    fn stage_after_stage_is_given_until_all_have_read() {
        let gate = Gate::polite(Vec::new(), 1 << 20, 200 << 20);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..50).for_each(|_| drop(gate.enter())));
            }
        });
        assert_eq!(gate.turn().in_flight, 0);
    }
}
