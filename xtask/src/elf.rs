//! What an ELF file says about itself: the libraries it needs, a module's facts.

use anyhow::{Context as _, Result};
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};
use object::{Endianness, Object as _, ObjectSection as _, elf};

/// The libraries (DT_NEEDED) and the interpreter that a program or library asks for.
/// Empty for a static program.
pub(crate) fn needed(bytes: &[u8]) -> Result<Vec<String>> {
    let header = elf::FileHeader64::<Endianness>::parse(bytes).context("not a 64-bit ELF file")?;
    let endian = header.endian()?;
    let mut names = Vec::new();
    for segment in header.program_headers(endian, bytes)? {
        if let Some(path) = segment.interpreter(endian, bytes)? {
            let path = String::from_utf8_lossy(path);
            names.push(path.rsplit('/').next().unwrap_or(&path).to_owned());
        }
    }
    let sections = header.sections(endian, bytes)?;
    if let Some((entries, strings)) = sections.dynamic(endian, bytes)? {
        let strings = sections.strings(endian, bytes, strings)?;
        for entry in entries {
            if entry.tag(endian) == elf::DT_NEEDED {
                let name = entry.string(endian, strings)?;
                names.push(String::from_utf8_lossy(name).into_owned());
            }
        }
    }
    Ok(names)
}

/// The `key=value` strings of a kernel module's `.modinfo`.
pub(crate) fn modinfo(bytes: &[u8]) -> Result<Vec<(String, String)>> {
    let file = object::File::parse(bytes).context("not an ELF file")?;
    let section = file.section_by_name(".modinfo").context("no .modinfo: not a kernel module")?;
    let text = String::from_utf8_lossy(section.data()?).into_owned();
    let pairs = text.split('\0').filter_map(|item| item.split_once('='));
    Ok(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}
