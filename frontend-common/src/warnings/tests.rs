//! How a warning reads, and when it is told.

use std::io;
use std::sync::{Arc, Mutex};

use super::*;

/// What is written, to be looked at.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no thread panics with it").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn lines(quiet: u8, verbose: u8) -> String {
    let kept = Kept::default();
    let into = kept.clone();
    let options = Common { verbose, quiet, ..Common::default() };
    let subscriber = subscriber(options, move || into.clone());
    tracing::subscriber::with_default(subscriber, || {
        let error = io::Error::from_raw_os_error(5);
        tracing::warn!(path = "/dev/sdb", %error, "this PV was not written");
        tracing::debug!("a step");
    });
    let bytes = kept.0.lock().expect("no thread panics with it").clone();
    String::from_utf8(bytes).expect("text")
}

#[test]
fn a_warning_names_what_it_is_about() {
    let warning = "  WARNING: this PV was not written (path: /dev/sdb; error: Input/output error (os error 5))\n";
    assert_eq!(lines(0, 0), warning);
    assert_eq!(lines(0, 1), warning);
}

#[test]
fn steps_are_told_to_who_asks_twice_and_nothing_to_who_wants_quiet() {
    assert!(lines(0, 2).ends_with("\n    a step\n"));
    assert_eq!(lines(1, 0), "");
}
