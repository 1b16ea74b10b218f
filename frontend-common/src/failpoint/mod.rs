//! Fail points: steps of a move at which a test can make this process die, stop, or fail.
//!
//! They are there in a build with the feature `failpoints`, which the test VM's alone has: what is
//! released looks at no variable of the environment for them.

#[cfg(any(test, feature = "failpoints"))]
#[cfg_attr(
    not(feature = "failpoints"),
    expect(dead_code, reason = "its tests run in every build of the tests")
)]
mod points;

use std::cell::Cell;

use crate::error::Result;

#[cfg(feature = "failpoints")]
pub(crate) use points::{after, before, names};

thread_local! {
    /// The step under way, so that a commit can say whose slot writes they are.
    static STEP: Cell<&'static str> = const { Cell::new("commit") };
}

/// Remembers the step under way for [`slot_written`].
pub(crate) fn enter(step: &'static str) {
    STEP.set(step);
}

/// The step that was entered last.
#[cfg(any(feature = "failpoints", feature = "sim"))]
pub(crate) fn step() -> &'static str {
    STEP.get()
}

/// A commit has written and flushed `count` slots.
///
/// # Errors
/// When a fail point wants it to fail.
#[cfg(feature = "failpoints")]
pub(crate) fn slot_written(count: usize) -> Result<()> {
    let name = format!("{}-slot{count}", step());
    before(&name)?;
    after(&name);
    Ok(())
}

#[cfg(not(feature = "failpoints"))]
mod none {
    use super::Result;

    /// The step `name` is about to be done.
    #[expect(clippy::unnecessary_wraps, reason = "a fail point may want it to fail")]
    pub(crate) fn before(_name: &str) -> Result<()> {
        Ok(())
    }

    /// The step `name` has been done.
    pub(crate) fn after(_name: &str) {}

    /// A commit has written and flushed so many slots.
    #[expect(clippy::unnecessary_wraps, reason = "a fail point may want it to fail")]
    pub(crate) fn slot_written(_count: usize) -> Result<()> {
        Ok(())
    }
}
#[cfg(not(feature = "failpoints"))]
pub(crate) use none::{after, before, slot_written};
