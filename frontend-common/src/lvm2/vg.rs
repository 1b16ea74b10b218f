//! A VG of LVM2's own: its newest text, its PVs' devices, and commits.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use lvshift_core::units::{DeviceNumber, Uuid};

use super::heads::Heads;
use super::id;
use super::lock::VgLock;
use super::text::{Found, Metadata, Record, moves};
use super::tools::{FoundPv, Lvm};
use crate::device::{Access, BlockDevice};
use crate::error::{Error, Kind, Result};

/// A PV's device.
#[derive(Debug)]
pub struct Member {
    /// Its path, to show.
    pub path: PathBuf,
    /// It, opened.
    pub device: BlockDevice,
}

/// See the module.
#[derive(Debug)]
pub struct LvmVg {
    lvm: Lvm,
    /// Where LVM2 keeps its locks, once asked for.
    locks: OnceLock<PathBuf>,
    name: String,
    text: Metadata,
    /// What the PVs begin with while that text counts.
    heads: Heads,
    moves: Vec<Record>,
    /// By the text's key: `pv0`.
    members: HashMap<String, Member>,
}

/// What a commit may still say when it looks at the text under the lock.
pub struct Locked<'a> {
    /// The newest text; what stands in it afterwards is committed.
    pub text: &'a mut Metadata,
    /// The moves in it.
    pub moves: &'a [Record],
    /// The devices of its PVs.
    pub members: &'a HashMap<String, Member>,
}

impl LvmVg {
    /// The device of the PV with this id, if it is there.
    pub(super) fn device(&self, pv: Uuid) -> Option<&BlockDevice> {
        let pv = self.text.pvs().into_iter().find(|other| id::uuid(&other.id) == pv)?;
        self.members.get(&pv.key).map(|member| &member.device)
    }

    /// Reads the VG of this name.
    ///
    /// # Errors
    /// What LVM2 says; `Kind::Unsupported` for a version that was not tried; `Kind::Inconsistent` where LVs
    /// bear our names and are no move. A PV that is missing is none: whoever needs its device says so.
    pub fn open(lvm: &Lvm, name: &str) -> Result<LvmVg> {
        LvmVg::open_among(lvm, name, lvm.pvs(None, &[])?)
    }

    /// The same for whoever has just asked LVM2 for its PVs.
    ///
    /// # Errors
    /// As [`LvmVg::open`].
    pub fn open_among(lvm: &Lvm, name: &str, mut found: Vec<FoundPv>) -> Result<LvmVg> {
        let text = lvm.text(name, None, &[])?;
        lvm.check_version(&text)?;
        let text = parse(name, &text)?;
        let moves = find(&text)?;
        let known = |id: &str| found.iter().any(|pv| pv.id == id && pv.number.is_some());
        // One that came meanwhile, or is missing.
        if !text.pvs().iter().all(|pv| known(&pv.id)) {
            found = lvm.pvs(None, &[])?;
        }
        let members = members(&text, &found)?;
        let (locks, heads) = (OnceLock::new(), Heads::default());
        Ok(LvmVg { lvm: lvm.clone(), locks, name: name.to_owned(), text, heads, moves, members })
    }

    /// Where LVM2 keeps its locks. A mover asks before anything waits for it.
    ///
    /// # Errors
    /// What LVM2 says.
    pub(super) fn locks(&self) -> Result<&Path> {
        if let Some(known) = self.locks.get() {
            return Ok(known);
        }
        let asked = self.lvm.locking_dir()?;
        Ok(self.locks.get_or_init(|| asked))
    }

    /// The name that it has now.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is called in locks, journals and the mover.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        id::uuid(self.text.id())
    }

    /// The text as read or committed last.
    #[must_use]
    pub fn text(&self) -> &Metadata {
        &self.text
    }

    /// The moves in it.
    #[must_use]
    pub fn moves(&self) -> &[Record] {
        &self.moves
    }

    /// The move of this UUID.
    ///
    /// # Errors
    /// `Kind::State` when it is not there any more.
    pub fn record(&self, of: Uuid) -> Result<&Record> {
        self.moves
            .iter()
            .find(|record| id::uuid(&record.id) == of)
            .ok_or_else(|| Error::new(Kind::State, "the move is not recorded any more"))
    }

    /// The devices of its PVs, by the text's key.
    #[must_use]
    pub fn members(&self) -> &HashMap<String, Member> {
        &self.members
    }

    /// The key of the PV with this device.
    #[must_use]
    pub fn pv_at(&self, number: DeviceNumber) -> Option<&str> {
        let mut members = self.members.iter();
        members.find(|(_, member)| member.device.number() == number).map(|(key, _)| key.as_str())
    }

    /// The path of a PV, for messages.
    #[must_use]
    pub fn path_of(&self, key: &str) -> String {
        match self.members.get(key) {
            Some(member) => member.path.display().to_string(),
            None if key.is_empty() => "a PV that is gone".to_owned(),
            None => format!("missing PV {key}"),
        }
    }

    /// The PVs' heads as they are now.
    fn present_heads(&self) -> Heads {
        let pvs = self.text.pvs().into_iter();
        Heads::of(pvs.filter_map(|pv| Some((pv.id, &self.members.get(&pv.key)?.device))))
    }

    /// Makes what is known the newest text: LVM2 is asked for it where it may have changed.
    ///
    /// # Errors
    /// As [`LvmVg::open`].
    pub fn reread(&mut self) -> Result<()> {
        if !self.heads.is_empty() && self.heads.still_stand(&self.present_heads()) {
            return Ok(());
        }
        let text = match self.lvm.text(&self.name, None, &[]) {
            Ok(text) => text,
            Err(error) => {
                // Another name by now?
                let name = self.lvm.vg_name(self.text.id())?;
                if name == self.name {
                    return Err(error);
                }
                self.name = name;
                self.lvm.text(&self.name, None, &[])?
            }
        };
        let text = parse(&self.name, &text)?;
        self.take_over(text, None, &[])
    }

    fn take_over(&mut self, text: Metadata, held: Option<&VgLock>, only: &[PathBuf]) -> Result<()> {
        if text.id() != self.text.id() {
            return Err(Error::new(Kind::State, format!("VG {} is another by now", self.name)));
        }
        self.heads = Heads::default();
        self.moves = find(&text)?;
        let known = text.pvs().iter().map(|pv| (pv.key.clone(), pv.id.clone())).collect::<Vec<_>>();
        let before = self.text.pvs().into_iter().map(|pv| (pv.key, pv.id)).collect::<Vec<_>>();
        self.text = text;
        if known != before {
            // LVM2 gives keys anew in every text.
            let found = self.lvm.pvs(held.map(VgLock::file), only)?;
            self.members = members(&self.text, &found)?;
        }
        Ok(())
    }

    /// Reads the text under LVM2's lock, lets `change` alter it, has LVM2 commit it, flushes every PV, and
    /// looks whether it stands there. An error of `change` leaves all as it was.
    ///
    /// # Errors
    /// What `change` or LVM2 says. `Kind::Io` naming a PV whose flush failed: the commit may be lost there
    /// then. `Kind::Inconsistent` when something else stands there afterwards.
    pub fn commit(&mut self, change: &mut dyn FnMut(Locked<'_>) -> Result<()>) -> Result<()> {
        self.commit_among(&[], change)
    }

    /// LVM2's lock: no command of LVM2 loads a table as long as it is held.
    ///
    /// # Errors
    /// `Kind::Locked` when a command of LVM2 holds it too long.
    pub fn lock(&self) -> Result<VgLock> {
        VgLock::take(self.locks()?, &self.name)
    }

    /// The same, or none where a command of LVM2 holds it longer than this.
    ///
    /// # Errors
    /// `Kind::Kernel` when the lock cannot be used.
    pub fn lock_soon(&self, patience: Duration) -> Result<Option<VgLock>> {
        VgLock::take_within(self.locks()?, &self.name, patience)
    }

    /// Shows the moves of the newest text while no command of LVM2 can change it.
    ///
    /// # Errors
    /// As [`LvmVg::open`]; `Kind::Locked` when a command of LVM2 holds the lock too long.
    pub fn look(&mut self, see: &mut dyn FnMut(&[Record])) -> Result<()> {
        let lock = VgLock::take(self.locks()?, &self.name)?;
        let text = parse(&self.name, &self.lvm.text(&self.name, Some(lock.file()), &[])?)?;
        see(&find(&text)?);
        Ok(())
    }

    /// The way back of a move whose destination, or the PV of its log, is gone for good or takes no metadata:
    /// LVM2 commits nothing while a PV is missing, and the application's writes wait. So those PVs leave the
    /// VG, if nothing else lies on them; they are told as outdated by LVM2 if they come back.
    ///
    /// # Errors
    /// As [`LvmVg::commit`]; `Kind::InUse` when something else lies there.
    pub fn commit_without_destination(&mut self, of: Uuid) -> Result<()> {
        let record = self.record(of)?.clone();
        let source = |key: &str| record.parts.iter().any(|part| part.source.of == key);
        let log = self.text.log_place(&record).map(|(_, area)| area.of);
        let mut lost: Vec<String> =
            record.parts.iter().map(|part| part.destination.of.clone()).chain(log).collect();
        lost.sort();
        lost.dedup();
        lost.retain(|key| !source(key) && !key.is_empty());
        let gone: Vec<String> = lost.iter().map(|key| self.path_of(key)).collect();
        let lost: Vec<String> = self.ids(&lost);
        let left: Vec<PathBuf> = self
            .text
            .pvs()
            .into_iter()
            .filter(|pv| !lost.contains(&pv.id))
            .filter_map(|pv| Some(self.members.get(&pv.key)?.path.clone()))
            .collect();
        if left.is_empty() || lost.is_empty() {
            return Err(Error::new(
                Kind::Missing,
                "no PV is left that could say that the move goes back",
            ));
        }
        tracing::warn!(?gone, "the move goes back without these PVs: they leave the VG");
        self.commit_among(&left, &mut |locked| {
            let keys: Vec<String> = locked
                .text
                .pvs()
                .into_iter()
                .filter(|pv| lost.contains(&pv.id))
                .map(|pv| pv.key)
                .collect();
            locked.text.lose_pvs(&keys).map_err(|error| {
                Error::new(Kind::InUse, format!("the VG cannot do without {}", gone.join(", ")))
                    .because(error)
                    .state("the LV is mirrored still")
                    .next("give the device back its health, then `pvmove --abort`")
            })
        })
    }

    fn ids(&self, keys: &[String]) -> Vec<String> {
        let pvs = self.text.pvs().into_iter();
        pvs.filter(|pv| keys.contains(&pv.key)).map(|pv| pv.id).collect()
    }

    fn commit_among(
        &mut self,
        only: &[PathBuf],
        change: &mut dyn FnMut(Locked<'_>) -> Result<()>,
    ) -> Result<()> {
        let lock = VgLock::take(self.locks()?, &self.name)?;
        // Not of those that are to be done without.
        let before = only.is_empty().then(|| self.present_heads());
        if !before.as_ref().is_some_and(|now| self.heads.still_stand(now)) {
            let text = match self.lvm.text(&self.name, Some(lock.file()), only) {
                Ok(text) => text,
                Err(error) => {
                    drop(lock);
                    let name = self.lvm.vg_name(self.text.id())?;
                    if name == self.name {
                        return Err(error.state("nothing was changed"));
                    }
                    self.name = name;
                    return self.commit_among(only, change);
                }
            };
            self.take_over(parse(&self.name, &text)?, Some(&lock), only)?;
        }
        let mut new = self.text.clone();
        let (moves, members) = (&self.moves, &self.members);
        change(Locked { text: &mut new, moves, members })?;
        // What is committed must be readable as what was meant.
        let moves = find(&new)?;
        let printed = new.print();
        self.heads = Heads::default();
        self.lvm.restore(&self.name, &printed, lock.file(), only)?;
        let kept: Vec<String> = new.pvs().into_iter().map(|pv| pv.id).collect();
        self.flush(&kept)?;
        let there = parse(&self.name, &self.lvm.text(&self.name, Some(lock.file()), only)?)?;
        if there.seqno() != new.seqno() + 1 || !there.says_the_same(&new) {
            return Err(Error::new(
                Kind::Inconsistent,
                format!("LVM2 committed something else for VG {} than was meant", self.name),
            )
            .because(format!(
                "sequence number {} after {}",
                there.seqno(),
                new.seqno()
            )));
        }
        self.take_over(there, Some(&lock), only)?;
        self.moves = moves;
        if let Some(before) = before {
            self.heads = self.present_heads().changed_since(&before);
        }
        Ok(())
    }

    /// LVM2 flushes nothing.
    fn flush(&self, ids: &[String]) -> Result<()> {
        let mut first = None;
        let pvs = self.text.pvs().into_iter().filter(|pv| ids.contains(&pv.id));
        for member in pvs.filter_map(|pv| self.members.get(&pv.key)) {
            if let Err(error) = member.device.flush() {
                first.get_or_insert(error.device(member.path.display()));
            }
        }
        first.map_or(Ok(()), Err)
    }
}

fn parse(name: &str, text: &str) -> Result<Metadata> {
    let strange = |why: String| {
        Error::new(Kind::Unsupported, format!("the metadata of VG {name} are not understood"))
            .because(why)
            .state("nothing was changed")
    };
    let metadata = Metadata::parse(text).map_err(|error| strange(error.to_string()))?;
    if metadata.name() != name {
        return Err(strange(format!("they are of VG {}", metadata.name())));
    }
    Ok(metadata)
}

fn find(text: &Metadata) -> Result<Vec<Record>> {
    let Found { moves } = moves::find(text).map_err(|broken| {
        Error::new(
            Kind::Inconsistent,
            format!("LVs of VG {} bear the names of a move and are none", text.name()),
        )
        .because(broken)
        .state("nothing was changed")
        .next("docs/lvm2.md says how to look at it and how to get out by hand")
    })?;
    Ok(moves)
}

fn members(text: &Metadata, found: &[FoundPv]) -> Result<HashMap<String, Member>> {
    let mut members = HashMap::new();
    for pv in text.pvs() {
        // One that is missing is missed by whoever needs it.
        let mut here = found.iter().filter(|other| other.id == pv.id && other.number.is_some());
        let Some(one) = here.next() else { continue };
        if here.next().is_some() {
            return Err(Error::new(
                Kind::Cloned,
                format!("LVM2 sees PV {} of VG {} twice", pv.id, text.name()),
            )
            .state("nothing was changed"));
        }
        let Ok(device) = BlockDevice::open(Path::new(&one.path), Access::Read) else { continue };
        if Some(device.number()) != one.number {
            continue;
        }
        let end = pv.pe_start + u64::from(pv.pe_count) * u64::from(text.extent_size());
        if device.size().0 < end {
            return Err(Error::new(Kind::Shrunk, "the device is smaller than the VG says")
                .device(one.path.display())
                .state("nothing was changed"));
        }
        members.insert(pv.key.clone(), Member { path: one.path.clone(), device });
    }
    Ok(members)
}
