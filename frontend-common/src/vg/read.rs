//! From devices to the VG's newest metadata.

use lvshift_core::metadata::{Choice, ChooseError, Found, SlotInfo, Standing, choose, newest_here};
use lvshift_core::units::Uuid;

use super::behind::made_without_the_others;
use super::{Health, PvHealth, Vg};
use crate::error::{Error, Kind, Result};
use crate::pv::{FoundPv, Member, Members, probe};

/// A VG as read: whether it may be written, which devices are its PVs, which are not.
pub(super) struct Read {
    pub(super) vg: Vg,
    pub(super) writable: bool,
    pub(super) members: Members,
    pub(super) spare: Vec<Member>,
    pub(super) health: Health,
}

/// Picks the newest metadata of the VG among the devices of `pool`.
pub(super) fn read(uuid: Uuid, pool: Vec<Member>) -> Result<Read> {
    let found: Vec<Found> = pool.iter().map(|member| member.pv.found).collect();
    let choice = choose(uuid, &found).or_else(|error| {
        let made = matches!(error, ChooseError::SplitBrain { .. })
            .then(|| made_without_the_others(uuid, &found, &pool));
        made.flatten().ok_or_else(|| explain(error, &pool))
    })?;
    let read = read_chosen(pool, choice)?;
    refuse_apart(&read, choice.sequence)?;
    Ok(read)
}

/// A PV that was given up is older, and does not count. Where it gave up the others in turn, two VGs have come of one.
fn refuse_apart(read: &Read, sequence: u64) -> Result<()> {
    let uuid = read.vg.uuid();
    let newest = read.members.iter().find(|(_, of)| {
        newest_here(uuid, &of.pv.found).is_some_and(|(_, header)| header.sequence == sequence)
    });
    let Some((_, newest)) = newest else { return Ok(()) };
    for member in &read.spare {
        if apart(uuid, member, newest.uuid)?.is_some() {
            let (one, two) = (newest.path.display(), member.path.display());
            let name = read.vg.name();
            let what =
                format!("VG {name} was changed on {one} and on {two}, each without the other");
            return Err(Error::new(Kind::Inconsistent, what).state("nothing was changed").next(
                format!("detach the one that is not wanted, or vgck --choose {name} shows both and asks which to keep"),
            ));
        }
    }
    Ok(())
}

/// The metadata of the VG on a device, if they know nothing of a PV that has given it up.
pub(super) fn apart(uuid: Uuid, member: &Member, from: Uuid) -> Result<Option<Vg>> {
    let Some((slot, _)) = newest_here(uuid, &member.pv.found) else { return Ok(None) };
    let bytes = probe::read_slot(&member.pv.device, &member.pv.label, slot)?;
    let mut theirs = Vg::empty();
    let whole = theirs.decode_from(&bytes).is_ok();
    Ok((whole && theirs.pv_by_uuid(from).is_none()).then_some(theirs))
}

fn explain(error: ChooseError, pool: &[Member]) -> Error {
    let path = |at: usize| pool.get(at).map_or_else(String::new, |m| m.path.display().to_string());
    let named = match error {
        ChooseError::SamePv { first, second } | ChooseError::SplitBrain { first, second, .. } => {
            format!("{error}: {} and {}", path(first), path(second))
        }
        ChooseError::NoMetadata => error.to_string(),
    };
    let kind = match error {
        ChooseError::SamePv { .. } => Kind::Cloned,
        ChooseError::SplitBrain { .. } => Kind::Inconsistent,
        ChooseError::NoMetadata => Kind::Damaged,
    };
    let told = Error::new(kind, named).state("nothing was changed");
    match error {
        ChooseError::SplitBrain { first, .. } => {
            let name = pool.get(first).and_then(|member| member.pv.vg.as_ref());
            let name = name.map_or("VG", |(_, name, _)| name);
            told.next(format!("attach what is missing of the VG, or vgck --choose {name} shows both and asks which to keep"))
        }
        _ => told,
    }
}

/// Reads the metadata chosen.
pub(super) fn read_chosen(pool: Vec<Member>, choice: Choice) -> Result<Read> {
    let found: Vec<Found> = pool.iter().map(|member| member.pv.found).collect();
    let (vg, info) = decode(&pool, choice)?;
    for member in &pool {
        if let Some(pv) = vg.pvs().iter().find(|pv| pv.uuid == member.uuid) {
            check_areas(member, pv)?;
        }
    }
    let health = health(&vg, &pool, &found);
    let (members, spare) = Members::arrange(&vg, pool);
    Ok(Read { vg, writable: info.writable, members, spare, health })
}

/// The metadata in a slot.
pub(super) fn decode(pool: &[Member], choice: Choice) -> Result<(Vg, SlotInfo)> {
    let chosen = pool.get(choice.device).ok_or_else(|| {
        Error::new(Kind::Inconsistent, "the device with the newest metadata went away")
    })?;
    let bytes = probe::read_slot(&chosen.pv.device, &chosen.pv.label, choice.slot)?;
    let mut vg = Vg::empty();
    let info = vg.decode_from(&bytes).map_err(|error| {
        Error::new(Kind::Damaged, format!("the newest metadata of the VG make no sense: {error}"))
            .device(chosen.path.display())
            .state("nothing was changed")
            .next("the PV's other slot may hold the metadata before; nothing is guessed here")
    })?;
    Ok((vg, info))
}

/// Every extent must lie on the device, whatever the checksums say.
fn check_areas(member: &Member, pv: &lvshift_core::metadata::Pv) -> Result<()> {
    if member.size < pv.device_size {
        return Err(Error::new(
            Kind::Shrunk,
            format!("the device has {} sectors, the VG needs {}", member.size, pv.device_size),
        )
        .device(member.path.display())
        .state("nothing was changed")
        .next("give the device its old size back"));
    }
    if (pv.log_start, pv.log_size) != (member.log_start, member.log_size) {
        return Err(Error::new(
            Kind::Inconsistent,
            "the PV's label and the VG disagree about its areas",
        )
        .device(member.path.display())
        .state("nothing was changed"));
    }
    Ok(())
}

fn health(vg: &Vg, pool: &[Member], found: &[Found]) -> Health {
    let mut health = Health::default();
    for pv in vg.pvs() {
        let member: Option<&FoundPv> =
            pool.iter().find(|member| member.uuid == pv.uuid).map(|member| &member.pv);
        let mut findings: Vec<String> =
            member.map(|member| member.warnings.clone()).unwrap_or_default();
        let mut sequence = Some(vg.sequence());
        match vg.standing_of_pv(pv.uuid, found) {
            Standing::Current => {}
            Standing::Stale { sequence: old } => {
                sequence = Some(old);
                findings.push(format!(
                    "its metadata are old: sequence {old}, the VG has {}",
                    vg.sequence()
                ));
            }
            Standing::Behind { sequence: old } => {
                sequence = Some(old);
                let why = if pv.leaving { "it takes no changes and is being left; " } else { "" };
                findings.push(format!(
                    "{why}the VG was changed without it: it has sequence {old}, the VG has {}",
                    vg.sequence()
                ));
            }
            Standing::NoMetadata if member.is_some_and(|member| member.unread) => sequence = None,
            Standing::NoMetadata => {
                sequence = None;
                findings.push("it has no valid metadata of this VG".to_owned());
            }
            Standing::Foreign { holder } => {
                sequence = None;
                findings.push(format!("its metadata were copied from PV {holder}"));
            }
            Standing::NotListed | Standing::Absent => {
                sequence = None;
                findings.push("the PV is missing".to_owned());
            }
        }
        health.pvs.push(PvHealth {
            uuid: pv.uuid,
            behind: pv.behind.is_some(),
            // What cannot be read at all neither agrees nor disagrees.
            path: member.filter(|member| !member.unread).map(|member| member.path.clone()),
            sequence,
            findings,
        });
    }
    for member in pool.iter().filter(|member| vg.pv_by_uuid(member.uuid).is_none()) {
        if member.pv.vg.as_ref().is_some_and(|(uuid, ..)| *uuid == vg.uuid()) {
            health.strays.push(member.path.clone());
        }
    }
    health
}
