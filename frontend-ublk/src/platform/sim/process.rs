//! The daemon's process: whether it lives, and asking it. There is one at most, and no socket.

use std::cell::{Cell, RefCell};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;
use std::sync::Arc;

use lvshift_core::copier::Factor;
use lvshift_core::units::Uuid;
use lvshift_frontend_common::error::Result;
use lvshift_frontend_common::front_end::{Felt, FrontEnd, Pace};
use lvshift_frontend_common::output;

use super::files;
use super::host::{Killed, host};
use crate::channel::Answers;
use crate::client::Ublk;
use crate::daemon::{Daemon, take_over};
use crate::platform::Role;
use crate::protocol::{Answer, Request};

thread_local! {
    static DAEMON: RefCell<Option<Daemon>> = const { RefCell::new(None) };
    /// The daemon is there but in the middle of a request.
    static BUSY: Cell<bool> = const { Cell::new(false) };
    /// It is taking over what a dead one left; no client reaches it.
    static STARTING: Cell<bool> = const { Cell::new(false) };
    static GENERATION: Cell<u64> = const { Cell::new(0) };
}

/// The front end as a command uses it.
#[must_use]
pub fn front_end() -> Box<dyn FrontEnd> {
    Box::new(Ublk::default())
}

/// Sets the write policy of a front end, and whether its copies are paced.
///
/// # Errors
/// None that is known.
pub fn set_pace(front_end: &mut dyn FrontEnd, source_first: bool, paced: bool) -> Result<()> {
    let factor = Factor::from_hundredths(150).filter(|_| paced);
    let felt = Some(factor.map_or(Felt::Any, Felt::Within));
    front_end.set_pace(Pace { source_first: Some(source_first), felt, ..Pace::default() })
}

/// The simulator starts daemons by itself.
pub(crate) fn daemon(_vg: Uuid, _role: Role) -> ExitCode {
    output::err("lvshift-ublk: this build is the simulator's\n");
    ExitCode::from(3)
}

/// Whether there is a daemon.
#[must_use]
pub fn is_alive() -> bool {
    generation().is_some()
}

/// Whether there is a daemon that has taken over all that it was to, and answers no client just now.
#[must_use]
pub fn is_serving() -> bool {
    is_alive() && !STARTING.get() && !BUSY.get()
}

/// Which daemon it is, if there is one.
pub(crate) fn generation() -> Option<u64> {
    let there = BUSY.get() || DAEMON.with(|daemon| daemon.borrow().is_some());
    there.then(|| GENERATION.get())
}

/// Its count of events.
pub(crate) fn events() -> Option<u64> {
    DAEMON.with(|daemon| daemon.borrow().as_ref().and_then(|daemon| daemon.events()))
}

/// The daemon's process is gone, with its threads; `power`: and everything else.
pub fn kill(power: bool) {
    BUSY.set(false);
    STARTING.set(false);
    let daemon = DAEMON.with(|daemon| daemon.borrow_mut().take());
    drop(daemon);
    if power {
        files::clear();
    }
}

/// What a process of another host does, which knows nothing of this one's daemon.
pub fn without_daemon<T>(does: impl FnOnce() -> T) -> T {
    /// Puts back what this host has, whatever ends it.
    struct Back(Option<Daemon>, bool, bool, Vec<crate::platform::Note>);
    impl Drop for Back {
        fn drop(&mut self) {
            let daemon = self.0.take();
            drop(DAEMON.with(|cell| cell.replace(daemon)));
            BUSY.set(self.1);
            STARTING.set(self.2);
            files::set_notes(std::mem::take(&mut self.3));
        }
    }
    let _back = Back(
        DAEMON.with(|cell| cell.take()),
        BUSY.replace(false),
        STARTING.replace(false),
        files::set_notes(Vec::new()),
    );
    does()
}

/// Starts a daemon where there is none; it takes over what a dead one has left.
///
/// # Errors
/// When its devices cannot be looked at.
pub fn start(vg: Uuid) -> Result<()> {
    if is_alive() {
        return Ok(());
    }
    GENERATION.set(GENERATION.get() + 1);
    let daemon = Daemon::new(vg)?;
    let orphans = daemon.orphans();
    DAEMON.with(|cell| *cell.borrow_mut() = Some(daemon));
    if !orphans.is_empty()
        && let Some(own) = Reached::now()
    {
        STARTING.set(true);
        host().in_daemon(true);
        let done = catch_unwind(AssertUnwindSafe(|| take_over(vg, Arc::new(own), &orphans)));
        host().in_daemon(false);
        STARTING.set(false);
        survive(done);
    }
    Ok(())
}

/// Asks the daemon that is there.
pub(crate) fn ask(request: &Request) -> io::Result<Answer> {
    let gone = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let Some(daemon) = DAEMON.with(|cell| cell.borrow_mut().take()) else {
        return Err(gone());
    };
    BUSY.set(true);
    let own = GENERATION.get();
    host().in_daemon(true);
    let request = request.clone();
    let answer = catch_unwind(AssertUnwindSafe(|| daemon.do_it(request)));
    host().in_daemon(false);
    BUSY.set(false);
    match answer {
        Ok(answer) => {
            debug_assert_eq!(own, GENERATION.get());
            DAEMON.with(|cell| *cell.borrow_mut() = Some(daemon));
            host().step();
            Ok(answer)
        }
        Err(killed) => {
            drop(daemon);
            survive::<()>(Err(killed));
            Err(gone())
        }
    }
}

/// The death of the daemon is not that of who asked it.
fn survive<T>(done: std::thread::Result<T>) {
    if let Err(killed) = done {
        match killed.downcast_ref::<Killed>() {
            Some(Killed::Daemon) if !STARTING.get() => kill(false),
            _ => resume_unwind(killed),
        }
    }
}

/// The daemon of this generation, whether it lives or not.
pub(super) struct Reached(u64);

impl Reached {
    /// The one that lives now.
    pub(super) fn now() -> Option<Reached> {
        generation().map(Reached)
    }
}

impl Answers for Reached {
    fn is_gone(&self) -> bool {
        generation() != Some(self.0)
    }

    fn answer(&self, request: &Request) -> io::Result<Answer> {
        if self.is_gone() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        ask(request)
    }

    fn events(&self) -> Option<u64> {
        if self.is_gone() { None } else { events() }
    }

    fn wants_client(&self) -> bool {
        host().mover_is_wanted()
    }
}
