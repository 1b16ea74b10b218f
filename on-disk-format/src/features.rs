//! Feature bits, so that an old program meets a newer disk with an answer instead of a guess.

/// The feature bits of a label or slot. Version 1 knows none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// A program that does not know such a bit may read and write.
    pub compat: u64,
    /// A program that does not know such a bit may read, not write.
    pub ro_compat: u64,
    /// A program that does not know such a bit must leave the structure alone.
    pub incompat: u64,
}

impl Features {
    /// What this program knows, and what it writes.
    pub const KNOWN: Features = Features { compat: 0, ro_compat: 0, incompat: 0 };

    /// Incompatible bits that this program does not know.
    pub const fn unsupported(self) -> u64 {
        self.incompat & !Self::KNOWN.incompat
    }

    /// Whether this program knows enough to write.
    pub const fn writable(self) -> bool {
        self.ro_compat & !Self::KNOWN.ro_compat == 0 && self.unsupported() == 0
    }
}
