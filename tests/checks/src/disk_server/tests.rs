use std::process::Command;
use std::sync::atomic::AtomicU32;

use lvshift_vm_tests::side_disk;

use super::log::{Change, Event};
use super::*;

fn disk(name: &str, sector: u32) -> Served {
    Served { name: name.to_owned(), sectors: 2048, sector }
}

fn server() -> DiskServer {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::SeqCst);
    let socket =
        std::env::temp_dir().join(format!("lvshift-disks-{}-{number}", std::process::id()));
    let disks = vec![disk("pv1", 512), disk("pv2", 4096)];
    DiskServer::start(&socket, disks, true).expect("a server")
}

/// Runs QEMU's own client; `cargo xtask setup` installs it.
fn qemu_io(server: &DiskServer, disk: &str, commands: &[&str]) -> String {
    let mut command = Command::new("qemu-io");
    // Nothing of its own between the commands and us.
    command.args(["-f", "raw", "-t", "none"]);
    commands.iter().for_each(|line| {
        command.args(["-c", line]);
    });
    let output = command.arg(server.uri(disk)).output();
    let output = output.expect("qemu-io is needed (package qemu-utils): cargo xtask setup");
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn byte(server: &DiskServer, disk: &str, sector: u64) -> u8 {
    let mut bytes = [0; SECTOR];
    server.view(disk).expect("a disk").read(sector, &mut bytes);
    assert!(bytes.iter().all(|b| *b == bytes[0]), "sector {sector} is mixed");
    bytes[0]
}

#[test]
fn a_write_is_lost_unless_it_was_flushed_or_forced() {
    let server = server();
    let said = qemu_io(
        &server,
        "pv1",
        &["write -P 1 0 4k", "flush", "write -P 2 4k 4k", "write -f -P 3 8k 4k", "read -P 2 4k 4k"],
    );
    assert!(!said.contains("error") && !said.contains("failed"), "{said}");
    // qemu-io flushes when it closes the disk.
    let log = server.log();
    let flushes = log.entries.iter().filter(|e| matches!(e.event, Event::Flush { disk: 0 }));
    assert!(flushes.count() >= 2, "{log:?}");
    assert_eq!([byte(&server, "pv1", 0), byte(&server, "pv1", 8)], [1, 2]);

    let mut state = lock(&server.shared.state);
    let write = |first, fill: u8, fua| state::Request::Change {
        first,
        sectors: 1,
        fua,
        change: Change::Write(vec![fill; SECTOR].into()),
    };
    for (first, fill, fua) in [(0, 7, false), (1, 8, true), (2, 9, false)] {
        let receipt = state.receive(0, write(first, fill, fua));
        state.answer(0, &receipt).expect("it succeeds");
    }
    drop(state);
    assert_eq!(byte(&server, "pv1", 0), 7);
    assert_eq!(server.power_cut(Survive::Nothing), 2);
    assert_eq!([0, 1, 2].map(|n| byte(&server, "pv1", n)), [1, 8, 1]);
}

#[test]
fn a_power_cut_can_tear_a_write_between_sectors_but_not_inside_one() {
    let server = server();
    for (number, name) in ["pv1", "pv2"].into_iter().enumerate() {
        let mut state = lock(&server.shared.state);
        let change = Change::Write(vec![5; 512 * SECTOR].into());
        state
            .receive(number, state::Request::Change { first: 0, sectors: 512, fua: false, change });
        drop(state);
        assert_eq!(byte(&server, name, 100), 5);
    }
    server.power_cut(Survive::Torn { seed: 1, per_mille: 500 });
    let kept = |name| (0..512).map(|n| byte(&server, name, n) == 5).collect::<Vec<_>>();
    for name in ["pv1", "pv2"] {
        let count = kept(name).iter().filter(|kept| **kept).count();
        assert!((150..360).contains(&count), "{name} kept {count} of 512");
    }
    for own in kept("pv2").chunks(8) {
        assert!(own.iter().all(|kept| *kept == own[0]), "a sector of 4096 bytes was torn");
    }
}

#[test]
fn qemu_sees_sizes_errors_zeroes_and_discards() {
    let server = server();
    let info = Command::new("qemu-img").args(["info", "-f", "raw", &server.uri("pv1")]).output();
    let info = info.expect("qemu-img is needed (package qemu-utils): cargo xtask setup");
    let info = String::from_utf8_lossy(&info.stdout).into_owned();
    assert!(info.contains("(1048576 bytes)"), "{info}");

    server.command("error pv1 write 16+8").expect("a rule");
    let said = qemu_io(&server, "pv1", &["write -P 1 0 4k", "write -P 1 8k 4k"]);
    assert!(said.contains("wrote 4096/4096 bytes at offset 0"), "{said}");
    assert!(said.contains("write failed: Input/output error"), "{said}");
    assert_eq!([byte(&server, "pv1", 0), byte(&server, "pv1", 16)], [1, 0]);
    server.command("clear pv1").expect("a rule");

    qemu_io(&server, "pv1", &["write -P 1 0 64k", "write -z 0 4k", "discard 4k 4k"]);
    assert_eq!([0, 8, 16].map(|n| byte(&server, "pv1", n)), [0, 0, 1]);
    let log = server.log();
    let is = |wanted: Change| {
        let found = |entry: &log::Entry| matches!(&entry.event, Event::Change { change, .. } if *change == wanted);
        log.entries.iter().any(found)
    };
    assert!(is(Change::Zero) && is(Change::Discard), "{:?}", log.entries);
    let said = qemu_io(&server, "nothing", &["read 0 512"]);
    assert!(said.contains("xport") && !said.contains("read 512/512"), "{said}");
}

#[test]
fn a_stop_holds_answers_of_its_disk_alone() {
    let server = server();
    let time = |disk: &str| {
        let start = std::time::Instant::now();
        qemu_io(&server, disk, &["read 0 4k"]);
        start.elapsed()
    };
    let stop = std::time::Duration::from_secs(3);
    server.command("stop pv2 3000").expect("a rule");
    let (other, stopped) = (time("pv1"), time("pv2"));
    assert!(other + stopped >= stop, "{stopped:?}");
    assert!(other < stopped, "{other:?} {stopped:?}");
}

#[test]
fn the_side_disk_keeps_everything_and_is_obeyed() {
    let socket = std::env::temp_dir().join(format!("lvshift-side-{}", std::process::id()));
    let disks = vec![disk("pv1", 512), disk(side_disk::NAME, 512)];
    let server = DiskServer::start(&socket, disks, false).expect("a server");
    let note = side_disk::Note::Command("error pv1 read 0+8".to_owned()).encode().expect("it fits");
    let mut state = lock(&server.shared.state);
    let sectors = (side_disk::BLOCK / SECTOR) as u64;
    let change = Change::Write(note.into());
    let receipt =
        state.receive(1, state::Request::Change { first: 0, sectors, fua: false, change });
    state.answer(1, &receipt).expect("it succeeds");
    let receipt = state.receive(0, state::Request::Read { first: 0, sectors: 1 });
    assert!(state.answer(0, &receipt).is_err());
    drop(state);
    assert_eq!(server.power_cut(Survive::Nothing), 0);
    let mut block = vec![0; side_disk::BLOCK];
    server.view(side_disk::NAME).expect("a disk").read(0, &mut block);
    assert!(side_disk::Note::decode(&block).expect("a note").is_some());
}
