//! `metadata`: what a move's metadata may become on disk, enumerated: torn writes, damage, PVs that
//! are stale, missing, cloned or corrupt, and power cuts in every commit and every recovery.
//!
//! The commits, the opening of the VG and the choice among the slots are the commands' own. What is
//! enumerated and what is not stands in `docs/testing/proofs.md`, "The scorecard".

mod behind;
mod combos;
mod damage;
mod disk;
mod findings;
mod history;
mod recovery;
mod torn;

use std::process::ExitCode;
use std::time::Instant;

use lvshift_frontend_common::error::Error;

use findings::Findings;
use history::{PVS, WAYS, make};
use recovery::Walk;
use torn::Under;

/// The walk over power cuts in recoveries has ended long before it is so deep, or something is wrong.
const DEPTH: u32 = 20;

/// One part: in its full form or not, and what tells its VGs from those of the others.
type Part = fn(bool, u8) -> Result<Findings, Error>;

fn main() -> ExitCode {
    let full = std::env::var("LVSHIFT_SCORECARD").is_ok_and(|size| size == "full");
    let only = std::env::args().nth(1);
    let directory =
        std::path::Path::new("/dev/shm").join(format!("lvshift-metadata-{}", std::process::id()));
    lvshift_frontend_common::simulation::set_directory(&directory);
    let parts: [(&str, Part); 5] = [
        ("torn", torn_writes),
        ("damage", damages),
        ("combinations", combinations),
        ("recovery", recoveries),
        ("behind", left_behind),
    ];
    let mut all = Findings::default();
    let findings = std::thread::scope(|scope| {
        let threads: Vec<_> = (1u8..)
            .zip(parts)
            .filter(|(_, (name, _))| {
                only.as_deref().is_none_or(|only| [*name, "all"].contains(&only))
            })
            .map(|(salt, (name, part))| {
                let work = move || {
                    let start = Instant::now();
                    let findings = part(full, salt).unwrap_or_else(|error| {
                        let mut findings = Findings::default();
                        findings.broken(|| format!("{name}: no history can be made: {error}"));
                        findings
                    });
                    let seconds = start.elapsed().as_secs_f64();
                    println!("metadata: {name}: {seconds:.1} s: {}", findings.counts());
                    findings
                };
                scope.spawn(work)
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect::<Vec<Findings>>()
    });
    findings.into_iter().for_each(|findings| all.join(findings));
    let _ = std::fs::remove_dir_all(&directory);
    if all.print() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Small VGs in all ways; one whose commits are too large for all subsets.
fn torn_writes(full: bool, salt: u8) -> Result<Findings, Error> {
    let mut findings = Findings::default();
    for way in 0..WAYS.len() {
        let small = make(way, 1, salt)?;
        torn::run(&small, Under::AsItWas, PVS, &mut findings);
        // Every sector differs: 2^16 subsets of a write.
        if full || way == 0 {
            torn::run(&small, Under::Leftover, if full { PVS } else { 1 }, &mut findings);
        }
    }
    let large = make(0, if full { 120 } else { 40 }, salt)?;
    torn::run(&large, Under::AsItWas, if full { PVS } else { 1 }, &mut findings);
    findings.note(
        "torn: all subsets of the changed sectors of a write where these are 16 at most, else all \
         prefixes and suffixes, one or two sectors alone or missing, and random subsets (seed 7)"
            .into(),
    );
    Ok(findings)
}

/// In the quick form only while the record says Copying.
fn damages(full: bool, salt: u8) -> Result<Findings, Error> {
    let mut findings = Findings::default();
    for way in 0..if full { WAYS.len() } else { 1 } {
        let history = make(way, 1, salt)?;
        for step in history.steps.iter().skip(1) {
            if full || step.name == "begin" {
                damage::every_bit(&history, step, &mut findings);
                damage::whole(&history, step, if full { 60_000 } else { 3_000 }, &mut findings);
            }
            if full && way == 0 && step.name == "moved" {
                (0..PVS).for_each(|pv| damage::every_bit_opened(&history, step, pv, &mut findings));
            }
        }
    }
    Ok(findings)
}

/// In the quick form only after Copying was committed.
fn combinations(full: bool, salt: u8) -> Result<Findings, Error> {
    let mut findings = Findings::default();
    for way in 0..if full { WAYS.len() } else { 1 } {
        let history = make(way, 1, salt)?;
        for (at, step) in history.steps.iter().enumerate().skip(2) {
            if full || step.name == "begin" {
                for base in combos::bases(step, full) {
                    combos::run(&history, at, &base, &mut findings);
                }
            }
        }
    }
    Ok(findings)
}

/// VGs of three to five PVs of which so many fail at once as may, and one more than that.
fn left_behind(full: bool, salt: u8) -> Result<Findings, Error> {
    let mut findings = Findings::default();
    let rounds = if full { 400_000 } else { 4_000 };
    for (at, (pvs, failing)) in [(3, 1), (4, 1), (5, 2), (2, 1), (3, 2)].into_iter().enumerate() {
        behind::run(pvs, failing, rounds, salt * 8 + at as u8, &mut findings)?;
    }
    Ok(findings)
}

/// The whole of it in either form: disks that differ only in how high the numbers are count once, so it
/// comes to an end by itself.
fn recoveries(_: bool, salt: u8) -> Result<Findings, Error> {
    let mut findings = Findings::default();
    findings.add("metadata-further-behind", 0);
    for way in 0..WAYS.len() {
        let history = make(way, 1, salt)?;
        let reached = Walk::run(&history, DEPTH, &mut findings);
        if reached == DEPTH {
            findings.broken(|| format!("{}: power cuts lead further and further", history.name));
        }
        findings.note(format!(
            "recovery: {}: to its end: nothing new comes of power cuts in more than {reached} recoveries \
             in a row",
            history.name
        ));
    }
    Ok(findings)
}
