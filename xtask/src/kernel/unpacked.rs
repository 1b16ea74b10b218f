//! The kernel that lies packed in a `bzImage`.
//!
//! A guest under emulation takes a second to unpack its own kernel, at each of some 200 boots. QEMU
//! starts an unpacked one as well, by the entry that a kernel for virtual machines has for it (PVH).

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::fetch;

/// The unpacked kernel, kept beside its image.
pub(crate) fn beside(image: &Path) -> Result<PathBuf> {
    let name = image.file_name().unwrap_or_default().to_string_lossy();
    let place = image.with_file_name(name.replacen("vmlinuz", "vmlinux", 1));
    ensure!(place != image, "{name} is not called vmlinuz-VERSION");
    if !place.exists() {
        let bytes = std::fs::read(image).with_context(|| format!("reading {}", image.display()))?;
        let kernel = unpack(&bytes).with_context(|| format!("unpacking {}", image.display()))?;
        fetch::make_file(&place, &kernel)?;
    }
    Ok(place)
}

/// The ELF file in an image, which Debian packs with zstd. Offsets:
/// <https://docs.kernel.org/arch/x86/boot.html>, "The real-mode kernel header".
fn unpack(image: &[u8]) -> Result<Vec<u8>> {
    let word = |at: usize| -> Option<usize> {
        let bytes = image.get(at..at.checked_add(4)?)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    ensure!(image.get(0x202..0x206) == Some(b"HdrS"), "this is no bzImage");
    let sectors = match *image.get(0x1f1).context("no header")? {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let payload = (sectors + 1) * 512 + word(0x248).context("no payload_offset")?;
    let end = payload + word(0x24c).context("no payload_length")?;
    let packed = image.get(payload..end).context("the payload ends behind the file")?;
    let mut decoder = ruzstd::decoding::StreamingDecoder::new(packed)
        .map_err(|error| anyhow::anyhow!("the payload is not packed with zstd: {error}"))?;
    let mut kernel = Vec::new();
    decoder.read_to_end(&mut kernel).context("unpacking")?;
    ensure!(kernel.starts_with(b"\x7fELF"), "what is packed is no ELF file");
    Ok(kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_image_is_refused() {
        for size in [0, 0x1f1, 0x206, 0x400, 5000] {
            unpack(&vec![0; size]).expect_err("zeroes are no kernel");
            let mut bytes = vec![0xff; size];
            if let Some(place) = bytes.get_mut(0x202..0x206) {
                place.copy_from_slice(b"HdrS");
            }
            unpack(&bytes).expect_err("offsets behind the end");
        }
    }
}
