//! A picture of a move: which of its chunks are equal on both sides.

/// How wide the picture is at most.
const WIDTH: usize = 64;

/// Which chunks of a move are equal, in the order in which they lie on its LVs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChunkMap {
    equal: Vec<bool>,
}

impl ChunkMap {
    /// Adds the next chunk.
    pub fn push(&mut self, equal: bool) {
        self.equal.push(equal);
    }

    /// How many chunks there are.
    #[must_use]
    pub fn chunks(&self) -> usize {
        self.equal.len()
    }

    /// How many of them are equal.
    #[must_use]
    pub fn equal(&self) -> usize {
        self.equal.iter().filter(|equal| **equal).count()
    }

    /// A character for each chunk, or for as many as share one: `#` all equal, `+` some, `.` none.
    #[must_use]
    pub fn picture(&self) -> String {
        let (all, cells) = (self.equal.len(), self.equal.len().min(WIDTH));
        let cell = |n: usize| {
            let shared = self.equal.get(n * all / cells..(n + 1) * all / cells).unwrap_or_default();
            match shared.iter().filter(|equal| **equal).count() {
                0 => '.',
                some if some == shared.len() => '#',
                _ => '+',
            }
        };
        (0..cells).map(cell).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(chunks: usize, equal: impl Fn(usize) -> bool) -> String {
        let mut map = ChunkMap::default();
        (0..chunks).for_each(|chunk| map.push(equal(chunk)));
        assert_eq!(map.chunks(), chunks);
        map.picture()
    }

    #[test]
    fn a_character_is_a_chunk_or_its_share_of_them() {
        assert_eq!(picture(0, |_| true), "");
        assert_eq!(picture(5, |chunk| chunk < 2), "##...");
        let long = picture(1000, |chunk| chunk < 500 && chunk != 3);
        assert_eq!(long, format!("+{}{}", "#".repeat(31), ".".repeat(32)));
        // Nothing is called equal of which a single chunk is not.
        assert_eq!(picture(1_000_003, |chunk| chunk != 1_000_002), format!("{}+", "#".repeat(63)));
    }
}
