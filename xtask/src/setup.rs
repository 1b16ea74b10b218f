//! What must be installed, and installing it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::host::{as_root, has};
use crate::{Machine, emulator, fetch, guest_root, kernel, second_lvm2};

/// A thing to be installed: the package, and the file or program that shows it is there.
struct Package {
    name: &'static str,
    why: &'static str,
    there: fn() -> bool,
}

const FOR_BUILDING: &[Package] = &[
    Package { name: "pkg-config", why: "to find libdevmapper", there: || has("pkg-config") },
    Package {
        name: "libdevmapper-dev",
        why: "its header, for the dm ioctls",
        there: || Path::new("/usr/include/libdevmapper.h").exists(),
    },
    Package { name: "libclang-dev", why: "to read that header", there: libclang },
];

const FOR_TESTS: &[Package] = &[Package {
    name: "qemu-utils",
    why: "a client for the disk server's tests",
    there: || has("qemu-io") && has("qemu-img"),
}];

const FOR_THE_VM: &[Package] =
    &[Package { name: "qemu-system-x86", why: "the test VM", there: || has(emulator::PROGRAM) }];

const FOR_DEBIAN: &[Package] = &[
    Package {
        name: "debootstrap",
        why: "to make a Debian for the test VM",
        there: || has("debootstrap") || Path::new("/usr/sbin/debootstrap").exists(),
    },
    Package {
        name: "qemu-utils",
        why: "to give each of its runs a root",
        there: || has("qemu-img"),
    },
];

const FOR_CHECKING_PACKAGES: &[Package] = &[
    Package { name: "lintian", why: "to look for errors in the .deb", there: || has("lintian") },
    Package {
        name: "shellcheck",
        why: "to look for errors in what is installed of shell",
        there: || has("shellcheck"),
    },
    Package { name: "groff", why: "to look for errors in manual pages", there: || has("groff") },
    Package { name: "rpm", why: "to look at the .rpm and to install it", there: || has("rpm") },
];

const FOR_FUZZING: &[Package] =
    &[Package { name: "g++", why: "to build libFuzzer", there: || has("c++") }];

const FOR_THE_BENCH: &[Package] = &[Package {
    name: "qemu-system-common",
    why: "qemu-storage-daemon, to be measured against",
    there: || has("qemu-storage-daemon"),
}];

/// Everything any command needs.
pub(crate) fn everything() -> Result<()> {
    let tests = FOR_BUILDING.iter().chain(FOR_TESTS).chain(FOR_FUZZING).chain(FOR_THE_VM);
    for package in tests.chain(FOR_THE_BENCH) {
        let state = if (package.there)() { "there" } else { "missing" };
        println!("setup: {:18} {:32} {state}", package.name, package.why);
    }
    for_building()?;
    for_tests()?;
    for_fuzzing()?;
    for_vm(&Machine::USUAL)?;
    for_the_bench()?;
    no_std_target()?;
    println!("setup: nothing is missing");
    Ok(())
}

/// What `cargo build` of the workspace needs.
pub(crate) fn for_building() -> Result<()> {
    install(FOR_BUILDING)
}

/// What `cargo test` of the workspace needs beside that.
pub(crate) fn for_tests() -> Result<()> {
    install(FOR_TESTS)
}

/// What booting the test VM needs, with the binaries that run in it.
pub(crate) fn for_vm(machine: &Machine) -> Result<()> {
    for_building()?;
    install(FOR_THE_VM)?;
    package_lists()?;
    kernel::choose(machine)?;
    guest_root::fetched()?;
    second_lvm2::fetched()?;
    Ok(())
}

/// What building the fuzz targets needs: libFuzzer is written in C++.
pub(crate) fn for_fuzzing() -> Result<()> {
    install(FOR_FUZZING)
}

/// What making a whole Debian for the test VM needs.
pub(crate) fn for_debian() -> Result<()> {
    install(FOR_DEBIAN)
}

/// What looks for errors in the packages.
pub(crate) fn for_checking_packages() -> Result<()> {
    install(FOR_CHECKING_PACKAGES)
}

/// What is measured beside ours outside of the VM.
pub(crate) fn for_the_bench() -> Result<()> {
    install(FOR_THE_BENCH)
}

/// The targets that prove that core needs no operating system; the last two change no 64 bits in one
/// step.
pub(crate) const NO_STD_TARGETS: [&str; 3] =
    ["x86_64-unknown-none", "thumbv7em-none-eabi", "riscv32imac-unknown-none-elf"];

/// Installs [`NO_STD_TARGETS`].
pub(crate) fn no_std_target() -> Result<()> {
    let installed = fetch::output("rustup", &["target", "list", "--installed"])
        .context("Rust's targets without an operating system are looked for with rustup")?;
    let has = |target: &str| installed.lines().any(|line| line.trim() == target);
    let missing: Vec<&str> = NO_STD_TARGETS.into_iter().filter(|target| !has(target)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("setup: rustup target add {}", missing.join(" "));
    crate::run(Command::new("rustup").args(["target", "add"]).args(missing))
}

/// Before packages are fetched: apt must know where they are.
pub(crate) fn package_lists() -> Result<()> {
    let lists = std::fs::read_dir("/var/lib/apt/lists");
    let known = lists.is_ok_and(|mut entries| {
        entries.any(|e| e.is_ok_and(|e| e.file_name().to_string_lossy().contains("_Packages")))
    });
    if known { Ok(()) } else { as_root("apt-get -q update") }
}

fn install(packages: &[Package]) -> Result<()> {
    let missing: Vec<&str> = packages.iter().filter(|p| !(p.there)()).map(|p| p.name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let words = missing.join(" ");
    if !has("apt-get") {
        bail!("{words} missing, and this machine has no apt-get; install what they hold");
    }
    as_root(&format!(
        "apt-get -q update && apt-get -q install -y --no-install-recommends {words}"
    ))?;
    for package in packages {
        if !(package.there)() {
            bail!("{} was installed and yet is not there", package.name);
        }
    }
    Ok(())
}

fn libclang() -> bool {
    let Ok(entries) = std::fs::read_dir("/usr/lib") else { return false };
    let mut versions =
        entries.flatten().filter(|e| e.file_name().to_string_lossy().starts_with("llvm-"));
    versions.any(|e| {
        e.path().join("lib/libclang.so").exists() || e.path().join("lib/libclang.so.1").exists()
    })
}
