//! A table that keeps its segments itself, for whoever serves by it.

use core::marker::PhantomData;

use super::{Segment, Table, TableError};
use crate::units::{DeviceNumber, Sectors};

/// Segments that were found to be a table, in whatever keeps them: a `Vec`, an array, a slice. What they
/// are does not change any more, so [`StoredTable::table`] checks nothing and costs nothing.
#[derive(Clone, Copy, Debug)]
pub struct StoredTable<S, D = DeviceNumber> {
    segments: S,
    len: Sectors,
    density: u64,
    device: PhantomData<D>,
}

impl<S: AsRef<[Segment<D>]>, D: Copy> StoredTable<S, D> {
    /// Checks the segments, as [`Table::new`] does.
    ///
    /// # Errors
    /// [`TableError`] names the first segment that breaks a rule.
    pub fn new(segments: S) -> Result<StoredTable<S, D>, TableError> {
        let Table { len, density, .. } = Table::new(segments.as_ref())?;
        Ok(StoredTable { segments, len, density, device: PhantomData })
    }

    /// The table.
    pub fn table(&self) -> Table<'_, D> {
        Table { segments: self.segments.as_ref(), len: self.len, density: self.density }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::super::Target;
    use super::*;

    #[test]
    fn a_stored_table_is_the_table_of_its_segments() {
        let segment = |start, len| Segment {
            start: Sectors(start),
            len: Sectors(len),
            target: Target::Error,
        };
        let segments: [Segment; 2] = [segment(0, 3), segment(3, 5)];
        let stored = StoredTable::new(segments).expect("a table");
        assert_eq!(stored.table(), Table::new(&segments).expect("a table"));
        let hole: [Segment; 1] = [segment(1, 3)];
        assert!(StoredTable::new(hole).is_err());
    }
}
