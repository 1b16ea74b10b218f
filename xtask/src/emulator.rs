//! QEMU: the program, and what every machine of ours has.

use std::process::Command;

use crate::host;

/// The program.
pub(crate) const PROGRAM: &str = "qemu-system-x86_64";

/// QEMU, to be killed with the thread that starts it: no machine outlives its test.
pub(crate) fn command() -> Command {
    if host::has("setpriv") {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", PROGRAM]);
        return command;
    }
    Command::new(PROGRAM)
}

/// How the guest's processors are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accel {
    /// By the hardware.
    Kvm,
    /// By emulation.
    Tcg,
}

/// The options that say how processors are run.
pub(crate) fn processor(accel: Accel) -> &'static [&'static str] {
    match accel {
        Accel::Kvm => &["-accel", "kvm", "-cpu", "host"],
        // Without ERMS the guest's kernel copies by eight bytes, not by one, which emulation does one by
        // one: a tenth of all time.
        Accel::Tcg => &["-accel", "tcg,thread=multi", "-cpu", "max,-erms"],
    }
}

/// What every machine of ours has and has not.
pub(crate) const MACHINE: &[&str] =
    &["-machine", "pc", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"];
