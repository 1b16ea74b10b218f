//! Disks before a round: filled with bytes that no copier may skip, or empty; labels wiped.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::writer::Aligned;

/// Where data starts on a PV of every contestant. Before it are labels and metadata.
pub(super) const DATA: u64 = 8 << 20;
const STEP: usize = 1 << 20;
/// How long a contestant's last holder of a disk may take to let go of it.
const LET_GO: Duration = Duration::from_secs(30);

/// Opens a device or file without page cache.
pub(super) fn open(path: &Path, exclusive: bool) -> Result<File> {
    let mut flags = rustix::fs::OFlags::DIRECT;
    if exclusive {
        flags |= rustix::fs::OFlags::EXCL;
    }
    let flags = i32::try_from(flags.bits()).expect("small flags");
    let file = File::options().read(true).write(true).custom_flags(flags).open(path);
    file.with_context(|| format!("opening {}", path.display()))
}

/// Waits until nobody holds it.
pub(super) fn wait_until_free(path: &Path) -> Result<()> {
    let start = Instant::now();
    loop {
        match open(path, true) {
            Ok(_) => return Ok(()),
            Err(error) if start.elapsed() > LET_GO => {
                return Err(error.context(format!("nobody let go of {}", path.display())));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Fills `bytes` bytes from `from` with noise.
pub(super) fn fill(path: &Path, from: u64, bytes: u64, seed: u64) -> Result<()> {
    let mut buffer = Aligned::new(STEP);
    let mut state = seed | 1;
    write_all(path, from, bytes, &mut buffer, |bytes| {
        for word in bytes.chunks_exact_mut(8) {
            // xorshift64: noise is all that is asked of it.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
    })
}

/// Fills `bytes` bytes from `from` with zeroes.
pub(super) fn zero(path: &Path, from: u64, bytes: u64) -> Result<()> {
    write_all(path, from, bytes, &mut Aligned::new(STEP), |_| {})
}

/// Zeroes where labels and metadata are.
pub(super) fn wipe(path: &Path) -> Result<()> {
    let size = size(path)?;
    ensure!(size > 2 * DATA, "{} is too small", path.display());
    zero(path, 0, DATA)?;
    zero(path, size - STEP as u64, STEP as u64)
}

/// The size in bytes.
pub(super) fn size(path: &Path) -> Result<u64> {
    use std::io::{Seek as _, SeekFrom};
    let mut file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    file.seek(SeekFrom::End(0)).with_context(|| format!("asking {} its size", path.display()))
}

/// Blocks all over the first `bytes` bytes, to tell whether they are still the same.
pub(super) fn fingerprint(path: &Path, bytes: u64) -> Result<Vec<u8>> {
    const PLACES: u64 = 64;
    let file = open(path, false)?;
    let mut buffer = Aligned::new(4096);
    let mut all = Vec::new();
    for place in 0..PLACES {
        let at = (bytes - 4096) / (PLACES - 1) * place / 4096 * 4096;
        file.read_exact_at(buffer.bytes_mut(), at)
            .with_context(|| format!("reading {} at byte {at}", path.display()))?;
        all.extend_from_slice(buffer.bytes());
    }
    Ok(all)
}

fn write_all(
    path: &Path,
    from: u64,
    bytes: u64,
    buffer: &mut Aligned,
    mut make: impl FnMut(&mut [u8]),
) -> Result<()> {
    let file = open(path, false)?;
    let (mut at, end) = (from, from + bytes);
    while at < end {
        let len = usize::try_from(end - at).map_or(STEP, |left| left.min(STEP));
        let piece = &mut buffer.bytes_mut()[..len];
        make(piece);
        file.write_all_at(piece, at)
            .with_context(|| format!("writing {} at byte {at}", path.display()))?;
        at += len as u64;
    }
    file.sync_data().with_context(|| format!("flushing {}", path.display()))
}
