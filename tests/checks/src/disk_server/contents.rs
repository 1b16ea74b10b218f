//! The bytes of a disk, sparse.

/// The sector in which everything is counted.
pub const SECTOR: usize = 512;
const PAGE: usize = 4096;
const SECTORS_PER_PAGE: u64 = (PAGE / SECTOR) as u64;

/// Bytes that are zero until they are written.
#[derive(Clone, Debug)]
pub struct Contents(Vec<Option<Box<[u8; PAGE]>>>);

impl Contents {
    /// Zeroes, for that many sectors.
    #[must_use]
    pub fn new(sectors: u64) -> Self {
        let pages = usize::try_from(sectors.div_ceil(SECTORS_PER_PAGE)).expect("a disk in memory");
        Self(vec![None; pages])
    }

    /// Copies sectors out.
    pub fn read(&self, first: u64, bytes: &mut [u8]) {
        for (n, sector) in bytes.chunks_exact_mut(SECTOR).enumerate() {
            let (page, at) = place(first + n as u64);
            match &self.0[page] {
                Some(page) => sector.copy_from_slice(&page[at..at + SECTOR]),
                None => sector.fill(0),
            }
        }
    }

    /// Writes sectors.
    pub fn write(&mut self, first: u64, bytes: &[u8]) {
        for (n, sector) in bytes.chunks_exact(SECTOR).enumerate() {
            let (page, at) = place(first + n as u64);
            let page = self.0[page].get_or_insert_with(|| Box::new([0; PAGE]));
            page[at..at + SECTOR].copy_from_slice(sector);
        }
    }

    /// Zeroes sectors.
    pub fn zero(&mut self, first: u64, sectors: u64) {
        for sector in first..first + sectors {
            let (page, at) = place(sector);
            if let Some(page) = &mut self.0[page] {
                page[at..at + SECTOR].fill(0);
            }
        }
    }
}

fn place(sector: u64) -> (usize, usize) {
    let page = usize::try_from(sector / SECTORS_PER_PAGE).expect("a disk in memory");
    let at = usize::try_from(sector % SECTORS_PER_PAGE).expect("below eight") * SECTOR;
    (page, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_the_rest_is_zero() {
        let mut contents = Contents::new(20);
        contents.write(7, &[3; 2 * SECTOR]);
        contents.zero(8, 1);
        let mut bytes = vec![9; 4 * SECTOR];
        contents.read(6, &mut bytes);
        assert!(bytes[..SECTOR].iter().all(|b| *b == 0));
        assert!(bytes[SECTOR..2 * SECTOR].iter().all(|b| *b == 3));
        assert!(bytes[2 * SECTOR..].iter().all(|b| *b == 0));
    }
}
