//! What unit tests of this crate share.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory that goes away with this value.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A new empty directory.
pub(crate) fn scratch(name: &str) -> Scratch {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("lvshift-{name}-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&path).expect("a scratch directory");
    Scratch(path)
}

/// Lets the locks of this test process lie where no root is needed.
pub(crate) fn use_scratch_locks() {
    static ONCE: std::sync::OnceLock<Scratch> = std::sync::OnceLock::new();
    ONCE.get_or_init(|| {
        let directory = scratch("run");
        crate::lock::set_run_directory_for_tests(&directory.path().join("run"));
        directory
    });
}
