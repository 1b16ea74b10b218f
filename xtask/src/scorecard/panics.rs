//! Which functions of a release build reach the panic machinery.
//!
//! The library of `tests/panics` names the functions as roots. Each section of its object files
//! is a node, each relocation an edge; where a root reaches a symbol of the panic machinery, the
//! way there is told.

use std::collections::{HashMap, HashSet, VecDeque};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use object::read::archive::ArchiveFile;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget};

use super::Size;
use super::figure::Reached;
use crate::{paths, setup};

const TARGET: &str = "x86_64-unknown-none";
/// Every root's symbol contains this.
const ROOT: &str = "ROOT_";
/// A root that does panic.
const CONTROL: &str = "CONTROL_PANICS";
/// What stands in the names of the panic machinery: its module, its handler, and the cold
/// functions that only end in it, whose names end in `_fail`.
const MACHINERY: &[&str] = &["panicking", "begin_unwind", "_fail17h", "_fail_rt", "panic_"];

/// Builds the library and looks.
pub(super) fn check(_: Size) -> Result<Vec<Reached>> {
    setup::no_std_target()?;
    let target_dir = paths::target().join("panics");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Flags for the tests must not change what is looked at.
    let mut build = Command::new(cargo);
    build.current_dir(paths::root().join("tests/panics")).env_remove("RUSTFLAGS");
    build.args(["build", "--quiet", "--locked", "--release", "--target", TARGET, "--target-dir"]);
    crate::run(build.arg(&target_dir))?;
    let library = target_dir.join(TARGET).join("release/liblvshift_panics.a");
    let bytes =
        std::fs::read(&library).with_context(|| format!("reading {}", library.display()))?;
    let graph = Graph::read(&bytes)?;
    let control = graph.roots(CONTROL);
    ensure!(
        control.len() == 1 && graph.way_to_panic(control[0].1).is_some(),
        "the function that does panic was not noticed, so this check says nothing"
    );
    let roots = graph.roots(ROOT);
    let mut bad = Vec::new();
    for (name, node) in &roots {
        if let Some(way) = graph.way_to_panic(*node) {
            bad.push(format!("{name}:\n    {}", way.join("\n    -> ")));
        }
    }
    bad.iter().for_each(|line| eprintln!("{line}"));
    let reached = |id: &str, count: usize| Reached::of(id, count as u64);
    Ok(vec![reached("panic-roots", roots.len()), reached("panic-reached", bad.len())])
}

/// A section of a member of the archive, or a name that no member defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Node(usize);

#[derive(Default)]
struct Graph {
    names: Vec<Vec<String>>,
    edges: Vec<Vec<Node>>,
}

impl Graph {
    fn node(&mut self) -> Node {
        self.names.push(Vec::new());
        self.edges.push(Vec::new());
        Node(self.names.len() - 1)
    }

    fn read(archive: &[u8]) -> Result<Graph> {
        let mut graph = Graph::default();
        let mut globals: HashMap<String, Node> = HashMap::new();
        let mut wanted: Vec<(Node, String)> = Vec::new();
        for member in ArchiveFile::parse(archive).context("not an archive")?.members() {
            let Ok(file) = object::File::parse(member?.data(archive)?) else { continue };
            let mut sections = HashMap::new();
            for section in file.sections() {
                sections.insert(section.index(), graph.node());
            }
            for symbol in file.symbols() {
                let name = symbol.name().unwrap_or_default();
                if let Some(node) = symbol.section_index().and_then(|index| sections.get(&index))
                    && !name.is_empty()
                {
                    graph.names[node.0].push(name.to_owned());
                    if symbol.is_global() {
                        globals.insert(name.to_owned(), *node);
                    }
                }
            }
            for section in file.sections() {
                let from = sections[&section.index()];
                for (_, relocation) in section.relocations() {
                    let RelocationTarget::Symbol(index) = relocation.target() else { continue };
                    let symbol = file.symbol_by_index(index)?;
                    match symbol.section_index() {
                        Some(index) => graph.edges[from.0].extend(sections.get(&index)),
                        None => wanted.push((from, symbol.name().unwrap_or_default().to_owned())),
                    }
                }
            }
        }
        for (from, name) in wanted {
            let to = *globals.entry(name.clone()).or_insert_with(|| {
                let node = graph.node();
                graph.names[node.0].push(name);
                node
            });
            graph.edges[from.0].push(to);
        }
        if graph.names.is_empty() {
            bail!("the library has no objects");
        }
        Ok(graph)
    }

    /// The sections with a symbol that contains `part`, and its name.
    fn roots(&self, part: &str) -> Vec<(&str, Node)> {
        let mut found = Vec::new();
        for (at, names) in self.names.iter().enumerate() {
            let named = names.iter().filter(|name| name.contains(part));
            found.extend(named.map(|name| (name.as_str(), Node(at))));
        }
        found.sort_unstable_by_key(|(name, _)| *name);
        found
    }

    /// The shortest way from a section to the panic machinery, as symbols.
    fn way_to_panic(&self, from: Node) -> Option<Vec<&str>> {
        let mut seen = HashSet::from([from]);
        let mut todo = VecDeque::from([(from, vec![from])]);
        while let Some((node, way)) = todo.pop_front() {
            let name = |node: &Node| self.names[node.0].first().map_or("?", String::as_str);
            let machinery =
                self.names[node.0].iter().any(|n| MACHINERY.iter().any(|part| n.contains(part)));
            if machinery {
                return Some(way.iter().map(name).collect());
            }
            for &next in &self.edges[node.0] {
                if seen.insert(next) {
                    let mut longer = way.clone();
                    longer.push(next);
                    todo.push_back((next, longer));
                }
            }
        }
        None
    }
}
