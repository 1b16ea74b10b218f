//! What the kernel does with memory when it is short of it, done at once.

use std::ffi::c_void;
use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};

/// Has the kernel swap out the pages of a file in a tmpfs, as far as they can be; gives how many kB of it are.
///
/// # Errors
/// If the file cannot be mapped.
pub fn page_out(path: &Path) -> Result<u64> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let length = usize::try_from(file.metadata()?.len())?;
    // SAFETY: a new mapping at an address of the kernel's choice aliases nothing, and is not read here.
    let start =
        unsafe { mmap(std::ptr::null_mut(), length, ProtFlags::READ, MapFlags::SHARED, &file, 0) }
            .context("mapping a file")?;
    // Only mapped pages are. Reading them maps them, and brings in what was out.
    // SAFETY: the mapping is that long and belongs to this function.
    unsafe { madvise(start, length, Advice::LinuxPopulateRead) }.context("reading a file in")?;
    // SAFETY: as above; what is paged out comes back when it is read.
    unsafe { madvise(start, length, Advice::LinuxPageOut) }.context("paging a file out")?;
    let out = swapped(start);
    // SAFETY: no reference into it was ever made.
    unsafe { munmap(start, length) }.context("unmapping a file")?;
    out
}

/// How many kB of the mapping that begins there are in the swap.
fn swapped(start: *mut c_void) -> Result<u64> {
    let maps = fs::read_to_string("/proc/self/smaps").context("/proc/self/smaps")?;
    let begins = format!("{:x}-", start.addr());
    let mut lines =
        maps.lines().skip_while(|line| !line.trim_start_matches('0').starts_with(&begins));
    let swap =
        lines.find_map(|line| line.strip_prefix("Swap:")).context("a mapping of this process")?;
    swap.trim().trim_end_matches(" kB").trim().parse().context("a number of kB")
}
