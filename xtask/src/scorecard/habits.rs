//! How many of the command lines that programs send to LVM do what LVM does, or are refused plainly.

use super::scenarios::{Made, figures};

/// One scenario runs them all.
pub(super) const MADE: Made = Made { names: || vec!["commands-habits"], count: figures };
