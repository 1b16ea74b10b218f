//! Whether a part's legs have held, and which of them is in charge.
//!
//! The two words answer one question together: may a write that failed on the destination be
//! acknowledged because the source took it? Before the commit of `Moved`, yes; after it, no. So the
//! failing write says *unhealthy* first and reads the authority then, and the commit says
//! *undecided* first and reads the health then, each with a full fence between: one of them sees
//! the other. A write that is let in to the source alone does the same with its chunk's phase.

use crate::sync::{AtomicU32, Ordering, fence};
use crate::{Leg, LegFault};

/// What failed first in a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fault {
    /// The leg.
    pub leg: Leg,
    /// What it failed at.
    pub fault: LegFault,
}

/// Which leg is right where they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Authority {
    /// The source: until the metadata commit of `Moved`.
    Source,
    /// The commit is under way: a write that only one leg took is neither done nor failed yet.
    Undecided,
    /// The destination: the commit has succeeded.
    Destination,
}

/// Whether the commit of `Moved` may be made.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sealed {
    /// It may: from now on no write is acknowledged that the destination did not take.
    Sealed,
    /// A chunk is not mirrored: wait on. Nothing has changed.
    NotEqual,
    /// A leg has failed: no. Nothing has changed.
    Unhealthy(Fault),
}

pub(crate) struct Health {
    fault: AtomicU32,
    authority: AtomicU32,
}

const LEGS: [Leg; 2] = [Leg::Source, Leg::Destination];
const FAULTS: [LegFault; 6] = [
    LegFault::Read,
    LegFault::Write,
    LegFault::Flush,
    LegFault::Copy,
    LegFault::Gone,
    LegFault::Silent,
];

impl Health {
    pub(crate) fn new() -> Health {
        Health { fault: AtomicU32::new(0), authority: AtomicU32::new(0) }
    }

    /// Notes a fault; the first one stays. True if it was the first.
    pub(crate) fn fail(&self, fault: Fault) -> bool {
        let leg = LEGS.iter().position(|&leg| leg == fault.leg).unwrap_or(0);
        let kind = FAULTS.iter().position(|&kind| kind == fault.fault).unwrap_or(0);
        let code = 1 + (leg * FAULTS.len() + kind) as u32;
        self.fault.compare_exchange(0, code, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    pub(crate) fn fault(&self) -> Option<Fault> {
        let code = self.fault.load(Ordering::SeqCst).checked_sub(1)? as usize;
        let leg = LEGS.get(code / FAULTS.len())?;
        let fault = FAULTS.get(code % FAULTS.len())?;
        Some(Fault { leg: *leg, fault: *fault })
    }

    /// The authority, read after everything that this thread has changed so far.
    pub(crate) fn authority_after(&self) -> Authority {
        fence(Ordering::SeqCst);
        self.authority()
    }

    pub(crate) fn authority(&self) -> Authority {
        match self.authority.load(Ordering::SeqCst) {
            0 => Authority::Source,
            1 => Authority::Undecided,
            _ => Authority::Destination,
        }
    }

    pub(crate) fn set_authority(&self, authority: Authority) {
        self.authority.store(authority as u32, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }
}
