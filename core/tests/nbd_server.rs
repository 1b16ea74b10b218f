//! `examples/nbd_server.rs` under a real client, `qemu-io`: every byte is where it belongs, though the
//! server is killed in the middle of the move.

use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use lvshift_on_disk_format::dirty_log::{BITSET_OFFSET, BLOCK_SIZE};

const SIZE: usize = 32 << 20;
const CHUNKS: u32 = 32;
/// Bytes per second, so that the move takes a while.
const RATE: &str = "16777216";
const LIMIT: Duration = Duration::from_secs(120);

/// A server; dropped, it is killed as by `kill -9`.
struct Server {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts it and waits until it takes clients.
    fn start(folder: &Path, rate: Option<&str>) -> Server {
        let mut program = std::env::current_exe().expect("this test's own");
        program.pop();
        program.set_file_name("examples");
        let mut command = Command::new(program.join("nbd_server"));
        command.current_dir(folder).args(["socket", "source", "destination"]).args(rate);
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("a whole `cargo test` builds it, and so does `cargo build --examples`");
        let says = BufReader::new(child.stdout.take().expect("a pipe"));
        wait_until(|| UnixStream::connect(folder.join("socket")).is_ok());
        Server { child, says }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.says.read_line(&mut line).expect("it says something");
        line.trim().to_owned()
    }
}

fn wait_until(mut what: impl FnMut() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < LIMIT, "this takes too long");
        sleep(Duration::from_millis(5));
    }
}

/// A write of one byte many times.
#[derive(Clone, Copy)]
struct Write {
    offset: usize,
    len: usize,
    byte: u8,
}

/// Writes of which no two are alike, from `start` on.
struct Writes {
    state: u64,
    start: usize,
}

impl Iterator for Writes {
    type Item = Write;

    fn next(&mut self) -> Option<Write> {
        let mut draw = |below: usize| {
            self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.state >> 33) as usize % below
        };
        let len = (1 + draw(128)) * 512;
        let offset = self.start + draw((SIZE - len - self.start) / 512) * 512;
        Some(Write { offset, len, byte: draw(256) as u8 })
    }
}

/// The client with these writes, one after the other, and a flush.
fn client(folder: &Path, writes: &[Write]) -> Command {
    let mut command = Command::new("qemu-io");
    command.current_dir(folder).args(["-f", "raw", "nbd+unix:///?socket=socket"]);
    for Write { offset, len, byte } in writes {
        command.arg("-c").arg(format!("write -P {byte} {offset} {len}"));
    }
    command.args(["-c", "flush"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// How many of the writes the server has acknowledged.
fn acknowledged(output: &[u8], writes: &[Write]) -> usize {
    let output = String::from_utf8_lossy(output);
    let mut done = output.lines().filter(|line| line.starts_with("wrote "));
    let wrote = |write: &&Write| {
        let Write { offset, len, .. } = write;
        done.next() == Some(&format!("wrote {len}/{len} bytes at offset {offset}"))
    };
    writes.iter().take_while(wrote).count()
}

fn apply(model: &mut [u8], writes: &[Write]) {
    for Write { offset, len, byte } in writes {
        model[*offset..offset + len].fill(*byte);
    }
}

/// Writes all of them, and sees that all are acknowledged.
fn write_all(folder: &Path, model: &mut [u8], writes: &[Write]) {
    let output = client(folder, writes).output().expect("qemu-io, of qemu-utils");
    assert_eq!(acknowledged(&output.stdout, writes), writes.len(), "{output:?}");
    apply(model, writes);
}

fn check(bytes: &[u8], model: &[u8], what: &str) {
    let differs = bytes.iter().zip(model).position(|(one, other)| one != other);
    assert_eq!((bytes.len(), differs), (model.len(), None), "{what}: the first byte that differs");
}

/// What a client reads.
fn read_all(folder: &Path) -> Vec<u8> {
    let mut command = Command::new("qemu-img");
    let words = ["convert", "-f", "raw", "-O", "raw", "nbd+unix:///?socket=socket", "read"];
    let done = command.current_dir(folder).args(words).status().expect("qemu-img, of qemu-utils");
    assert!(done.success());
    fs::read(folder.join("read")).expect("it was written")
}

/// How many chunks the dirty log calls clean.
fn clean(folder: &Path) -> u32 {
    let mut log = fs::File::open(folder.join("destination")).expect("it is there");
    let mut bits = [0; CHUNKS as usize / 8];
    let at = SIZE as u64 + BITSET_OFFSET;
    log.seek(SeekFrom::Start(at)).and_then(|_| log.read_exact(&mut bits)).expect("a log");
    assert!(bits.len() + (BITSET_OFFSET as usize) < BLOCK_SIZE);
    bits.iter().map(|byte| byte.count_ones()).sum()
}

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nbd-server");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a scratch folder");
    folder
}

#[test]
fn a_volume_is_moved_under_a_client_and_through_a_kill() {
    let folder = folder();
    let state = || fs::read_to_string(folder.join("destination.state")).unwrap_or_default();
    let mut model: Vec<u8> = (0..SIZE).map(|at| (at / 512 % 251 + at % 5) as u8).collect();
    fs::write(folder.join("source"), &model).expect("room");
    fs::write(folder.join("destination"), []).expect("room");
    // The client writes where the copy comes last, so that some of it becomes clean.
    let mut writes = Writes { state: 1, start: SIZE / 4 * 3 };
    let mut some = |count: usize| writes.by_ref().take(count).collect::<Vec<_>>();

    let mut server = Server::start(&folder, Some(RATE));
    assert_eq!(server.line(), format!("copying {CHUNKS} of {CHUNKS} chunks"));
    write_all(&folder, &mut model, &some(40));
    wait_until(|| clean(&folder) > 2);
    let many = some(3000);
    let mut busy = client(&folder, &many).spawn().expect("qemu-io, of qemu-utils");
    let mut lines = BufReader::new(busy.stdout.take().expect("a pipe"));
    let mut output = Vec::new();
    // In the middle of its writes; two lines are of one.
    for _ in 0..40 {
        lines.read_until(b'\n', &mut output).expect("a line");
    }
    drop(server);
    lines.read_to_end(&mut output).expect("the rest");
    busy.wait().expect("it ends");
    let done = acknowledged(&output, &many);
    assert!((20..many.len()).contains(&done), "{done} writes are acknowledged");
    apply(&mut model, &many[..done]);
    assert_eq!(state(), "copying");

    let mut server = Server::start(&folder, Some(RATE));
    let line = server.line();
    let left = line.strip_prefix("copying ").and_then(|rest| rest.split(' ').next());
    let left: u32 = left.and_then(|left| left.parse().ok()).expect("how many are left");
    assert!(left < CHUNKS, "it goes on from its dirty log: {line}");
    // What was not acknowledged may be there or not, or half: once more.
    write_all(&folder, &mut model, &[&many[done..=done], &some(100)].concat());
    assert_eq!(server.line(), "moved");
    assert_eq!(state(), "moved");
    let bytes = fs::read(folder.join("destination")).expect("it is there");
    check(&bytes[..SIZE], &model, "the destination");

    write_all(&folder, &mut model, &some(20));
    check(&read_all(&folder), &model, "a client");
    drop(server);
    // The destination alone has it from now on.
    fs::write(folder.join("source"), vec![0; SIZE]).expect("room");
    let server = Server::start(&folder, None);
    check(&read_all(&folder), &model, "a client of another server");
    drop(server);
    fs::remove_dir_all(&folder).expect("it was made here");
}
