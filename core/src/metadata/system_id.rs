//! Which host a VG belongs to: LVM's meaning of a system id, in this format's own field.

use core::fmt;

use super::{NameError, Store, Vg};

/// Bytes of the longest system id. A host's name has at most 64, a machine id 32.
pub const MAX_SYSTEM_ID: usize = 67;

/// A legal system id: 1 to 67 of `A-Za-z0-9+_.-`, no leading hyphen.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SystemId(heapless::String<MAX_SYSTEM_ID>);

impl SystemId {
    /// Checks `text` and copies it.
    ///
    /// # Errors
    /// [`NameError`] says which rule it breaks.
    pub fn new(text: &str) -> Result<SystemId, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+_.-".contains(&b)) {
            return Err(NameError::BadCharacter);
        }
        if text.starts_with('-') {
            return Err(NameError::Reserved);
        }
        heapless::String::try_from(text).map(SystemId).map_err(|_| NameError::TooLong)
    }

    /// The system id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<S: Store> Vg<S> {
    /// The host that the VG belongs to; `None`: no particular one, as VGs from before there were system ids.
    pub fn system_id(&self) -> Option<&SystemId> {
        self.system_id.as_ref()
    }

    /// Gives the VG to a host, or to none.
    pub fn set_system_id(&mut self, to: Option<SystemId>) {
        self.system_id = to;
    }

    /// Whether a host with this system id (`None`: it has none) must leave the VG alone: it may look at it, and
    /// neither change, nor activate, nor move anything.
    pub fn is_foreign_to(&self, host: Option<&SystemId>) -> bool {
        self.system_id.is_some() && self.system_id.as_ref() != host
    }
}

impl fmt::Display for SystemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SystemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn a_vg_of_no_host_is_everybodys_and_one_of_a_host_is_that_hosts_alone() {
        let (a, b) = (SystemId::new("a").unwrap(), SystemId::new("b").unwrap());
        let mut vg = testing::vg(&[4]);
        assert!(!vg.is_foreign_to(None) && !vg.is_foreign_to(Some(&a)));
        vg.set_system_id(Some(a.clone()));
        assert!(!vg.is_foreign_to(Some(&a)));
        assert!(vg.is_foreign_to(Some(&b)) && vg.is_foreign_to(None));
    }

    #[test]
    fn what_is_no_system_id_is_refused() {
        assert_eq!(SystemId::new(""), Err(NameError::Empty));
        assert_eq!(SystemId::new("a b"), Err(NameError::BadCharacter));
        assert_eq!(SystemId::new("-a"), Err(NameError::Reserved));
        let long = "x".repeat(MAX_SYSTEM_ID);
        assert!(SystemId::new(&long).is_ok());
        assert_eq!(SystemId::new(&(long + "x")), Err(NameError::TooLong));
    }
}
