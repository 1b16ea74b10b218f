//! Devices that kept a command waiting in vain, noted for the commands that follow. A child that asked such a device
//! stays with it: as long as that waits, another one would, too, and the device need not be asked to know it.

use std::fs;
use std::path::PathBuf;

use lvshift_core::units::DeviceNumber;

use crate::device::sysfs;
use crate::lock;

/// Notes that this child waits for the device.
pub(in crate::device) fn keep(number: DeviceNumber, child: libc::pid_t) {
    let noted = path(number).zip(started(child)).map(|(path, started)| {
        let directory = path.parent().map_or(Ok(()), lock::private_directory);
        directory.is_ok() && fs::write(path, format!("{child} {started}\n")).is_ok()
    });
    if noted != Some(true) {
        tracing::debug!(%number, "that it is silent is not noted");
    }
}

/// Whether such a child still waits.
pub(super) fn stands(number: DeviceNumber) -> bool {
    let Some(path) = path(number) else { return false };
    let Ok(text) = fs::read_to_string(&path) else { return false };
    let mut words = text.split_whitespace().map(str::parse::<u64>);
    let child = words.next().and_then(Result::ok).and_then(|pid| libc::pid_t::try_from(pid).ok());
    let stands = child.and_then(started).is_some_and(|at| words.next() == Some(Ok(at)));
    if !stands {
        let _ = fs::remove_file(path);
    }
    stands
}

fn path(number: DeviceNumber) -> Option<PathBuf> {
    let sequence = sysfs::disk_sequence(number).unwrap_or(0);
    let name = format!("{}:{}-{sequence}", number.major, number.minor);
    Some(lock::run_directory().ok()?.join("silent").join(name))
}

/// When a process began that has not ended, in the kernel's ticks: its number alone may be another's by now.
fn started(process: libc::pid_t) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // Its name, in parentheses, may hold anything.
    let mut words = stat.rsplit_once(')')?.1.split_whitespace();
    if matches!(words.next()?, "Z" | "X") {
        return None;
    }
    words.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_stands_as_long_as_the_one_who_waits() {
        crate::testing::use_scratch_locks();
        let number = DeviceNumber { major: 4090, minor: 7 };
        assert!(!stands(number));
        let mut waits = std::process::Command::new("sleep").arg("60").spawn().expect("a process");
        let pid = libc::pid_t::try_from(waits.id()).expect("a number");
        keep(number, pid);
        assert!(stands(number));
        waits.kill().expect("killed");
        while stands(number) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        // Another process with its number is not it.
        fs::write(path(number).expect("a path"), format!("{} 1\n", std::process::id())).unwrap();
        assert!(!stands(number));
        waits.wait().expect("its end");
    }
}
