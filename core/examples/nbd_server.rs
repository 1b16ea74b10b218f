//! One volume over NBD on a unix socket, moved live from one file to another.
//!
//! `nbd_server SOCKET SOURCE DESTINATION [BYTES-PER-SECOND]`; killed, it is just started again. What is hard
//! is lvshift-core's; this program has two files and a protocol. `DESTINATION` gets the data and behind
//! them the dirty log; `DESTINATION.state` is the record of the move, in one word.
#![expect(clippy::big_endian_bytes, reason = "NBD is in the network's byte order")]

use std::fs::{File, OpenOptions};
use std::io::{self, Error, ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use lvshift_core::chunk::{
    Authority, Borrowed, ChunkCell, FlushEpochs, Geometry, Group, QueueId, Sealed, Tracker,
};
use lvshift_core::copier::Nanos;
use lvshift_core::device::{Device, DeviceIndex};
use lvshift_core::io::{Discards, WriteOp};
use lvshift_core::mirror::{
    self, Buffer, Buffers, COPY_BLOCK, COPY_SLOTS, Copier, Ended, LogLoad, Next, Part, PartPlace,
    PartState, Tuning, Volume,
};
use lvshift_core::serve::{self, Answer, Below, Kind, Queue, Request, Served};
use lvshift_core::table::{Area, Log, Mirror, Segment, StoredTable, Table, Target};
use lvshift_core::units::Sectors;
use lvshift_on_disk_format::dirty_log;

const SOURCE: DeviceIndex = DeviceIndex(0);
const DESTINATION: DeviceIndex = DeviceIndex(1);
/// Requests at once, bytes of one at most (what NBD allows where nothing is agreed), sectors of a chunk.
const DEPTH: usize = 16;
const MOST: usize = 32 << 20;
const CHUNK: u32 = 2048;

/// What is served: one device, or a mirror of both.
struct Disk {
    table: StoredTable<[Segment<DeviceIndex>; 1], DeviceIndex>,
    parts: Vec<Part<Borrowed<'static>>>,
    devices: [Device; 2],
    flushes: FlushEpochs,
}

impl Volume for Disk {
    type Cells = Borrowed<'static>;

    fn parts(&self) -> &[Part<Borrowed<'static>>] {
        &self.parts
    }
    fn device(&self, device: DeviceIndex) -> Option<&Device> {
        self.devices.get(usize::from(device.0))
    }
    fn flushes(&self) -> &FlushEpochs {
        &self.flushes
    }
}

impl Served for Disk {
    fn table(&self) -> Table<'_, DeviceIndex> {
        self.table.table()
    }
    fn below(&self) -> Below {
        Below::of(self.table().segments(), &self.parts)
    }
}

impl Disk {
    /// One device alone.
    fn plain(len: Sectors, device: DeviceIndex) -> Disk {
        let target = Target::Linear(Area { device, offset: Sectors(0) });
        let table = StoredTable::new([Segment { start: Sectors(0), len, target }]).expect("one");
        let devices = [Device::new(512, false), Device::new(512, false)];
        Disk { table, parts: Vec::new(), devices, flushes: FlushEpochs::new() }
    }
    /// Both: a mirror in one part, whose log is behind the destination's data.
    fn mirrored(len: Sectors) -> Disk {
        let at = |device, sector| Area { device, offset: Sectors(sector) };
        let (source, destination) = (at(SOURCE, 0), at(DESTINATION, 0));
        let (log, chunk_sectors) = (Log::Disk(DESTINATION), CHUNK);
        let (sync, handle_errors, keep_log) = (None, true, true);
        let it = Mirror { source, destination, log, chunk_sectors, sync, handle_errors, keep_log };
        let segment = Segment { start: Sectors(0), len, target: Target::Mirror(it) };
        let geometry = Geometry::new(len, CHUNK).expect("a size that can be mirrored");
        let cells: Vec<_> = (0..geometry.chunks()).map(|_| ChunkCell::new()).collect();
        let groups: Vec<_> = (0..geometry.groups()).map(|_| Group::new()).collect();
        let memory = Borrowed { cells: cells.leak(), groups: groups.leak() }; // For good: one move.
        let tracker = Tracker::new(geometry, memory).expect("memory enough");
        let log = at(DESTINATION, len.0.next_multiple_of(8));
        let place = PartPlace { start: Sectors(0), source, destination, log };
        let mut disk = Disk::plain(len, SOURCE);
        disk.table = StoredTable::new([segment]).expect("one");
        disk.parts = vec![Part::new(place, tracker, Discards::SourceOnly, &disk.devices[1])];
        disk
    }
}

/// The blocks of copies, and after them the one of the log.
struct Blocks(Vec<Vec<u8>>);

impl Buffers for Blocks {
    fn bytes(&self, buffer: Buffer) -> &[u8] {
        &self.0[if let Buffer::Copy(slot) = buffer { slot.into() } else { COPY_SLOTS }]
    }
    fn bytes_mut(&mut self, buffer: Buffer) -> &mut [u8] {
        &mut self.0[if let Buffer::Copy(slot) = buffer { slot.into() } else { COPY_SLOTS }]
    }
}

/// The two files; what is asked of them is done at once.
struct Files([File; 2]);

impl Files {
    fn read(&self, at: Area<DeviceIndex>, into: &mut [u8]) -> Ended {
        ended(self.of(at.device).read_exact_at(into, at.offset.0 * 512), into.len())
    }
    fn write(&self, at: Area<DeviceIndex>, bytes: &[u8], durable: bool) -> Ended {
        let written = self.of(at.device).write_all_at(bytes, at.offset.0 * 512);
        let sync = |()| if durable { self.of(at.device).sync_data() } else { Ok(()) };
        ended(written.and_then(sync), bytes.len())
    }
    fn flush(&self, device: DeviceIndex) -> Ended {
        ended(self.of(device).sync_data(), 0)
    }
    fn of(&self, device: DeviceIndex) -> &File {
        &self.0[usize::from(device.0)]
    }
}

fn ended(done: io::Result<()>, bytes: usize) -> Ended {
    let failed = |error: Error| Ended::Failed(error.raw_os_error().unwrap_or(0));
    done.map_or_else(failed, |()| Ended::Done(bytes))
}

struct Client {
    socket: UnixStream,
    cookie: [u8; 8],
    request: Request,
    data: Vec<u8>,
}

struct Server {
    disk: Disk,
    queue: Queue<DEPTH>,
    copier: Copier<[PartState; 1]>,
    blocks: Blocks,
    files: Files,
    record: PathBuf,
    clients: [Option<Client>; DEPTH],
    start: Instant,
    decided: bool,
}

impl Server {
    fn run(&mut self, requests: &Receiver<Client>) -> io::Result<()> {
        loop {
            self.serve();
            let until = self.copy()?.unwrap_or(Nanos(u64::MAX));
            let wait = Duration::from_nanos(until.0.saturating_sub(self.now().0));
            let Some(tag) = self.clients.iter().position(Option::is_none) else { continue };
            if let Ok(client) = requests.recv_timeout(wait) {
                self.queue.came(tag as u16, client.request).expect("a free tag");
                self.clients[tag] = Some(client);
            }
        }
    }
    fn now(&self) -> Nanos {
        Nanos(self.start.elapsed().as_nanos() as u64)
    }
    /// Does what the queue asks for.
    fn serve(&mut self) {
        use serve::Operation;
        while let Some(operation) = self.queue.next(&self.disk) {
            match operation {
                Operation::Read { io, at, into } => {
                    let Some(client) = &mut self.clients[usize::from(io.tag())] else { continue };
                    self.queue.ended(io, self.files.read(at, &mut client.data[into]));
                }
                Operation::Write { io, at, from, durable } => {
                    let Some(client) = &self.clients[usize::from(io.tag())] else { continue };
                    self.queue.ended(io, self.files.write(at, &client.data[from], durable));
                }
                Operation::Flush { io, device } => self.queue.ended(io, self.files.flush(device)),
                // These files cannot, and no client was told that they can.
                Operation::WriteZeroes { io, .. } | Operation::Discard { io, .. } => {
                    self.queue.ended(io, Ended::Unsupported);
                }
                Operation::Answer { tag, answer } => {
                    self.clients[usize::from(tag)].take().iter().for_each(|to| reply(to, answer));
                }
                // There is one queue, and the copier is asked soon anyway.
                Operation::Notify(effects) if !effects.wake.is_empty() => self.queue.woken(),
                Operation::Notify(_) => {}
            }
        }
    }
    /// Does one thing that the copier asks for; says when to ask again, or that it has stopped.
    fn copy(&mut self) -> io::Result<Option<Nanos>> {
        use mirror::Operation;
        let now = self.now();
        let operation = match self.copier.next(&self.disk, &mut self.blocks, now) {
            Next::Do(operation) => operation,
            Next::WaitUntil(until) => return Ok(Some(until)),
            Next::Stopped => return Ok(None),
        };
        let (files, blocks) = (&self.files, &mut self.blocks);
        let (tag, end) = match operation {
            Operation::Read { tag, at, buffer, into } => {
                (tag, files.read(at, &mut blocks.bytes_mut(buffer)[into]))
            }
            Operation::Write { tag, at, buffer, from, durable } => {
                (tag, files.write(at, &blocks.bytes(buffer)[from], durable))
            }
            Operation::Flush { tag, device } => (tag, files.flush(device)),
            Operation::WriteZeroes { tag, .. } => (tag, Ended::Unsupported),
            Operation::Tell => return self.look_at_the_part().map(|()| Some(now)),
            Operation::Confirmed(_) => return self.commit().map(|()| Some(now)),
            Operation::Unreadable { sectors, .. } => {
                eprintln!("sectors {sectors:?} of the source cannot be read");
                return Ok(Some(now));
            }
            // To wake the queue; no pace is asked for, so nothing else comes.
            _ => {
                self.queue.woken();
                return Ok(Some(now));
            }
        };
        self.copier.ended(tag, end, &self.disk, &mut self.blocks, now);
        Ok(Some(now))
    }
    /// The copy has become equal, or failed: seals the part, or goes back to the source.
    fn look_at_the_part(&mut self) -> io::Result<()> {
        let part = self.disk.parts.first().filter(|_| !self.decided);
        let Some(tracker) = part.map(Part::tracker) else { return Ok(()) };
        if tracker.fault().is_some() {
            return self.decide(false);
        }
        let (sealed, _) = tracker.seal();
        self.queue.woken();
        if sealed == Sealed::Sealed {
            // A flush that fails is known at once here: none has to be held back for the commit.
            self.copier.confirm(1);
        }
        Ok(())
    }
    /// Every flush is answered: makes the destination durable, then the record.
    fn commit(&mut self) -> io::Result<()> {
        let flushed = self.files.flush(DESTINATION) == Ended::Done(0);
        self.decide(flushed && self.disk.parts.iter().all(|part| part.tracker().fault().is_none()))
    }
    /// The record first, and durable: from the switch on the log's clean bits may lie.
    fn decide(&mut self, moved: bool) -> io::Result<()> {
        let (word, who, device) = match moved {
            _ if std::mem::replace(&mut self.decided, true) => return Ok(()),
            true => ("moved", Authority::Destination, DESTINATION),
            false => ("aborting", Authority::Source, SOURCE),
        };
        write_record(&self.record, word)?;
        for part in &self.disk.parts {
            let _ = part.tracker().decided(who);
        }
        self.copier.stop();
        self.queue.suspend();
        self.queue.woken();
        self.serve();
        // I/O is done at once here, so nothing is on its way when nothing more is asked for.
        while self.copy()?.is_some() {}
        assert!(self.queue.is_drained());
        let next = Disk::plain(self.disk.table().len(), device);
        let before = std::mem::replace(&mut self.disk, next);
        self.queue.leave(&before);
        self.queue.resume();
        println!("{word}");
        Ok(())
    }
}

fn write_record(path: &Path, word: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    std::fs::write(&new, word)?;
    File::open(&new)?.sync_all()?;
    std::fs::rename(&new, path)?;
    File::open(path.parent().expect("it is a file's"))?.sync_all()
}

/// The volume as the record leaves it.
fn open(files: &Files, record: &Path) -> io::Result<Disk> {
    let len = Sectors(files.0[0].metadata()?.len() / 512);
    let word = std::fs::read_to_string(record).unwrap_or_default();
    let disk = match word.as_str() {
        "moved" => return Ok(Disk::plain(len, DESTINATION)),
        "aborting" => return Ok(Disk::plain(len, SOURCE)),
        _ => Disk::mirrored(len),
    };
    let (part, chunks) = (&disk.parts[0], len.0.div_ceil(CHUNK.into()) as u32);
    if word == "copying" {
        let mut load = LogLoad::new(part, COPY_BLOCK);
        while let Some((at, len)) = load.next_read() {
            let mut bytes = vec![0; len];
            files.0[1].read_exact_at(&mut bytes, at.offset.0 * 512)?;
            // A log that is not this part's leaves everything to be copied.
            let _ = load.take(part, &bytes);
        }
    } else {
        // From the record on the log is taken at its word, so it comes first.
        let mut image = dirty_log::all_dirty_first_block(chunks).to_vec();
        image.resize(dirty_log::image_size(chunks) as usize, 0);
        files.0[1].write_all_at(&image, part.place().log.offset.0 * 512)?;
        files.0[1].sync_all()?;
        write_record(record, "copying")?;
    }
    println!("copying {} of {chunks} chunks", part.tracker().left());
    Ok(disk)
}

/// A client from its connection to its end: the fixed newstyle handshake, then requests.
fn talk(socket: UnixStream, size: u64, requests: &Sender<Client>) -> io::Result<()> {
    (&socket).write_all(b"NBDMAGICIHAVEOPT\x00\x03")?;
    let [_, _, _, client_flags] = take(&socket)?;
    loop {
        let (magic, option): ([u8; 8], [u8; 4]) = (take(&socket)?, take(&socket)?);
        let mut data = vec![0; u32::from_be_bytes(take(&socket)?).min(1 << 16) as usize];
        (&socket).read_exact(&mut data)?;
        if magic != *b"IHAVEOPT" || option == [0, 0, 0, 1] {
            break; // NBD_OPT_EXPORT_NAME, or no NBD: then no request will make sense.
        }
        let magic = 0x0003_e889_0455_65a9u64.to_be_bytes(); // Of NBD_REP_ERR_UNSUP.
        (&socket).write_all(&[&magic[..], &option, &[0x80, 0, 0, 1], &[0; 4]].concat())?;
    }
    // The volume can flush and write through, and that is all.
    let padding = if client_flags & 2 == 0 { &[0; 124][..] } else { &[] };
    (&socket).write_all(&[&size.to_be_bytes()[..], &[0, 0b1101], padding].concat())?;
    loop {
        let (magic, [_, flags, _, what]): ([u8; 4], [u8; 4]) = (take(&socket)?, take(&socket)?);
        let (cookie, offset) = (take(&socket)?, u64::from_be_bytes(take(&socket)?));
        let len = u32::from_be_bytes(take(&socket)?) as usize;
        let kind = match what {
            0 => Kind::Read,
            1 => Kind::Change(WriteOp::Write { fua: flags & 1 != 0 }),
            3 => Kind::Flush,
            _ => return Ok(()),
        };
        let whole = (len as u64 | offset).is_multiple_of(512);
        if magic != [0x25, 0x60, 0x95, 0x13] || len > MOST || !whole {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut data = vec![0; len];
        if let Kind::Change(_) = kind {
            (&socket).read_exact(&mut data)?;
        }
        let (start, count) = (Sectors(offset / 512), Sectors(len as u64 / 512));
        let (socket, request) = (socket.try_clone()?, Request { kind, start, count });
        let _ = requests.send(Client { socket, cookie, request, data });
    }
}

fn take<const N: usize>(mut from: &UnixStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).map(|()| bytes)
}

fn reply(to: &Client, answer: Answer) {
    let failed = answer != Answer::Done;
    let data = if to.request.kind == Kind::Read && !failed { &to.data[..] } else { &[] };
    let head = [0x67, 0x44, 0x66, 0x98, 0, 0, 0, if failed { 5 } else { 0 }];
    // A client that is gone has no use for it.
    let _ = (&to.socket).write_all(&[&head[..], &to.cookie, data].concat());
}

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (Some([socket, source, destination]), rate) = (words.first_chunk(), words.get(3)) else {
        return Err(Error::new(ErrorKind::InvalidInput, "SOCKET SOURCE DESTINATION [RATE]"));
    };
    let file = |path| OpenOptions::new().read(true).write(true).open(path);
    let files = Files([file(source)?, file(destination)?]);
    let record = std::path::absolute(format!("{destination}.state"))?;
    let disk = open(&files, &record)?;
    let size = disk.table().len().0 * 512;
    let _ = std::fs::remove_file(socket);
    let listener = UnixListener::bind(socket)?;
    let (send, requests) = mpsc::channel();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let send = send.clone();
            thread::spawn(move || talk(client, size, &send));
        }
    });
    let tuning = Tuning { max_rate: rate.and_then(|rate| rate.parse().ok()), ..Tuning::default() };
    let copier = Copier::new([PartState::new()], &disk, tuning, Nanos(0));
    let mut blocks = vec![vec![0; COPY_BLOCK]; COPY_SLOTS];
    blocks.push(vec![0; dirty_log::BLOCK_SIZE]);
    let queue = Queue::new(QueueId::new(0).expect("the first"), Sectors(MOST as u64 / 512));
    let (blocks, clients) = (Blocks(blocks), std::array::from_fn(|_| None));
    let (start, decided) = (Instant::now(), disk.parts.is_empty());
    Server { disk, queue, copier, blocks, files, record, clients, start, decided }.run(&requests)
}
