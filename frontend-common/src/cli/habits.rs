//! LVM's habits that are no options: called by LVM's names (`pvs` as a link to the program, `lvm pvs`), and
//! what VGs of ours have no notion of, told in one plain line instead of a usage text.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::CommandFactory;

use super::Cli;

/// The arguments as if the program had been called by its own name.
#[must_use]
pub fn by_own_name(mut args: Vec<OsString>) -> Vec<OsString> {
    let called = args.first().and_then(|arg| Path::new(arg).file_name()).map(OsStr::to_owned);
    let Some(called) = called.as_deref().and_then(OsStr::to_str) else { return args };
    if is_command(called) {
        args.insert(1, called.into());
    } else if called != "lvm" && args.get(1).is_some_and(|word| word == "lvm") {
        args.remove(1);
    }
    args
}

fn is_command(name: &str) -> bool {
    let known = Cli::command().get_subcommands().any(|command| command.get_name() == name);
    known || absent_command(name).is_some()
}

/// What there is not, and the words that ask for it.
struct Absent {
    what: &'static str,
    /// Options that ask for it; of a short one its value may follow at once.
    options: &'static [&'static str],
    /// The commands whose options they are; none: all commands.
    of: &'static [&'static str],
}

const CREATE: &[&str] = &["lvcreate", "lvconvert", "lvextend", "lvresize"];

const ABSENT: &[Absent] = &[
    Absent {
        what: "thin or virtual LVs",
        options: &[
            "-T",
            "--thin",
            "--thinpool",
            "-V",
            "--virtualsize",
            "--virtualextents",
            "--poolmetadatasize",
        ],
        of: CREATE,
    },
    Absent { what: "snapshots", options: &["-s", "--snapshot"], of: &["lvcreate", "lvconvert"] },
    Absent {
        what: "mirrors and RAID (it is pvmove that mirrors, until it has moved)",
        options: &[
            "-m",
            "--mirrors",
            "-R",
            "--regionsize",
            "--mirrorlog",
            "--raidintegrity",
            "--syncaction",
            "--rebuild",
        ],
        of: &["lvcreate", "lvconvert", "lvchange", "lvextend", "lvresize"],
    },
    Absent {
        what: "caches",
        options: &[
            "-H",
            "--cache",
            "--cachepool",
            "--cachevol",
            "--cachemode",
            "--cachedevice",
            "--cachesize",
        ],
        of: CREATE,
    },
    Absent {
        what: "VDO",
        options: &["--vdo", "--vdopool", "--compression", "--deduplication"],
        of: CREATE,
    },
    Absent {
        what: "a change of a VG's UUID (devices and moves go by it)",
        options: &["-u", "--uuid"],
        of: &["vgchange"],
    },
    Absent { what: "tags", options: &["--addtag", "--deltag"], of: &[] },
    Absent {
        what: "LVs that are read-only (blockdev --setro makes a device so)",
        options: &["-p", "--permission"],
        of: &["lvcreate", "lvchange"],
    },
    Absent {
        what: "persistent device numbers",
        options: &["-M", "--persistent", "--minor", "--major"],
        of: &["lvcreate", "lvchange"],
    },
    Absent {
        what: "VGs that several hosts use at once",
        options: &["--shared", "-c", "--clustered", "--lockstart", "--lockstop", "--locktype"],
        of: &["vgcreate", "vgchange"],
    },
    Absent {
        what: "a limit of PVs or LVs but its own",
        options: &["-l", "--maxlogicalvolumes", "--logicalvolume", "-p", "--maxphysicalvolumes"],
        of: &["vgcreate", "vgchange"],
    },
];

/// Commands of LVM that there are not, and what they would be for.
const ABSENT_COMMANDS: &[(&str, &str)] = &[
    ("lvconvert", "other kinds of LVs than linear ones"),
    ("lvreduce", "smaller LVs: an LV is never shrunk, since what is cut off is lost"),
    ("vgexport", "exported VGs: `vgchange -an`, then its disks go to the other host"),
    (
        "vgimport",
        "exported VGs: the disks of a VG that came from another host are its own again with `vgchange -ay`",
    ),
    ("vgimportclone", "clones: a copy of a PV is refused until one of the two is detached"),
    ("vgmerge", "VGs that become one"),
    ("vgsplit", "VGs that become two"),
    ("vgconvert", "other formats of metadata"),
    ("pvchange", "PVs that are not allocatable, or tags"),
    ("lvmconfig", "a configuration of LVM's kind"),
    ("lvmdevices", "a tool for the devices file: it has one path a line"),
    ("lvmdump", "a collection for LVM's developers"),
    ("lvpoll", "a poller: a move goes on where it was begun"),
];

fn absent_command(name: &str) -> Option<&'static str> {
    ABSENT_COMMANDS.iter().find(|(known, _)| *known == name).map(|(_, what)| *what)
}

/// The line that refuses what is asked for, if it is something that VGs of ours have no notion of.
/// `args` are those after the name of the program.
#[must_use]
pub fn refusal(args: &[OsString]) -> Option<String> {
    let words: Vec<&str> = args.iter().filter_map(|arg| arg.to_str()).collect();
    let at = words.iter().position(|word| !word.starts_with('-'))?;
    let command = *words.get(at)?;
    if let Some(what) = absent_command(command) {
        return Some(format!("{command}: lvshift's VGs have no notion of {what}"));
    }
    let rest = words.get(at + 1..)?;
    let asked = |word: &str| {
        let mut of_it = ABSENT.iter().filter(|a| a.of.is_empty() || a.of.contains(&command));
        of_it.find(|absent| absent.options.iter().any(|option| is_option(word, option)))
    };
    let named = rest.iter().take_while(|word| **word != "--");
    if let Some((word, absent)) = named.clone().find_map(|word| Some((word, asked(word)?))) {
        return Some(format!("{command} {word}: lvshift's VGs have no notion of {}", absent.what));
    }
    if let Some(tag) = named.clone().find(|word| word.starts_with('@')) {
        return Some(format!("{command} {tag}: lvshift's VGs have no notion of tags"));
    }
    let value = |names: &[&str]| {
        let pairs = rest.iter().zip(rest.iter().skip(1).map(Some).chain([None]));
        pairs.into_iter().find_map(|(word, next)| {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let short = names.iter().find(|n| !n.starts_with("--"));
            match names.contains(&name) {
                true if value.is_empty() => next.copied(),
                true => Some(value),
                false => short.and_then(|s| word.strip_prefix(s)).filter(|v| !v.is_empty()),
            }
        })
    };
    if CREATE.contains(&command) {
        if let Some(kind) = value(&["--type"]).filter(|kind| *kind != "linear") {
            return Some(format!("{command} --type {kind}: lvshift's LVs are linear"));
        }
        if let Some(n) = value(&["-i", "--stripes"]).filter(|n| *n != "1") {
            return Some(format!("{command} --stripes {n}: lvshift's LVs are linear"));
        }
    }
    None
}

/// Whether the word is this option, perhaps with its value.
fn is_option(word: &str, option: &str) -> bool {
    if option.starts_with("--") {
        return word.split('=').next() == Some(option);
    }
    // `-V1g`; but `-an` of `-a n` is none of `-n`, and `--mirrors` is not `-m`.
    word == option
        || (word.starts_with(option) && !word.starts_with("--") && is_value(word, option))
}

fn is_value(word: &str, option: &str) -> bool {
    word.get(option.len()..).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn lvms_names_are_commands() {
        for (called, meant) in [
            ("/sbin/pvs -a", "/sbin/pvs pvs -a"),
            ("lvm pvs", "lvm pvs"),
            ("/usr/sbin/lvshift-dm lvm pvs", "/usr/sbin/lvshift-dm pvs"),
            ("lvshift-dm pvs", "lvshift-dm pvs"),
            ("lvreduce x", "lvreduce lvreduce x"),
        ] {
            assert_eq!(by_own_name(words(called)), words(meant), "{called}");
        }
    }

    #[test]
    fn what_there_is_not_is_refused_in_a_line_that_says_so() {
        for (line, said) in [
            ("lvcreate --yes -n t -V 1g -T vg0/pool", "thin"),
            ("lvcreate -V1g vg0", "thin"),
            ("lvcreate -n a -L 1g -i 2 -I 64k vg0", "linear"),
            ("lvcreate -n a -L 1g -i2 vg0", "linear"),
            ("lvcreate --type raid1 -m1 -L 1g -n a vg0", "RAID"),
            ("lvcreate --type=thin -L 1g vg0", "linear"),
            ("lvcreate -s -n snap -L 1g vg0/a", "snapshots"),
            ("lvchange -p r vg0/a", "read-only"),
            ("vgcreate --addtag x vg0 /dev/sdb", "tags"),
            ("pvmove @tag", "tags"),
            ("lvreduce --force -L 512m vg0/a", "shrunk"),
            ("vgmerge vg0 vg1", "become one"),
        ] {
            let refusal = refusal(&words(line)).unwrap_or_else(|| panic!("{line}"));
            assert!(refusal.contains(said) && !refusal.contains('\n'), "{refusal}");
        }
    }

    #[test]
    fn what_there_is_passes() {
        for line in [
            "lvcreate -n s -L 1g --type linear vg0",
            "lvcreate -n a -L 1g -i 1 vg0",
            "lvcreate -an -Zn -n a -L 100 vg0",
            "vgcreate -s 4m vg0 /dev/sdb",
            "pvmove -n a /dev/sdb -- -V",
            "lvs -o lv_tags --separator ;",
            "-v pvs",
            "",
        ] {
            assert_eq!(refusal(&words(line)), None, "{line}");
        }
    }
}
