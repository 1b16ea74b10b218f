//! Which planted bug is switched on: the one that the environment names. Only in the scratch copy that
//! `cargo xtask planted` makes; see docs/testing/proofs.md.

extern crate std;

use std::string::String;
use std::sync::OnceLock;

/// Whether the bug of this name is switched on.
#[must_use]
pub fn is(name: &str) -> bool {
    static BUG: OnceLock<String> = OnceLock::new();
    BUG.get_or_init(|| std::env::var("LVSHIFT_PLANT").unwrap_or_default()) == name
}
