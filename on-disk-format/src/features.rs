//! Feature bits, so that an old program meets a newer disk with an answer instead of a guess. Version 1
//! knows none: a bit that gets a meaning gets a name here, and is told by it.

use bitflags::bitflags;

bitflags! {
    /// A program that does not know such a bit may read and write.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Compat: u64 {
        const _ = !0;
    }

    /// A program that does not know such a bit may read, not write.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct RoCompat: u64 {
        const _ = !0;
    }

    /// A program that does not know such a bit must leave the structure alone.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Incompat: u64 {
        const _ = !0;
    }

    /// The flags of a record of the metadata.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct RecordFlags: u32 {
        /// Of a VG or an LV: it is activated by a command that names it, and not because its disks appeared.
        const NO_AUTOACTIVATION = 1;
        /// Of a PV: it takes no changes and is being left, and no commit waits for it.
        const LEAVING = 2;
        const _ = !0;
    }
}

/// The feature bits of a label or slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Bits that a reader who does not know them may ignore.
    pub compat: Compat,
    /// Bits that keep from writing who does not know them.
    pub ro_compat: RoCompat,
    /// Bits that keep away who does not know them.
    pub incompat: Incompat,
}

impl Features {
    /// What this program knows, and what it writes.
    pub const KNOWN: Features = Features {
        compat: Compat::empty(),
        ro_compat: RoCompat::empty(),
        incompat: Incompat::empty(),
    };

    /// Incompatible bits that this program does not know.
    pub const fn unsupported(self) -> Incompat {
        self.incompat.difference(Self::KNOWN.incompat)
    }

    /// Whether this program knows enough to write.
    pub const fn writable(self) -> bool {
        self.ro_compat.difference(Self::KNOWN.ro_compat).is_empty() && self.unsupported().is_empty()
    }
}
