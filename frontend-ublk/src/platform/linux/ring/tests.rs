//! The ring, on an ordinary file.

use super::*;

const FILE: Slot = Slot(0);

fn ring_on_a_file() -> Option<(Ring, std::path::PathBuf)> {
    let mut ring = crate::platform::unless_forbidden(Ring::new(8, 8192))?;
    let path = std::env::temp_dir().join(format!(
        "lvshift-ring-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)
        .expect("a scratch file");
    ring.set_file(FILE, &Arc::new(file)).expect("an empty slot");
    Some((ring, path))
}

fn wait(ring: &mut Ring) -> (u64, i32) {
    loop {
        if let Some(done) = ring.completion() {
            return done;
        }
        ring.submit_and_wait(None).expect("a working ring");
    }
}

#[test]
fn what_is_written_is_read_back() {
    let Some((mut ring, path)) = ring_on_a_file() else { return };
    ring.memory_mut().bytes_mut(0..4096).fill(0x5A);
    let at = At { file: FILE, offset: 4096 };
    ring.write(at, 0..4096, true, 7).expect("room");
    assert_eq!(wait(&mut ring), (7, 4096));
    ring.read(at, 4096..8192, 8).expect("room");
    assert_eq!(wait(&mut ring), (8, 4096));
    assert!(ring.memory_mut().bytes(4096..8192).iter().all(|&b| b == 0x5A));
    ring.flush(FILE, 9).expect("room");
    assert_eq!(wait(&mut ring), (9, 0));
    std::fs::remove_file(path).expect("it is ours");
}

#[test]
fn a_wait_ends_at_its_limit() {
    let Some((mut ring, path)) = ring_on_a_file() else { return };
    ring.submit_and_wait(Some(Duration::from_millis(5))).expect("a timeout is no error");
    assert_eq!(ring.completion(), None);
    std::fs::remove_file(path).expect("it is ours");
}
