//! What a move needs of its host: the metadata, the devices, and who is told.

use heapless::Vec;
use lvshift_core::limits::MAX_LVS_PER_MOVE;
use lvshift_core::metadata::{Change, MoveState};
use lvshift_core::mover::{Action, Event, Live, Mapping, MoverError};
use lvshift_core::units::Uuid;
use lvshift_core::{Leg, LegFault};

use crate::{CopyStatus, Wake};

/// The LVs of a move and what each shows, as a host finds them.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    lvs: Vec<(Uuid, Live), MAX_LVS_PER_MOVE>,
    too_many: bool,
}

impl Observed {
    /// Adds an LV. More than [`MAX_LVS_PER_MOVE`] and the move is refused.
    pub fn add(&mut self, lv: Uuid, live: Live) {
        self.too_many |= self.lvs.push((lv, live)).is_err();
    }

    pub(crate) fn lvs(&self) -> Result<&[(Uuid, Live)], MoverError> {
        if self.too_many { Err(MoverError::TooManyLvs) } else { Ok(&self.lvs) }
    }
}

/// What is wanted of a move under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Stop here and leave all as it is; a later run carries on.
    Leave,
    /// Go back to the source, if the destination has not taken over yet.
    Abort,
}

/// What there is to tell while a move runs.
#[derive(Debug)]
#[non_exhaustive]
pub enum Report<E> {
    /// The move begins, or is taken up `again` after it was interrupted.
    Started {
        /// It was begun before.
        again: bool,
    },
    /// The copy was looked at. Reported at every look; how often a person hears of it is the host's choice.
    Copied(CopyStatus),
    /// A leg failed, and the way back begins. The LV is still mirrored: whoever made the copy can be
    /// asked now which sectors it was, and will have forgotten once the LV is switched back.
    LegFailed(Leg, LegFault),
    /// A step failed. What the mover makes of it comes next; the error is for the person.
    Failed {
        /// The step; `None` where the move could not be taken up at all, so that nothing was touched.
        action: Option<Action>,
        /// Why.
        error: E,
    },
}

/// Who keeps the metadata and the devices of one move.
///
/// Each step may be asked for again after a crash or a failure, and must then find its own earlier
/// effect in order: "already so" is `Ok`. The documentation of [`Action`] says what each must have
/// done when it returns; it binds here word for word. LVs are named by the UUID under which
/// [`Host::observe`] added them.
pub trait Host {
    /// Why something could not be done, in the host's own words.
    type Error: From<MoverError>;

    /// Reads the record of the move from the newest metadata, and what the device of each of its LVs
    /// shows.
    ///
    /// # Errors
    /// When either cannot be told, or the record is gone. Nothing has been touched then, and nothing is.
    fn observe(&mut self, found: &mut Observed) -> Result<MoveState, Self::Error>;

    /// The dirty log of the move is about to be believed although no device of its LVs is there (after
    /// a reboot): the last moment to refuse, or to note down that this host knows the move.
    ///
    /// # Errors
    /// The move is not taken up.
    fn trust_log(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    /// A step is about to be done: the place to read the metadata anew, since other commands may have
    /// changed what else is in them, and to log.
    ///
    /// # Errors
    /// The step then counts as failed, and is not done.
    fn begin(&mut self, action: &Action) -> Result<(), Self::Error> {
        let _ = action;
        Ok(())
    }

    /// A step has been done, with this for an answer.
    fn end(&mut self, action: &Action, event: Event) {
        let _ = (action, event);
    }

    /// Commits a change of the move's record, on every PV that counts, and flushes. A change that the
    /// metadata hold already is written once more all the same, since perhaps not every PV holds it.
    /// Forgetting a move that is not there is `Ok`.
    ///
    /// For [`Change::Moved`], under the lock and before the first write: nothing may be committed
    /// unless what [`Host::seal`] promised still holds. On the way back one side may be gone for good:
    /// [`MayLack`](crate::MayLack) says which PVs can be done without.
    ///
    /// # Errors
    /// When not every PV that counts holds the change.
    fn commit(&mut self, change: Change) -> Result<(), Self::Error>;

    /// Whether a commit of [`Change::Moved`] failed on a PV of the destination, for all that is known.
    /// Its flush may have dropped what the application had written there, so that no second try can be
    /// believed; when in doubt `true`, as here.
    fn is_of_destination(&self, error: &Self::Error) -> bool {
        let _ = error;
        true
    }

    /// See [`Action::InitLog`].
    ///
    /// # Errors
    /// When not all of the log is durably all-dirty.
    fn init_log(&mut self, lv: Uuid) -> Result<(), Self::Error>;

    /// See [`Action::CreateShadow`].
    ///
    /// # Errors
    /// When it is not there.
    fn create_shadow(&mut self, lv: Uuid) -> Result<(), Self::Error>;

    /// See [`Action::Load`].
    ///
    /// # Errors
    /// When it is not loaded.
    fn load(&mut self, lv: Uuid, mapping: Mapping) -> Result<(), Self::Error>;

    /// See [`Action::Swap`].
    ///
    /// # Errors
    /// When the live table is not this mapping.
    fn swap(&mut self, lv: Uuid, mapping: Mapping) -> Result<(), Self::Error>;

    /// See [`Action::RemoveShadow`].
    ///
    /// # Errors
    /// When something of it is left that could still write.
    fn remove_shadow(&mut self, lv: Uuid) -> Result<(), Self::Error>;

    /// How far the copy is, read now.
    ///
    /// # Errors
    /// When it cannot be told; a leg that failed is no error but part of the status.
    fn copy_status(&mut self) -> Result<CopyStatus, Self::Error>;

    /// Blocks until the copy changes or something is wanted, or as long as the host thinks fit.
    /// Never misses a change that came after the last [`Host::copy_status`].
    ///
    /// # Errors
    /// When nothing would wake it.
    fn wait(&mut self) -> Result<Wake, Self::Error>;

    /// Makes sure that from now until a table is loaded no write is acknowledged that the destination
    /// does not take, where writes pass through the host; see [`Action::CheckLegs`]. `false` if not all
    /// of the move was equal and healthy at that moment; then nothing has changed. `for_commit`: the
    /// commit follows at once, and no flush is acknowledged before it is decided.
    ///
    /// # Errors
    /// When it cannot be told whether it is sealed.
    fn seal(&mut self, for_commit: bool) -> Result<bool, Self::Error> {
        let _ = for_commit;
        Ok(true)
    }

    /// See [`Action::FlushDestination`].
    ///
    /// # Errors
    /// When a flush failed.
    fn flush_destination(&mut self) -> Result<(), Self::Error>;

    /// See [`Action::CheckDestination`].
    ///
    /// # Errors
    /// When it cannot be told.
    fn check_destination(&mut self) -> Result<Option<LegFault>, Self::Error> {
        Ok(None)
    }

    /// See [`Action::Diagnose`]. What was found is the host's to keep and to tell.
    ///
    /// # Errors
    /// When nothing could be found out.
    fn diagnose(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Says to `each` what is wanted of this move since it was asked last. Never blocks for long.
    fn requests(&mut self, each: &mut dyn FnMut(Request)) {
        let _ = each;
    }

    /// Hears how it goes.
    fn report(&mut self, report: Report<Self::Error>);
}
