//! The fuzz targets as plain functions: each takes any bytes and panics when a promise is broken.
//!
//! Bytes are tried as they are, and once more with their checksums made right, so that what lies
//! behind the checksum is reached. What decodes is encoded again and must give the same bytes.

mod format;
mod kernel;
mod meaning;
#[cfg(test)]
mod tests;

pub use format::{dirty_log, label, payload, records, slot};
pub use kernel::{dm_status, dm_table};
pub use meaning::{choose, vg};

/// A target by its name, for what runs them without libFuzzer.
#[expect(clippy::type_complexity, reason = "a list of names and functions")]
pub const TARGETS: &[(&str, fn(&[u8]))] = &[
    ("label", label),
    ("slot", slot),
    ("records", records),
    ("payload", payload),
    ("vg", vg),
    ("choose", choose),
    ("dirty_log", dirty_log),
    ("dm_table", dm_table),
    ("dm_status", dm_status),
];
