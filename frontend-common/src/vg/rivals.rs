//! A VG whose PVs hold different metadata of one age: two hosts changed it apart from each other, and only a
//! person knows which to keep.

use std::path::PathBuf;

use lvshift_core::metadata::{Choice, Found, choose_on, newest_here, rivals};
use lvshift_core::units::Uuid;

use super::membership::wipe;
use super::read::{Read, apart, read_chosen};
use super::{OpenVg, Vg};
use crate::error::{Error, Kind, Result};
use crate::lock::{self, Lock};
use crate::pv::{Member, Scan};
use crate::system_id;

#[cfg(test)]
mod tests;

/// One of the metadata.
#[derive(Debug)]
pub struct Rival {
    /// The devices that hold it.
    pub on: Vec<PathBuf>,
    /// What it says.
    pub vg: Vg,
    contents: Contents,
}

/// What tells one from another: sequence number, size and checksum.
type Contents = (u64, u32, u32);

fn contents(uuid: Uuid, found: &Found) -> Option<Contents> {
    let (_, header) = newest_here(uuid, found)?;
    Some((header.sequence, header.payload_size, header.payload_crc))
}

impl OpenVg {
    /// The different metadata of the VG with this name; one alone where all PVs agree.
    ///
    /// # Errors
    /// As [`OpenVg::open`], except that they differ.
    pub fn rivals(name: &str) -> Result<Vec<Rival>> {
        OpenVg::rivals_in(Scan::run()?, name)
    }

    fn rivals_in(scan: Scan, name: &str) -> Result<Vec<Rival>> {
        let uuid = uuid(&scan, name)?;
        let _lock = lock::metadata_shared(uuid)?;
        let mut pool = pool(scan, uuid);
        let found = found(&pool);
        let mut told = Vec::new();
        for device in rivals(uuid, &found) {
            let Some(contents) = found.get(device).and_then(|at| contents(uuid, at)) else {
                continue;
            };
            let choice = choose_on(uuid, &found, device).map_err(|error| none(name, error))?;
            let on = pool.iter().zip(&found);
            let on = on.filter(|(_, at)| self::contents(uuid, at) == Some(contents));
            let on = on.map(|(member, _)| member.path.clone()).collect();
            let (vg, back) = look(pool, &found, choice)?;
            pool = back;
            told.push(Rival { on, vg, contents });
        }
        let Some(holder) = told.first().and_then(|first| holder(&pool, first)) else {
            return Ok(told);
        };
        // What gave that one up in turn may be older by its number.
        for (member, at) in pool.iter().zip(&found) {
            let Some(contents) = contents(uuid, at) else { continue };
            match told.iter_mut().find(|rival| rival.contents == contents) {
                Some(rival) if rival.on.contains(&member.path) => {}
                Some(rival) => rival.on.push(member.path.clone()),
                None => {
                    if let Some(vg) = apart(uuid, member, holder)? {
                        told.push(Rival { on: vec![member.path.clone()], vg, contents });
                    }
                }
            }
        }
        Ok(told)
    }

    /// Writes these metadata to every PV that they list, under a sequence number above all: the others are older
    /// ones from then on. Until a PV holds them nothing has changed. PVs that they do not list, and that hold others, lose these:
    /// their paths are what is answered.
    ///
    /// # Errors
    /// `Kind::State` where the PVs hold something else by now; as [`OpenVg::commit`].
    pub fn keep(name: &str, rival: &Rival) -> Result<Vec<PathBuf>> {
        let lock = lock::metadata(rival.vg.uuid())?;
        OpenVg::keep_in(Scan::run()?, lock, name, rival)
    }

    fn keep_in(scan: Scan, lock: Lock, name: &str, rival: &Rival) -> Result<Vec<PathBuf>> {
        let uuid = rival.vg.uuid();
        let refused = scan.refused.iter().map(|error| error.what.clone()).collect();
        let pool = pool(scan, uuid);
        let found = found(&pool);
        let chosen = |at: &Found| {
            let of_it = contents(uuid, at).is_some_and(|contents| contents == rival.contents);
            newest_here(uuid, at).filter(|_| of_it)
        };
        let choice = found.iter().enumerate().find_map(|(device, at)| {
            let (slot, header) = chosen(at)?;
            Some((at.pv, Choice { device, slot, sequence: header.sequence }))
        });
        let (holder, choice) =
            choice.ok_or_else(|| Error::changed_meanwhile(format_args!("VG {name}")))?;
        let highest = found.iter().filter_map(|at| contents(uuid, at)).map(|(of, ..)| of).max();
        let mut open = OpenVg::new(read_chosen(pool, choice)?, refused, Some(lock));
        system_id::check(&open.vg)?;
        open.write_as_chosen(highest.unwrap_or_default())?;
        let mut dropped = Vec::new();
        for member in &open.spare {
            if apart(uuid, member, holder)?.is_some() {
                wipe(member)?;
                dropped.push(member.path.clone());
            }
        }
        Ok(dropped)
    }
}

/// A PV that holds these metadata.
fn holder(pool: &[Member], rival: &Rival) -> Option<Uuid> {
    pool.iter().find(|member| rival.on.contains(&member.path)).map(|member| member.uuid)
}

/// Reads what was chosen, and hands the devices back in the order in which they came.
fn look(pool: Vec<Member>, found: &[Found], choice: Choice) -> Result<(Vg, Vec<Member>)> {
    let Read { vg, members, mut spare, .. } = read_chosen(pool, choice)?;
    spare.extend(members.into_pool());
    spare.sort_by_key(|member| found.iter().position(|at| at.pv == member.uuid));
    Ok((vg, spare))
}

fn pool(scan: Scan, uuid: Uuid) -> Vec<Member> {
    let of_it = scan.pvs.into_iter().filter(|pv| pv.vg.as_ref().is_none_or(|(of, ..)| *of == uuid));
    let mut pool: Vec<Member> = of_it.map(Member::from).collect();
    // The scan ran without the lock.
    pool.iter_mut().for_each(|member| member.pv.refresh());
    pool
}

fn found(pool: &[Member]) -> Vec<Found> {
    pool.iter().map(|member| member.pv.found).collect()
}

fn uuid(scan: &Scan, name: &str) -> Result<Uuid> {
    let of_name = |vg: &&(Uuid, String, u64)| vg.1 == name;
    let mut uuids: Vec<Uuid> =
        scan.pvs.iter().filter_map(|pv| Some(pv.vg.as_ref().filter(of_name)?.0)).collect();
    uuids.sort();
    uuids.dedup();
    match uuids.as_slice() {
        [uuid] => Ok(*uuid),
        [] => Err(Error::new(Kind::NotFound, format!("Volume group \"{name}\" not found"))
            .state("nothing was changed")),
        _ => Err(Error::new(Kind::Exists, format!("{} VGs have the name {name}", uuids.len()))
            .state("nothing was changed")
            .next("detach the PVs of all but one")),
    }
}

fn none(name: &str, error: impl std::fmt::Display) -> Error {
    Error::new(Kind::Damaged, format!("VG {name}: {error}")).state("nothing was changed")
}
