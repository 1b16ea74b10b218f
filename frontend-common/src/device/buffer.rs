//! Memory that O_DIRECT accepts: aligned to 4096 bytes.

use std::ops::{Deref, DerefMut};

const ALIGNMENT: usize = 4096;

/// Zeroed bytes that start at a multiple of 4096.
#[derive(Debug)]
pub struct Aligned {
    storage: Vec<u8>,
    start: usize,
    len: usize,
}

impl Aligned {
    /// `len` zeros.
    #[must_use]
    pub fn zeroed(len: usize) -> Aligned {
        let storage = vec![0; len + ALIGNMENT];
        let start = storage.as_ptr().align_offset(ALIGNMENT);
        assert!(start < ALIGNMENT, "a byte pointer can always be aligned");
        Aligned { storage, start, len }
    }

    /// A copy of `bytes`, padded with zeros to a multiple of 4096.
    #[must_use]
    pub fn padded(bytes: &[u8]) -> Aligned {
        let mut aligned = Aligned::zeroed(bytes.len().next_multiple_of(ALIGNMENT));
        aligned[..bytes.len()].copy_from_slice(bytes);
        aligned
    }
}

impl Deref for Aligned {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.storage[self.start..self.start + self.len]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.storage[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::Aligned;

    #[test]
    fn starts_at_a_multiple_of_4096_and_is_zero() {
        for len in [0, 1, 512, 4096, 1 << 20] {
            let buffer = Aligned::zeroed(len);
            assert_eq!(buffer.as_ptr() as usize % 4096, 0);
            assert_eq!(buffer.len(), len);
            assert!(buffer.iter().all(|byte| *byte == 0));
        }
        let padded = Aligned::padded(b"abc");
        assert_eq!((padded.len(), &padded[..4]), (4096, &b"abc\0"[..]));
    }
}
