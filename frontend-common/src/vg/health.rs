//! How sound a VG's metadata is on each PV: what `vgck` prints.

use std::path::PathBuf;

use lvshift_core::units::Uuid;

/// The findings on one PV.
#[derive(Clone, Debug)]
pub struct PvHealth {
    /// The PV.
    pub uuid: Uuid,
    /// Its device, unless it is missing.
    pub path: Option<PathBuf>,
    /// The newest sequence number on it, if any slot can be believed.
    pub sequence: Option<u64>,
    /// Commits were made without it.
    pub behind: bool,
    /// What is wrong, one sentence each; empty when all is well.
    pub findings: Vec<String>,
}

/// The findings on a VG.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// One entry for each PV that the VG lists.
    pub pvs: Vec<PvHealth>,
    /// What is wrong with the VG as a whole (its model's own check).
    pub findings: Vec<String>,
    /// PVs that say that they belong to the VG, which does not list them: taken out while they took no changes, or old copies.
    pub strays: Vec<PathBuf>,
}

impl Health {
    /// Whether every PV that is present, and was not left behind, holds the metadata with this sequence number.
    #[must_use]
    pub fn agrees_on(&self, sequence: u64) -> bool {
        let agrees = |pv: &PvHealth| pv.path.is_none() || pv.sequence == Some(sequence);
        self.pvs.iter().filter(|pv| !pv.behind).all(agrees)
    }

    /// Nothing is wrong anywhere.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.strays.is_empty() && self.is_sound_itself()
    }

    /// Nothing is wrong on the PVs that the VG lists.
    #[must_use]
    pub fn is_sound_itself(&self) -> bool {
        self.findings.is_empty() && self.pvs.iter().all(|pv| pv.findings.is_empty())
    }
}
