//! The daemon of a VG: what it serves, and what commands ask of it. Its process and its socket are
//! the platform's.

mod held;
mod recover;
mod state;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lvshift_core::units::Uuid;
use lvshift_frontend_common::error::Result;
use tokio::sync::watch;

pub(crate) use self::recover::take_over;
use self::state::State;
use crate::channel::Answers;
use crate::events::Events;
use crate::protocol::{Answer, Request, WireError};

/// A daemon, shared by whoever brings it requests.
#[derive(Clone)]
pub(crate) struct Daemon {
    state: Arc<Mutex<State>>,
    events: Arc<Events>,
}

impl Daemon {
    /// One that serves nothing yet, and knows which devices a dead one has left.
    pub(crate) fn new(vg: Uuid) -> Result<Daemon> {
        let events = Arc::new(Events::new());
        let state = State::new(vg, Arc::clone(&events))?;
        Ok(Daemon { state: Arc::new(Mutex::new(state)), events })
    }

    /// The LVs whose devices wait to be taken over.
    pub(crate) fn orphans(&self) -> Vec<Uuid> {
        self.lock().orphans()
    }

    /// Whether there is nothing to serve, and nothing that waits to be.
    pub(crate) fn is_idle(&self) -> bool {
        self.lock().is_idle()
    }

    /// Whether no other process has it.
    pub(crate) fn is_alone(&self) -> bool {
        Arc::strong_count(&self.state) == 1
    }

    /// Whether the commit of a move of these LVs is under way, for all that is known here.
    pub(crate) fn is_committing(&self, lvs: &[[u8; 16]]) -> bool {
        self.lock().is_committing(lvs)
    }

    /// Its count of events, which changes.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.events.watch()
    }

    /// Does what a command asks.
    pub(crate) fn do_it(&self, request: Request) -> Answer {
        let answer = self.lock().answer(request);
        answer.unwrap_or_else(|error| Answer::Failed(WireError::of(&error)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answers for Daemon {
    fn answer(&self, request: &Request) -> io::Result<Answer> {
        Ok(self.do_it(request.clone()))
    }

    fn events(&self) -> Option<u64> {
        Some(self.events.count())
    }
}
