//! The floor: a plain copy by io_uring with O_DIRECT, eight pieces of 1 MiB at once.

use std::fs::File;
use std::os::fd::AsRawFd as _;

use anyhow::{Context as _, Result, bail};
use io_uring::{IoUring, opcode, types};

use crate::writer::Aligned;

/// Pieces in flight.
pub const DEPTH: usize = 8;
const PIECE: u64 = 1 << 20;

#[derive(Clone, Copy, Default)]
struct Piece {
    at: u64,
    len: u32,
    writing: bool,
}

/// Copies `bytes` bytes that start at `from` of both files, then flushes the destination.
///
/// # Errors
/// What the kernel refuses, or a short transfer.
pub fn copy(source: &File, destination: &File, from: u64, bytes: u64) -> Result<()> {
    // The buffers are made before the ring, so that they are dropped after it.
    let mut buffers: Vec<Aligned> = (0..DEPTH).map(|_| Aligned::new(PIECE as usize)).collect();
    let mut ring = IoUring::builder()
        .setup_coop_taskrun()
        .setup_single_issuer()
        .build(2 * DEPTH as u32)
        .context("making an io_uring")?;
    let mut pieces = [Piece::default(); DEPTH];
    let (mut next, end) = (from, from + bytes);
    let mut in_flight = 0;
    for slot in 0..DEPTH {
        in_flight += u32::from(begin(slot, &mut next, end, &mut pieces));
        if pieces[slot].len > 0 {
            push(&mut ring, source, slot, pieces[slot], &mut buffers)?;
        }
    }
    while in_flight > 0 {
        ring.submit_and_wait(1).context("waiting for a copy's I/O")?;
        loop {
            let Some(done) = ring.completion().next() else { break };
            let slot = done.user_data() as usize;
            let piece = pieces[slot];
            if u32::try_from(done.result()) != Ok(piece.len) {
                let what = if piece.writing { "writing" } else { "reading" };
                bail!("{what} {} bytes at {}: result {}", piece.len, piece.at, done.result());
            }
            in_flight -= 1;
            if !piece.writing {
                pieces[slot].writing = true;
                push(&mut ring, destination, slot, pieces[slot], &mut buffers)?;
                in_flight += 1;
            } else if begin(slot, &mut next, end, &mut pieces) {
                push(&mut ring, source, slot, pieces[slot], &mut buffers)?;
                in_flight += 1;
            }
        }
    }
    destination.sync_data().context("flushing the destination of a copy")
}

/// Gives a slot the next piece, if there is one.
fn begin(slot: usize, next: &mut u64, end: u64, pieces: &mut [Piece; DEPTH]) -> bool {
    let len = (end - *next).min(PIECE);
    pieces[slot] = Piece { at: *next, len: len as u32, writing: false };
    *next += len;
    len > 0
}

fn push(
    ring: &mut IoUring,
    file: &File,
    slot: usize,
    piece: Piece,
    buffers: &mut [Aligned],
) -> Result<()> {
    let fd = types::Fd(file.as_raw_fd());
    let bytes = buffers[slot].bytes_mut().as_mut_ptr();
    let entry = if piece.writing {
        opcode::Write::new(fd, bytes, piece.len).offset(piece.at).build()
    } else {
        opcode::Read::new(fd, bytes, piece.len).offset(piece.at).build()
    };
    // SAFETY: the buffer is PIECE bytes long, nobody else touches it while this is in flight, and
    // it outlives the ring; on an error the ring, dropped first, cancels and waits.
    let pushed = unsafe { ring.submission().push(&entry.user_data(slot as u64)) };
    pushed.context("the ring is too small")
}
