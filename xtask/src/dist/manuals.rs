//! Manual pages: what clap knows of a command, and the prose in `packaging/man`.

use std::path::Path;

use anyhow::{Context as _, Result};
use clap_mangen::Man;
use lvshift_frontend_common::cli;

use super::layout::PROGRAMS;
use crate::paths;

/// One page.
pub(super) struct Page {
    /// Its name without the section.
    pub(super) name: String,
    /// 7: about lvshift as a whole; 8: a command.
    pub(super) section: u8,
    /// The roff.
    pub(super) text: String,
}

impl Page {
    /// The name of its file.
    pub(super) fn file(&self) -> String {
        format!("{}.{}", self.name, self.section)
    }
}

/// All of them: lvshift(7), one of each program, and one of each command.
pub(super) fn pages() -> Result<Vec<Page>> {
    let prose = paths::root().join("packaging/man");
    let overview = prose.join("lvshift.7");
    let text = std::fs::read_to_string(&overview);
    let text = text.with_context(|| format!("reading {}", overview.display()))?;
    let text = text.replace("@VERSION@", env!("CARGO_PKG_VERSION"));
    let text = text.replace("@IGNORED@", &ignored_by_all()?);
    let mut pages = vec![Page { name: "lvshift".to_owned(), section: 7, text }];
    for (program, daemon) in PROGRAMS {
        let mut all = cli::command(program, *daemon).disable_help_subcommand(true);
        all.build();
        let mut names: Vec<String> = Vec::new();
        for command in all.get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = format!("lvshift-{}", command.get_name());
            if pages.iter().any(|page| page.name == name) {
                names.push(name);
                continue;
            }
            // A command that both have is called by either; the page says so in its first lines.
            let shared = cli::command("lvshift-dm", false);
            let shared = shared.find_subcommand(command.get_name()).is_some();
            let word = if shared { "lvshift-dm" } else { program };
            let command = command
                .clone()
                .bin_name(format!("{word} {}", command.get_name()))
                .display_name(&name);
            pages.push(page(name.clone(), command, &prose, shared)?);
            names.push(name);
        }
        pages.push(of_program(program, all, &names, &prose)?);
    }
    Ok(pages)
}

fn page(name: String, command: clap::Command, prose: &Path, shared: bool) -> Result<Page> {
    let examples = examples(&command);
    let word = command.get_name().to_owned();
    let own = prose.join(format!("{word}.roff"));
    let own = std::fs::read_to_string(&own)
        .with_context(|| format!("what {word} does is to be told in {}", own.display()))?;
    let (description, sections) = parted(&own);
    let program =
        command.get_bin_name().and_then(|name| name.split(' ').next()).unwrap_or_default();
    let program = program.to_owned();
    let mut text = head(&name, command.get_about());
    text.push_str(&format!(".SH SYNOPSIS\n{}", synopsis(&command, &program, shared)));
    text.push_str(&format!(".SH DESCRIPTION\n{}\n{description}", sentence(command.get_about())));
    if shared {
        text.push_str(BOTH);
    }
    text.push_str(&options(with_common(command))?);
    text = text.replace(&format!(".SH \"{IGNORED}\"\n"), &format!(".SH \"{IGNORED}\"\n{OF_LVM}"));
    text.push_str(sections);
    if !sections.contains(".SH EXIT STATUS\n") {
        text.push_str(EXIT_STATUS);
    }
    if !sections.contains(".SH EXAMPLES\n") {
        text.push_str(&format!(".SH EXAMPLES\n{}", shown(&examples, &program)));
    }
    text.push_str(&see_also(&word));
    Ok(Page { name, section: 8, text })
}

/// The first lines of a page.
fn head(name: &str, about: Option<&clap::builder::StyledStr>) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let title = escaped(&name.to_uppercase());
    let about = about.map(ToString::to_string).unwrap_or_default();
    let mut letters = about.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    let about: String = first.into_iter().chain(letters).collect();
    format!(
        ".TH {title} 8 \"\" \"lvshift {version}\" \"lvshift\"\n.SH NAME\n{} \\- {}\n",
        escaped(name),
        escaped(&about)
    )
}

/// Text of clap's, which takes the last full stop away, as a sentence.
fn sentence(text: Option<&clap::builder::StyledStr>) -> String {
    let text = text.map(ToString::to_string).unwrap_or_default();
    match text.chars().last() {
        Some(letter) if letter.is_alphanumeric() || ")]>`\"".contains(letter) => {
            escaped(&format!("{text}."))
        }
        _ => escaped(&text),
    }
}

/// How the command is typed.
fn synopsis(command: &clap::Command, program: &str, shared: bool) -> String {
    let word = command.get_name();
    let mut forms: Vec<String> = Vec::new();
    let bold = |text: &str| format!("\\fB{}\\fR", escaped(text));
    // clap has no way to ask for it; only a usage of several forms is written by hand.
    let usage = command.clone().render_usage().to_string();
    let by_hand: Vec<&str> = usage.trim_start_matches("Usage:").lines().map(str::trim).collect();
    if let [_, _, ..] = by_hand.as_slice() {
        for form in by_hand.iter().filter_map(|form| form.strip_prefix(word)) {
            let of = |program: &str| {
                format!("{} \\fI{}\\fR", bold(&format!("{program} {word}")), form.trim())
            };
            forms.push(of(program));
        }
    } else {
        let mut words = vec![bold(&format!("{program} {word}"))];
        let own = command.get_arguments().filter(|arg| !arg.is_global_set() && !arg.is_hide_set());
        let (places, options): (Vec<_>, Vec<_>) = own.partition(|arg| arg.is_positional());
        for arg in options.into_iter().chain(places) {
            words.push(typed(arg, &bold));
        }
        words.push("[\\fICOMMON OPTION\\fR...]".to_owned());
        forms.push(words.join("\n"));
    }
    forms.extend(shared.then(|| format!("{} ...", bold(&format!("lvshift-ublk {word}")))));
    format!(".nh\n{}\n.hy\n", forms.join("\n.br\n"))
}

/// An argument as it stands in a synopsis.
fn typed(arg: &clap::Arg, bold: &impl Fn(&str) -> String) -> String {
    let short = arg.get_short().map(|letter| bold(&format!("-{letter}")));
    let long = arg.get_long().map(|word| bold(&format!("--{word}")));
    let mut text = short.into_iter().chain(long).collect::<Vec<_>>().join("|");
    let takes = arg.get_num_args().is_some_and(|count| count.takes_values());
    if takes && let Some(names) = arg.get_value_names() {
        let names = names.iter().map(|name| escaped(name)).collect::<Vec<_>>().join(" ");
        text.push_str(match (text.is_empty(), arg.is_require_equals_set()) {
            (true, _) => "",
            (false, true) => "[=",
            (false, false) => " ",
        });
        text.push_str(&format!("\\fI{names}\\fR"));
        text.push_str(if arg.is_require_equals_set() { "]" } else { "" });
    }
    let many = arg.get_num_args().is_some_and(|count| count.max_values() > 1)
        || matches!(arg.get_action(), clap::ArgAction::Append);
    text.push_str(if arg.is_positional() && many { "..." } else { "" });
    if arg.is_required_set() { text } else { format!("[{text}]") }
}

/// The sections of options, each text a sentence.
fn options(command: clap::Command) -> Result<String> {
    let command = command.mut_args(|arg| {
        let text = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string);
        let ended = |text: &str| match text.chars().last() {
            Some('.' | '?' | '!' | ':') | None => text.to_owned(),
            _ => format!("{text}."),
        };
        match text {
            Some(text) => arg.long_help(ended(&text)),
            None => arg,
        }
    });
    let mut out = Vec::new();
    Man::new(command).render_options_section(&mut out)?;
    String::from_utf8(out).context("roff is text")
}

/// What a page says of a command that both programs have.
const BOTH: &str = ".PP\nBoth programs have this command, over the same disks; see \\fBlvshift\\fR(7) for the choice.\n";

const COMMON: &str = "COMMON OPTIONS";
const IGNORED: &str = "OPTIONS THAT CHANGE NOTHING";

/// What stands above them.
const OF_LVM: &str = "LVM's, taken so that a script that sends them works. Those that every command takes are in \
                      \\fBlvshift\\fR(7).\n";

const EXIT_STATUS: &str = ".SH EXIT STATUS\n\
    .TP\n0\nAll was done.\n\
    .TP\n3\nThe arguments are wrong. Nothing was changed.\n\
    .TP\n5\nIt failed, or a part of it did. The message says what, on which device, in what state the data are, and \
    what to do next.\n";

/// Options that only our own programs and tests use.
const INTERNAL: &[(&str, &str)] = &[
    ("pvmove", "vg"),
    ("pvmove", "detached"),
    ("pvmove", "deadline"),
    ("tune", "deadline"),
    ("daemon", "standby"),
    ("daemon", "beside"),
];

/// A command's own options, then those of every command, then those that change nothing.
fn with_common(command: clap::Command) -> clap::Command {
    let word = command.get_name().to_owned();
    command.mut_args(|arg| {
        let internal = INTERNAL.contains(&(word.as_str(), arg.get_id().as_str()));
        match (arg.is_global_set(), arg.is_hide_set()) {
            (true, false) => arg.help_heading(COMMON),
            (false, true) if !internal => arg.hide(false).help_heading(IGNORED),
            _ => arg,
        }
    })
}

/// What every command takes of LVM's and ignores, for lvshift(7).
fn ignored_by_all() -> Result<String> {
    let all = cli::command("lvshift-dm", false).disable_help_subcommand(true).mut_args(|arg| {
        let ignored = arg.is_global_set() && arg.is_hide_set();
        arg.hide(!ignored)
    });
    Ok(options(all)?.replacen(".SH OPTIONS\n", "", 1).trim_end().to_owned())
}

/// The prose of a command: what belongs to its description, and its sections.
fn parted(text: &str) -> (&str, &str) {
    let at = if text.starts_with(".SH ") { Some(0) } else { text.find("\n.SH ").map(|at| at + 1) };
    text.split_at(at.unwrap_or(text.len()))
}

/// Examples as they are typed, each with what it does if that is said.
fn shown(examples: &str, program: &str) -> String {
    let line = |line: &str| {
        let (typed, does) = line.split_once("   ").unwrap_or((line, ""));
        let typed = format!("{program} {typed}");
        match does.trim() {
            "" => format!(".PP\n\\fB{}\\fR\n", escaped(&typed)),
            does => format!(".TP\n\\fB{}\\fR\n{}.\n", escaped(&typed), escaped(does)),
        }
    };
    examples.lines().map(line).collect()
}

/// The pages that belong to a command, and LVM's page of the same name.
fn see_also(word: &str) -> String {
    const RELATED: &[&[&str]] = &[
        &["pvcreate", "pvremove", "pvresize", "pvck", "pvs", "pvdisplay", "pvscan"],
        &["vgcreate", "vgextend", "vgreduce", "vgremove", "vgrename"],
        &["vgck", "vgcfgbackup", "vgcfgrestore", "pvck"],
        &["vgchange", "lvchange", "vgscan"],
        &["lvcreate", "lvextend", "lvresize", "lvremove", "lvrename", "lvchange"],
        &["pvs", "vgs", "lvs", "fullreport"],
        &["pvdisplay", "vgdisplay", "lvdisplay", "pvs"],
        &["pvscan", "vgscan", "lvscan", "pvs"],
        &["pvmove", "lvs", "metrics"],
        &["pvmove", "tune", "verify", "tables"],
        &["daemon", "upgrade", "hand-over", "vgchange"],
    ];
    let mut pages: Vec<String> = Vec::new();
    for other in RELATED.iter().filter(|group| group.contains(&word)).copied().flatten() {
        let page = format!("\\fBlvshift\\-{other}\\fR(8)");
        if *other != word && !pages.contains(&page) {
            pages.push(page);
        }
    }
    let of_lvm = RELATED.iter().take(9).any(|group| group.contains(&word)) && word != "metrics";
    let lvms = format!("\\fB{word}\\fR(8)");
    pages.extend((of_lvm && word != "fullreport").then_some(lvms));
    let first = ["\\fBlvshift\\fR(7)", "\\fBlvshift\\-dm\\fR(8)", "\\fBlvshift\\-ublk\\fR(8)"];
    let all: Vec<&str> = first.into_iter().chain(pages.iter().map(String::as_str)).collect();
    format!(".SH SEE ALSO\n{}\n", all.join(",\n"))
}

/// The page of a program names its commands and says what all of them take.
fn of_program(
    program: &str,
    command: clap::Command,
    names: &[String],
    prose: &Path,
) -> Result<Page> {
    let own = std::fs::read_to_string(prose.join(format!("{program}.roff")))?;
    let (description, sections) = parted(&own);
    let lines: String = names
        .iter()
        .filter_map(|name| {
            let word = name.strip_prefix("lvshift-")?;
            let about = command.find_subcommand(word)?.get_about()?.to_string();
            Some(format!(".TP\n\\fB{}\\fR(8)\n{}.\n", escaped(name), escaped(&about)))
        })
        .collect();
    let mut text = head(program, command.get_about());
    text.push_str(&format!(
        ".SH SYNOPSIS\n\\fB{}\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR...] [\\fIARGUMENT\\fR...]\n",
        escaped(program)
    ));
    text.push_str(&format!(".SH DESCRIPTION\n{}\n{description}", sentence(command.get_about())));
    text.push_str(&options(command)?);
    text.push_str(&format!(".SH COMMANDS\n{lines}{sections}"));
    text.push_str(EXIT_STATUS);
    text.push_str(".SH SEE ALSO\n\\fBlvshift\\fR(7), \\fBlvm\\fR(8)\n");
    Ok(Page { name: program.to_owned(), section: 8, text })
}

/// The examples below the options in `--help`, a line each. Remarks that stand there are in the prose, too.
fn examples(command: &clap::Command) -> String {
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let after = text.find("Example").and_then(|at| text.get(at..)?.split_once(':'));
    // A remark may follow the examples.
    let after =
        after.map_or("", |(_, rest)| rest.split_once("\n\n").map_or(rest, |(rest, _)| rest));
    let lines: Vec<&str> = after.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("\n")
}

/// Text in which nothing is a request or an escape of roff.
fn escaped(text: &str) -> String {
    let line = |line: &str| {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_examples_and_without_leftovers() {
        let pages = pages().expect("pages");
        for name in ["lvshift-pvmove", "lvshift-tune", "lvshift-lvs", "lvshift-ublk", "lvshift"] {
            assert!(pages.iter().any(|page| page.name == name), "{name} has no page");
        }
        for page in &pages {
            let text = &page.text;
            assert!(text.contains(".SH NAME") || page.section == 7, "{}", page.file());
            for left in ["@VERSION@", "@IGNORED@", "Taken for LVM"] {
                assert!(!text.contains(left), "{}: {left} is left", page.file());
            }
            let program = page.section == 7 || PROGRAMS.iter().any(|(name, _)| *name == page.name);
            assert!(program || text.contains(".SH EXAMPLES"), "{}: no example", page.file());
        }
    }

    #[test]
    fn what_roff_would_take_for_a_request_is_text() {
        assert_eq!(escaped(".so x\n'a \\ b\n--all"), "\\&.so x\n\\&'a \\e b\n\\-\\-all");
    }
}
