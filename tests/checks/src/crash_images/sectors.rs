//! Contents of sectors, each known once, by number: images become arrays of numbers.

use std::collections::HashMap;
use std::sync::Arc;

use crate::disk_server::SECTOR;
use lvshift_vm_tests::writer::stamp::{self, Found, Stamp};

/// The number of a content.
pub type Id = u32;
/// A sector of zeroes.
pub const ZERO: Id = 0;

/// Every content that occurs in a log.
#[derive(Debug)]
pub struct Sectors {
    ids: HashMap<Arc<[u8; SECTOR]>, Id>,
    known: Vec<Content>,
}

#[derive(Debug)]
struct Content {
    bytes: Arc<[u8; SECTOR]>,
    stamp: Result<Stamp, Found>,
}

impl Sectors {
    /// Zeroes alone.
    #[must_use]
    pub fn new() -> Self {
        let mut sectors = Self { ids: HashMap::new(), known: Vec::new() };
        sectors.id(&[0; SECTOR]);
        sectors
    }

    /// The number of a content, which is a new one if it has not occurred yet.
    pub fn id(&mut self, bytes: &[u8; SECTOR]) -> Id {
        if let Some(id) = self.ids.get(bytes) {
            return *id;
        }
        let id = Id::try_from(self.known.len()).expect("a log that fits into memory");
        let bytes = Arc::new(*bytes);
        let stamp = stamp::decode(&bytes[..]);
        self.known.push(Content { bytes: Arc::clone(&bytes), stamp });
        self.ids.insert(bytes, id);
        id
    }

    /// The numbers of the sectors of `bytes`.
    pub fn ids(&mut self, bytes: &[u8]) -> Arc<[Id]> {
        let whole = bytes.chunks_exact(SECTOR);
        whole.map(|one| self.id(one.try_into().expect("a whole sector"))).collect()
    }

    /// The content.
    #[must_use]
    pub fn bytes(&self, id: Id) -> &[u8; SECTOR] {
        &self.known[id as usize].bytes
    }

    /// What a writer would make of it.
    ///
    /// # Errors
    /// What is there in place of a whole stamp.
    pub fn stamp(&self, id: Id) -> Result<Stamp, Found> {
        self.known[id as usize].stamp
    }

    /// The contents one after another.
    #[must_use]
    pub fn concat(&self, ids: &[Id]) -> Vec<u8> {
        ids.iter().flat_map(|id| self.bytes(*id)).copied().collect()
    }
}

impl Default for Sectors {
    fn default() -> Self {
        Self::new()
    }
}
