//! A quick hash against accidents. It is no defence against malice.

/// Mixes the bits of one word (splitmix64's finisher).
#[must_use]
pub const fn mix(word: u64) -> u64 {
    let mut z = word.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Hashes bytes; how they are cut into pieces matters only if not by eights.
#[derive(Clone, Copy, Debug)]
pub struct Hasher(u64);

impl Hasher {
    /// A hasher with a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    /// Takes in bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            let word = u64::from_le_bytes(word.try_into().expect("chunks of eight"));
            self.0 = (self.0 ^ word).wrapping_mul(0x9FB2_1C65_1E98_DF25).rotate_left(29);
        }
        for &byte in words.remainder() {
            self.0 = mix(self.0 ^ u64::from(byte));
        }
    }

    /// The hash.
    #[must_use]
    pub const fn finish(self) -> u64 {
        mix(self.0)
    }
}
