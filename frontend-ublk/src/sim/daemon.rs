//! The daemon without its socket and guardian.

#[path = "../daemon/held.rs"]
mod held;
#[path = "../daemon/recover.rs"]
mod recover;
#[path = "../daemon/state.rs"]
mod state;

use std::sync::Arc;

use lvshift_core::units::Uuid;
use lvshift_frontend_common::error::Result;

use crate::events::Events;
use crate::protocol::{Answer, Request};

/// The one daemon that there is.
pub(crate) struct Daemon {
    state: state::State,
    pub(crate) events: Arc<Events>,
}

impl Daemon {
    pub(crate) fn new(vg: Uuid) -> Result<Daemon> {
        let events = Arc::new(Events::new());
        Ok(Daemon { state: state::State::new(vg, Arc::clone(&events))?, events })
    }

    pub(crate) fn orphans(&self) -> Vec<Uuid> {
        self.state.orphans()
    }

    pub(crate) fn answer(&mut self, request: Request) -> Result<Answer> {
        self.state.answer(request)
    }
}

/// What a new daemon does first.
pub(crate) fn take_over(vg: Uuid, lvs: &[Uuid]) {
    recover::take_over(vg, std::path::Path::new("own"), lvs);
}
