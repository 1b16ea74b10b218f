//! Loading kernel modules in the guest, from the list that the host made.
//!
//! The list is `/lib/modules/list`, one module a line, in which each module
//! stands after those it depends on:
//!
//! ```text
//! NAME<TAB>PATH<TAB>DEP,DEP<TAB>ALIAS,ALIAS
//! ```

use std::fs::File;

use anyhow::{Context as _, Result};

/// Where the list is.
pub const LIST: &str = "/lib/modules/list";

/// One module of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its name, with `-` written as `_`.
    pub name: String,
    /// The file.
    pub path: String,
    /// The modules it needs, all of them, first things first.
    pub deps: Vec<String>,
    /// Other names the kernel asks for it by.
    pub aliases: Vec<String>,
}

/// The modules the guest has.
#[derive(Debug)]
pub struct Modules(Vec<Module>);

/// A module name as the kernel compares them.
#[must_use]
pub fn normal(name: &str) -> String {
    name.replace('-', "_")
}

impl Module {
    /// Its line in the list.
    #[must_use]
    pub fn to_line(&self) -> String {
        let Self { name, path, deps, aliases } = self;
        format!("{name}\t{path}\t{}\t{}\n", deps.join(","), aliases.join(","))
    }

    fn from_line(line: &str) -> Option<Self> {
        let words =
            |text: &str| text.split(',').filter(|w| !w.is_empty()).map(str::to_owned).collect();
        let mut fields = line.split('\t');
        Some(Self {
            name: fields.next()?.to_owned(),
            path: fields.next()?.to_owned(),
            deps: words(fields.next()?),
            aliases: words(fields.next()?),
        })
    }
}

impl Modules {
    /// Reads the list.
    ///
    /// # Errors
    /// If there is none.
    pub fn read() -> Result<Self> {
        let text = std::fs::read_to_string(LIST).with_context(|| format!("reading {LIST}"))?;
        Ok(Self(text.lines().filter_map(Module::from_line).collect()))
    }

    /// Loads a module, by name or alias, and what it needs.
    ///
    /// # Errors
    /// If the guest lacks it or the kernel refuses it.
    pub fn load(&self, name: &str) -> Result<()> {
        let wanted = normal(name);
        let module = self
            .0
            .iter()
            .find(|m| m.name == wanted || m.aliases.iter().any(|a| normal(a) == wanted))
            .with_context(|| format!("the guest has no kernel module {name}"))?;
        for name in module.deps.iter().chain([&module.name]) {
            let one = self.0.iter().find(|m| m.name == *name);
            insert(one.with_context(|| format!("{wanted} needs {name}, which is missing"))?)?;
        }
        Ok(())
    }
}

fn insert(module: &Module) -> Result<()> {
    // A module that is loaded, or built in, has a directory here.
    if std::path::Path::new("/sys/module").join(&module.name).join("initstate").exists() {
        return Ok(());
    }
    let file = File::open(&module.path).with_context(|| format!("opening {}", module.path))?;
    let arguments = match module.name.as_str() {
        // These make a device at once unless told not to.
        "brd" => c"rd_nr=0",
        "null_blk" => c"nr_devices=0",
        "scsi_debug" => c"add_host=0",
        "nbd" => c"nbds_max=4",
        _ => c"",
    };
    match rustix::system::finit_module(&file, arguments, 0) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("loading module {}", module.name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_comes_back_from_its_line() {
        let module = Module {
            name: "dm_mirror".into(),
            path: "/lib/modules/dm-mirror.ko".into(),
            deps: vec!["dm_mod".into(), "dm_log".into()],
            aliases: vec![],
        };
        assert_eq!(Module::from_line(module.to_line().trim_end_matches('\n')), Some(module));
    }
}
