//! fio and its libraries, from Debian packages, apart from the guest's other tools: it needs many.

use std::path::PathBuf;

use anyhow::Result;

use crate::fetch::Source;
use crate::{guest_root, paths};

/// Fetches them unless they are there.
pub(super) fn fetched() -> Result<PathBuf> {
    guest_root::fetched_into(Source::Machine, &paths::vm().join("fio-root"), &["fio"])
}
