//! Names of VGs and LVs, under LVM's rules.

use core::fmt;

use crate::limits::MAX_NAME;

/// A legal VG or LV name: 1 to 127 of `A-Za-z0-9+_.-`, no leading hyphen, not `.` or `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(heapless::String<MAX_NAME>);

/// Why a string is not a legal name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// Nothing there.
    Empty,
    /// Longer than [`MAX_NAME`] bytes.
    TooLong,
    /// `-` in front, `.` or `..`, or a name that LVM and we keep for internal devices.
    Reserved,
    /// A character that device-mapper or the shell would trip over.
    BadCharacter,
}

impl Name {
    /// The name of a VG that does not exist yet.
    pub(super) const fn none() -> Name {
        Name(heapless::String::new())
    }

    /// Checks `name` and copies it.
    ///
    /// # Errors
    /// [`NameError`] says which rule it breaks.
    pub fn new(name: &str) -> Result<Name, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+_.-".contains(&b)) {
            return Err(NameError::BadCharacter);
        }
        if name.starts_with('-') || name == "." || name == ".." {
            return Err(NameError::Reserved);
        }
        heapless::String::try_from(name).map(Name).map_err(|_| NameError::TooLong)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NameError::Empty => "the name is empty",
            NameError::TooLong => "the name is longer than 127 bytes",
            NameError::Reserved => "the name starts with a hyphen or is reserved",
            NameError::BadCharacter => "only A-Z a-z 0-9 + _ . - are allowed in a name",
        })
    }
}

impl core::error::Error for NameError {}
