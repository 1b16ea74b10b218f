//! What is kept of one move while it is driven: what its steps came to, and what of that is told.

use std::time::Duration;

use lvshift_core::mover::{Action, Event, Outcome};
use lvshift_core::units::Uuid;
use lvshift_driver::Report as Driven;

use super::facts::Facts;
use super::summary::{Failures, Names, summary};
use super::ticker::{Place, Ticker};
use super::{MoveReport, Report};
use crate::error::{Error, Result};
use crate::failpoint;

/// The account of one move, whatever kind of VG holds it.
pub(crate) struct Account {
    of: Uuid,
    pub(crate) ticker: Ticker,
    pub(crate) failures: Failures,
}

impl Account {
    pub(crate) fn new(of: Uuid, place: Place, interval: Option<Duration>) -> Account {
        let ticker = Ticker::new(of, place, interval);
        Account { of, ticker, failures: Failures::default() }
    }

    /// A step is about to be done: tests may stop or fail it here.
    pub(crate) fn begin(&mut self, action: &Action) -> Result<()> {
        if !matches!(action, Action::Finish(_)) {
            failpoint::enter(action.name());
        }
        if matches!(action, Action::AwaitCopy) {
            self.ticker.restart();
        }
        failpoint::before(action.name())
    }

    /// A step was done.
    pub(crate) fn end(&self, action: &Action, event: Event) {
        failpoint::after(action.name());
        tracing::debug!(action = action.name(), ?event, "done");
    }

    /// Hears what the driver reports, and tells what a person wants to know of it. `facts` are those of now.
    pub(crate) fn hear(
        &mut self,
        report: Driven<Error>,
        facts: impl FnOnce() -> Facts,
        tell: &mut dyn FnMut(Report<'_>),
    ) {
        match report {
            Driven::Started { again } => {
                let Facts { from, to, .. } = facts();
                tell(Report::Started { of: self.of, again, from: &from, to: &to });
            }
            Driven::Copied(status) => {
                if let Some(progress) = self.ticker.look(&status) {
                    tell(Report::Copied(&progress));
                }
            }
            Driven::LegFailed(leg, fault) => {
                self.failures.leg.get_or_insert((leg, fault));
            }
            Driven::Failed { action, error } => {
                let action = action.map_or("begin", |action| action.name());
                tracing::debug!(action, %error, "failed");
                self.failures.errors.push(error);
            }
            _ => {}
        }
    }

    /// The report of a move that came to this end; `facts` are those from before it.
    pub(crate) fn close(
        mut self,
        outcome: Outcome,
        facts: &Facts,
        names: &dyn Names,
    ) -> MoveReport {
        if !matches!(outcome, Outcome::Moved | Outcome::Left) {
            let error = summary(facts, outcome, &self.failures, names);
            self.failures.errors.push(error);
        }
        let Failures { bad_places, errors, .. } = self.failures;
        MoveReport { of: self.of, outcome, bytes_total: facts.bytes, bad_places, errors }
    }
}
