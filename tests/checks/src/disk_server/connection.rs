//! One client of one disk: a thread that reads requests and one that answers them when they are due.

use std::io::{BufReader, Error, Read, Result};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Instant;

use super::log::Change;
use super::state::{Receipt, Request, shared};
use super::{SECTOR, Shared, lock, wire};

/// Serves until the client goes away.
pub(super) fn serve(stream: &UnixStream, server: &Shared) -> Result<()> {
    let mut from = BufReader::new(stream);
    let Some(disk) = shake_hands(&mut from, stream, server)? else { return Ok(()) };
    let epoch = lock(&server.state).epoch;
    let (sender, receiver) = channel();
    std::thread::scope(|scope| {
        scope.spawn(move || answer(stream, server, disk, epoch, &receiver));
        let read = receive(&mut from, server, disk, epoch, sender);
        // A client that is told nothing any more goes away.
        stream.shutdown(std::net::Shutdown::Both).ok();
        read
    })
}

/// Until the client has chosen a disk.
fn shake_hands(
    from: &mut impl Read,
    mut to: &UnixStream,
    server: &Shared,
) -> Result<Option<usize>> {
    wire::greet(&mut to)?;
    wire::u32(from)?;
    loop {
        if wire::u64(from)? != wire::OPTION {
            return Err(Error::other("not an NBD option"));
        }
        let (option, len) = (wire::u32(from)?, wire::u32(from)?);
        let mut data = vec![0; len.min(4096) as usize];
        from.read_exact(&mut data)?;
        match option {
            wire::OPT_ABORT => {
                wire::option_reply(&mut to, option, wire::REP_ACK, &[])?;
                return Ok(None);
            }
            wire::OPT_EXPORT_NAME => {
                let Some((disk, size, _)) = export(server, &data) else { return Ok(None) };
                std::io::Write::write_all(&mut to, &wire::export(size))?;
                return Ok(Some(disk));
            }
            wire::OPT_GO | wire::OPT_INFO => {
                let len = wire::u32(&mut &data[..])? as usize;
                let name = data.get(4..4 + len).unwrap_or_default();
                let Some((disk, size, sector)) = export(server, name) else {
                    wire::option_reply(&mut to, option, wire::REP_UNKNOWN, &[])?;
                    continue;
                };
                let sizes = wire::info(wire::INFO_BLOCK_SIZE, &wire::block_sizes(sector));
                wire::option_reply(&mut to, option, wire::REP_INFO, &sizes)?;
                let size = wire::info(wire::INFO_EXPORT, &wire::export(size));
                wire::option_reply(&mut to, option, wire::REP_INFO, &size)?;
                wire::option_reply(&mut to, option, wire::REP_ACK, &[])?;
                if option == wire::OPT_GO {
                    return Ok(Some(disk));
                }
            }
            _ => wire::option_reply(&mut to, option, wire::REP_UNSUPPORTED, &[])?,
        }
    }
}

fn export(server: &Shared, name: &[u8]) -> Option<(usize, u64, u32)> {
    let state = lock(&server.state);
    let disk = state.find(std::str::from_utf8(name).ok()?)?;
    let served = state.served(disk);
    Some((disk, served.sectors * SECTOR as u64, served.sector))
}

/// What waits for its answer: a receipt, or an error of the protocol.
struct Due {
    cookie: u64,
    receipt: Option<Receipt>,
}

fn receive(
    from: &mut impl Read,
    server: &Shared,
    disk: usize,
    epoch: u64,
    sender: Sender<Due>,
) -> Result<()> {
    let served = lock(&server.state).served(disk).clone();
    loop {
        let header = wire::Header::read(from)?;
        if header.command == wire::CMD_DISCONNECT {
            return Ok(());
        }
        let bytes = match header.command {
            wire::CMD_WRITE if header.len > wire::MOST_BYTES => {
                return Err(Error::other("a write that is too long"));
            }
            wire::CMD_WRITE => {
                let mut bytes = vec![0; header.len as usize];
                from.read_exact(&mut bytes)?;
                bytes
            }
            _ => Vec::new(),
        };
        let request = request(&header, bytes, served.sectors, u64::from(served.sector));
        let mut state = lock(&server.state);
        if state.epoch != epoch {
            return Ok(());
        }
        let receipt = request.map(|request| state.receive(disk, request));
        drop(state);
        if sender.send(Due { cookie: header.cookie, receipt }).is_err() {
            return Ok(());
        }
    }
}

/// `None` for what this disk cannot do: it is as strict as a real one about its own sectors.
fn request(
    header: &wire::Header,
    bytes: Vec<u8>,
    disk_sectors: u64,
    sector: u64,
) -> Option<Request> {
    let (offset, len) = (header.offset, u64::from(header.len));
    if header.command == wire::CMD_FLUSH {
        return Some(Request::Flush);
    }
    let whole = offset.is_multiple_of(sector) && len.is_multiple_of(sector);
    let end = offset.checked_add(len)?;
    if !whole || len == 0 || end > disk_sectors * SECTOR as u64 {
        return None;
    }
    let (first, sectors) = (offset / SECTOR as u64, len / SECTOR as u64);
    let fua = header.flags & wire::FUA != 0;
    let change = match header.command {
        wire::CMD_READ if header.len <= wire::MOST_BYTES => {
            return Some(Request::Read { first, sectors });
        }
        wire::CMD_WRITE => Change::Write(shared(bytes)),
        wire::CMD_WRITE_ZEROES => Change::Zero,
        wire::CMD_TRIM => Change::Discard,
        _ => return None,
    };
    Some(Request::Change { first, sectors, fua, change })
}

fn answer(mut to: &UnixStream, server: &Shared, disk: usize, epoch: u64, receiver: &Receiver<Due>) {
    let mut waiting: Vec<Due> = Vec::new();
    loop {
        let next = waiting.iter().filter_map(|due| Some(due.receipt.as_ref()?.due)).min();
        let new = match next {
            None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(due) => receiver.recv_timeout(due.saturating_duration_since(Instant::now())),
        };
        match new {
            Ok(due) => waiting.push(due),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let now = Instant::now();
        let is_due = |due: &Due| due.receipt.as_ref().is_none_or(|receipt| receipt.due <= now);
        while let Some(at) = waiting.iter().position(is_due) {
            let Due { cookie, receipt } = waiting.remove(at);
            let (error, bytes) = match receipt {
                None => (wire::EINVAL, Vec::new()),
                Some(receipt) => {
                    let mut state = lock(&server.state);
                    if state.epoch != epoch {
                        return;
                    }
                    match state.answer(disk, &receipt) {
                        Ok(bytes) => (0, bytes),
                        Err(()) => (wire::EIO, Vec::new()),
                    }
                }
            };
            if wire::reply(&mut to, cookie, error, &bytes).is_err() {
                return;
            }
        }
    }
}
