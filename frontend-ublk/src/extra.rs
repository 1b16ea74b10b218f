//! The commands that only a front end with a daemon has: `upgrade`, `tables`, `tune`.

use std::process::ExitCode;

use lvshift_core::table::{Log, Segment, Target};
use lvshift_frontend_common::error::{Error, Kind, Result};
use lvshift_frontend_common::factor;
use lvshift_frontend_common::size::Size;
use lvshift_frontend_common::vg::{Hold, OpenVg};

use crate::client::Ublk;
use crate::protocol::{Dev, Request, Tuning, WireTable};

const USAGE: &str = "usage: lvshift-ublk upgrade [VG]
       lvshift-ublk tables VG/LV
       lvshift-ublk tune VG [--max-rate BYTES|none] [--pace FACTOR|none] \
[--write-policy copy-first|source-first] [--pause|--resume]";

/// Does one of them. The first word is its name.
pub(crate) fn run(words: &[&str]) -> ExitCode {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    // A VG in memory is some hundred KiB, and an unoptimised build moves it about on the stack.
    let done = std::thread::Builder::new().stack_size(32 << 20).spawn(move || {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["upgrade"] => upgrade(None),
            ["upgrade", vg] => upgrade(Some(vg)),
            ["tables", name] => tables(name),
            ["tune", vg, options @ ..] => tune(vg, options),
            _ => Err(wrong()),
        }
    });
    match done.map(std::thread::JoinHandle::join) {
        Ok(Ok(Ok(()))) => ExitCode::SUCCESS,
        Ok(Ok(Err(error))) => {
            eprintln!("  lvshift-ublk: {error}");
            ExitCode::from(error.exit_status())
        }
        _ => ExitCode::from(5),
    }
}

/// Replaces the daemon of one VG or of all by this version.
fn upgrade(only: Option<&str>) -> Result<()> {
    let all = match only {
        Some(name) => vec![OpenVg::open(name, Hold::Release)],
        None => OpenVg::open_all(Hold::Release)?,
    };
    for vg in all {
        let vg = vg?;
        let mut client = Ublk::default();
        if client.is_served(vg.vg().uuid())? {
            client.replace_daemon(vg.vg().uuid())?;
            println!("  the daemon of VG {} was replaced", vg.vg().name().as_str());
        }
    }
    Ok(())
}

/// Shows the LV's tables in the manner of `dmsetup table`.
fn tables(name: &str) -> Result<()> {
    let (vg_name, lv_name) = name.split_once('/').ok_or_else(wrong)?;
    let vg = OpenVg::open(vg_name, Hold::Release)?;
    let lv = vg.vg().lvs().iter().find(|lv| lv.name.as_str() == lv_name);
    let lv = lv.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no LV {name}")))?;
    let tables = Ublk::default().tables(vg.vg().uuid(), lv.uuid)?;
    for (title, table) in
        [("live", tables.live), ("inactive", tables.inactive), ("shadow", tables.shadow)]
    {
        for line in table.iter().flat_map(WireTable::segments) {
            println!("{title}: {}", text(&line));
        }
    }
    Ok(())
}

fn text(line: &Segment<Dev>) -> String {
    let Segment { start, len, target } = line;
    match target {
        Target::Linear(area) => {
            format!("{start} {len} linear {} {}", dev(area.device), area.offset)
        }
        Target::Mirror(mirror) => {
            let log = match mirror.log {
                Log::Core => "core 1".to_owned(),
                Log::Disk(log) => format!("disk 2 {}", dev(log)),
            };
            format!(
                "{start} {len} mirror {log} {} 2 {} {} {} {} 1 handle_errors",
                mirror.chunk_sectors,
                dev(mirror.source.device),
                mirror.source.offset,
                dev(mirror.destination.device),
                mirror.destination.offset,
            )
        }
        Target::Error => format!("{start} {len} error"),
    }
}

fn dev(dev: Dev) -> String {
    match dev {
        Dev::Pv { major, minor } => format!("{major}:{minor}"),
        Dev::Shadow => "shadow".to_owned(),
        Dev::Log { major, minor, sector } => format!("{major}:{minor}+{sector}"),
    }
}

/// Changes how the VG's running copies are made.
fn tune(name: &str, options: &[&str]) -> Result<()> {
    let tuning = parse(options)?;
    let vg = OpenVg::open(name, Hold::Release)?;
    let lvs: Vec<[u8; 16]> = vg.vg().lvs().iter().map(|lv| lv.uuid.0).collect();
    let mut client = Ublk::default();
    if !client.is_served(vg.vg().uuid())? {
        return Err(Error::new(Kind::State, format!("no LV of VG {name} is active here")));
    }
    client.do_it(vg.vg().uuid(), &Request::Tune { lvs, tuning })
}

fn parse(mut options: &[&str]) -> Result<Tuning> {
    let mut tuning = Tuning::default();
    loop {
        options = match options {
            [] => return Ok(tuning),
            ["--max-rate", rate, rest @ ..] => {
                let size = |text: &str| text.parse::<Size>().ok()?.0.bytes();
                let rate = if *rate == "none" { Some(0) } else { size(rate) };
                tuning.max_rate = Some(rate.ok_or_else(wrong)?);
                rest
            }
            ["--pace", factor, rest @ ..] => {
                tuning.pace = Some(match *factor {
                    "none" => 0,
                    factor => factor::parse(factor)
                        .map_err(|why| Error::new(Kind::Usage, format!("--pace {factor}: {why}")))?
                        .hundredths(),
                });
                rest
            }
            ["--write-policy", policy, rest @ ..] => {
                tuning.source_first = Some(match *policy {
                    "source-first" => true,
                    "copy-first" => false,
                    _ => return Err(wrong()),
                });
                rest
            }
            ["--pause", rest @ ..] => {
                tuning.paused = Some(true);
                rest
            }
            ["--resume", rest @ ..] => {
                tuning.paused = Some(false);
                rest
            }
            _ => return Err(wrong()),
        };
    }
}

fn wrong() -> Error {
    Error::new(Kind::Usage, USAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tuning_is_understood_or_refused() {
        let tuning = parse(&["--max-rate", "1m", "--pause"]).expect("both are known");
        assert_eq!((tuning.max_rate, tuning.paused), (Some(1 << 20), Some(true)));
        assert_eq!(parse(&["--max-rate", "none"]).map(|t| t.max_rate).ok(), Some(Some(0)));
        assert_eq!(parse(&["--pace", "1.5"]).map(|t| t.pace).ok(), Some(Some(150)));
        assert_eq!(parse(&["--pace", "none"]).map(|t| t.pace).ok(), Some(Some(0)));
        assert!(parse(&["--pace", "0.5"]).is_err());
        assert!(parse(&["--max-rate"]).is_err());
        assert!(parse(&["--faster"]).is_err());
    }
}
