//! Every line of `habits.txt`, run for real: it does what LVM does, or is refused plainly.

use anyhow::{Context as _, Result, bail, ensure};

use crate::conformance::fixture;
use crate::guest::{Fs, Guest, Run};
use crate::scenario::{Disk, Frontend, Scenario};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "commands-habits",
    about: "the command lines of ansible, cinder, libblockdev, topolvm and of hands, each run: taken or refused plainly",
    frontends: Frontend::DM,
    disks: &[Disk::new("pv1", 16 << 10), Disk::new("pv2", 16 << 10)],
    timeout_s: 600,
    run: habits,
    ..Scenario::DEFAULT
}];

const LINES: &str = include_str!("habits.txt");

/// One line of the list.
struct Habit<'t> {
    program: &'t str,
    command: &'t str,
    before: &'t str,
    expected: &'t str,
    after: Option<(&'t str, &'t str)>,
}

impl<'t> Habit<'t> {
    fn read(line: &'t str) -> Result<Habit<'t>> {
        // A separator between fields may be asked for with a bar in front: no line does.
        let mut parts = line.split('|');
        let mut next = || parts.next().with_context(|| format!("`{line}` lacks a part"));
        let (program, command, before, expected) = (next()?, next()?, next()?, next()?);
        let after = parts.next().map(|after| after.split_once("=>").context("`=>`")).transpose()?;
        let after = after.map(|(command, text)| (command.trim(), text.trim()));
        Ok(Habit { program, command, before, expected, after })
    }
}

struct Bench<'g> {
    guest: &'g Guest,
    disks: [String; 2],
}

impl Bench<'_> {
    fn run(&self, line: &str) -> Result<Run> {
        let word = |word: &str| {
            let short = |name: &str, at: usize| word.replace(name, &self.disks[at]);
            if word.contains("/dev/sdb") { short("/dev/sdb", 0) } else { short("/dev/sdc", 1) }
        };
        let words: Vec<String> = line.split_whitespace().map(word).collect();
        self.guest.lvshift(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn bare(&self) -> Result<()> {
        for vg in ["vg0", "vg1"] {
            let _ = self.run(&format!("vgremove -f {vg}"))?;
        }
        let _ = self.run("pvremove /dev/sdb")?;
        let _ = self.run("pvremove /dev/sdc")?;
        let left = self.run("pvs --noheadings")?.ok()?;
        ensure!(left.stdout.is_empty(), "not bare: {left}");
        Ok(())
    }

    fn prepare(&self, before: &str) -> Result<()> {
        self.bare()?;
        if before == "bare" {
            return Ok(());
        }
        self.run("vgcreate vg0 /dev/sdb /dev/sdc")?.ok()?;
        self.run("lvcreate -y -n a -L 64m vg0 /dev/sdb")?.ok()?;
        match before {
            "vg" => Ok(()),
            "off" => self.run("lvchange -an vg0/a")?.ok().map(drop),
            "fs" => self.guest.mkfs(Fs::Ext4, "/dev/vg0/a"),
            other => bail!("what is `{other}`?"),
        }
    }

    fn check(&self, habit: &Habit<'_>) -> Result<()> {
        self.prepare(habit.before)?;
        let run = self.run(habit.command)?;
        let (word, text) = habit.expected.split_once(' ').unwrap_or((habit.expected, ""));
        let told = match word {
            "ok" => run.ok()?.stdout_has(text)?,
            "no" => {
                ensure!(run.status.is_some_and(|status| status != 0), "taken, and not done: {run}");
                let refused = run.stderr_has(text)?;
                ensure!(!refused.stderr.contains("Usage:"), "not a plain refusal: {refused}");
                refused
            }
            other => bail!("what is `{other}`?"),
        };
        let Some((command, text)) = habit.after else { return Ok(()) };
        let after = self.run(command)?.ok()?;
        let right = if text.is_empty() {
            after.stdout.trim().is_empty()
        } else {
            after.stdout.contains(text)
        };
        ensure!(right, "no {text:?} afterwards: {after}\n{told}");
        Ok(())
    }
}

fn habits(guest: &mut Guest) -> Result<()> {
    let disks = [guest.disk("pv1")?, guest.disk("pv2")?].map(|path| path.display().to_string());
    let grows = fixture::grows_in_use(guest)?;
    let guest = &*guest;
    let bench = Bench { guest, disks };
    let (mut taken, mut refused, mut wrong) = (0, 0, Vec::new());
    for line in LINES.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let habit = Habit::read(line)?;
        let extends = ["lvextend", "lvresize"].iter().any(|word| habit.command.starts_with(word));
        if !grows && extends && habit.expected.starts_with("ok") {
            guest.log(format!("not on this kernel: {}", habit.command));
            continue;
        }
        match bench.check(&habit) {
            Ok(()) if habit.expected.starts_with("ok") => taken += 1,
            Ok(()) => refused += 1,
            Err(error) => wrong.push(format!("{}: {error:#}", habit.program)),
        }
    }
    links(&bench)?;
    guest.log(format!("habits: {taken} taken, {refused} refused plainly, {} wrong", wrong.len()));
    guest.log(format!("figure=habits-{} {}", guest.frontend().word(), taken + refused));
    ensure!(wrong.is_empty(), "{} lines are wrong:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

/// A directory of links with LVM's names.
fn links(bench: &Bench<'_>) -> Result<()> {
    bench.prepare("vg")?;
    let program = match bench.guest.frontend() {
        Frontend::Dm => "lvshift-dm",
        Frontend::Ublk => "lvshift-ublk",
    };
    let line = format!(
        "mkdir -p /tmp/names && for name in lvs pvs lvm; do ln -sf $(command -v {program}) /tmp/names/$name; done"
    );
    bench.guest.sh(&line)?.ok()?;
    for line in ["/tmp/names/lvs vg0", "/tmp/names/lvm vgs", "/tmp/names/pvs -o vg_name"] {
        bench.guest.sh(line)?.ok()?.stdout_has("vg0")?;
    }
    Ok(())
}
