//! Where `cargo xtask planted` puts the switch of planted bugs, in its scratch copy. Here none is planted.

/// Whether this bug is planted: never, and the compiler knows.
#[must_use]
#[inline(always)]
pub const fn is(_name: &str) -> bool {
    false
}
