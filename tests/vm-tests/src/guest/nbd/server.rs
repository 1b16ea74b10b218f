//! The server's side of NBD, after the handshake: requests and answers in the network's byte order.

use std::fs::File;
use std::io::{Read as _, Result, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;

const REQUEST: u32 = 0x2560_9513;
const REPLY: u32 = 0x6744_6698;
const READ: u16 = 0;
const WRITE: u16 = 1;
const DISCONNECT: u16 = 2;
const FLUSH: u16 = 3;
const INVALID: u32 = 22;
const FAILED: u32 = 5;
/// The first byte of the disk that is exported: what is a PV for the client is none on the disk itself,
/// where it would be found a second time.
pub(super) const FIRST: u64 = 64 << 10;
/// More than the kernel asks for at once.
const LONGEST: usize = 32 << 20;

/// What is served, and how fast.
#[derive(Debug)]
pub(super) struct Export {
    file: File,
    slow: Mutex<(u64, Duration)>,
    written: AtomicU64,
}

impl Export {
    pub(super) fn open(path: &Path) -> anyhow::Result<Export> {
        let file = File::options().read(true).write(true).open(path);
        let file = file.with_context(|| format!("exporting {}", path.display()))?;
        Ok(Export { file, slow: Mutex::new((0, Duration::ZERO)), written: AtomicU64::new(0) })
    }

    pub(super) fn slow_down(&self, from: u64, delay: Duration) {
        *self.slow.lock().unwrap_or_else(PoisonError::into_inner) = (from, delay);
    }

    pub(super) fn bytes_written(&self) -> u64 {
        self.written.load(Ordering::SeqCst)
    }

    fn write(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let (from, delay) = *self.slow.lock().unwrap_or_else(PoisonError::into_inner);
        if offset >= from {
            std::thread::sleep(delay);
        }
        self.file.write_all_at(bytes, FIRST + offset)?;
        self.written.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        Ok(())
    }
}

/// One connection and the thread that answers it. Dropping it breaks the connection.
#[derive(Debug)]
pub(super) struct Server {
    connection: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(export: Arc<Export>, stream: UnixStream) -> anyhow::Result<Server> {
        let connection = stream.try_clone().context("a second handle of a socket")?;
        let thread = std::thread::spawn(move || {
            // Its end is the end of the connection, whoever wanted it.
            let _ = answer_all(&export, &stream);
            let _ = stream.shutdown(Shutdown::Both);
        });
        Ok(Server { connection, thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.connection.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer_all(export: &Export, mut stream: &UnixStream) -> Result<()> {
    let mut buffer = Vec::new();
    loop {
        let mut header = [0; 28];
        stream.read_exact(&mut header)?;
        let (kind, offset, len) =
            (wire16(&header, 6), wire64(&header, 16), wire32(&header, 24) as usize);
        if wire32(&header, 0) != REQUEST || len > LONGEST {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
        buffer.resize(len, 0);
        let done = match kind {
            READ => export.file.read_exact_at(&mut buffer, FIRST + offset),
            WRITE => {
                stream.read_exact(&mut buffer)?;
                export.write(&buffer, offset)
            }
            FLUSH => export.file.sync_data(),
            DISCONNECT => return Ok(()),
            _ => Err(std::io::ErrorKind::Unsupported.into()),
        };
        let error = match done {
            Ok(()) => 0,
            Err(error) if error.kind() == std::io::ErrorKind::Unsupported => INVALID,
            Err(_) => FAILED,
        };
        let mut reply = [0; 16];
        reply[..4].copy_from_slice(&to_wire(REPLY));
        reply[4..8].copy_from_slice(&to_wire(error));
        reply[8..].copy_from_slice(&header[8..16]);
        stream.write_all(&reply)?;
        if kind == READ && error == 0 {
            stream.write_all(&buffer)?;
        }
    }
}

#[expect(clippy::big_endian_bytes, reason = "NBD's byte order")]
fn to_wire(value: u32) -> [u8; 4] {
    value.to_be_bytes()
}

#[expect(clippy::big_endian_bytes, reason = "NBD's byte order")]
fn wire16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}

#[expect(clippy::big_endian_bytes, reason = "NBD's byte order")]
fn wire32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

#[expect(clippy::big_endian_bytes, reason = "NBD's byte order")]
fn wire64(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
