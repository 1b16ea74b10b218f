//! One run: a move under a busy application, crashes at any moment, recovery, and at the end
//! everything where it should be.

use std::panic::{AssertUnwindSafe, catch_unwind};

use lvshift_core::mover::Outcome;
use lvshift_core::units::Uuid;
use lvshift_frontend_common::vg::{Hold, OpenVg};
use lvshift_frontend_common::{activation, drive};
use lvshift_ublk::platform::sim::Killed;

use super::host::{Ears, World};
use super::hosts;
use super::rng::Rng;
use super::template::{PAIRS, SHAPES, Shape, Template};
use super::world::{Crash, Inner, Plan};

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Moments at which a power cut was looked at, with everything that may survive of it.
    pub points: u64,
    /// Steps of the world.
    pub steps: u64,
    /// Processes killed and power cuts.
    pub crashes: u64,
    /// Bits that were flipped silently, under moves that are verified.
    pub flips: u64,
    /// How moves ended: moved, undone.
    pub ends: [u64; 2],
    /// What was broken.
    pub failure: Option<String>,
    /// What happened, where it was asked for.
    pub trace: Vec<String>,
}

/// The templates of a thread.
pub struct Worlds {
    single: Vec<Template>,
    pairs: Vec<Template>,
}

impl Worlds {
    /// Makes all shapes.
    #[must_use]
    pub fn new(salt: u8) -> Worlds {
        let make = |shapes: &[Shape]| {
            shapes.iter().map(|shape| Template::make(shape, salt)).collect::<Vec<Template>>()
        };
        Worlds { single: make(SHAPES), pairs: make(PAIRS) }
    }

    /// Runs a seed.
    #[must_use]
    pub fn run(&self, seed: u64, traced: bool) -> Findings {
        let mut rng = Rng::new(!seed);
        let single = &self.single[rng.index(self.single.len())];
        // Not drawn: what a seed did before there were two LVs, it does still, unless it is one of these.
        let two = (seed % 8 == 5).then(|| &self.pairs[(seed / 8) as usize % self.pairs.len()]);
        let template = two.unwrap_or(single);
        let plan = Plan {
            requests: 20 + rng.below(60) as u32,
            depth: 1 + rng.index(4),
            queues: 1 + rng.below(2) as u16,
            source_first: rng.one_in(3),
            // Not drawn: what a seed did before there was a pace, it does still.
            paced: seed % 5 == 4,
            // Not yet right: see docs/ublk.md, what is missing.
            silent: seed % 6 == 1,
            flips: seed % 7 == 3,
            hosts: seed % 9 == 2,
            calls: if seed % 11 == 3 { 1 + (seed / 11 % 4) as u32 } else { 0 },
            zeroes: rng.below(8) as u8,
            faults: if rng.one_in(3) { 8 } else { 0 },
            wishes: if rng.one_in(3) { 6 } else { 0 },
        };
        // Where a source fails, a destination that is not verified yet answers for it.
        let faults = if plan.flips { 0 } else { plan.faults };
        let inner = Inner::new(template, Plan { faults, ..plan }, seed, traced);
        let journal = lvshift_frontend_common::journal::Journal::open().expect("a journal");
        for of in &template.moves {
            journal.remove(*of).expect("a clean journal");
        }
        let world = World::enter(inner, template);
        let mut told = Findings::default();
        life(&world, template, &mut rng, &mut told);
        let mut inner = world.inner.borrow_mut();
        told.points = inner.points;
        told.steps = inner.steps;
        told.flips = inner.flips;
        told.failure = inner.failure.take();
        told.trace = inner.trace.take().unwrap_or_default();
        drop(inner);
        world.leave();
        lvshift_frontend_common::simulation::set_system_id(None);
        told
    }
}

/// Boots, crashes, boots again, until the move has ended and the application is content.
fn life(world: &World, template: &Template, rng: &mut Rng, told: &mut Findings) {
    let crashes = rng.below(4);
    for round in 0.. {
        {
            let mut inner = world.inner.borrow_mut();
            (inner.crash, inner.fuel) = (None, u64::MAX);
            if round < crashes {
                let all = [Crash::Power, Crash::Power, Crash::Daemon, Crash::Mover, Crash::Both];
                inner.crash = Some(rng.pick(&all));
                inner.fuel = if rng.one_in(3) { rng.below(120) } else { rng.below(1500) };
                // Time for something to happen again.
                inner.left = inner.left.max(10);
            }
        }
        let ended = catch_unwind(AssertUnwindSafe(|| boot(world, template)));
        world.inner.borrow_mut().mover = false;
        if world.inner.borrow().failure.is_some() {
            return;
        }
        match ended {
            Ok(Ok(Some(outcome))) => {
                told.ends[usize::from(outcome != Outcome::Moved)] += 1;
                if round >= crashes {
                    return;
                }
            }
            Ok(Ok(None)) => {
                if round >= crashes {
                    return;
                }
            }
            Ok(Err(what)) => world.inner.borrow_mut().fail(what),
            Err(killed) => {
                told.crashes += 1;
                match killed.downcast_ref::<Killed>() {
                    Some(Killed::Power) => {
                        world.end_processes(true);
                        let mut inner = world.inner.borrow_mut();
                        if inner.plan.hosts && inner.rng.one_in(2) {
                            inner.host = 1 - inner.host;
                            inner.owned = false;
                        }
                    }
                    Some(Killed::Mover) => {}
                    Some(Killed::Daemon) => world.end_processes(false),
                    None => {
                        let what = killed
                            .downcast_ref::<&str>()
                            .map(|text| (*text).to_owned())
                            .or_else(|| killed.downcast_ref::<String>().cloned());
                        let what = what.unwrap_or_else(|| "something".to_owned());
                        world.inner.borrow_mut().fail(format!("a panic: {what}"));
                    }
                }
            }
        }
        if world.inner.borrow().failure.is_some() {
            return;
        }
        if round > crashes + 20 {
            world.inner.borrow_mut().fail("the move never ends".to_owned());
            return;
        }
    }
}

/// As after a boot: activation, then `pvmove` where a move is recorded; at the end the application
/// comes to rest and every sector is looked at.
fn boot(world: &World, template: &Template) -> Result<Option<Outcome>, String> {
    if world.inner.borrow().broken {
        world.inner.borrow_mut().repair();
    }
    lvshift_frontend_common::simulation::new_process();
    let calls = world.inner.borrow().plan.calls;
    world.inner.borrow_mut().calls_left = calls;
    let mut vg = OpenVg::open("vg", Hold::Release).map_err(|error| format!("open: {error}"))?;
    if world.inner.borrow().plan.hosts {
        of_this_host(world, &mut vg, &template.lvs)?;
    }
    let mut front_end = lvshift_ublk::platform::sim::front_end();
    let Plan { source_first, paced, flips, .. } = world.inner.borrow().plan;
    lvshift_ublk::platform::sim::set_pace(&mut *front_end, source_first, paced)
        .map_err(|error| format!("pace: {error}"))?;
    if flips {
        front_end.verify();
    }
    for (at, lv) in template.lvs.iter().enumerate() {
        world.inner.borrow_mut().activates = at;
        // What fails while an LV is activated is refused, and it is well after a repair.
        while let Err(error) = activation::activate(&mut vg, &mut *front_end, *lv) {
            if !world.inner.borrow().broken {
                return Err(format!("activation: {error}"));
            }
            world.inner.borrow_mut().repair();
            vg.reread().map_err(|error| format!("reread: {error}"))?;
        }
    }
    let mut outcome = None;
    let mut tries = 0;
    loop {
        if tries == 0 {
            vg.reread().map_err(|error| format!("reread: {error}"))?;
        } else {
            // Typed again: a process of its own.
            lvshift_frontend_common::simulation::new_process();
            vg = OpenVg::open("vg", Hold::Release).map_err(|error| format!("open: {error}"))?;
        }
        let Some(of) = vg.vg().moves().first().map(|entry| entry.uuid) else { break };
        world.inner.borrow_mut().mover = true;
        world.inner.borrow_mut().requests.clear();
        let report = drive::one(&mut vg, &mut *front_end, of, false, &mut Ears, &mut |_| {})
            .map_err(|error| format!("pvmove: {error}"))?;
        world.inner.borrow_mut().mover = false;
        world
            .inner
            .borrow_mut()
            .say(|| format!("pvmove ends: {:?} {:?}", report.outcome, report.errors));
        outcome = Some(report.outcome);
        match report.outcome {
            Outcome::Moved => {}
            Outcome::Aborted(_) => {
                let inner = world.inner.borrow();
                if inner.wishes_made == 0 && !inner.ever_broken {
                    return Err(format!("pvmove gave up without a reason: {:?}", report.errors));
                }
            }
            Outcome::Left => world.inner.borrow_mut().plan.wishes = 0,
            Outcome::Stuck { .. } if world.inner.borrow().broken => {}
            other => return Err(format!("pvmove ended with {other:?}: {:?}", report.errors)),
        }
        if world.inner.borrow().broken {
            honest(report.outcome, report.error().is_some())?;
            let mut inner = world.inner.borrow_mut();
            inner.repair();
            inner.plan.faults = 0;
        }
        tries += 1;
        if tries > 4 * template.moves.len() {
            return Err("pvmove does not end".to_owned());
        }
    }
    rest(world)?;
    Ok(outcome)
}

/// The VG belongs to this host: from the beginning, or because a person says that the other one is gone.
fn of_this_host(world: &World, vg: &mut OpenVg, lvs: &[Uuid]) -> Result<(), String> {
    let host = hosts::id(world.inner.borrow().host);
    lvshift_frontend_common::simulation::set_system_id(Some(host.clone()));
    let owner = vg.vg().system_id().cloned();
    if owner.as_ref() != Some(&host) {
        if owner.is_some() {
            hosts::refused(lvs)?;
        }
        vg.set_system_id(Some(host), owner.is_some())
            .map_err(|error| format!("--systemid: {error}"))?;
        world.inner.borrow_mut().owned = true;
    }
    Ok(())
}

/// A move that did not move says so, with an error.
fn honest(outcome: Outcome, error: bool) -> Result<(), String> {
    match outcome {
        Outcome::Moved | Outcome::Left => Ok(()),
        _ if error => Ok(()),
        _ => Err(format!("pvmove ended with {outcome:?} and told no error")),
    }
}

/// The application finishes what it began.
fn rest(world: &World) -> Result<(), String> {
    let mut steps = 0;
    loop {
        let inner = world.inner.borrow();
        let daemon = lvshift_ublk::platform::sim::is_serving();
        if inner.left == 0 && inner.ops.is_empty() && daemon {
            break;
        }
        drop(inner);
        world.go_on();
        steps += 1;
        if steps > 200_000 {
            let inner = world.inner.borrow();
            return Err(format!("requests hang: {:?}", inner.ops));
        }
    }
    let mut inner = world.inner.borrow_mut();
    inner.touched_all = true;
    inner.look();
    let Some(Some(view)) = inner.newest.first().cloned() else {
        return Err("no metadata at the end".to_owned());
    };
    let now = inner.moment;
    for (sector, spot) in view.homes.iter().enumerate() {
        let value = *inner.disks[usize::from(spot.disk)].data(spot.at).now();
        if view.parts.is_empty()
            && let Err(what) = inner.oracle.read(sector, value, now, now + 1)
        {
            return Err(format!("at the end: {what}"));
        }
    }
    Ok(())
}
