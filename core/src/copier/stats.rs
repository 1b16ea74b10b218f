//! What a copier has done.

/// Counts of one move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Bytes read from the source and written to the destination as data.
    pub copied_bytes: u64,
    /// Bytes that were zeroes on the source and were made zeroes on the destination.
    pub zeroed_bytes: u64,
    /// Chunks copied because a write waited for them.
    pub wanted_chunks: u64,
    /// Chunks whose copy failed.
    pub failed_chunks: u64,
}

impl Stats {
    /// So many bytes of a chunk were copied as data, and so many as zeroes.
    pub fn chunk_copied(&mut self, data: u64, zeroes: u64, wanted: bool) {
        self.copied_bytes = self.copied_bytes.saturating_add(data);
        self.zeroed_bytes = self.zeroed_bytes.saturating_add(zeroes);
        self.wanted_chunks = self.wanted_chunks.saturating_add(u64::from(wanted));
    }

    /// A chunk's copy has failed.
    pub fn chunk_failed(&mut self) {
        self.failed_chunks = self.failed_chunks.saturating_add(1);
    }
}
