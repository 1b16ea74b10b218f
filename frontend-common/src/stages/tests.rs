//! Tests with a clock of their own.

use super::*;

const CHUNK: u64 = 2 << 20;

/// An LV with users who make `quiet` requests a second, or `beside` while something is copied.
struct Lv {
    look: Look,
    quiet: f64,
    beside: f64,
    /// Chunks a second.
    speed: f64,
    stages: Stages,
}

impl Lv {
    fn new(quiet: f64, beside: f64) -> Lv {
        let look = Look { at: Instant::now(), requests: 0 };
        let mut stages = Stages::with_exchanges(CHUNK);
        stages.watch(look);
        Lv { look, quiet, beside, speed: 50.0, stages }
    }

    fn pass(&mut self, time: Duration, rate: f64) {
        self.look.at += time;
        self.look.requests += (rate * time.as_secs_f64()).round() as u64;
    }

    /// Copies for that long; how long something was copied, and what the users had of their requests.
    fn run(&mut self, time: Duration) -> (Duration, f64) {
        self.pass(Duration::from_millis(200), self.quiet);
        let (start, mut copied) = (self.look, Duration::ZERO);
        let mut stage = self.stages.first(self.look);
        while self.look.at - start.at < time {
            let takes = Duration::from_secs_f64(stage.chunks as f64 / self.speed);
            self.pass(takes, self.beside);
            copied += takes;
            stage = loop {
                match self.stages.next(self.look) {
                    Next::Give(stage) => break stage,
                    Next::Rest(until) => self.pass(until - self.look.at, self.quiet),
                }
            };
        }
        let had = (self.look.requests - start.requests) as f64;
        (copied, had / (self.quiet * (self.look.at - start.at).as_secs_f64()))
    }
}

const LONG: Duration = Duration::from_secs(100);

#[test]
fn an_lv_that_is_not_used_means_no_pause() {
    let mut lv = Lv::new(0.0, 0.0);
    let (copied, _) = lv.run(LONG);
    assert!(copied >= LONG, "{copied:?}");
    // A stage of a second.
    assert!((25..=100).contains(&lv.stages.chunks), "{}", lv.stages.chunks);
}

#[test]
fn users_keep_nine_tenths_of_their_requests_and_the_copy_gets_on() {
    for (quiet, beside) in [(150.0, 30.0), (2000.0, 400.0), (300.0, 30.0)] {
        let mut lv = Lv::new(quiet, beside);
        let (copied, kept) = lv.run(LONG);
        assert!(kept > 0.9, "{quiet} {beside}: {kept}");
        assert!(copied > LONG / 20, "{quiet} {beside}: {copied:?}");
    }
}

#[test]
fn users_who_feel_nothing_cost_the_copy_little() {
    let (copied, kept) = Lv::new(2000.0, 1950.0).run(LONG);
    assert!(kept > 0.95, "{kept}");
    assert!(copied > LONG / 2, "{copied:?}");
}

#[test]
fn a_disk_that_is_very_slow_is_left_all_the_same() {
    // A chunk takes 0.8 s, and the users have next to nothing meanwhile.
    let mut lv = Lv::new(100.0, 1.0);
    lv.speed = 1.25;
    let (copied, _) = lv.run(LONG);
    let bytes = copied.as_secs_f64() * lv.speed * CHUNK as f64;
    assert!(bytes / LONG.as_secs_f64() > 0.9 * MIN_RATE, "{bytes}");
}

#[test]
fn users_who_come_in_the_middle_are_made_way_for() {
    let mut lv = Lv::new(0.0, 0.0);
    lv.run(LONG);
    (lv.quiet, lv.beside) = (1000.0, 200.0);
    let mut rested = false;
    for _ in 0..3 {
        lv.pass(Duration::from_secs(1), 200.0);
        rested |= matches!(lv.stages.next(lv.look), Next::Rest(_));
    }
    assert!(rested);
}

#[test]
fn disks_that_cannot_keep_the_least_rate_get_more_and_more_and_no_pause() {
    let mut lv = Lv::new(100.0, 1.0);
    lv.speed = 0.1;
    let (copied, _) = lv.run(LONG);
    assert!(copied >= LONG, "{copied:?}");
    assert!(lv.stages.chunks > 4, "{}", lv.stages.chunks);
}

#[test]
fn a_disk_that_works_off_a_stage_in_the_pause_after_it_does_not_shorten_the_pauses() {
    let mut lv = Lv::new(200.0, 20.0);
    lv.pass(Duration::from_millis(200), lv.quiet);
    let mut next = Next::Give(lv.stages.first(lv.look));
    let (mut pauses, mut rested) = (0, Duration::ZERO);
    while pauses < 20 {
        match next {
            Next::Give(_) => lv.pass(Duration::from_millis(100), lv.beside),
            Next::Rest(until) => {
                let rest = until - lv.look.at;
                let owed = rest.min(Duration::from_millis(120));
                lv.pass(owed, lv.beside);
                lv.pass(rest - owed, lv.quiet);
                (pauses, rested) = (pauses + 1, rested + rest);
            }
        }
        next = lv.stages.next(lv.look);
    }
    assert!(rested > Duration::from_millis(800) * pauses, "{rested:?}");
}

#[test]
fn few_users_are_seen_where_no_table_is_exchanged() {
    for (stages, used) in
        [(Stages::without_exchanges(CHUNK), true), (Stages::with_exchanges(CHUNK), false)]
    {
        let mut lv = Lv { stages, ..Lv::new(50.0, 1.0) };
        lv.stages.watch(lv.look);
        lv.pass(Duration::from_millis(100), lv.quiet);
        assert_eq!(lv.stages.first(lv.look).one_by_one, used);
    }
}
