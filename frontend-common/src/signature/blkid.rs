//! What util-linux's libblkid finds on a device: it knows some eighty kinds and checks more of each than a magic
//! number. It is taken where it is, at run time: a system without it, as an initramfs may be, has what is built in.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::OnceLock;

use super::Signature;

const LIBRARY: &CStr = c"libblkid.so.1";
/// `BLKID_SUBLKS_TYPE`, `_MAGIC` and `_BADCSUM`: as `wipefs` asks.
const SUPERBLOCKS: c_int = 1 << 5 | 1 << 9 | 1 << 10;
/// `BLKID_PARTS_MAGIC`.
const PARTITIONS: c_int = 1 << 3;

type Probe = *mut c_void;

/// Its functions that are needed here.
struct Library {
    new: unsafe extern "C" fn() -> Probe,
    free: unsafe extern "C" fn(Probe),
    set_device: unsafe extern "C" fn(Probe, c_int, i64, i64) -> c_int,
    enable_superblocks: unsafe extern "C" fn(Probe, c_int) -> c_int,
    set_superblocks_flags: unsafe extern "C" fn(Probe, c_int) -> c_int,
    enable_partitions: unsafe extern "C" fn(Probe, c_int) -> c_int,
    set_partitions_flags: unsafe extern "C" fn(Probe, c_int) -> c_int,
    probe: unsafe extern "C" fn(Probe) -> c_int,
    value: unsafe extern "C" fn(Probe, *const c_char, *mut *const c_char, *mut usize) -> c_int,
}

impl Library {
    fn get() -> Option<&'static Library> {
        static LOADED: OnceLock<Option<Library>> = OnceLock::new();
        LOADED.get_or_init(Library::load).as_ref()
    }

    fn load() -> Option<Library> {
        // SAFETY: its initialisation is that of a library that is in half the programs of the system.
        let library = unsafe { libc::dlopen(LIBRARY.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        let library = NonNull::new(library)?;
        // Each is declared so in blkid.h, since util-linux 2.15, under this soname.
        macro_rules! function {
            ($name:literal) => {
                // SAFETY: the field it goes to has the type that blkid.h declares.
                unsafe { function(library, $name) }?
            };
        }
        Some(Library {
            new: function!(c"blkid_new_probe"),
            free: function!(c"blkid_free_probe"),
            set_device: function!(c"blkid_probe_set_device"),
            enable_superblocks: function!(c"blkid_probe_enable_superblocks"),
            set_superblocks_flags: function!(c"blkid_probe_set_superblocks_flags"),
            enable_partitions: function!(c"blkid_probe_enable_partitions"),
            set_partitions_flags: function!(c"blkid_probe_set_partitions_flags"),
            probe: function!(c"blkid_do_probe"),
            value: function!(c"blkid_probe_lookup_value"),
        })
    }
}

/// # Safety
/// The function of that name must be of the type `F`, which is that of a function.
unsafe fn function<F: Copy>(library: NonNull<c_void>, name: &CStr) -> Option<F> {
    // SAFETY: the library was loaded and is never unloaded.
    let found = unsafe { libc::dlsym(library.as_ptr(), name.as_ptr()) };
    // SAFETY: a pointer to a function has the size of a pointer, and the type is the caller's promise.
    (!found.is_null()).then(|| unsafe { std::mem::transmute_copy::<*mut c_void, F>(&found) })
}

/// Whether the library is there.
#[cfg(test)]
pub(super) fn is_here() -> bool {
    Library::get().is_some()
}

/// What stands in these bytes of the file; nothing where the library is not there, or cannot say.
pub(super) fn find(file: &File, start: u64, size: u64) -> Vec<Signature> {
    let Some(library) = Library::get() else {
        tracing::debug!("no libblkid: what is built in has to do");
        return Vec::new();
    };
    // It reads as it likes, which direct I/O does not take.
    let Ok(file) = File::open(format!("/proc/self/fd/{}", file.as_raw_fd())) else {
        return Vec::new();
    };
    let (Ok(start), Ok(size)) = (i64::try_from(start), i64::try_from(size)) else {
        return Vec::new();
    };
    // SAFETY: takes nothing.
    let probe = unsafe { (library.new)() };
    if probe.is_null() {
        return Vec::new();
    }
    // SAFETY: the probe is a new one, and the file is open until it is freed.
    let set = unsafe { (library.set_device)(probe, file.as_raw_fd(), start, size) };
    let asked = [
        (library.enable_superblocks, 1),
        (library.set_superblocks_flags, SUPERBLOCKS),
        (library.enable_partitions, 1),
        (library.set_partitions_flags, PARTITIONS),
    ];
    // SAFETY: as above.
    let ready = set == 0 && asked.iter().all(|(ask, what)| unsafe { ask(probe, *what) } == 0);
    let mut found = Vec::new();
    // One after the other, until there is none any more, or it fails; so many that no device has more.
    // SAFETY: the probe was made above.
    while ready && found.len() < 100 && unsafe { (library.probe)(probe) } == 0 {
        let of = |name: &CStr| value(library, probe, name);
        let kind = of(c"TYPE").or_else(|| of(c"PTTYPE"));
        let offset = of(c"SBMAGIC_OFFSET").or_else(|| of(c"PTMAGIC_OFFSET"));
        if let (Some(kind), Some(offset)) = (kind, offset.and_then(|text| text.parse().ok())) {
            // It is told in a refusal, once in the life of a command.
            found.push(Signature { name: kind.leak(), offset });
        }
    }
    // SAFETY: it is not used after this.
    unsafe { (library.free)(probe) };
    found
}

fn value(library: &Library, probe: Probe, name: &CStr) -> Option<String> {
    let (mut data, mut len) = (std::ptr::null(), 0_usize);
    // SAFETY: the probe lives, and what is written is the place of a string of its own, with a zero at its end.
    let got = unsafe { (library.value)(probe, name.as_ptr(), &raw mut data, &raw mut len) };
    if got != 0 || data.is_null() {
        return None;
    }
    // SAFETY: as above; it is copied before the next probe.
    let text = unsafe { CStr::from_ptr(data) };
    text.to_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_what_is_not_built_in() {
        if Library::get().is_none() {
            eprintln!("NOT TESTED: this system has no libblkid");
            return;
        }
        let scratch = crate::testing::scratch("blkid");
        let path = scratch.path().join("disk");
        let mut bytes = vec![0; 8 << 20];
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(find(&File::open(&path).unwrap(), 0, 8 << 20), []);
        bytes[..4].copy_from_slice(b"UBI#");
        std::fs::write(&path, &bytes).unwrap();
        assert!(super::super::find_in_head(&bytes).is_empty(), "it is built in");
        let found = find(&File::open(&path).unwrap(), 0, 8 << 20);
        assert_eq!(found, [Signature { name: "ubi", offset: 0 }]);
    }
}
