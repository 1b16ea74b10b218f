//! How a part discards.
//!
//! A discard leaves bytes that the device may choose, and the two legs may choose differently. So
//! it is never sent to both legs as it is. Where both can make zeroes cheaply it is done as zeroes
//! that may be unmapped: both legs are equal then, thin stays thin, and a whole chunk needs no
//! copy. Where one cannot, it goes to the source alone and the chunk counts as not copied; the
//! copy reads what the source shows then, and writes zeroes where it shows zeroes.

/// Whether a leg can make sectors read as zeroes without writing them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Zeroing {
    /// It can (`write_zeroes_max_bytes` is not 0).
    Offloaded,
    /// The kernel would write pages of zeroes.
    ByWriting,
}

/// How a part does an application's discards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Discards {
    /// As zeroes that may be unmapped, on every leg that a write would go to.
    AsZeroes,
    /// As a discard of the source, after which the chunk is copied again.
    SourceOnly,
}

impl Discards {
    /// What suits a pair of legs.
    pub const fn for_legs(source: Zeroing, destination: Zeroing) -> Discards {
        match (source, destination) {
            (Zeroing::Offloaded, Zeroing::Offloaded) => Discards::AsZeroes,
            _ => Discards::SourceOnly,
        }
    }
}
