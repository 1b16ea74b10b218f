//! The writer as a program: `writer DEVICE SECONDS [SEED]`.
//!
//! Fills the device with stamped sectors, writes and verifies at random for that
//! long, verifies everything, and ends with 0 only if all was right.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use lvshift_vm_tests::writer::{Config, Writer};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (device, seconds, seed) = match &args[..] {
        [device, seconds] => (device, seconds, "1"),
        [device, seconds, seed] => (device, seconds, seed.as_str()),
        _ => bail!("usage: writer DEVICE SECONDS [SEED]   (all data on DEVICE is lost)"),
    };
    let seconds = seconds.parse().with_context(|| format!("{seconds} is no number of seconds"))?;
    let seed = seed.parse().with_context(|| format!("{seed} is no seed"))?;
    let writer = Writer::start(Config::new(device, seed))?;
    std::thread::sleep(Duration::from_secs(seconds));
    let outcome = writer.stop()?.clean()?;
    println!("{:?}", outcome.counters);
    Ok(())
}
