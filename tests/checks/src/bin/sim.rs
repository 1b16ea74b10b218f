//! `sim`: runs the simulator over many seeds, or one seed again with all that happened.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use lvshift_checks::sim::{Findings, Worlds};

fn main() -> ExitCode {
    let mut points = 1_000_000u64;
    let mut seed = None;
    let mut first = 1u64;
    let mut threads = 2;
    let mut args = std::env::args().skip(1);
    while let Some(word) = args.next() {
        let mut number = || args.next().and_then(|word| word.parse::<u64>().ok());
        match word.as_str() {
            "--points" => points = number().unwrap_or(points),
            "--seed" => seed = number(),
            "--first" => first = number().unwrap_or(first),
            "--threads" => threads = number().and_then(|n| u8::try_from(n).ok()).unwrap_or(threads),
            _ => {
                eprintln!("usage: sim [--points N] [--first SEED] [--threads N] | --seed SEED");
                return ExitCode::from(3);
            }
        }
    }
    let directory =
        std::path::Path::new("/dev/shm").join(format!("lvshift-sim-{}", std::process::id()));
    lvshift_frontend_common::simulation::set_directory(&directory);
    let code = match seed {
        Some(seed) => replay(seed),
        None => ExitCode::from(u8::from(many(points, first, threads).failure.is_some())),
    };
    let _ = std::fs::remove_dir_all(&directory);
    code
}

fn replay(seed: u64) -> ExitCode {
    let told = Worlds::new(0).run(seed, true);
    for line in &told.trace {
        println!("{line}");
    }
    match told.failure {
        Some(what) => {
            println!("seed {seed}: {what}");
            ExitCode::FAILURE
        }
        None => {
            println!("seed {seed}: no promise was broken; {} crash points", told.points);
            ExitCode::SUCCESS
        }
    }
}

/// Runs seeds until so many points were looked at or one fails.
fn many(wanted: u64, first: u64, threads: u8) -> Findings {
    let start = Instant::now();
    let (next, points) = (AtomicU64::new(first), AtomicU64::new(0));
    let failed = AtomicBool::new(false);
    let all = Mutex::new(Findings::default());
    std::thread::scope(|scope| {
        for salt in 0..threads {
            let (next, points, failed, all) = (&next, &points, &failed, &all);
            let work = move || {
                let worlds = Worlds::new(salt);
                while points.load(Ordering::Relaxed) < wanted && !failed.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let told = worlds.run(seed, false);
                    points.fetch_add(told.points, Ordering::Relaxed);
                    let mut all = all.lock().expect("nobody panics holding it");
                    all.points += told.points;
                    all.steps += told.steps;
                    all.crashes += told.crashes;
                    all.flips += told.flips;
                    all.ends[0] += told.ends[0];
                    all.ends[1] += told.ends[1];
                    if let Some(what) = told.failure {
                        failed.store(true, Ordering::Relaxed);
                        println!("FAIL seed {seed}: {what}");
                        println!("     again: cargo xtask sim --seed {seed}");
                        all.failure.get_or_insert(format!("seed {seed}: {what}"));
                    }
                }
            };
            scope.spawn(work);
        }
    });
    let all = all.into_inner().expect("nobody panics holding it");
    println!("figure=sim-crash-points {} seed={first}", all.points);
    println!("figure=sim-broken {}", u8::from(all.failure.is_some()));
    println!(
        "sim: {} crash points checked in {} runs ({} steps, {} crashes taken, {} bits flipped, {} moved, {} undone), seeds from {first}, {:.1} s",
        all.points,
        next.load(Ordering::Relaxed) - first,
        all.steps,
        all.crashes,
        all.flips,
        all.ends[0],
        all.ends[1],
        start.elapsed().as_secs_f64()
    );
    all
}
