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
        pages.push(of_program(program, all, &names)?);
    }
    Ok(pages)
}

fn page(name: String, command: clap::Command, prose: &Path, shared: bool) -> Result<Page> {
    let (notes, examples) = after(&command);
    let word = command.get_name().to_owned();
    let man = Man::new(command)
        .title(name.to_uppercase())
        .section("8")
        .manual("lvshift")
        .source(source());
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    if shared {
        let both = format!(
            ".PP\nThe same command, over the same disks, is \\fBlvshift\\-ublk {word}\\fR; \
             see \\fBlvshift\\fR(7) for the choice.\n"
        );
        out.extend_from_slice(both.as_bytes());
    }
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    let mut text = String::from_utf8(out).context("roff is text")?;
    let own = prose.join(format!("{word}.roff"));
    if own.exists() {
        text.push_str(&std::fs::read_to_string(&own)?);
    }
    if !notes.is_empty() {
        text.push_str(&format!(".SH NOTES\n{}", paragraphs(&notes)));
    }
    if !examples.is_empty() {
        text.push_str(&format!(".SH EXAMPLES\n.nf\n{}\n.fi\n", escaped(&examples)));
    }
    text.push_str(
        ".SH EXIT STATUS\n0: done. 3: wrong arguments, nothing was changed. 5: failed; the message \
         says what, on which device, and what to do next.\n\
         .SH SEE ALSO\n\\fBlvshift\\fR(7), \\fBlvshift\\-dm\\fR(8), \\fBlvshift\\-ublk\\fR(8)\n",
    );
    Ok(Page { name, section: 8, text })
}

/// The page of a program names its commands and says what all of them take.
fn of_program(program: &str, command: clap::Command, names: &[String]) -> Result<Page> {
    let lines: String = names
        .iter()
        .filter_map(|name| {
            let word = name.strip_prefix("lvshift-")?;
            let about = command.find_subcommand(word)?.get_about()?.to_string();
            Some(format!(".TP\n\\fB{}\\fR(8)\n{}\n", escaped(name), escaped(&about)))
        })
        .collect();
    let (notes, _) = after(&command);
    let man = Man::new(command)
        .title(program.to_uppercase())
        .section("8")
        .manual("lvshift")
        .source(source());
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    let mut text = String::from_utf8(out).context("roff is text")?;
    text.push_str(&format!(".SH COMMANDS\n{lines}.SH NOTES\n{}", paragraphs(&notes)));
    text.push_str(".SH SEE ALSO\n\\fBlvshift\\fR(7)\n");
    Ok(Page { name: program.to_owned(), section: 8, text })
}

fn source() -> String {
    format!("lvshift {}", env!("CARGO_PKG_VERSION"))
}

/// What stands below the options in `--help`: remarks, and then examples.
fn after(command: &clap::Command) -> (String, String) {
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    match text.find("Example") {
        None => (text, String::new()),
        Some(at) => {
            let (notes, examples) = text.split_at(at);
            let examples = examples.split_once(':').map_or("", |(_, rest)| rest);
            // A remark may follow the examples.
            let (examples, more) = examples.split_once("\n\n").unwrap_or((examples, ""));
            let lines: Vec<&str> =
                examples.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            (format!("{notes}\n\n{more}").trim().to_owned(), lines.join("\n"))
        }
    }
}

fn paragraphs(text: &str) -> String {
    let all = text.split("\n\n").map(str::trim).filter(|text| !text.is_empty());
    all.map(|text| format!(".PP\n{}\n", escaped(text))).collect()
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
            assert!(!text.contains("@VERSION@"), "{} has a placeholder left", page.file());
            let program = page.section == 7 || PROGRAMS.iter().any(|(name, _)| *name == page.name);
            assert!(program || text.contains(".SH EXAMPLES"), "{}: no example", page.file());
        }
    }

    #[test]
    fn what_roff_would_take_for_a_request_is_text() {
        assert_eq!(escaped(".so x\n'a \\ b\n--all"), "\\&.so x\n\\&'a \\e b\n\\-\\-all");
    }
}
