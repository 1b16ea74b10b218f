//! The side disk: what the application knows, in the disks' one log.
//!
//! A disk called `side` is served beside the PVs. The guest appends blocks to it; each is in the log
//! behind everything that was answered before it was written. It never loses anything.

use anyhow::{Context as _, Result, ensure};

/// The name of the disk.
pub const NAME: &str = "side";
/// Bytes of a block.
pub const BLOCK: usize = 4096;
const MAGIC: &[u8; 8] = b"LVSHSIDE";
const HEADER: usize = 24;
/// The most floors in one block.
pub const MOST_FLOORS: usize = (BLOCK - HEADER) / 16;

/// What a block says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Something the scenario did or saw, in words.
    Mark(String),
    /// The writer with this seed knows that these sectors are durable with at least these versions.
    Floors {
        /// The writer.
        seed: u64,
        /// Sector of the writer's device, and version.
        floors: Vec<(u64, u64)>,
    },
    /// A line for the disk server's rules, obeyed before the write is answered.
    Command(String),
}

impl Note {
    /// The block.
    ///
    /// # Errors
    /// If it is too long.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let (kind, seed, body): (u32, u64, Vec<u8>) = match self {
            Self::Mark(text) => (1, 0, text.as_bytes().to_vec()),
            Self::Floors { seed, floors } => {
                let words = floors.iter().flat_map(|(sector, version)| [*sector, *version]);
                (2, *seed, words.flat_map(u64::to_le_bytes).collect())
            }
            Self::Command(text) => (3, 0, text.as_bytes().to_vec()),
        };
        ensure!(body.len() <= BLOCK - HEADER, "a note of {} bytes is too long", body.len());
        let mut block = Vec::with_capacity(BLOCK);
        block.extend_from_slice(MAGIC);
        block.extend_from_slice(&kind.to_le_bytes());
        block.extend_from_slice(&u32::try_from(body.len())?.to_le_bytes());
        block.extend_from_slice(&seed.to_le_bytes());
        block.extend_from_slice(&body);
        block.resize(BLOCK, 0);
        Ok(block)
    }

    /// Reads a block; `None` where it holds no note.
    ///
    /// # Errors
    /// If it begins like one and makes no sense.
    pub fn decode(block: &[u8]) -> Result<Option<Note>> {
        if block.len() < BLOCK || &block[..8] != MAGIC {
            return Ok(None);
        }
        let half =
            |at: usize| u32::from_le_bytes(block[at..at + 4].try_into().expect("four bytes"));
        let word =
            |at: usize| u64::from_le_bytes(block[at..at + 8].try_into().expect("eight bytes"));
        let (kind, len, seed) = (half(8), usize::try_from(half(12))?, word(16));
        let body = block.get(HEADER..HEADER + len).context("a note longer than its block")?;
        let text = || String::from_utf8(body.to_vec()).context("a note that is no text");
        Ok(Some(match kind {
            1 => Self::Mark(text()?),
            2 => {
                let floors = (0..len / 16).map(|n| {
                    let at = HEADER + n * 16;
                    (word(at), word(at + 8))
                });
                Self::Floors { seed, floors: floors.collect() }
            }
            3 => Self::Command(text()?),
            other => anyhow::bail!("there is no note of kind {other}"),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_comes_back_from_its_block() {
        let floors = (0..MOST_FLOORS as u64).map(|n| (n, n + 1)).collect();
        for note in [
            Note::Mark("moved".to_owned()),
            Note::Floors { seed: 7, floors },
            Note::Command("clear pv1".to_owned()),
        ] {
            let block = note.encode().expect("it fits");
            assert_eq!(Note::decode(&block).expect("a note"), Some(note));
        }
        assert_eq!(Note::decode(&[0; BLOCK]).expect("no note"), None);
    }
}
