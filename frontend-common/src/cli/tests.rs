//! Every command line of the contract, and what must not pass.

use clap::{CommandFactory, Parser};

use super::args::{Cli, Command};
use super::spec::PeRange;
use super::values::{AllocPolicy, ReportFormat, YesNo};
use crate::size::{Amount, Of, Sign};

fn parse(line: &str) -> Command {
    Cli::try_parse_from(format!("lvshift-dm {line}").split_whitespace())
        .unwrap_or_else(|e| panic!("{line}: {e}"))
        .command
}

fn refused(line: &str) {
    let parsed = Cli::try_parse_from(format!("lvshift-dm {line}").split_whitespace());
    assert!(parsed.is_err(), "{line}: {parsed:?}");
}

#[test]
fn clap_finds_no_contradiction() {
    super::command("lvshift-dm", false).debug_assert();
    super::command("lvshift-ublk", true).debug_assert();
}

#[test]
fn every_command_of_the_contract_parses() {
    for line in [
        "pvcreate /dev/sdb",
        "pvcreate --force --yes /dev/sdb /dev/sdc",
        "pvcreate -ff -y /dev/sdb",
        "pvcreate -u fpEe3T-vXLo-Rl1E-TsXg-2RMU-A3Ti-VPYTqv --norestorefile /dev/sdb",
        "pvremove /dev/sdb /dev/sdc",
        "pvs",
        "vgcreate -s 4m vg0 /dev/sdb",
        "vgcreate vg0 /dev/sdb /dev/sdc",
        "vgextend vg0 /dev/sdd",
        "vgreduce vg0 /dev/sdb",
        "vgreduce --removemissing vg0",
        "vgreduce -a vg0",
        "vgremove vg0",
        "vgremove -f vg0",
        "vgs",
        "vgchange -a y",
        "vgchange -a n vg0",
        "vgchange -an vg0",
        "vgchange -aay",
        "lvcreate -n a -L 1g vg0",
        "lvcreate -n a -l 10 vg0 /dev/sdb:0-9",
        "lvcreate -n a -l 50%FREE vg0",
        "lvcreate -n a -l 50%VG vg0",
        "lvcreate -n a -l 100%PVS vg0 /dev/sdb /dev/sdc:5",
        "lvcreate -an -Zn -n a -L 100 vg0",
        "lvcreate --yes -Z y -n a -L 100 vg0",
        "lvextend -L +1g vg0/a",
        "lvextend -l +100%FREE /dev/vg0/a /dev/sdc:0-",
        "lvremove vg0/a",
        "lvremove -f -y vg0/a vg0/b",
        "lvrename vg0 a b",
        "lvrename vg0/a b",
        "lvrename /dev/vg0/a vg0/b",
        "lvchange -a y vg0/a",
        "lvchange -an vg0/a",
        "lvs",
        "lvs -a",
        "lvs --segments",
        "lvs -a -o +devices,seg_pe_ranges --noheadings --units b --nosuffix vg0/a",
        "lvs -o lv_name -O -lv_size --separator | --reportformat json",
        "pvmove",
        "pvmove --abort",
        "pvmove --abort /dev/sdb",
        "pvmove /dev/sdb",
        "pvmove -n a --alloc anywhere --atomic -b -i 1 /dev/sdb:0-9:20-29 /dev/sdc:5 /dev/sdd",
        "pvmove -i0 --json /dev/sdb /dev/sdc",
        "pvmove -i +5 /dev/sdb",
        "pvmove --reportformat json /dev/sdb",
        "vgck vg0",
        "vgck",
        // Abbreviated, as LVM takes it.
        "vgs --noheading --unit=g --nosuf -o uuid --readonly vg0",
        "lvs -S lv_active=active --binary --rows --nameprefixes",
        "pvs -o+pv_used,-pv_fmt --sort -pv_free --reportformat json_std",
        "pvs --config=x --devices=/dev/sdb,/dev/sdc",
        "pvs -d",
        "lvcreate -n a -L 1024K -y --type linear vg0 /dev/sdb",
        "lvcreate -n a -L 1073741824b -W y -y vg0",
        "lvcreate -r auto -L 10g -n a vg0",
        "lvextend --resizefs -L +1g vg0/a",
        "lvextend vg0/a /dev/sdc",
        "lvresize -f -L 2147483648b vg0/a",
        "lvremove --config activation{retry_deactivation=1} -f vg0/a",
        "lvchange -aay --sysinit --nolocking vg0/root",
        "lvchange -K -ay --noudevsync vg0/a",
        "lvdisplay --noheading -C -o Attr vg0/a",
        "vgcreate -s 4 --setautoactivation y vg0 /dev/sdb",
        "vgcreate --dataalignment 1m vg0 /dev/sdb",
        "vgreduce --force vg0 /dev/sdc",
        "vgchange --activate y vg0",
        "vgrename vg0 vg1",
        "vgcfgbackup -f /tmp/x vg0",
        "vgcfgrestore --force -f /tmp/x vg0",
        "vgdisplay vg0",
        "vgscan --mknodes",
        "pvscan --cache --listvg --checkcomplete --vgonline --autoactivation event --udevoutput \
         --journal=output /dev/sdb",
        "lvscan",
        "fullreport --reportformat json",
        "pvresize -y --setphysicalvolumesize 100K /dev/sdb",
        "pvck /dev/sdb",
        "pvmove -y --atomic --autobackup n -v /dev/sdb /dev/sdc",
        "version",
        "-v pvs",
        "pvs -vv",
        "pvmove -q /dev/sdb",
    ] {
        let _ = parse(line);
    }
}

#[test]
fn what_contradicts_itself_is_refused() {
    for line in [
        "",
        "frobnicate",
        "pvcreate",
        "pvremove",
        "vgcreate vg0",
        "vgcreate -s x vg0 /dev/sdb",
        "vgextend vg0",
        "vgreduce vg0",
        "vgremove",
        "vgchange",
        "vgchange -a maybe",
        "lvcreate -n a vg0",
        "lvcreate -n a -L 1g -l 1 vg0",
        "lvcreate -n a -L -1g vg0",
        "lvextend vg0/a",
        "lvremove",
        "lvrename vg0",
        "lvrename a b c d",
        "lvchange vg0/a",
        "pvmove -n a",
        "pvmove --atomic",
        "pvmove --abort -b",
        "pvmove -i x /dev/sdb",
        "pvmove /dev/sdb:9-1",
        "pvmove --alloc best /dev/sdb",
        "pvs --units 4m",
        "pvs --reportformat xml",
        "pvs -q -v",
        // LVM's --virtualsize, of which there is none here: never the version.
        "lvcreate -n t -V 1g -T vg0/pool",
        "-V",
        "pvs -V",
    ] {
        refused(line);
    }
}

#[test]
fn the_parts_of_pvmove() {
    let Command::Pvmove(args) =
        parse("pvmove -n a --alloc anywhere --atomic -b -i 3 /dev/sdb:0-9:20- /dev/sdc:5 /dev/sdd")
    else {
        panic!("not pvmove")
    };
    let source = args.source.unwrap();
    assert_eq!(source.device.to_str(), Some("/dev/sdb"));
    assert_eq!(
        source.ranges,
        [PeRange { first: 0, last: Some(9) }, PeRange { first: 20, last: None }]
    );
    assert_eq!(args.destinations.len(), 2);
    assert_eq!(args.destinations[0].ranges, [PeRange { first: 5, last: Some(5) }]);
    assert_eq!(args.name.as_deref(), Some("a"));
    assert_eq!(args.alloc, Some(AllocPolicy::Anywhere));
    assert!(args.atomic && args.background && !args.abort && !args.json);
    assert_eq!(args.interval, 3);
}

#[test]
fn the_parts_of_lvcreate() {
    let Command::Lvcreate(args) = parse("lvcreate -n a -l 50%PVS -an vg0 /dev/sdb /dev/sdc:0-1")
    else {
        panic!("not lvcreate")
    };
    assert_eq!(args.vg, "vg0");
    let extents = args.extents.unwrap();
    assert_eq!((extents.sign, extents.amount), (Sign::Absolute, Amount::Percent(50, Of::Pvs)));
    assert_eq!(args.activate, YesNo(false));
    assert_eq!(args.zero, None);
    assert_eq!(args.pvs.len(), 2);
}

#[test]
fn json_is_recognised() {
    assert!(parse("pvmove --json").json());
    assert!(parse("lvs --reportformat json").json());
    assert!(!parse("lvs --reportformat basic").json());
    let Command::Lvs(args) = parse("lvs") else { panic!("not lvs") };
    assert_eq!(args.reportformat, ReportFormat::Basic);
}

/// A person who asks for help gets the units, the defaults and an example.
#[test]
fn every_help_has_an_example() {
    for command in
        super::command("lvshift-ublk", true).get_subcommands_mut().filter(|c| !c.is_hide_set())
    {
        let help = command.render_long_help().to_string();
        assert!(help.contains("Example"), "{}:\n{help}", command.get_name());
    }
}

/// What is printed instead of being done is only what was asked to be printed.
#[test]
fn only_help_and_version_end_well_without_doing_anything() {
    use clap::error::ErrorKind;
    for line in ["--version", "lvcreate --version", "--help", "lvcreate -h", "pvs -V", "-V"] {
        let error = Cli::try_parse_from(format!("lvshift-dm {line}").split_whitespace())
            .expect_err("nothing to do");
        let asked = !line.ends_with("-V");
        assert_eq!(!error.use_stderr(), asked, "{line}");
        assert_eq!(error.kind() == ErrorKind::UnknownArgument, !asked, "{line}");
    }
}

/// An option of all commands and an argument of one that had the same name would be one to clap.
#[test]
fn what_all_commands_take_has_names_of_its_own() {
    let cli = |line: &str| {
        Cli::try_parse_from(format!("lvshift-dm {line}").split_whitespace()).expect("it parses")
    };
    for line in ["vgreduce vg0 /dev/sdb", "pvresize /dev/sdb", "pvscan --cache /dev/sdb"] {
        assert!(cli(line).scope.devices.is_empty(), "{line}");
    }
    assert_eq!(cli("pvs --devices /dev/sdb,/dev/sdc").scope.devices.len(), 2);
    let global: Vec<String> = Cli::command()
        .get_arguments()
        .filter(|arg| arg.is_global_set())
        .map(|arg| arg.get_id().to_string())
        .collect();
    for command in Cli::command().get_subcommands() {
        for arg in command.get_arguments() {
            assert!(!global.contains(&arg.get_id().to_string()), "{} {arg}", command.get_name());
        }
    }
}
