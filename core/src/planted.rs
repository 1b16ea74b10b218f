//! Bugs that are planted to see whether the tests find them. Compiled away unless the feature
//! `planted` is on, which nothing that is shipped or tested for itself turns on.

/// Every planted bug, by the name under which the code asks for it.
pub const NAMES: &[&str] = &[
    // core/src/chunk
    "copy-without-draining",
    "lost-wake-up",
    "write-without-mark",
    "settling-survives-a-write",
    "settles-with-writers",
    "whole-chunk-among-writers",
    "discard-does-not-demote",
    "draining-lets-in",
    "late-copy-forgotten",
    "overlap-guard-off",
    "bit-cleared-late",
    "log-bit-off-by-one",
    "failed-write-not-noted",
    "seal-forgotten",
    "reads-destination-unasked",
    // core/src/io
    "mirror-writes-one-leg",
    "fua-dropped",
    "first-leg-answers",
    "first-flush-answers",
    // core/src/metadata
    "slot-parity",
    "commit-without-flush",
    "commit-without-settling",
    "laggards-left-behind",
    "oldest-metadata-win",
    "damaged-metadata-taken",
    "moved-keeps-the-source",
    // core/src/mover
    "moved-before-flush",
    "copying-without-new-log",
    "final-before-commit",
    "forget-before-switching-back",
    // frontend-common
    "destination-not-flushed",
    "copying-served-from-the-source",
    "aborting-not-committed",
    // frontend-ublk
    "swap-without-drain",
    "log-write-not-durable",
    "marked-before-written",
    "settle-flushes-the-source-only",
    "fence-left-out",
    "flush-skips-destination",
    "copy-skips-last-sector",
    "retry-forgets-one",
];

#[cfg(feature = "planted")]
mod switch {
    use crate::sync::{Ordering, PlainU32};

    static PLANTED: PlainU32 = PlainU32::new(NOT_ASKED);

    /// Nobody has said yet which one, if any.
    const NOT_ASKED: u32 = u32::MAX;

    /// Plants the bug of this name, for the whole process; any other name plants none.
    pub fn plant(name: &str) {
        PLANTED.store(number(name), Ordering::SeqCst);
    }

    /// Whether this bug is planted.
    pub fn is(name: &str) -> bool {
        let mut planted = PLANTED.load(Ordering::Relaxed);
        if planted == NOT_ASKED {
            planted = by_environment();
            PLANTED.store(planted, Ordering::Relaxed);
        }
        planted == number(name)
    }

    /// The tests of this package do not know of planted bugs: there the environment plants them.
    fn by_environment() -> u32 {
        #[cfg(test)]
        return number(&std::env::var("LVSHIFT_PLANT").unwrap_or_default());
        #[cfg(not(test))]
        number("")
    }

    fn number(name: &str) -> u32 {
        let at = super::NAMES.iter().position(|other| *other == name);
        at.and_then(|at| u32::try_from(at).ok()).unwrap_or(u32::MAX - 1)
    }
}

#[cfg(feature = "planted")]
pub use switch::{is, plant};

/// Whether this bug is planted: never, and the compiler knows.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn is(_name: &str) -> bool {
    false
}
