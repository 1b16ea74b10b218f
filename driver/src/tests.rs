//! The driver over a host that only keeps books.

extern crate std;

use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

use lvshift_core::metadata::{Change, MoveState};
use lvshift_core::mover::{AbortReason, Action, Event, Live, Mapping, MoverError, Outcome};
use lvshift_core::units::Uuid;
use lvshift_core::{Leg, LegFault};

use crate::{CopyStatus, Goal, Host, MayLack, Observed, Report, Request, Wake, drive};

const LV: Uuid = Uuid([1; 16]);

#[derive(Debug, PartialEq)]
struct Failure(String);

impl From<MoverError> for Failure {
    fn from(error: MoverError) -> Failure {
        Failure(error.to_string())
    }
}

#[derive(Debug)]
struct Books {
    lvs: usize,
    recorded: Option<MoveState>,
    live: Live,
    steps: Vec<String>,
    /// Fails this step the first so many times.
    fails: Option<(&'static str, u32)>,
    blames_destination: bool,
    looks: u64,
    leg: Option<(Leg, LegFault)>,
    /// What is wanted at the n-th time that it is asked.
    wish: Option<(u32, Request)>,
    asked: u32,
    reports: Vec<String>,
}

impl Books {
    fn new(recorded: MoveState, live: Live) -> Books {
        Books {
            lvs: 1,
            recorded: Some(recorded),
            live,
            steps: vec![],
            fails: None,
            blames_destination: false,
            looks: 0,
            leg: None,
            wish: None,
            asked: 0,
            reports: vec![],
        }
    }

    fn planned() -> Books {
        Books::new(MoveState::Queued, Live::Is(Mapping::Source))
    }

    fn step(&mut self, name: &str) -> Result<(), Failure> {
        self.steps.push(name.to_string());
        match &mut self.fails {
            Some((failing, left)) if *failing == name && *left > 0 => {
                *left -= 1;
                Err(Failure(format!("{name} fails")))
            }
            _ => Ok(()),
        }
    }

    fn did(&self, step: &str) -> usize {
        self.steps.iter().filter(|other| *other == step).count()
    }
}

impl Host for Books {
    type Error = Failure;

    fn observe(&mut self, found: &mut Observed) -> Result<MoveState, Failure> {
        self.step("observe")?;
        for lv in 0..self.lvs {
            found.add(Uuid([1 + lv as u8; 16]), self.live);
        }
        self.recorded.ok_or(Failure("gone".into()))
    }
    fn trust_log(&mut self) -> Result<(), Failure> {
        self.step("trust-log")
    }
    fn commit(&mut self, change: Change) -> Result<(), Failure> {
        self.step(Action::Commit(change).name())?;
        match change {
            Change::Confirm => {}
            Change::Begin => self.recorded = Some(MoveState::Copying),
            Change::Moved => self.recorded = Some(MoveState::Moved),
            Change::Aborting => self.recorded = Some(MoveState::Aborting),
            Change::Forget => self.recorded = None,
        }
        Ok(())
    }
    fn is_of_destination(&self, _: &Failure) -> bool {
        self.blames_destination
    }
    fn init_log(&mut self, _: Uuid) -> Result<(), Failure> {
        self.step("init-log")
    }
    fn create_shadow(&mut self, _: Uuid) -> Result<(), Failure> {
        self.step("create-shadow")
    }
    fn load(&mut self, lv: Uuid, mapping: Mapping) -> Result<(), Failure> {
        self.step(Action::Load { lv, mapping }.name())
    }
    fn swap(&mut self, lv: Uuid, mapping: Mapping) -> Result<(), Failure> {
        self.step(Action::Swap { lv, mapping }.name())?;
        assert_eq!(lv, LV);
        self.live = Live::Is(mapping);
        Ok(())
    }
    fn remove_shadow(&mut self, _: Uuid) -> Result<(), Failure> {
        self.step("remove-shadow")
    }
    fn copy_status(&mut self) -> Result<CopyStatus, Failure> {
        self.step("copy-status")?;
        self.looks += 1;
        let failed = self.leg.filter(|_| self.looks > 1);
        let chunks_done = self.looks.min(2);
        Ok(CopyStatus { chunks_done, chunks_total: 2, failed, ..CopyStatus::default() })
    }
    fn wait(&mut self) -> Result<Wake, Failure> {
        self.step("wait")?;
        Ok(if self.wish.is_some() { Wake::Signal } else { Wake::Changed })
    }
    fn seal(&mut self, for_commit: bool) -> Result<bool, Failure> {
        self.step(if for_commit { "seal-for-commit" } else { "seal" }).map(|()| true)
    }
    fn flush_destination(&mut self) -> Result<(), Failure> {
        self.step("flush-destination")
    }
    fn diagnose(&mut self) -> Result<(), Failure> {
        self.step("diagnose")
    }
    fn requests(&mut self, each: &mut dyn FnMut(Request)) {
        self.asked += 1;
        if let Some((at, request)) = self.wish
            && at == self.asked
        {
            each(request);
        }
    }
    fn report(&mut self, report: Report<Failure>) {
        self.reports.push(match report {
            Report::Started { again } => format!("started again={again}"),
            Report::Copied(status) => format!("copied {}", status.chunks_done),
            Report::LegFailed(leg, fault) => format!("{leg:?} {fault:?} live={:?}", self.live),
            Report::Failed { action, error } => {
                format!("{}: {}", action.map_or("begin", |action| action.name()), error.0)
            }
        });
    }
}

#[test]
fn a_move_that_goes_well_takes_every_step_once_and_seals_for_the_commit() {
    let mut books = Books::planned();
    assert_eq!(drive(&mut books, Goal::Move), Outcome::Moved);
    let expected = "observe init-log commit-begin create-shadow load-mirrored \
                    swap-mirrored copy-status wait copy-status copy-status seal flush-destination \
                    copy-status seal-for-commit commit-moved load-final swap-final remove-shadow \
                    commit-forget";
    assert_eq!(books.steps.join(" "), expected);
    assert_eq!(books.reports, ["started again=false", "copied 1", "copied 2"]);
}

#[test]
fn any_step_that_fails_once_leaves_one_side_in_charge() {
    for step in Action::NAMES.iter().copied().chain(["copy-status", "wait", "seal"]) {
        let mut books = Books::planned();
        books.fails = Some((step, 1));
        let outcome = drive(&mut books, Goal::Move);
        let expected = match outcome {
            Outcome::Moved => Live::Is(Mapping::Final),
            Outcome::Aborted(_) => Live::Is(Mapping::Source),
            other => panic!("{step}: {other:?}"),
        };
        assert_eq!((books.live, books.recorded), (expected, None), "{step}");
    }
}

#[test]
fn a_commit_that_failed_on_the_destination_is_never_tried_again() {
    for (blames, tries) in [(true, 1), (false, 2)] {
        let mut books = Books::planned();
        (books.fails, books.blames_destination) = (Some(("commit-moved", 1)), blames);
        let outcome = drive(&mut books, Goal::Move);
        assert_eq!(books.did("commit-moved"), tries);
        assert_eq!(outcome == Outcome::Moved, !blames);
        if blames {
            let reason = AbortReason::LegFailed(Leg::Destination, LegFault::Flush);
            assert_eq!(outcome, Outcome::Aborted(reason));
            let told = &books.reports[3..];
            assert_eq!(told[0], "commit-moved: commit-moved fails");
        }
    }
}

#[test]
fn a_failed_leg_is_told_while_the_lv_is_mirrored_still() {
    let mut books = Books::planned();
    books.leg = Some((Leg::Source, LegFault::Read));
    let outcome = drive(&mut books, Goal::Move);
    assert_eq!(outcome, Outcome::Aborted(AbortReason::LegFailed(Leg::Source, LegFault::Read)));
    assert!(books.reports.contains(&"Source Read live=Is(Mirrored)".to_string()));
    assert_eq!(books.did("diagnose"), 1);
}

#[test]
fn requests_are_heard_between_steps_and_while_waiting() {
    for at in 1..12 {
        let mut books = Books::planned();
        books.wish = Some((at, Request::Abort));
        assert_eq!(drive(&mut books, Goal::Move), Outcome::Aborted(AbortReason::Requested), "{at}");
        assert_eq!(books.recorded, None);
    }
    let mut books = Books::planned();
    // Six times between steps, the seventh in the wait.
    books.wish = Some((7, Request::Leave));
    assert_eq!(drive(&mut books, Goal::Move), Outcome::Left);
    assert_eq!(books.steps.last().map(String::as_str), Some("wait"));
    assert_eq!(books.recorded, Some(MoveState::Copying));
}

#[test]
fn a_move_that_is_unwanted_from_the_start_touches_no_device() {
    let mut books = Books::planned();
    assert_eq!(drive(&mut books, Goal::Abort), Outcome::Aborted(AbortReason::Requested));
    assert_eq!((books.did("load-mirrored"), books.did("swap-source")), (0, 0));
}

#[test]
fn the_log_is_trusted_only_where_no_device_shows_what_was_written() {
    for (live, trusts) in
        [(Live::Absent, 1), (Live::Is(Mapping::Mirrored), 0), (Live::Is(Mapping::Source), 0)]
    {
        let mut books = Books::new(MoveState::Copying, live);
        assert_eq!(drive(&mut books, Goal::Move), Outcome::Moved);
        assert_eq!(books.did("trust-log"), trusts, "{live:?}");
    }
}

#[test]
fn what_cannot_be_taken_up_is_refused_and_nothing_is_touched() {
    for step in ["observe", "trust-log"] {
        let mut books = Books::new(MoveState::Copying, Live::Absent);
        books.fails = Some((step, 1));
        assert_eq!(drive(&mut books, Goal::Move), Outcome::Refused);
        assert_eq!(books.steps.last().map(String::as_str), Some(step));
        let told = books.reports.last().map(String::as_str);
        assert_eq!(told, Some(format!("begin: {step} fails").as_str()));
    }
    for (lvs, why) in [(0, "no LV"), (65, "more than 64")] {
        let mut books = Books::planned();
        books.lvs = lvs;
        assert_eq!(drive(&mut books, Goal::Move), Outcome::Refused);
        assert_eq!(books.steps, ["observe"]);
        assert!(books.reports.last().is_some_and(|last| last.contains(why)), "{:?}", books.reports);
    }
}

#[test]
fn a_status_is_judged_by_its_failed_leg_first() {
    let equal = CopyStatus { chunks_done: 2, chunks_total: 2, ..CopyStatus::default() };
    assert_eq!(equal.verdict(), Some(Event::CopyEqual));
    let failed = CopyStatus { failed: Some((Leg::Source, LegFault::Read)), ..equal };
    assert_eq!(failed.verdict(), Some(Event::LegFailed(Leg::Source, LegFault::Read)));
    assert_eq!(CopyStatus { chunks_done: 1, ..equal }.verdict(), None);
}

#[test]
fn only_the_way_back_does_without_a_pv_and_only_on_one_side() {
    let copying = Some(MoveState::Copying);
    let aborting = Some(MoveState::Aborting);
    for (change, recorded, lenient) in [
        (Change::Aborting, copying, true),
        (Change::Forget, aborting, true),
        (Change::Confirm, aborting, true),
        (Change::Confirm, copying, false),
        (Change::Forget, Some(MoveState::Moved), false),
        (Change::Begin, Some(MoveState::Queued), false),
        (Change::Moved, copying, false),
    ] {
        let lacks = MayLack::new(change);
        assert!(!lacks.pv(recorded, true, true), "it holds both sides");
        assert!(!lacks.pv(recorded, false, false), "it has nothing to do with the move");
        assert_eq!(lacks.pv(recorded, true, false), lenient, "{change:?} {recorded:?}");
        assert!(!lacks.pv(recorded, false, true), "the other side");
        assert_eq!(lacks.pv(recorded, true, false), lenient, "{change:?} {recorded:?}");
    }
}
