//! The loop: take an action from the mover, have it done, hand back what happened.

use lvshift_core::metadata::{Change, MoveState};
use lvshift_core::mover::{Action, Event, Live, Mover, Outcome};
use lvshift_core::{Leg, LegFault};

use crate::{Host, Observed, Report, Request, Wake};

/// Where a move is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// On its destination.
    Move,
    /// Back on its source, unless the destination has taken over already.
    Abort,
}

/// Drives the move of this host from wherever it stands to its end.
///
/// A move that cannot be taken up, since its host fails to say how it stands, is
/// [`Outcome::Refused`]: nothing was touched. Errors are told to [`Host::report`] as they come.
pub fn drive<H: Host + ?Sized>(host: &mut H, goal: Goal) -> Outcome {
    let mut driver = Driver { host, flushed: false };
    match driver.begin(goal) {
        Ok(mover) => driver.run(mover),
        Err(error) => {
            driver.host.report(Report::Failed { action: None, error });
            Outcome::Refused
        }
    }
}

struct Driver<'h, H: ?Sized> {
    host: &'h mut H,
    /// The destination has been flushed since the copy was waited for: what comes is the commit.
    flushed: bool,
}

impl<H: Host + ?Sized> Driver<'_, H> {
    fn begin(&mut self, goal: Goal) -> Result<Mover, H::Error> {
        let mut observed = Observed::default();
        let recorded = self.host.observe(&mut observed)?;
        self.host.report(Report::Started { again: recorded != MoveState::Queued });
        let observed = observed.lvs()?;
        if recorded == MoveState::Copying && observed.iter().any(|(_, live)| *live == Live::Absent)
        {
            self.host.trust_log()?;
        }
        let mut mover = Mover::recover(recorded, observed)?;
        if goal == Goal::Abort {
            mover.handle(Event::AbortRequested);
        }
        Ok(mover)
    }

    fn run(&mut self, mut mover: Mover) -> Outcome {
        loop {
            self.host.requests(&mut |request| mover.handle(event(request)));
            let Some(action) = mover.poll_action() else {
                // Cannot be: every action was answered. Leaving is the one harmless thing to do.
                return Outcome::Left;
            };
            if let Action::Finish(outcome) = action {
                // There is nothing to do, so nothing that could be failed.
                let _ = self.host.begin(&action);
                self.host.end(&action, Event::Done);
                return outcome;
            }
            mover.handle(self.answer(action));
        }
    }

    /// Has the action done and says what happened.
    fn answer(&mut self, action: Action) -> Event {
        match self.host.begin(&action).and_then(|()| self.perform(action)) {
            Ok(event) => {
                self.host.end(&action, event);
                if let Event::LegFailed(leg, fault) = event {
                    self.host.report(Report::LegFailed(leg, fault));
                }
                event
            }
            Err(error) => {
                self.host.report(Report::Failed { action: Some(action), error });
                Event::Failed
            }
        }
    }

    fn perform(&mut self, action: Action) -> Result<Event, H::Error> {
        match action {
            Action::Commit(change) => return self.commit(change),
            Action::AwaitCopy => return self.await_copy(),
            Action::CheckLegs => return self.check_legs(),
            Action::FlushDestination => {
                self.host.flush_destination()?;
                self.flushed = true;
            }
            Action::InitLog { lv } => self.host.init_log(lv)?,
            Action::CreateShadow { lv } => self.host.create_shadow(lv)?,
            Action::Load { lv, mapping } => self.host.load(lv, mapping)?,
            Action::Swap { lv, mapping } => self.host.swap(lv, mapping)?,
            Action::RemoveShadow { lv } => self.host.remove_shadow(lv)?,
            Action::CheckDestination => return self.check_destination(),
            Action::Diagnose => self.host.diagnose()?,
            Action::Finish(_) => {}
        }
        Ok(Event::Done)
    }

    fn commit(&mut self, change: Change) -> Result<Event, H::Error> {
        match self.host.commit(change) {
            Err(error) if change == Change::Moved && self.host.is_of_destination(&error) => {
                let action = Some(Action::Commit(change));
                self.host.report(Report::Failed { action, error });
                Ok(Event::LegFailed(Leg::Destination, LegFault::Flush))
            }
            committed => committed.map(|()| Event::Done),
        }
    }

    fn await_copy(&mut self) -> Result<Event, H::Error> {
        self.flushed = false;
        loop {
            let status = self.host.copy_status()?;
            self.host.report(Report::Copied(status));
            if let Some(event) = status.verdict() {
                return Ok(event);
            }
            if self.host.wait()? == Wake::Signal
                && let Some(event) = self.interrupted()
            {
                return Ok(event);
            }
        }
    }

    /// What is wanted now, as the event that ends the waiting: to go back before to leave.
    fn interrupted(&mut self) -> Option<Event> {
        let mut wanted = None;
        self.host.requests(&mut |request| {
            if wanted.is_none() || request == Request::Abort {
                wanted = Some(event(request));
            }
        });
        wanted
    }

    fn check_destination(&mut self) -> Result<Event, H::Error> {
        let fault = self.host.check_destination()?;
        Ok(fault.map_or(Event::Done, |fault| Event::LegFailed(Leg::Destination, fault)))
    }

    fn check_legs(&mut self) -> Result<Event, H::Error> {
        Ok(match self.host.copy_status()?.verdict() {
            Some(Event::CopyEqual) if self.host.seal(self.flushed)? => Event::Done,
            Some(Event::CopyEqual) | None => Event::NotEqual,
            Some(event) => event,
        })
    }
}

fn event(request: Request) -> Event {
    match request {
        Request::Leave => Event::LeaveRequested,
        Request::Abort => Event::AbortRequested,
    }
}
